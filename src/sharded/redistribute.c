/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one layout to another, in the steps that move the fewest bytes (route.c):
 * 1. what is replicated is cut where the target is, or where that saves sums: nothing moves;
 * 2. terms are added up, the last axis first: to blocks, or to all;
 * 3. elements move to whom the target gives them;
 * 4. what is to be partial becomes one term and zeros: nothing moves.
 */
#include "sharded/sharded.h"

#include "base/error.h"

#include <string.h>

/* A tensor on its way, and the step's layout. */
typedef struct way {
    mls_mesh *mesh;
    mls__steps *steps;
    mls_sharded *now;
    uint32_t reduction; /* of terms */
} way;

static const int32_t *layout_of(const way *w)
{
    return w->now->spread.layout;
}

static void arrive(way *w, mls_sharded *next)
{
    mls_sharded_free(w->now);
    w->now = next;
}

/* Room for the tensor in a layout. */
static mls_status make_next(const way *w, const int32_t *layout, mls_sharded **ret_next)
{
    mls__spread spread;
    const mls_status status = mls__spread_lay(w->mesh, &w->now->spread, layout, &spread);
    return status ? status : mls__sharded_make(w->mesh, &spread, ret_next);
}

static mls_status finish_step(way *w, mls_sharded *next, mls_status status)
{
    if (status)
        mls_sharded_free(next);
    else
        arrive(w, next);
    return status;
}

static const void *data_of(const mls_sharded *sharded)
{
    return mls_tensor_data(sharded->local);
}

bool mls__can_add(int32_t dtype)
{
    return mls__reduction_can(MLS_REDUCE_SUM, dtype);
}

/* --- cutting --------------------------------------------------------------------------------- */

static void store_slots(const mls_sharded *from, const mls__box *from_box, const mls_sharded *to,
                        const mls__box *to_box, const mls__box *part, int64_t slots)
{
    const int rank = from->spread.rank;
    const size_t size = mls__spread_size(&from->spread);
    const size_t from_bytes = (size_t) mls__box_count(rank, from_box) * size;
    const size_t to_bytes = (size_t) mls__box_count(rank, to_box) * size;
    for (int64_t i = 0; i < slots && mls__box_count(rank, part); i++)
        mls__box_copy(rank, size, part, from_box,
                      (const unsigned char *) data_of(from) + (size_t) i * from_bytes, to_box,
                      (unsigned char *) mls_tensor_data(to->local) + (size_t) i * to_bytes);
}

/* A cut inside of what later axes cut would move elements between blocks: step 3 does that. */
static mls_status cut(way *w, const int32_t *target)
{
    mls_sharded *next;
    int32_t layout[MLS_MESH_MAX_AXES];
    bool cuts = false;
    memcpy(layout, layout_of(w), sizeof layout);
    for (int i = 0; i < w->mesh->axis_count; i++) {
        if (!mls__route_cuts(w->mesh, layout, i, target[i]))
            continue;
        layout[i] = target[i];
        cuts = true;
    }
    if (!cuts)
        return MLS_OK;
    const mls_status status = make_next(w, layout, &next);
    if (status)
        return status;
    const mls__box from = mls__box_of(w->mesh, &w->now->spread, w->mesh->rank);
    const mls__box to = mls__box_of(w->mesh, &next->spread, w->mesh->rank);
    store_slots(w->now, &from, next, &to, &to, mls__slots_of(w->mesh, layout, w->mesh->rank));
    arrive(w, next);
    return MLS_OK;
}

/* --- adding up ------------------------------------------------------------------------------- */

/*
 * Slots along other axes stay; of those along `axis` the tensor's local part has `own`. What lies
 * behind each of these, with the slots along later axes that stay partial, is added as one.
 */
typedef struct sum {
    mls__axis *axis;
    int number;
    int64_t outer, own, count; /* slots of earlier axes, slots to be added, elements of each */
    uint64_t digest;
} sum;

static sum sum_of(const way *w, int axis, const mls__spread *to)
{
    const mls__range shards = mls__mesh_shards(w->mesh, axis, w->mesh->rank);
    const mls__box box = mls__box_of(w->mesh, &w->now->spread, w->mesh->rank);
    const int64_t own = shards.end - shards.first;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < w->mesh->axis_count; i++) {
        const mls__range others = mls__mesh_shards(w->mesh, i, w->mesh->rank);
        if (i != axis && layout_of(w)[i] == MLS_LAYOUT_PARTIAL)
            *(i < axis ? &outer : &inner) *= others.end - others.first;
    }
    return (sum){&w->mesh->axes[axis],
                 axis,
                 outer,
                 own,
                 inner * mls__box_count(w->now->spread.rank, &box),
                 mls__spread_digest(w->mesh, &w->now->spread, to, axis)};
}

