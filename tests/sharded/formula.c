/* SPDX-License-Identifier: Apache-2.0 */
/* Sharded tensors by formula: what each element is, whoever has it, worked out from the header. */
#include "sharded/suite.h"

#include <stdio.h>

/* --- the definition -------------------------------------------------------------------------- */

static int64_t cut(int64_t length, uint32_t shard, uint32_t shards)
{
    return (int64_t) (((unsigned long long) length * shard) / shards);
}

static uint32_t shards_of(const arrangement *on, int axis)
{
    return on->options.shards[axis] ? on->options.shards[axis] : on->axes[axis];
}

static uint32_t coordinate_of(const arrangement *on, int axis, uint32_t rank)
{
    for (int i = on->axis_count - 1; i > axis; i--)
        rank /= on->axes[i];
    return rank % on->axes[axis];
}

/* The block of a rank: a later axis cuts what earlier ones left. */
void block_of(const arrangement *on, const whole *w, const int32_t *layout, uint32_t rank,
              int64_t *ret_first, int64_t *ret_end)
{
    for (int d = 0; d < w->rank; d++) {
        ret_first[d] = 0;
        ret_end[d] = w->dims[d];
        for (int i = 0; i < on->axis_count; i++) {
            const uint32_t shards = shards_of(on, i), c = coordinate_of(on, i, rank);
            const int64_t first = ret_first[d], length = ret_end[d] - first;
            if (layout[i] != d)
                continue;
            ret_first[d] = first + cut(length, c * shards / on->axes[i], shards);
            ret_end[d] = first + cut(length, (c + 1) * shards / on->axes[i], shards);
        }
    }
}

/* The term of some shards: all of the tensor where it is not partial. */
static int64_t term(const whole *w, const uint32_t *shards, int64_t i)
{
    uint64_t seed = w->seed;
    for (int k = 0; k < MLS_MESH_MAX_AXES; k++)
        seed = seed * 31 + shards[k];
    return made_up(seed, i);
}

/* Over all shards of the axes along which the layout is partial. */
static int64_t sum_of(const arrangement *on, const whole *w, const int32_t *layout, int axis,
                      uint32_t *shards, int64_t i)
{
    int64_t sum = 0;
    if (axis == on->axis_count)
        return term(w, shards, i);
    const uint32_t count = layout[axis] == MLS_LAYOUT_PARTIAL ? shards_of(on, axis) : 1;
    for (shards[axis] = 0; shards[axis] < count; shards[axis]++)
        sum += sum_of(on, w, layout, axis + 1, shards, i);
    shards[axis] = 0;
    return sum;
}

/* The element of the whole tensor whose terms are laid out so. */
int64_t value_of(const arrangement *on, const whole *w, const int32_t *layout, int64_t i)
{
    uint32_t shards[MLS_MESH_MAX_AXES] = {0};
    return sum_of(on, w, layout, 0, shards, i);
}

/* The index in the whole of element i of a block. */
static int64_t global_index(const whole *w, const int64_t *first, const int64_t *end, int64_t i)
{
    int64_t at[MLS_MAX_RANK], index = 0;
    for (int d = w->rank - 1; d >= 0; d--) {
        at[d] = first[d] + i % (end[d] - first[d]);
        i /= end[d] - first[d];
    }
    for (int d = 0; d < w->rank; d++)
        index = index * w->dims[d] + at[d];
    return index;
}

int64_t count_of(const whole *w, const int64_t *first, const int64_t *end)
{
    int64_t count = 1;
    for (int d = 0; d < w->rank; d++)
        count *= end[d] - first[d];
    return count;
}

/* --- tensors --------------------------------------------------------------------------------- */

