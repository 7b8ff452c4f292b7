/* SPDX-License-Identifier: Apache-2.0 */
/* Folders whose files are those of others, of other kinds, or none that anybody saved. */
#include "sharded/suite.h"

#include "support/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 6, COLUMNS = 4, RANKS = 2, PART_ROWS = ROWS / RANKS };

typedef struct saved {
    char folder[512], manifest[600], parts[RANKS][600];
    uint64_t seed;
} saved;

/* --- files ----------------------------------------------------------------------------------- */

static void save(ranked *r)
{
    const saved *s = r->arg;
    const whole w = {MLS_FLOAT32, 2, {ROWS, COLUMNS}, s->seed};
    const int32_t rows[1] = {0};
    mls_sharded *x = make(r, &w, rows);
    ck_assert_ok(mls_sharded_save(x, s->folder, NULL));
    mls_sharded_free(x);
}

static void make_saved(const char *name, uint64_t seed, saved *ret_saved)
{
    char id[17] = "";
    saved *s = ret_saved;
    const arrangement on = one_axis(RANKS, 0);
    s->seed = seed;
    snprintf(s->folder, sizeof s->folder, "%s", mls_test_folder_path(name));
    on_mesh(&on, save, s);
    snprintf(s->manifest, sizeof s->manifest, "%s/manifest", s->folder);
    FILE *file = fopen(s->manifest, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "mlscale-sharded 1 id %16[0-9a-f]", id), 1);
    fclose(file);
    for (int i = 0; i < RANKS; i++)
        snprintf(s->parts[i], sizeof s->parts[i], "%s/%s-%d.npy", s->folder, id, i);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    FILE *file = fopen(from, "rb");
    ck_assert_ptr_nonnull(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    write_bytes(to, bytes, size);
}

/* A part as long as it should be, under another header. */
static void write_part(const char *path, const char *dict)
{
    char bytes[128 + PART_ROWS * COLUMNS * 4] = "\x93NUMPY\x01\0\x76\0";
    memset(bytes + 10, ' ', 117);
    memcpy(bytes + 10, dict, strlen(dict));
    bytes[127] = '\n';
    write_bytes(path, bytes, sizeof bytes);
}

/* --- what loading says ----------------------------------------------------------------------- */

typedef struct refusal {
    const char *folder, *words;
    mls_status code;
    uint32_t knows; /* the rank that says why; others name it. Or MAX_RANKS: all do */
} refusal;

static void fail_to_load(ranked *r)
{
    const refusal *f = r->arg;
    const int32_t rows[1] = {0};
    mls_sharded *x;
    const bool knows = f->knows == MAX_RANKS || f->knows == r->rank;
    for (int i = 0; i < 2; i++) /* nothing is broken */
        ck_assert_fails(mls_sharded_load(r->mesh, f->folder, rows, NULL, &x), f->code,
                        knows ? f->words : "rank");
}

static void expect_refusal(const char *folder, mls_status code, uint32_t knows, const char *words)
{
    const refusal f = {folder, words, code, knows};
    const arrangement on = one_axis(RANKS, 0);
    on_mesh(&on, fail_to_load, &f);
}

static void load(ranked *r)
{
    const saved *s = r->arg;
    const whole w = {MLS_FLOAT32, 2, {ROWS, COLUMNS}, s->seed};
    const int32_t rows[1] = {0};
    mls_sharded *x;
    ck_assert_ok(mls_sharded_load(r->mesh, s->folder, rows, NULL, &x));
    check_whole(r, &w, rows, x, 0);
    mls_sharded_free(x);
}

/* --- the tests ------------------------------------------------------------------------------- */

START_TEST(parts_of_others)
{
    saved one, other;
    const arrangement on = one_axis(RANKS, 0);
    make_saved("one", 1, &one);
    make_saved("other", 2, &other);
    const char *aside = mls_test_folder_path("aside");
    copy_file(one.parts[0], aside);
    copy_file(one.parts[1], one.parts[0]); /* twice */
    expect_refusal(one.folder, MLS_EFORMAT, 0, "is damaged");
    copy_file(aside, one.parts[1]); /* each the other's */
    expect_refusal(one.folder, MLS_EFORMAT, MAX_RANKS, "is damaged");
    copy_file(aside, one.parts[0]);
    copy_file(other.parts[1], one.parts[1]); /* of another tensor */
    expect_refusal(one.folder, MLS_EFORMAT, 1, "is damaged");
    copy_file(other.manifest, one.manifest); /* which names files that are elsewhere */
    expect_refusal(one.folder, MLS_ENOTFOUND, MAX_RANKS, "there is no file");
    on_mesh(&on, load, &other);
    on_mesh(&on, save, &one); /* over all that */
    on_mesh(&on, load, &one);
}
END_TEST

START_TEST(parts_of_other_kinds)
{
    static const struct {
        const char *dict;
        mls_status code;
        const char *words;
    } parts[] = {
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }", MLS_EFORMAT,
         "it has int32 [3,4]; the manifest says float32 [3,4]"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", MLS_EFORMAT, "row by row"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", MLS_EFORMAT,
         "it has float32 [4,3]"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }", MLS_EFORMAT,
         "it has float32 [12]"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
         MLS_EFORMAT, ""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551619, 4), }",
         MLS_EFORMAT, ""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4), }", MLS_EFORMAT, ""},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", MLS_EUNSUPPORTED, ""},
        {"{'descr': '<f4'}", MLS_EFORMAT, ""},
    };
    saved s;
    make_saved("kinds", 3, &s);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        write_part(s.parts[1], parts[i].dict);
        expect_refusal(s.folder, parts[i].code, 1, parts[i].words);
    }
    write_bytes(s.parts[1], "", 0);
    expect_refusal(s.folder, MLS_EFORMAT, 1, s.parts[1]);
    ck_assert_int_eq(unlink(s.parts[1]), 0);
    ck_assert_int_eq(mkfifo(s.parts[1], 0600), 0); /* nobody waits for what will not come */
    expect_refusal(s.folder, MLS_EINVAL, 1, "is not a regular file");
}
END_TEST

START_TEST(folders_of_other_kinds)
{
    saved s;
    char path[700];
    make_saved("folders", 4, &s);
    expect_refusal(s.manifest, MLS_EIO, MAX_RANKS, "cannot open the directory");
    snprintf(path, sizeof path, "%s/elsewhere", s.folder);
    ck_assert_int_eq(rename(s.manifest, path), 0);
    expect_refusal(s.folder, MLS_ENOTFOUND, MAX_RANKS, "manifest");
    ck_assert_int_eq(symlink("elsewhere", s.manifest), 0);
    expect_refusal(s.folder, MLS_EFORMAT, MAX_RANKS, "symbolic link");
    ck_assert_int_eq(unlink(s.manifest), 0);
    ck_assert_int_eq(mkdir(s.manifest, 0700), 0);
    expect_refusal(s.folder, MLS_EINVAL, MAX_RANKS, "is not a regular file");
}
END_TEST

void sharded_add_hostile(TCase *tests)
{
    tcase_add_test(tests, parts_of_others);
    tcase_add_test(tests, parts_of_other_kinds);
    tcase_add_test(tests, folders_of_other_kinds);
}
