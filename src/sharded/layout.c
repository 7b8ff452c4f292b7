/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a tensor is whose, and boxes of elements. */
#include "sharded/sharded.h"

#include "base/error.h"
#include "base/hash.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <string.h>

/* --- layouts --------------------------------------------------------------------------------- */

static mls_status check_layout(const mls_mesh *mesh, int rank, const int32_t *layout)
{
    for (int i = 0; i < mesh->axis_count; i++)
        if (layout[i] < MLS_LAYOUT_PARTIAL || layout[i] >= rank)
            return mls__error(MLS_EINVAL,
                              "the layout has %d for axis %d of the mesh; a tensor of rank %d has "
                              "dimensions 0 to %d, MLS_LAYOUT_REPLICATED or MLS_LAYOUT_PARTIAL",
                              layout[i], i, rank, rank - 1);
    return MLS_OK;
}

mls_status mls__spread_lay(const mls_mesh *mesh, const mls__spread *spread, const int32_t *layout,
                           mls__spread *ret_spread)
{
    int rank;
    int64_t dims[MLS_MAX_RANK];
    mls__spread made = *spread;
    mls_status status = check_layout(mesh, spread->rank, layout);
    if (status)
        return status;
    for (int i = 0; i < MLS_MESH_MAX_AXES; i++)
        made.layout[i] = i < mesh->axis_count ? layout[i] : MLS_LAYOUT_REPLICATED;
    status = mls__local_dims(mesh, &made, &rank, dims);
    if (!status)
        *ret_spread = made;
    return status;
}

mls_status mls__spread_make(const mls_mesh *mesh, int32_t dtype, int rank, const int64_t *dims,
                            const int32_t *layout, mls__spread *ret_spread)
{
    size_t bytes;
    if (dtype == MLS_STRING)
        return mls__error(MLS_EDTYPE, "strings cannot be spread over ranks");
    const mls_status status = mls__tensor_check("sharded tensor", dtype, rank, dims, &bytes);
    if (status)
        return status;
    mls__spread spread = {.dtype = dtype, .rank = rank};
    if (rank)
        memcpy(spread.dims, dims, (size_t) rank * sizeof *dims);
    return mls__spread_lay(mesh, &spread, layout, ret_spread);
}

bool mls__layout_same(const mls_mesh *mesh, const int32_t *a, const int32_t *b)
{
    return memcmp(a, b, (size_t) mesh->axis_count * sizeof *a) == 0;
}

bool mls__layout_cut_later(const mls_mesh *mesh, const int32_t *layout, int axis, int dim)
{
    for (int i = axis + 1; i < mesh->axis_count; i++)
        if (layout[i] == dim)
            return true;
    return false;
}

int64_t mls__slots_of(const mls_mesh *mesh, const int32_t *layout, uint32_t rank)
{
    int64_t slots = 1;
    for (int i = 0; i < mesh->axis_count; i++) {
        const mls__range own = mls__mesh_shards(mesh, i, rank);
        if (layout[i] == MLS_LAYOUT_PARTIAL)
            slots *= own.end - own.first;
    }
    return slots;
}

bool mls__slots_counted(const mls_mesh *mesh, const int32_t *layout)
{
    for (int i = 0; i < mesh->axis_count; i++)
        if (layout[i] == MLS_LAYOUT_PARTIAL && mesh->axes[i].is_stated)
            return true;
    return false;
}

mls_status mls__local_dims(const mls_mesh *mesh, const mls__spread *spread, int *ret_rank,
                           int64_t *ret_dims)
{
    const int extra = mls__slots_counted(mesh, spread->layout);
    const mls__box box = mls__box_of(mesh, spread, mesh->rank);
    int64_t count;
    if (spread->rank + extra > MLS_MAX_RANK)
        return mls__error(MLS_EINVAL,
                          "a partial tensor of stated shards has at most %d dimensions; this one "
                          "has %d",
                          MLS_MAX_RANK - 1, spread->rank);
    if (extra)
        ret_dims[0] = mls__slots_of(mesh, spread->layout, mesh->rank);
    for (int i = 0; i < spread->rank; i++)
        ret_dims[extra + i] = box.count[i];
    if (!mls__shape_count(spread->rank + extra, ret_dims, &count))
        return mls__error(MLS_ELIMIT, "the terms of a partial tensor are too large");
    *ret_rank = spread->rank + extra;
    return MLS_OK;
}

uint64_t mls__spread_digest(const mls_mesh *mesh, const mls__spread *from, const mls__spread *to,
                            int64_t what)
{
    static const uint64_t seed[2] = {0, 0}; /* nobody is to be kept from steering it */
    int64_t said[2 + MLS_MAX_RANK + 4 * MLS_MESH_MAX_AXES] = {what, from->rank};
    size_t count = 2;
    for (int i = 0; i < from->rank; i++)
        said[count++] = from->dims[i];
    for (int i = 0; i < mesh->axis_count; i++) {
        said[count++] = mesh->axes[i].size;
        said[count++] = mesh->axes[i].shards;
        said[count++] = from->layout[i];
        said[count++] = to->layout[i];
    }
    const uint64_t digest = mls__hash_bytes(seed, said, count * sizeof *said);
    return digest ? digest : 1;
}