/* This rank's terms, slot by slot. */
static void fill_terms(const ranked *r, const whole *w, const int32_t *layout, mls_tensor *local)
{
    int64_t first[MLS_MAX_RANK], end[MLS_MAX_RANK], slots = 1;
    uint32_t from[MLS_MESH_MAX_AXES] = {0}, until[MLS_MESH_MAX_AXES] = {0};
    block_of(r->on, w, layout, r->rank, first, end);
    const int64_t count = count_of(w, first, end);
    for (int i = 0; i < r->on->axis_count; i++) {
        until[i] = 1;
        if (layout[i] == MLS_LAYOUT_PARTIAL)
            own_shards(r, i, &from[i], &until[i]);
        slots *= until[i] - from[i];
    }
    mls_test_expect(mls_tensor_element_count(local) == slots * count, "rank %u: %lld elements",
                    r->rank, (long long) mls_tensor_element_count(local));
    for (int64_t slot = 0; slot < slots; slot++) {
        uint32_t shards[MLS_MESH_MAX_AXES] = {0};
        int64_t rest = slot;
        for (int i = r->on->axis_count - 1; i >= 0; i--) {
            shards[i] = from[i] + (uint32_t) (rest % (until[i] - from[i]));
            rest /= until[i] - from[i];
        }
        for (int64_t i = 0; i < count; i++)
            set_element(local, slot * count + i,
                        (double) term(w, shards, global_index(w, first, end, i)));
    }
}

mls_sharded *make(const ranked *r, const whole *w, const int32_t *layout)
{
    mls_sharded *x;
    ck_assert_ok(mls_sharded_create(r->mesh, w->dtype, w->rank, w->dims, layout, &x));
    fill_terms(r, w, layout, mls_sharded_local(x));
    return x;
}

const char *text(const arrangement *on, const int32_t *from, const int32_t *to)
{
    static _Thread_local char words[256];
    size_t used = 0;
    for (int i = 0; i < on->axis_count; i++)
        used += (size_t) snprintf(words + used, sizeof words - used, " %u/%u:%d->%d", on->axes[i],
                                  on->options.shards[i], from[i], to[i]);
    return words;
}

bool is_partial(const arrangement *on, const int32_t *layout)
{
    for (int i = 0; i < on->axis_count; i++)
        if (layout[i] == MLS_LAYOUT_PARTIAL)
            return true;
    return false;
}

/* Where `to` is not partial, each rank must have the elements of its block. */
void check_block(const ranked *r, const whole *w, const int32_t *from, const int32_t *to,
                 const mls_sharded *y)
{
    int64_t first[MLS_MAX_RANK], end[MLS_MAX_RANK], has_first[MLS_MAX_RANK], has[MLS_MAX_RANK];
    block_of(r->on, w, to, r->rank, first, end);
    ck_assert_ok(mls_sharded_block(y, has_first, has));
    for (int d = 0; d < w->rank; d++)
        mls_test_expect(has_first[d] == first[d] && has[d] == end[d] - first[d],
                        "%s: rank %u has another block", text(r->on, from, to), r->rank);
    for (int64_t i = 0; i < count_of(w, first, end); i++) {
        const int64_t is = value_of(r->on, w, from, global_index(w, first, end, i));
        mls_test_expect(element(mls_sharded_local(y), i) == (double) is,
                        "%s: rank %u, element %lld is %g, not %lld", text(r->on, from, to), r->rank,
                        (long long) i, element(mls_sharded_local(y), i), (long long) is);
    }
}

void check_whole(const ranked *r, const whole *w, const int32_t *from, const mls_sharded *y,
                 uint32_t root)
{
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_gather(y, root, NULL, &all));
    mls_test_expect((all != NULL) == (r->rank == root), "rank %u got a tensor", r->rank);
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++)
        mls_test_expect(element(all, i) == (double) value_of(r->on, w, from, i),
                        "%s gathered: element %lld is %g, not %lld",
                        text(r->on, from, mls_sharded_layout(y)), (long long) i, element(all, i),
                        (long long) value_of(r->on, w, from, i));
    mls_tensor_free(all);
}
