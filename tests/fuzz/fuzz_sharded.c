/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the folder of a saved tensor that is the input: its manifest, up to the first byte of
 * zero, and the files of its parts, each with two bytes in front that say how long it is.
 *
 * Nobody guesses a digest. That of the manifest is put behind it, and once what it says was
 * looked at, those of the parts are put into it, too, so that their elements are loaded.
 */
#include "fuzz/fuzz.h"
#include "fuzz/limits.h"

#include "base/file.h"
#include "sharded/manifest.h"
#include "support/folder.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 2, PARTS = 8 }; /* of more parts the files are not there */

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, mls_error_message());
    abort();
}

/* --- files ----------------------------------------------------------------------------------- */

static void write_file(const char *name, const void *data, size_t size)
{
    need(!mls__file_write(mls_test_folder_path(name), NULL, 0, data, size), name);
}

static void write_manifest(const mls__manifest *m)
{
    char *text;
    size_t size;
    need(!mls__manifest_print(m, &text, &size), "print");
    write_file(MLS__MANIFEST_NAME, text, size);
    mls__free(m->allocator, text);
}

static uint32_t file_count(const mls__manifest *m)
{
    return m->part_count < PARTS ? m->part_count : PARTS;
}

static void write_parts(const mls__manifest *m, const uint8_t *data, size_t size)
{
    for (uint32_t i = 0; i < file_count(m); i++) {
        char name[MLS__PART_NAME_SIZE];
        size_t bytes = size < 2 ? 0 : data[0] | (size_t) data[1] << 8;
        data += size < 2 ? size : 2;
        size -= size < 2 ? size : 2;
        bytes = bytes < size ? bytes : size;
        mls__part_name(m->id, i, name);
        write_file(name, data, bytes);
        data += bytes;
        size -= bytes;
    }
}

static void remove_parts(const mls__manifest *m)
{
    for (uint32_t i = 0; i < file_count(m); i++) {
        char name[MLS__PART_NAME_SIZE];
        mls__part_name(m->id, i, name);
        unlink(mls_test_folder_path(name));
    }
}

/* Of the elements that the files have, whatever they are. */
static void mend_sums(mls_context *context, const mls__manifest *m)
{
    for (uint32_t i = 0; i < file_count(m); i++) {
        char name[MLS__PART_NAME_SIZE];
        mls_tensor *stored;
        mls__part_name(m->id, i, name);
        if (mls_tensor_read_npy(context, mls_test_folder_path(name), &stored))
            continue;
        const size_t bytes = mls_tensor_size_bytes(stored);
        for (size_t k = 0; k < m->parts[i].sum_count; k++) {
            const size_t at = k * MLS__CHUNK_BYTES, left = at < bytes ? bytes - at : 0;
            m->parts[i].sums[k] =
                mls__manifest_digest(left ? (const char *) mls_tensor_data(stored) + at : "",
                                     left < MLS__CHUNK_BYTES ? left : MLS__CHUNK_BYTES);
        }
        mls_tensor_free(stored);
    }
}

/* --- loading --------------------------------------------------------------------------------- */

enum { LAYOUTS = 4 };

typedef struct rank {
    mls_context *context;
    const char *folder;
    uint32_t number;
    int32_t dims; /* how many the tensor has */
    mls_status found[LAYOUTS];
} rank;

/* What a byte of the dtypes that do not use all of it may be. */
static const struct {
    mls_dtype dtype;
    int lowest, highest;
} ranges[] = {
    {MLS_BOOL, 0, 1},        {MLS_UINT2, 0, 3},  {MLS_INT2, -2, 1},
    {MLS_FLOAT4E2M1, 0, 15}, {MLS_UINT4, 0, 15}, {MLS_INT4, -8, 7},
};

