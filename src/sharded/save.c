/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving. Parts get names that were never there, and are synced before the manifest that names
 * them takes the place of the one before; only then do the parts of that one go. So whoever dies
 * meanwhile, the folder has one whole tensor, the old or the new one. After a failure a rank
 * removes its part only if it knows that no manifest names it.
 */
#include "sharded/files.h"

#include "base/error.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_MANIFEST_NAME "manifest.new"

typedef struct save {
    mls_mesh *mesh;
    mls__steps *steps;
    const mls_sharded *parts; /* no terms */
    const char *folder;
    mls__manifest manifest;
    int64_t *sums; /* of this rank's part, then, on rank 0, of all: of one size */
    int64_t sum_count;
    bool may_be_named; /* as far as this rank knows: its part, by a manifest in place */
} save;

/* A rank writes what no other of smaller coordinates has. */
static bool writes(const save *s, uint32_t rank)
{
    const mls__box box = mls__box_of(s->mesh, &s->parts->spread, rank);
    for (int i = 0; i < s->mesh->axis_count; i++)
        if (s->parts->spread.layout[i] < 0 && mls__mesh_coordinate(s->mesh, i, rank))
            return false;
    return mls__box_count(s->parts->spread.rank, &box) > 0;
}

/* The number of a rank's part: those that write, counted. */
static uint32_t part_of(const save *s, uint32_t rank)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rank; i++)
        count += writes(s, i);
    return count;
}

/* --- files ----------------------------------------------------------------------------------- */

static mls_status sync_path(const char *path, int flags)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return mls__error_os(errno, "cannot open '%.300s'", path);
    const int failed = fsync(fd) ? errno : 0;
    close(fd);
    return failed ? mls__error_os(failed, "cannot sync '%.300s'", path) : MLS_OK;
}

static void add_up(const save *s)
{
    const mls_tensor *local = s->parts->local;
    const size_t bytes = mls_tensor_size_bytes(local);
    const unsigned char *data = mls_tensor_data(local);
    for (size_t i = 0; i < mls__chunk_count(bytes); i++) {
        const size_t at = i * MLS__CHUNK_BYTES, left = bytes - at;
        s->sums[i] = (int64_t) mls__manifest_digest(
            data + at, left < MLS__CHUNK_BYTES ? left : MLS__CHUNK_BYTES);
    }
}

static mls_status write_part(const save *s)
{
    const mls_tensor *local = s->parts->local;
    char name[MLS__PART_NAME_SIZE], path[MLS__PATH_SIZE];
    mls_tensor *stored = NULL;
    if (!writes(s, s->mesh->rank))
        return MLS_OK;
    mls__part_name(s->manifest.id, part_of(s, s->mesh->rank), name);
    mls_status status = mls__files_path(s->folder, name, path);
    if (!status)
        status = mls_tensor_wrap(s->mesh->context, (mls_dtype) mls__files_dtype(local->dtype),
                                 local->rank, local->dims, NULL, mls_tensor_data(local), NULL, NULL,
                                 &stored);
    if (!status)
        status = mls_tensor_write_npy(stored, path);
    if (!status)
        status = sync_path(path, 0);
    if (!status)
        add_up(s);
    mls_tensor_free(stored);
    return status;
}

static void remove_part(const char *folder, uint64_t id, uint32_t part)
{
    char name[MLS__PART_NAME_SIZE], path[MLS__PATH_SIZE];
    mls__part_name(id, part, name);
    if (mls__files_path(folder, name, path) == MLS_OK)
        unlink(path);
}

/* --- the manifest ---------------------------------------------------------------------------- */

static mls_status fill_manifest(save *s)
{
    mls__manifest *m = &s->manifest;
    mls_status status = MLS_OK;
    for (uint32_t i = 0, part = 0; !status && i < s->mesh->size; i++) {
        if (!writes(s, i))
            continue;
        m->parts[part].box = mls__box_of(s->mesh, &s->parts->spread, i);
        status = mls__manifest_add_sums(m, part);
        if (!status)
            memcpy(m->parts[part].sums, s->sums + (size_t) i * (size_t) s->sum_count,
                   m->parts[part].sum_count * sizeof *m->parts[part].sums);
        part++;
    }
    return status;
}

static mls_status write_synced(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "wbe");
    if (!file)
        return mls__error_os(errno, "cannot write '%.300s'", path);
    const bool good =
        fwrite(text, 1, size, file) == size && fflush(file) == 0 && fsync(fileno(file)) == 0;
    const int failed = good ? 0 : errno;
    if (fclose(file) != 0 || !good)
        return mls__error_os(failed ? failed : errno, "cannot write '%.300s'", path);
    return MLS_OK;
}

/* Whatever comes back, a rename may have been done, and what was not synced may stay. */
static mls_status put_manifest(save *s, const char *text, size_t size)
{
    char path[MLS__PATH_SIZE], fresh[MLS__PATH_SIZE];
    mls_status status = mls__files_path(s->folder, MLS__MANIFEST_NAME, path);
    if (!status)
        status = mls__files_path(s->folder, NEW_MANIFEST_NAME, fresh);
    if (!status)
        status = sync_path(s->folder, O_DIRECTORY); /* the names of the parts */
    if (!status)
        status = write_synced(fresh, text, size);
    s->may_be_named = !status;
    if (!status && rename(fresh, path))
        status = mls__error_os(errno, "cannot rename '%.300s'", fresh);
    return status ? status : sync_path(s->folder, O_DIRECTORY);
}

static void remove_parts(const char *folder, const mls__manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->part_count; i++)
        remove_part(folder, manifest->id, i);
}

