/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving elements between two layouts: each rank takes what it lacks, once.
 *
 * The ranks that have what a rank may take are those that agree with it in the coordinates along
 * which the layout before is not cut; their boxes make up the whole, and one of them is its own.
 * So every element has one giver, those that a rank has come from itself, and givers take turns
 * as their takers do. Where memory can be read, a rank reads its pieces as they lie in the boxes
 * of the givers; elsewhere the givers pack them. Which it is the call finds out.
 */
#include "sharded/sharded.h"

#include "base/error.h"

#include <string.h>

typedef struct plan {
    const mls__transfer *transfer;
    const mls_mesh *mesh;
    int rank; /* of the tensor */
    size_t size;
    int64_t slots; /* on all ranks that share pieces with this one */
    mls__box own_from, own_to;
    bool packs; /* pieces come by themselves, not as a part of their giver's box */
    mls__piece *give, *take;
    unsigned char *packed, *taken;
} plan;

static mls__box side_box(const plan *p, const mls__spread *spread, int64_t root, uint32_t rank)
{
    static const mls__box nothing;
    if (root == MLS__NO_ROOT)
        return mls__box_of(p->mesh, spread, rank);
    return root == (int64_t) rank ? mls__box_whole(spread) : nothing;
}

static mls__box from_box(const plan *p, uint32_t rank)
{
    return side_box(p, p->transfer->from, p->transfer->from_root, rank);
}

static mls__box to_box(const plan *p, uint32_t rank)
{
    return side_box(p, p->transfer->to, p->transfer->to_root, rank);
}

/* Whether `from` gives `to` what it needs of what `from` has. */
static bool gives(const plan *p, uint32_t from, uint32_t to)
{
    if (p->transfer->to_root != MLS__NO_ROOT && p->transfer->to_root != (int64_t) to)
        return false;
    if (p->transfer->from_root != MLS__NO_ROOT)
        return p->transfer->from_root == (int64_t) from;
    for (int i = 0; i < p->mesh->axis_count; i++)
        if (p->transfer->from->layout[i] < 0 &&
            mls__mesh_coordinate(p->mesh, i, from) != mls__mesh_coordinate(p->mesh, i, to))
            return false;
    return true;
}

static size_t part_bytes(const plan *p, const mls__box *part)
{
    return (size_t) (mls__box_count(p->rank, part) * p->slots) * p->size;
}

/* Whether a part is one piece of its box. */
static bool is_piece(const plan *p, const mls__box *box, const mls__box *part)
{
    return p->slots == 1 && mls__box_span(p->rank, box, part) == mls__box_count(p->rank, part);
}

/* --- what others take ------------------------------------------------------------------------ */

static void pack(const plan *p, const mls__box *part, unsigned char *to)
{
    const size_t block = (size_t) mls__box_count(p->rank, &p->own_from) * p->size;
    const size_t bytes = (size_t) mls__box_count(p->rank, part) * p->size;
    for (int64_t i = 0; i < p->slots; i++)
        mls__box_copy(p->rank, p->size, part, &p->own_from,
                      (const unsigned char *) p->transfer->source + (size_t) i * block, part,
                      to + (size_t) i * bytes);
}

/* Ranks that take the same get it from one place. `packed` NULL: only counts the bytes. */
static size_t set_give(plan *p, unsigned char *packed)
{
    mls__box last = {{0}, {0}};
    size_t used = 0, last_offset = 0;
    bool has_last = false;
    for (uint32_t i = 0; i < p->mesh->size; i++) {
        const mls__box to = to_box(p, i), part = mls__box_meet(p->rank, &p->own_from, &to);
        const size_t bytes = part_bytes(p, &part);
        p->give[i] = (mls__piece){0, 0, NULL, NULL};
        if (i == p->mesh->rank || !bytes || !gives(p, p->mesh->rank, i))
            continue;
        if (!has_last || !mls__box_same(p->rank, &last, &part)) {
            if (packed)
                pack(p, &part, packed + used);
            last = part;
            last_offset = used;
            has_last = true;
            used += bytes;
        }
        p->give[i] = (mls__piece){last_offset, bytes, NULL, NULL};
    }
    return used;
}

static mls_status make_give(plan *p, const void **ret_base)
{
    const size_t bytes = set_give(p, NULL);
    *ret_base = NULL;
    if (!bytes)
        return MLS_OK;
    p->packed = mls__alloc(&p->mesh->context->allocator, bytes);
    if (!p->packed)
        return mls__error_nomem(bytes);
    set_give(p, p->packed);
    *ret_base = p->packed;
    return MLS_OK;
}

/* --- what this rank takes -------------------------------------------------------------------- */

/* Of the giver's box: from the first element of the first slot to the last of the last. */
static mls__piece piece_in_box(const plan *p, const mls__box *from, const mls__box *part)
{
    const int64_t block = mls__box_count(p->rank, from);
    const int64_t first = mls__box_offset(p->rank, from, part);
    const int64_t count = (p->slots - 1) * block + mls__box_span(p->rank, from, part);
    return (mls__piece){(size_t) first * p->size, (size_t) count * p->size, NULL, NULL};
}