/* What this rank has of it; reading all of it is what a sanitizer wants to see. */
static void look_at(const mls_sharded *x)
{
    const mls_tensor *local = mls_sharded_local(x);
    const signed char *data = mls_tensor_data(local);
    int lowest = -128, highest = 127;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (mls_tensor_dtype(local) != ranges[i].dtype)
            continue;
        lowest = ranges[i].lowest;
        highest = ranges[i].highest;
    }
    for (size_t i = 0; i < mls_tensor_size_bytes(local); i++)
        need(data[i] >= lowest && data[i] <= highest, "an element that its dtype has not");
}

static void load(rank *r, mls_mesh *mesh, int32_t layout, mls_status *ret_found)
{
    mls_sharded *x;
    *ret_found = mls_sharded_load(mesh, r->folder, &layout, NULL, &x);
    if (*ret_found)
        return;
    look_at(x);
    mls_sharded_free(x);
}

static void *run_rank(void *arg)
{
    rank *r = arg;
    const uint32_t axis = RANKS;
    const int32_t layouts[LAYOUTS] = {MLS_LAYOUT_REPLICATED, MLS_LAYOUT_PARTIAL, 0, r->dims - 1};
    mls_group *group;
    mls_mesh *mesh;
    need(!mls_group_create(r->context, "inproc:fuzz", r->number, RANKS, NULL, &group), "group");
    need(!mls_mesh_create(group, 1, &axis, NULL, &mesh), "mesh");
    for (int i = 0; i < LAYOUTS; i++)
        load(r, mesh, layouts[i], &r->found[i]);
    mls_mesh_free(mesh);
    mls_group_free(group);
    return NULL;
}

/* What fails on one rank fails on both. */
static void load_on_ranks(mls_context *context, int32_t dims)
{
    char folder[256];
    pthread_t thread;
    snprintf(folder, sizeof folder, "%s", mls_test_folder());
    rank ranks[RANKS] = {{.context = context, .folder = folder, .number = 0, .dims = dims},
                         {.context = context, .folder = folder, .number = 1, .dims = dims}};
    need(!pthread_create(&thread, NULL, run_rank, &ranks[1]), "thread");
    run_rank(&ranks[0]);
    pthread_join(thread, NULL);
    for (int i = 0; i < LAYOUTS; i++)
        need(!ranks[0].found[i] == !ranks[1].found[i], "one rank alone has loaded it");
}

/* --- the input ------------------------------------------------------------------------------- */

/* What is read is written as it is read. */
static void check_print(const mls__manifest *m)
{
    char *text, *again;
    size_t size, again_size;
    mls__manifest same;
    need(!mls__manifest_print(m, &text, &size), "print");
    need(!mls__manifest_parse(m->allocator, text, size, &same), "parse");
    need(!mls__manifest_print(&same, &again, &again_size), "print");
    need(size == again_size && memcmp(text, again, size) == 0, "another text");
    mls__free(m->allocator, again);
    mls__free(m->allocator, text);
    mls__manifest_clear(&same);
}

static mls_status parse(mls_context *context, const uint8_t *text, size_t size, mls__manifest *m)
{
    char last[32];
    char *whole = malloc(size + sizeof last);
    if (!whole)
        abort();
    if (size)
        memcpy(whole, text, size);
    const int end =
        snprintf(last, sizeof last, "digest %016" PRIx64 "\n", mls__manifest_digest(text, size));
    memcpy(whole + size, last, (size_t) end);
    const mls_status status =
        mls__manifest_parse(&context->allocator, whole, size + (size_t) end, m);
    free(whole);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_heap heap = {0};
    mls_context *context = fuzz_context(&heap, NULL);
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    const size_t text = end ? (size_t) (end - data) : size;
    mls__manifest m;
    if (!mls__manifest_parse(&context->allocator, data, text, &m))
        mls__manifest_clear(&m);
    if (!parse(context, data, text, &m)) {
        check_print(&m);
        write_parts(&m, data + text + (end != NULL), size - text - (end != NULL));
        write_manifest(&m);
        load_on_ranks(context, m.spread.rank);
        mend_sums(context, &m);
        write_manifest(&m);
        load_on_ranks(context, m.spread.rank);
        remove_parts(&m);
        mls__manifest_clear(&m);
    }
    fuzz_context_free(context, &heap);
    return 0;
}