/* What cannot be read is left alone. */
static mls_status replace(save *s)
{
    const mls__allocator *allocator = &s->mesh->context->allocator;
    mls__manifest old = {.allocator = NULL};
    char *text;
    size_t size;
    mls_status status = fill_manifest(s);
    if (!status)
        status = mls__manifest_print(&s->manifest, &text, &size);
    if (status)
        return status;
    const mls_status found = mls__files_read_manifest(allocator, s->folder, &old);
    status = found == MLS_ENOMEM ? found : put_manifest(s, text, size);
    if (!status && !found)
        remove_parts(s->folder, &old);
    mls__manifest_clear(&old);
    mls__free(allocator, text);
    return status;
}

/* --- all ranks ------------------------------------------------------------------------------- */

/* All hear what rank 0 says; on a rank that does not, `said` stays what it was. */
static mls_status hear(save *s, mls_status status, int64_t said[2])
{
    int64_t *all = mls__alloc_array(&s->mesh->context->allocator, s->mesh->size, 2 * sizeof *all);
    if (!all)
        return mls__error_nomem(s->mesh->size * 2 * sizeof *all);
    memcpy(all, said, 2 * sizeof *all);
    status = mls__files_agree(s->steps, status, said, all);
    memcpy(said, all, 2 * sizeof *all);
    mls__free(&s->mesh->context->allocator, all);
    return status;
}

/* Rank 0 makes the folder, and a name for the parts. */
static mls_status begin(save *s)
{
    int64_t said[2] = {0, 0};
    mls_status status = MLS_OK;
    if (s->mesh->rank == 0) {
        uint64_t seed[2];
        mls__hash_seed(seed, s);
        said[0] = (int64_t) seed[0];
        if (mkdir(s->folder, 0777) && errno != EEXIST)
            status = mls__error_os(errno, "cannot make the folder '%.300s'", s->folder);
    }
    status = hear(s, status, said);
    s->manifest.id = (uint64_t) said[0];
    return status;
}

static mls_status gather_sums(save *s)
{
    const int64_t own = s->sum_count, all = own * (int64_t) s->mesh->size;
    mls_tensor *source = NULL, *target = NULL;
    mls_context *context = s->mesh->context;
    int64_t *to = s->mesh->rank == 0 ? s->sums : NULL;
    mls_status status =
        mls_tensor_wrap(context, MLS_INT64, 1, &own, NULL, s->sums, NULL, NULL, &source);
    if (!status && to) /* rank 0's part of the target is where its own sums are */
        status = mls_tensor_wrap(context, MLS_INT64, 1, &all, NULL, to, NULL, NULL, &target);
    if (!status) {
        s->steps->is_known = false;
        status =
            mls_group_gather(s->mesh->group, source, target, 0, mls__steps_next(s->steps), NULL);
    }
    mls_tensor_free(target);
    mls_tensor_free(source);
    return status;
}

static mls_status make_sums(save *s)
{
    int64_t most = 1;
    for (uint32_t i = 0; i < s->mesh->size; i++) {
        const mls__box box = mls__box_of(s->mesh, &s->parts->spread, i);
        const int64_t count =
            (int64_t) mls__chunk_count((size_t) mls__box_count(s->parts->spread.rank, &box) *
                                       mls__spread_size(&s->parts->spread));
        most = count > most ? count : most;
    }
    s->sum_count = most;
    s->sums =
        mls__alloc_array(&s->mesh->context->allocator,
                         (size_t) most * (s->mesh->rank ? 1 : s->mesh->size), sizeof *s->sums);
    return s->sums ? MLS_OK : mls__error_nomem((size_t) most * sizeof *s->sums);
}

/* Who has given its sums, and then hears nothing of rank 0, does not know what became of them. */
static mls_status name_parts(save *s)
{
    const bool leads = s->mesh->rank == 0;
    int64_t said[2] = {!leads, 0};
    mls_status status = gather_sums(s);
    if (!status) {
        status = leads ? replace(s) : MLS_OK;
        said[0] = leads ? s->may_be_named : true;
        status = hear(s, status, said);
    }
    s->may_be_named = said[0] != 0;
    return status;
}

static mls_status run(save *s)
{
    const mls__allocator *allocator = &s->mesh->context->allocator;
    mls_status status = mls__manifest_init(&s->manifest, allocator, part_of(s, s->mesh->size));
    s->manifest.spread = s->parts->spread;
    if (!status)
        status = make_sums(s);
    if (!status)
        status = begin(s);
    if (status)
        return status;
    status = mls__files_agree(s->steps, write_part(s), NULL, NULL);
    if (!status) /* else this rank gives no sums, without which there is no manifest */
        status = name_parts(s);
    if (status && !s->may_be_named && writes(s, s->mesh->rank))
        remove_part(s->folder, s->manifest.id, part_of(s, s->mesh->rank));
    return status;
}

mls_status mls_sharded_save(const mls_sharded *sharded, const char *folder,
                            const mls_group_call *call)
{
    mls__steps steps;
    mls_sharded *parts = NULL;
    if (!sharded || !folder)
        return mls__error_null(__func__, "sharded and folder");
    mls_status status =
        mls__check_terms(sharded->mesh, sharded->spread.dtype, sharded->spread.layout);
    if (!status)
        status = mls__steps_begin(sharded->mesh, call, &steps);
    if (status)
        return status;
    status = mls__add_terms(sharded, &steps, &parts);
    if (!status) {
        save s = {.mesh = sharded->mesh, .steps = &steps, .parts = parts, .folder = folder};
        status = run(&s);
        mls__free(&s.mesh->context->allocator, s.sums);
        mls__manifest_clear(&s.manifest);
    }
    mls_sharded_free(parts);
    return mls__steps_end(&steps, status);
}