/* What each coordinate along the axis gets, in elements of the box; all of it, where not cut. */
static mls_status make_bounds(const way *w, const sum *s, const mls__spread *to,
                              uint64_t **ret_bounds)
{
    const mls_mesh *mesh = w->mesh;
    uint64_t *bounds =
        mls__alloc_array(&mesh->context->allocator, (size_t) s->axis->size + 1, sizeof *bounds);
    if (!bounds)
        return mls__error_nomem(s->axis->size * sizeof *bounds);
    for (uint32_t i = 0; i < s->axis->size; i++) {
        const uint32_t rank =
            mesh->rank - s->axis->coordinate * s->axis->stride + i * s->axis->stride;
        const mls__box box = mls__box_of(mesh, to, rank);
        bounds[i + 1] = bounds[i] + (uint64_t) mls__box_count(to->rank, &box);
    }
    *ret_bounds = bounds;
    return MLS_OK;
}

/* The terms with the block of each coordinate behind that of the one before. */
static void order_blocks(const way *w, const sum *s, const mls__spread *to, const void *terms,
                         const uint64_t *bounds, unsigned char *ordered)
{
    const size_t size = mls__spread_size(to);
    const mls__box from = mls__box_of(w->mesh, &w->now->spread, w->mesh->rank);
    for (uint32_t i = 0; i < s->axis->size; i++) {
        const uint32_t rank =
            w->mesh->rank - s->axis->coordinate * s->axis->stride + i * s->axis->stride;
        const mls__box part = mls__box_of(w->mesh, to, rank);
        for (int64_t k = 0; k < s->own; k++)
            mls__box_copy(to->rank, size, &part, &from,
                          (const unsigned char *) terms + (size_t) (k * s->count) * size, &part,
                          ordered + ((size_t) (k * s->count) + (size_t) bounds[i]) * size);
    }
}

static mls_status add_to_blocks(way *w, const sum *s, mls_sharded *next)
{
    static max_align_t nothing; /* where an empty block is */
    const mls_dtype dtype = (mls_dtype) next->spread.dtype;
    const size_t size = mls__spread_size(&next->spread);
    const int64_t count = s->own * s->count;
    const size_t term_bytes = (size_t) count * size;
    uint64_t *bounds = NULL;
    mls_tensor *ordered;
    mls_status status = mls__group_create_readable(s->axis->adder, dtype, 1, &count, &ordered);
    if (status)
        return status;
    status = make_bounds(w, s, &next->spread, &bounds);
    for (int64_t i = 0; !status && i < s->outer; i++) {
        const uint64_t block = bounds[s->axis->coordinate + 1] - bounds[s->axis->coordinate];
        unsigned char *to = mls_tensor_data(next->local);
        if (term_bytes)
            order_blocks(w, s, &next->spread,
                         (const unsigned char *) data_of(w->now) + (size_t) i * term_bytes, bounds,
                         mls_tensor_data(ordered));
        status = mls__group_reduce_blocks(s->axis->adder, dtype, mls_tensor_data(ordered),
                                          block ? to + (size_t) i * (size_t) block * size
                                                : (void *) &nothing,
                                          bounds, s->digest, mls__steps_next(w->steps));
    }
    mls__free(&w->mesh->context->allocator, bounds);
    mls_tensor_free(ordered);
    return status;
}

/* Views of one term each of what is added and what comes of it. */
static mls_status add_to_all(way *w, const sum *s, mls_sharded *next)
{
    const size_t size = mls__spread_size(&next->spread);
    const mls_dtype dtype = (mls_dtype) next->spread.dtype;
    const int64_t dims[2] = {s->own, s->count};
    const int extra = s->axis->is_stated; /* else there is one, and no dimension for it */
    static max_align_t nothing;
    const int64_t terms_count = s->own * s->count;
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && i < s->outer; i++) {
        const size_t from = (size_t) (i * terms_count) * size;
        const size_t to = (size_t) (i * s->count) * size;
        unsigned char *source = terms_count
                                    ? (unsigned char *) mls_tensor_data(w->now->local) + from
                                    : (void *) &nothing;
        unsigned char *target =
            s->count ? (unsigned char *) mls_tensor_data(next->local) + to : (void *) &nothing;
        mls_tensor *terms = NULL, *all = NULL;
        status = mls_tensor_wrap(w->mesh->context, dtype, 1 + extra, dims + 1 - extra, NULL, source,
                                 NULL, NULL, &terms);
        if (!status)
            status = mls_tensor_wrap(w->mesh->context, dtype, 1, dims + 1, NULL, target, NULL, NULL,
                                     &all);
        if (!status)
            status = mls_group_allreduce(s->axis->adder, terms, all, w->reduction,
                                         mls__steps_next(w->steps), NULL);
        mls_tensor_free(all);
        mls_tensor_free(terms);
    }
    return status;
}

