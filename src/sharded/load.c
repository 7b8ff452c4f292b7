/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, in any layout and on any number of ranks: each rank opens the parts that have
 * something of its block, and reads and checks those chunks of them that it needs.
 */
#include "sharded/files.h"

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <string.h>

/* --- one part -------------------------------------------------------------------------------- */

/* What this rank takes of a part. */
typedef struct taker {
    const mls__part *part;
    const mls_tensor *stored;
    mls__box wanted;
    int rank;
    size_t size;
    size_t checked; /* chunks before this one are, as far as they are needed */
} taker;

static mls_status check_chunk(const taker *t, size_t chunk)
{
    const size_t bytes = mls_tensor_size_bytes(t->stored), at = chunk * MLS__CHUNK_BYTES;
    const size_t left = bytes - at;
    const uint64_t sum =
        mls__manifest_digest((const unsigned char *) mls_tensor_data(t->stored) + at,
                             left < MLS__CHUNK_BYTES ? left : MLS__CHUNK_BYTES);
    if (sum != t->part->sums[chunk])
        return mls__error(MLS_EFORMAT,
                          "MiB %zu of the elements is damaged: its digest is another "
                          "one",
                          chunk);
    return MLS_OK;
}

/* Runs come in ascending order, so that a chunk is looked at once. */
static mls_status check_run(taker *t, size_t first, size_t bytes)
{
    size_t chunk = first / MLS__CHUNK_BYTES;
    const size_t end = (first + bytes - 1) / MLS__CHUNK_BYTES + 1;
    mls_status status = MLS_OK;
    if (chunk < t->checked)
        chunk = t->checked;
    for (; !status && chunk < end; chunk++)
        status = check_chunk(t, chunk);
    if (end > t->checked)
        t->checked = end;
    return status;
}

/* The runs along the last dimension from `dim` on; `at` is an element of the part. */
static mls_status check_dim(taker *t, int dim, int64_t at)
{
    const mls__box *box = &t->part->box;
    if (dim >= t->rank - 1) {
        const int64_t first =
            t->rank ? at * box->count[dim] + t->wanted.first[dim] - box->first[dim] : 0;
        const int64_t count = t->rank ? t->wanted.count[dim] : 1;
        return check_run(t, (size_t) first * t->size, (size_t) count * t->size);
    }
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && i < t->wanted.count[dim]; i++)
        status = check_dim(t, dim + 1,
                           at * box->count[dim] + t->wanted.first[dim] - box->first[dim] + i);
    return status;
}

static mls_status check_stored(const mls__manifest *m, const mls__part *part,
                               const mls_tensor *stored)
{
    char is[MLS__SHAPE_TEXT], should[MLS__SHAPE_TEXT];
    if (stored->dtype != mls__files_dtype(m->spread.dtype) ||
        !mls__shape_equal(stored->rank, stored->dims, m->spread.rank, part->box.count) ||
        !mls_tensor_is_contiguous(stored))
        return mls__error(MLS_EFORMAT, "it has %s %s; the manifest says %s %s, row by row",
                          mls_dtype_name((mls_dtype) stored->dtype),
                          mls__shape_text(stored->rank, stored->dims, is),
                          mls_dtype_name((mls_dtype) mls__files_dtype(m->spread.dtype)),
                          mls__shape_text(m->spread.rank, part->box.count, should));
    return MLS_OK;
}