/* --- boxes ----------------------------------------------------------------------------------- */

/* shard * length / shards, without its overflow. */
int64_t mls__shard_first(int64_t length, uint32_t shard, uint32_t shards)
{
    return length / shards * shard + length % shards * shard / shards;
}

mls__box mls__box_whole(const mls__spread *spread)
{
    mls__box box = {{0}, {0}};
    for (int i = 0; i < spread->rank; i++)
        box.count[i] = spread->dims[i];
    return box;
}

mls__box mls__box_of(const mls_mesh *mesh, const mls__spread *spread, uint32_t rank)
{
    mls__box box = mls__box_whole(spread);
    for (int i = 0; i < mesh->axis_count; i++) {
        const int dim = spread->layout[i];
        if (dim < 0)
            continue;
        const mls__range own = mls__mesh_shards(mesh, i, rank);
        const uint32_t shards = mesh->axes[i].shards;
        const int64_t length = box.count[dim];
        const int64_t first = mls__shard_first(length, own.first, shards);
        box.first[dim] += first;
        box.count[dim] = mls__shard_first(length, own.end, shards) - first;
    }
    return box;
}

int64_t mls__box_count(int rank, const mls__box *box)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= box->count[i];
    return count;
}

mls__box mls__box_meet(int rank, const mls__box *a, const mls__box *b)
{
    mls__box both = {{0}, {0}};
    for (int i = 0; i < rank; i++) {
        const int64_t end_a = a->first[i] + a->count[i], end_b = b->first[i] + b->count[i];
        const int64_t first = a->first[i] > b->first[i] ? a->first[i] : b->first[i];
        const int64_t end = end_a < end_b ? end_a : end_b;
        both.first[i] = first;
        both.count[i] = end > first ? end - first : 0;
    }
    return both;
}

bool mls__box_same(int rank, const mls__box *a, const mls__box *b)
{
    return mls__shape_equal(rank, a->first, rank, b->first) &&
           mls__shape_equal(rank, a->count, rank, b->count);
}

int64_t mls__box_offset(int rank, const mls__box *box, const mls__box *part)
{
    int64_t offset = 0;
    for (int i = 0; i < rank; i++)
        offset = offset * box->count[i] + (part->first[i] - box->first[i]);
    return offset;
}

int64_t mls__box_span(int rank, const mls__box *box, const mls__box *part)
{
    int64_t last = 0;
    if (!mls__box_count(rank, part))
        return 0;
    for (int i = 0; i < rank; i++)
        last = last * box->count[i] + (part->count[i] - 1);
    return last + 1;
}

/* --- copies ---------------------------------------------------------------------------------- */

typedef struct copier {
    int rank; /* dimensions that are walked; what lies behind them is one piece */
    size_t run_bytes;
    int64_t count[MLS_MAX_RANK];
    size_t from_bytes[MLS_MAX_RANK], to_bytes[MLS_MAX_RANK]; /* from one to the next */
} copier;

static void copy_dim(const copier *c, int dim, const unsigned char *from, unsigned char *to)
{
    if (dim == c->rank) {
        memcpy(to, from, c->run_bytes);
        return;
    }
    for (int64_t i = 0; i < c->count[dim]; i++) {
        copy_dim(c, dim + 1, from, to);
        from += c->from_bytes[dim];
        to += c->to_bytes[dim];
    }
}

/* Dimensions from the last one that the part has whole on both sides go in one piece. */
void mls__box_copy(int rank, size_t size, const mls__box *part, const mls__box *from_box,
                   const void *from, const mls__box *to_box, void *to)
{
    copier c = {.rank = rank, .run_bytes = size};
    size_t from_bytes = size, to_bytes = size;
    bool is_whole = true;
    if (!mls__box_count(rank, part))
        return;
    for (int i = rank - 1; i >= 0; i--) {
        c.count[i] = part->count[i];
        c.from_bytes[i] = from_bytes;
        c.to_bytes[i] = to_bytes;
        from_bytes *= (size_t) from_box->count[i];
        to_bytes *= (size_t) to_box->count[i];
        if (!is_whole)
            continue;
        c.rank = i;
        c.run_bytes *= (size_t) part->count[i];
        is_whole = part->count[i] == from_box->count[i] && part->count[i] == to_box->count[i];
    }
    copy_dim(&c, 0,
             (const unsigned char *) from + (size_t) mls__box_offset(rank, from_box, part) * size,
             (unsigned char *) to + (size_t) mls__box_offset(rank, to_box, part) * size);
}