static mls_status add(way *w, int axis, int32_t wanted)
{
    int32_t layout[MLS_MESH_MAX_AXES];
    mls_sharded *next;
    memcpy(layout, layout_of(w), sizeof layout);
    layout[axis] = mls__route_sum(w->mesh, layout, axis, wanted);
    const mls_status status = make_next(w, layout, &next);
    if (status)
        return status;
    const sum s = sum_of(w, axis, &next->spread);
    return finish_step(w, next,
                       layout[axis] < 0 ? add_to_all(w, &s, next) : add_to_blocks(w, &s, next));
}

/* --- moving ---------------------------------------------------------------------------------- */

static mls_status move(way *w, const int32_t *layout)
{
    mls_sharded *next;
    if (mls__layout_same(w->mesh, layout_of(w), layout))
        return MLS_OK;
    const mls_status status = make_next(w, layout, &next);
    if (status)
        return status;
    const mls__transfer transfer = {w->mesh,
                                    &w->now->spread,
                                    &next->spread,
                                    MLS__NO_ROOT,
                                    MLS__NO_ROOT,
                                    data_of(w->now),
                                    mls_tensor_data(next->local)};
    return finish_step(w, next, mls__transfer_run(&transfer, w->steps));
}

/* --- terms ----------------------------------------------------------------------------------- */

/* The slots that a layout counts along each axis, those of the axes that do not as one. */
static void slots_along(const way *w, const int32_t *layout, int64_t *ret_slots)
{
    for (int i = 0; i < w->mesh->axis_count; i++) {
        const mls__range own = mls__mesh_shards(w->mesh, i, w->mesh->rank);
        ret_slots[i] = layout[i] == MLS_LAYOUT_PARTIAL ? own.end - own.first : 1;
    }
}

/* The slot in the target of slot `slot` of the source: the first one along new axes. */
static int64_t slot_of(const way *w, const int64_t *from, const int64_t *to, int64_t slot)
{
    int64_t at = 0, stride = 1;
    for (int i = w->mesh->axis_count - 1; i >= 0; i--) {
        at += slot % from[i] * stride;
        slot /= from[i];
        stride *= to[i];
    }
    return at;
}

/* Whether this rank has the term that is no zero, along all axes that become partial. */
static bool has_term(const way *w, const int32_t *target)
{
    for (int i = 0; i < w->mesh->axis_count; i++) {
        const mls__range own = mls__mesh_shards(w->mesh, i, w->mesh->rank);
        const int32_t now = layout_of(w)[i];
        if (target[i] != MLS_LAYOUT_PARTIAL || now == MLS_LAYOUT_PARTIAL)
            continue;
        /* A block is this rank's own; of what all have, one gives it. */
        if (own.end == own.first || (now == MLS_LAYOUT_REPLICATED && own.first > 0))
            return false;
    }
    return true;
}

static void store_terms(const way *w, mls_sharded *next)
{
    const int rank = next->spread.rank;
    const size_t size = mls__spread_size(&next->spread);
    const mls__box from = mls__box_of(w->mesh, &w->now->spread, w->mesh->rank);
    const mls__box to = mls__box_of(w->mesh, &next->spread, w->mesh->rank);
    const size_t from_bytes = (size_t) mls__box_count(rank, &from) * size;
    const size_t to_bytes = (size_t) mls__box_count(rank, &to) * size;
    const int64_t slots = mls__slots_of(w->mesh, layout_of(w), w->mesh->rank);
    int64_t along[MLS_MESH_MAX_AXES], along_next[MLS_MESH_MAX_AXES];
    slots_along(w, layout_of(w), along);
    slots_along(w, next->spread.layout, along_next);
    for (int64_t i = 0; i < slots && from_bytes; i++)
        mls__box_copy(rank, size, &from, &from,
                      (const unsigned char *) data_of(w->now) + (size_t) i * from_bytes, &to,
                      (unsigned char *) mls_tensor_data(next->local) +
                          (size_t) slot_of(w, along, along_next, i) * to_bytes);
}