static size_t set_take(plan *p, unsigned char *taken)
{
    size_t used = 0;
    for (uint32_t i = 0; i < p->mesh->size; i++) {
        const mls__box from = from_box(p, i), part = mls__box_meet(p->rank, &from, &p->own_to);
        const size_t bytes = part_bytes(p, &part);
        p->take[i] = (mls__piece){0, 0, NULL, NULL};
        if (i == p->mesh->rank || !bytes || !gives(p, i, p->mesh->rank))
            continue;
        if (!p->packs) {
            p->take[i] = piece_in_box(p, &from, &part);
            continue;
        }
        void *into = taken ? taken + used : NULL;
        if (is_piece(p, &p->own_to, &part))
            into = (unsigned char *) p->transfer->target +
                   (size_t) mls__box_offset(p->rank, &p->own_to, &part) * p->size;
        else
            used += bytes;
        p->take[i] = (mls__piece){0, bytes, into, NULL};
    }
    return used;
}

static mls_status make_take(plan *p)
{
    const size_t bytes = set_take(p, NULL);
    if (!bytes)
        return MLS_OK;
    p->taken = mls__alloc(&p->mesh->context->allocator, bytes);
    if (!p->taken)
        return mls__error_nomem(bytes);
    set_take(p, p->taken);
    return MLS_OK;
}

/* `found` is the first element of the part, in a box or packed. */
static void store_part(const plan *p, const mls__box *from, const mls__box *part,
                       const unsigned char *found)
{
    const mls__box *lies_in = p->packs ? part : from;
    const size_t offset = (size_t) mls__box_offset(p->rank, lies_in, part) * p->size;
    const size_t from_bytes = (size_t) mls__box_count(p->rank, lies_in) * p->size;
    const size_t to_bytes = (size_t) mls__box_count(p->rank, &p->own_to) * p->size;
    for (int64_t i = 0; i < p->slots; i++)
        mls__box_copy(p->rank, p->size, part, lies_in, found - offset + (size_t) i * from_bytes,
                      &p->own_to, (unsigned char *) p->transfer->target + (size_t) i * to_bytes);
}

static void store(void *user, uint32_t giver, const void *found)
{
    const plan *p = user;
    const mls__box from = from_box(p, giver), part = mls__box_meet(p->rank, &from, &p->own_to);
    if (!p->packs || !is_piece(p, &p->own_to, &part)) /* else it is there */
        store_part(p, &from, &part, found);
}

/* What this rank has itself. */
static void store_own(plan *p)
{
    const mls__box part = mls__box_meet(p->rank, &p->own_from, &p->own_to);
    const bool packs = p->packs;
    if (!part_bytes(p, &part) || !gives(p, p->mesh->rank, p->mesh->rank))
        return;
    p->packs = false;
    store_part(p, &p->own_from, &part,
               (const unsigned char *) p->transfer->source +
                   (size_t) mls__box_offset(p->rank, &p->own_from, &part) * p->size);
    p->packs = packs;
}

/* --- the call -------------------------------------------------------------------------------- */

/* Whether no rank shows more than goes with a record. */
static bool is_small(const plan *p)
{
    const size_t room = mls__payload_room(p->mesh->group);
    for (uint32_t i = 0; i < p->mesh->size; i++) {
        const mls__box box = from_box(p, i);
        const int64_t slots = mls__slots_of(p->mesh, p->transfer->from->layout, i);
        if ((size_t) mls__box_count(p->rank, &box) * p->size > room / (size_t) (slots ? slots : 1))
            return false;
    }
    return true;
}

static mls_status prepare(void *user, bool is_read, mls__swap_pieces *ret_pieces)
{
    plan *p = user;
    mls__swap_pieces pieces = {p->transfer->source, p->give, p->take};
    p->packs = !is_read;
    mls_status status = p->packs ? make_give(p, &pieces.base) : MLS_OK;
    if (!status)
        status = make_take(p);
    if (!status)
        *ret_pieces = pieces;
    return status;
}

static mls_status run(plan *p, mls__steps *steps)
{
    const mls__transfer *t = p->transfer;
    const size_t bytes = t->source ? part_bytes(p, &p->own_from) : 0;
    const mls__box whole = mls__box_whole(t->from);
    const mls__swap swap = {
        .dtype = t->from->dtype,
        .count = (uint64_t) mls__box_count(p->rank, &whole),
        .digest = mls__spread_digest(p->mesh, t->from, t->to, t->from_root * 2048 + t->to_root),
        .is_small = is_small(p),
        .base = bytes ? t->source : NULL,
        .base_bytes = bytes,
        .prepare = prepare,
        .store = store,
        .user = p,
    };
    const mls_status status = mls__group_swap(p->mesh->group, &swap, mls__steps_next(steps));
    steps->is_known = status == MLS_EMISMATCH;
    if (!status)
        store_own(p);
    return status;
}

mls_status mls__transfer_run(const mls__transfer *transfer, mls__steps *steps)
{
    const mls_mesh *mesh = transfer->mesh;
    const mls__allocator *allocator = &mesh->context->allocator;
    plan p = {
        .transfer = transfer,
        .mesh = mesh,
        .rank = transfer->from->rank,
        .size = mls__spread_size(transfer->from),
        .slots = mls__slots_of(mesh, transfer->from->layout, mesh->rank),
        .give = mls__alloc_array(allocator, mesh->size, sizeof(mls__piece)),
        .take = mls__alloc_array(allocator, mesh->size, sizeof(mls__piece)),
    };
    p.own_from = from_box(&p, mesh->rank);
    p.own_to = to_box(&p, mesh->rank);
    const mls_status status =
        p.give && p.take ? run(&p, steps) : mls__error_nomem(mesh->size * sizeof(mls__piece));
    mls__free(allocator, p.taken);
    mls__free(allocator, p.packed);
    mls__free(allocator, p.take);
    mls__free(allocator, p.give);
    return status;
}