static mls_status read_part(const mls__manifest *m, uint32_t index, const char *folder,
                            const mls__box *own, mls_sharded *target)
{
    const mls__part *part = &m->parts[index];
    char name[MLS__PART_NAME_SIZE], path[MLS__PATH_SIZE];
    mls_tensor *stored = NULL;
    taker t = {.part = part, .rank = m->spread.rank, .size = mls__spread_size(&m->spread)};
    t.wanted = mls__box_meet(t.rank, own, &part->box);
    if (!mls__box_count(t.rank, &t.wanted))
        return MLS_OK;
    mls__part_name(m->id, index, name);
    mls_status status = mls__files_path(folder, name, path);
    if (status)
        return status;
    status = mls_tensor_read_npy(target->mesh->context, path, &stored);
    if (status)
        return status;
    t.stored = stored;
    status = check_stored(m, part, stored);
    if (!status)
        status = check_dim(&t, 0, 0);
    if (!status)
        mls__box_copy(t.rank, t.size, &t.wanted, &part->box, mls_tensor_data(stored), own,
                      mls_tensor_data(target->local));
    mls_tensor_free(stored);
    return status ? mls__error_at(status, "'%.300s'", path) : MLS_OK;
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Files know nothing of the dtypes that use a part of their byte, and of bool no values. */
static mls_status check_elements(const mls_tensor *local, const char *folder)
{
    const mls_dtype dtype = (mls_dtype) local->dtype;
    if (mls__dtype_holds(dtype, mls_tensor_data(local), (size_t) local->count))
        return MLS_OK;
    return mls__error(MLS_EFORMAT, "'%.300s' has an element that is no %s", folder,
                      mls_dtype_name(dtype));
}

static mls_status read_parts(const mls__manifest *m, const char *folder, mls_sharded *target)
{
    const mls__box own = mls__box_of(target->mesh, &target->spread, target->mesh->rank);
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < m->part_count; i++)
        status = read_part(m, i, folder, &own, target);
    return status ? status : check_elements(target->local, folder);
}

/* All ranks must see the same tensor: one may be behind with what it sees of the folder. */
static mls_status agree_on(mls__steps *steps, const mls__manifest *m, mls_status status)
{
    const mls_mesh *mesh = steps->mesh;
    const int64_t said[2] = {(int64_t) m->id, m->part_count};
    int64_t *all = mls__alloc_array(&mesh->context->allocator, mesh->size, 2 * sizeof *all);
    if (!all)
        return mls__error_nomem(mesh->size * 2 * sizeof *all);
    status = mls__files_agree(steps, status, said, all);
    for (uint32_t i = 0; !status && i < mesh->size; i++) {
        if (all[(size_t) i * 2] == all[0] && all[(size_t) i * 2 + 1] == all[1])
            continue;
        steps->is_known = true;
        status = mls__error(MLS_EMISMATCH, "ranks 0 and %u see other tensors in the folder", i);
    }
    mls__free(&mesh->context->allocator, all);
    return status;
}

static mls_status load(mls__steps *steps, const char *folder, const int32_t *layout,
                       mls__manifest *m, mls_sharded **ret_sharded)
{
    mls_mesh *mesh = steps->mesh;
    mls__spread spread;
    mls_sharded *parts = NULL;
    mls_status status = mls__files_read_manifest(&mesh->context->allocator, folder, m);
    if (!status)
        status = mls__spread_lay(mesh, &m->spread, layout, &spread);
    if (!status)
        status = mls__check_terms(mesh, spread.dtype, layout);
    status = agree_on(steps, m, status);
    if (status)
        return status;
    const mls__spread plain = mls__without_terms(mesh, &spread);
    status = mls__sharded_make(mesh, &plain, &parts);
    if (!status)
        status = read_parts(m, folder, parts);
    status = mls__files_agree(steps, status, NULL, NULL);
    if (!status)
        status = mls__redistribute(parts, spread.layout, steps, ret_sharded);
    mls_sharded_free(parts);
    return status;
}

mls_status mls_sharded_load(mls_mesh *mesh, const char *folder, const int32_t *layout,
                            const mls_group_call *call, mls_sharded **ret_sharded)
{
    mls__steps steps;
    mls__manifest manifest = {.allocator = NULL};
    if (!mesh || !folder || !layout || !ret_sharded)
        return mls__error_null(__func__, "mesh, folder, layout and ret_sharded");
    mls_status status = mls__steps_begin(mesh, call, &steps);
    if (status)
        return status;
    status = load(&steps, folder, layout, &manifest, ret_sharded);
    mls__manifest_clear(&manifest);
    return mls__steps_end(&steps, status);
}