static mls_status make_terms(way *w, const int32_t *target)
{
    mls_sharded *next;
    if (mls__layout_same(w->mesh, layout_of(w), target))
        return MLS_OK;
    const mls_status status = make_next(w, target, &next);
    if (status)
        return status;
    mls__fill_neutral(next->spread.dtype, mls_tensor_data(next->local), next->local->count);
    if (has_term(w, target))
        store_terms(w, next);
    arrive(w, next);
    return MLS_OK;
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool adds(const way *w, const int32_t *target)
{
    for (int i = 0; i < w->mesh->axis_count; i++)
        if (layout_of(w)[i] == MLS_LAYOUT_PARTIAL && target[i] != MLS_LAYOUT_PARTIAL)
            return true;
    return false;
}

/* Whether cutting is all that there is to do. */
static bool only_cuts(const way *w, const int32_t *target)
{
    for (int i = 0; i < w->mesh->axis_count; i++) {
        const int32_t now = layout_of(w)[i];
        if (now != target[i] && !mls__route_cuts(w->mesh, layout_of(w), i, target[i]))
            return false;
    }
    return true;
}

/* A cut is lost to what moves elements behind it, but saves what adds them up. */
static mls_status go(way *w, const int32_t *target)
{
    int32_t layout[MLS_MESH_MAX_AXES], by[MLS_MESH_MAX_AXES];
    mls_status status = MLS_OK;
    memcpy(by, target, (size_t) w->mesh->axis_count * sizeof *by);
    if (adds(w, target) && w->reduction == MLS_REDUCE_SUM) /* blocks are of sums alone */
        mls__route_choose(w->mesh, &w->now->spread, target, by);
    if (adds(w, target) || only_cuts(w, target))
        status = cut(w, by);
    for (int i = w->mesh->axis_count - 1; !status && i >= 0; i--)
        if (layout_of(w)[i] == MLS_LAYOUT_PARTIAL && target[i] != MLS_LAYOUT_PARTIAL)
            status = add(w, i, by[i]);
    if (status)
        return status;
    mls__route_before_terms(w->mesh, layout_of(w), target, layout);
    status = move(w, layout);
    return status ? status : make_terms(w, target);
}

mls_status mls__redistribute_by(const mls_sharded *from, const int32_t *layout, uint32_t reduction,
                                mls__steps *steps, mls_sharded **ret_sharded)
{
    way w = {from->mesh, steps, NULL, reduction};
    mls_status status = mls__sharded_view(from, &w.now);
    if (!status)
        status = go(&w, layout);
    if (status) {
        mls_sharded_free(w.now);
        return status;
    }
    *ret_sharded = w.now;
    return MLS_OK;
}

mls_status mls__redistribute(const mls_sharded *from, const int32_t *layout, mls__steps *steps,
                             mls_sharded **ret_sharded)
{
    return mls__redistribute_by(from, layout, MLS_REDUCE_SUM, steps, ret_sharded);
}

mls_status mls__check_terms(const mls_mesh *mesh, int32_t dtype, const int32_t *layout)
{
    for (int i = 0; i < mesh->axis_count; i++)
        if (layout[i] == MLS_LAYOUT_PARTIAL && !mls__can_add(dtype))
            return mls__error(MLS_EDTYPE,
                              "terms of %s cannot be added; those of float32, float64, float16, "
                              "bfloat16, int32 and int64 can",
                              mls_dtype_name((mls_dtype) dtype));
    return MLS_OK;
}

mls_status mls_sharded_redistribute(const mls_sharded *sharded, const int32_t *layout,
                                    const mls_group_call *call, mls_sharded **ret_sharded)
{
    mls__steps steps;
    mls__spread spread;
    if (!sharded || !layout || !ret_sharded)
        return mls__error_null(__func__, "sharded, layout and ret_sharded");
    mls_status status = mls__spread_lay(sharded->mesh, &sharded->spread, layout, &spread);
    if (!status)
        status = mls__check_terms(sharded->mesh, spread.dtype, sharded->spread.layout);
    if (!status)
        status = mls__check_terms(sharded->mesh, spread.dtype, layout);
    if (!status)
        status = mls__steps_begin(sharded->mesh, call, &steps);
    if (status)
        return status;
    mls_sharded *made;
    status = mls__redistribute(sharded, spread.layout, &steps, &made);
    if (status)
        return mls__steps_end(&steps, status);
    if (made->local->storage == sharded->local->storage) { /* the same layout: a copy of its own */
        mls_tensor *copy;
        status = mls_tensor_copy(made->local, &copy);
        if (status) {
            mls_sharded_free(made);
            return mls__steps_end(&steps, status);
        }
        mls_tensor_free(made->local);
        made->local = copy;
    }
    *ret_sharded = made;
    return MLS_OK;
}
