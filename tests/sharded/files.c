/* SPDX-License-Identifier: Apache-2.0 */
/* Saving and loading on other meshes and in other layouts; and files that are not what they were.
 */
#include "sharded/suite.h"

#include "sharded/manifest.h"
#include "support/folder.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct stored {
    whole w;
    int32_t layout[MLS_MESH_MAX_AXES], from[MLS_MESH_MAX_AXES];
    const char *folder;
    arrangement saved_on;
} stored;

static void save(ranked *r)
{
    const stored *s = r->arg;
    mls_sharded *x = make(r, &s->w, s->layout);
    ck_assert_ok(mls_sharded_save(x, s->folder, NULL));
    mls_sharded_free(x);
}

/* Against what was saved, by its own mesh. */
static void load(ranked *r)
{
    const stored *s = r->arg;
    mls_sharded *x;
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_load(r->mesh, s->folder, s->layout, NULL, &x));
    mls_test_expect(mls_sharded_dtype(x) == s->w.dtype && mls_sharded_rank(x) == s->w.rank,
                    "another dtype or rank");
    ck_assert_ok(mls_sharded_gather(x, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++)
        mls_test_expect(element(all, i) == (double) value_of(&s->saved_on, &s->w, s->from, i),
                        "%s: element %lld is %g", text(r->on, s->layout, s->layout), (long long) i,
                        element(all, i));
    mls_tensor_free(all);
    mls_sharded_free(x);
}

static int count_files(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

void check_random_files(const arrangement *saved_on, const arrangement *loaded_on,
                        const char *folder, uint64_t *state)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT32, MLS_INT64};
    stored s = {.folder = folder, .saved_on = *saved_on};
    s.w.dtype = dtypes[mls_test_random_below(state, 4)];
    s.w.rank = (int) mls_test_random_below(state, 4);
    s.w.seed = mls_test_random(state);
    for (int d = 0; d < s.w.rank; d++)
        s.w.dims[d] = (int64_t) mls_test_random_below(state, 8);
    random_layout(state, saved_on->axis_count, s.w.rank, true, s.layout);
    memcpy(s.from, s.layout, sizeof s.from);
    on_mesh(saved_on, save, &s);
    ck_assert_int_le(count_files(folder), (int) saved_on->ranks + 1); /* the old ones went */
    random_layout(state, loaded_on->axis_count, s.w.rank, true, s.layout);
    on_mesh(loaded_on, load, &s);
}

START_TEST(any_mesh_to_any_other)
{
    uint64_t state = mls_test_seed(41);
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("any"));
    for (int i = 0; i < 40; i++) {
        const arrangement saved_on = random_arrangement(&state);
        const arrangement loaded_on = random_arrangement(&state);
        check_random_files(&saved_on, &loaded_on, folder, &state);
    }
}
END_TEST

START_TEST(many_chunks)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("many"));
    stored s = {.w = {MLS_INT64, 2, {500, 700}, 5}, .layout = {1}, .from = {1}, .folder = folder};
    s.saved_on = one_axis(2, 0);
    on_mesh(&s.saved_on, save, &s);
    const arrangement on = one_axis(3, 0);
    s.layout[0] = 0;
    on_mesh(&on, load, &s);
}
END_TEST

/* --- dtypes that NumPy does not know --------------------------------------------------------- */

static void keep_bits(ranked *r)
{
    const int64_t dims[1] = {9};
    const int32_t cut[1] = {0}, all[1] = {MLS_LAYOUT_REPLICATED};
    int64_t first[1], count[1];
    mls_sharded *x, *y;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_BFLOAT16, 1, dims, cut, &x));
    ck_assert_ok(mls_sharded_block(x, first, count));
    for (int64_t i = 0; i < count[0]; i++)
        ((uint16_t *) mls_tensor_data(mls_sharded_local(x)))[i] =
            (uint16_t) (7001 * (first[0] + i));
    ck_assert_ok(mls_sharded_save(x, r->arg, NULL));
    ck_assert_ok(mls_sharded_load(r->mesh, r->arg, all, NULL, &y));
    ck_assert_int_eq(mls_sharded_dtype(y), MLS_BFLOAT16);
    for (int64_t i = 0; i < dims[0]; i++)
        ck_assert_uint_eq(((uint16_t *) mls_tensor_data(mls_sharded_local(y)))[i],
                          (uint16_t) (7001 * i));
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(bfloat16)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("bfloat16"));
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, keep_bits, folder);
}
END_TEST

/* --- damage ---------------------------------------------------------------------------------- */

typedef struct damage {
    const char *folder, *words;
    mls_status code;
    uint32_t knows; /* the rank that says why; others name it. Or MAX_RANKS: all do */
} damage;

static void fail_to_load(ranked *r)
{
    const damage *d = r->arg;
    const int32_t cut[1] = {0};
    mls_sharded *x;
    const char *words = d->knows == MAX_RANKS || d->knows == r->rank ? d->words : "rank";
    for (int i = 0; i < 2; i++) /* nothing is broken */
        ck_assert_fails(mls_sharded_load(r->mesh, d->folder, cut, NULL, &x), d->code, words);
}

static void expect_damage(const char *folder, mls_status code, uint32_t knows, const char *words)
{
    const damage d = {folder, words, code, knows};
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, fail_to_load, &d);
}

static size_t read_file(const char *path, char *data, size_t size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    const size_t used = fread(data, 1, size, file);
    fclose(file);
    return used;
}

static void write_file(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* A saved tensor of 6 x 4, on two ranks. */
static void save_some(const char *folder)
{
    stored s = {.w = {MLS_FLOAT32, 2, {6, 4}, 5}, .layout = {0}, .folder = folder};
    s.saved_on = one_axis(2, 0);
    on_mesh(&s.saved_on, save, &s);
}

START_TEST(damaged_files)
{
    char folder[512], path[1024], data[4096];
    char id[17] = "";
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("damaged"));
    expect_damage(folder, MLS_ENOTFOUND, MAX_RANKS, "there is no directory");
    save_some(folder);
    snprintf(path, sizeof path, "%s/manifest", folder);
    read_file(path, data, sizeof data);
    memcpy(id, strstr(data, "id ") + 3, 16);
    snprintf(path, sizeof path, "%s/%s-1.npy", folder, id);
    const size_t size = read_file(path, data, sizeof data);
    data[size - 1] ^= 1;
    write_file(path, data, size);
    expect_damage(folder, MLS_EFORMAT, 1, "is damaged");
    write_file(path, data, size - 1);
    expect_damage(folder, MLS_EFORMAT, 1, "takes 48 bytes");
    const int64_t dims[2] = {3, 3};
    mls_tensor *other = made_up_tensor(MLS_FLOAT32, 2, dims, 1);
    ck_assert_ok(mls_tensor_write_npy(other, path));
    mls_tensor_free(other);
    expect_damage(folder, MLS_EFORMAT, 1, "the manifest says float32 [3,4]");
    unlink(path);
    expect_damage(folder, MLS_ENOTFOUND, 1, "there is no file");
    save_some(folder); /* what is not there need not be removed */
    ck_assert_int_eq(count_files(folder), 3);
}
END_TEST

static void save_wide_uint4(ranked *r)
{
    const int64_t dims[1] = {6};
    const int32_t cut[1] = {0};
    mls_sharded *x;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_UINT4, 1, dims, cut, &x));
    memset(mls_tensor_data(mls_sharded_local(x)), r->rank ? 16 : 15, 3);
    ck_assert_ok(mls_sharded_save(x, r->arg, NULL));
    mls_sharded_free(x);
}

START_TEST(elements_of_too_many_bits)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("wide"));
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, save_wide_uint4, folder);
    expect_damage(folder, MLS_EFORMAT, 1, "is no uint4");
}
END_TEST

static mls_status parse(const char *text, size_t size)
{
    mls__manifest m;
    const mls_status status = mls__manifest_parse(&mls__allocator_default, text, size, &m);
    if (!status)
        mls__manifest_clear(&m);
    return status;
}

START_TEST(damaged_manifests)
{
    char folder[512], path[1024], data[4096];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("manifests"));
    save_some(folder);
    snprintf(path, sizeof path, "%s/manifest", folder);
    const size_t size = read_file(path, data, sizeof data);
    ck_assert_ok(parse(data, size));
    for (size_t i = 0; i < size; i++) {
        mls_test_expect(parse(data, i) == MLS_EFORMAT, "%zu bytes of it", i);
        for (int bit = 1; bit < 256; bit *= 2) {
            data[i] = (char) (data[i] ^ bit);
            mls_test_expect(parse(data, size) == MLS_EFORMAT, "byte %zu is another", i);
            data[i] = (char) (data[i] ^ bit);
        }
    }
    write_file(path, data, size - 1);
    expect_damage(folder, MLS_EFORMAT, MAX_RANKS, "manifest': it is");
}
END_TEST

/* With a digest that is right. */
static void expect_refused(const char *body, mls_status code, const char *words)
{
    char text[1024];
    const int used = snprintf(text, sizeof text, "%s", body);
    const int size =
        used + snprintf(text + used, sizeof text - (size_t) used, "digest %016" PRIx64 "\n",
                        mls__manifest_digest(text, (size_t) used));
    const mls_status status = parse(text, (size_t) size);
    mls_test_expect(status == code && (!status || strstr(mls_error_message(), words)),
                    "%s gives %s: %s", body, mls_status_name(status), mls_error_message());
}

#define HEAD  "mlscale-sharded 1\nid 0123456789abcdef\n"
#define SUM   "sums 0123456789abcdef\n"
#define SMALL HEAD "dtype float32\ndims 1 4\n"

START_TEST(hostile_manifests)
{
    expect_refused(SMALL "parts 2\npart 0 1\n" SUM "part 1 3\n" SUM, MLS_OK, "");
    expect_refused(HEAD "dtype float32\ndims 1 0\nparts 0\n", MLS_OK, "");
    expect_refused("mlscale-sharded 2\n", MLS_EUNSUPPORTED, "mlscale-sharded 1");
    expect_refused("mlscale-sharded 1\nid 0123456789ABCDEF\n", MLS_EFORMAT, "line 2");
    expect_refused(HEAD "dtype string\ndims 0\nparts 0\n", MLS_EUNSUPPORTED, "line 3");
    expect_refused(HEAD "dtype float32x\ndims 0\nparts 0\n", MLS_EUNSUPPORTED, "line 3");
    expect_refused(HEAD "dtype float32\ndims 9 1 1 1 1 1 1 1 1 1\n", MLS_EFORMAT, "line 4");
    expect_refused(HEAD "dtype float32\ndims 2 1\nparts 0\n", MLS_EFORMAT, "fewer");
    expect_refused(HEAD "dtype float32\ndims 1 1 1\nparts 0\n", MLS_EFORMAT, "more");
    expect_refused(HEAD "dtype float32\ndims 1 -1\nparts 0\n", MLS_EFORMAT, "fewer");
    expect_refused(HEAD "dtype float32\ndims 1 99999999999999999999\n", MLS_EFORMAT, "fewer");
    expect_refused(HEAD "dtype float32\ndims 2 9223372036854775807 9\n", MLS_EFORMAT, "line 4");
    expect_refused(SMALL "parts 1025\n", MLS_EFORMAT, "at most 1024");
    expect_refused(SMALL "parts 1\npart 0 4\nsums 0123\n", MLS_EFORMAT, "hexadecimal");
    expect_refused(SMALL "parts 1\npart 0 4\nsums\n", MLS_EFORMAT, "hexadecimal");
    expect_refused(SMALL "parts 1\npart 0 5\n" SUM, MLS_EFORMAT, "not within");
    expect_refused(SMALL "parts 1\npart 9223372036854775807 4\n" SUM, MLS_EFORMAT, "not within");
    expect_refused(SMALL "parts 2\npart 0 4\n" SUM "part 4 0\nsums\n", MLS_EFORMAT, "is empty");
    expect_refused(SMALL "parts 2\npart 0 3\n" SUM "part 2 2\n" SUM, MLS_EFORMAT, "overlap");
    expect_refused(SMALL "parts 1\npart 0 3\n" SUM, MLS_EFORMAT, "in no part");
    expect_refused(SMALL "parts 1\npart 0 4\n" SUM "more\n", MLS_EFORMAT, "more than 'parts'");
    expect_refused(HEAD "dtype float32\ndims 1 1000000000000000\nparts 1\n"
                        "part 0 1000000000000000\n" SUM,
                   MLS_EFORMAT, "hexadecimal");
}
END_TEST

/* A byte changed, a piece left out or there twice: `ret_text` has room for twice the size. */
static size_t mutate(uint64_t *state, const char *text, size_t size, char *ret_text)
{
    static const char likely[] = "0123456789 \n-abcdef";
    const size_t at = mls_test_random_below(state, size);
    const size_t piece = mls_test_random_below(state, size - at);
    const size_t kind = mls_test_random_below(state, 3);
    const size_t skip = kind == 1 ? piece : 0, again = kind == 2 ? piece : 0;
    memcpy(ret_text, text, at);
    memcpy(ret_text + at, text + at, again);
    memcpy(ret_text + at + again, text + at + skip, size - at - skip);
    if (kind == 0)
        ret_text[at] = likely[mls_test_random_below(state, sizeof likely - 1)];
    return size - skip + again;
}

/* What is taken for a manifest is one: its own text reads the same. */
START_TEST(mutated_manifests)
{
    static const char body[] = HEAD "dtype float32\ndims 2 6 4\nparts 3\npart 0 3 0 4\n" SUM
                                    "part 3 3 0 1\n" SUM "part 3 3 1 3\n" SUM;
    uint64_t state = mls_test_seed(42);
    int taken = 0;
    for (int i = 0; i < 20000; i++) {
        char text[2 * sizeof body + 32], *printed;
        size_t size = mutate(&state, body, sizeof body - 1, text), printed_size;
        mls__manifest m;
        size += (size_t) snprintf(text + size, sizeof text - size, "digest %016" PRIx64 "\n",
                                  mls__manifest_digest(text, size));
        const mls_status status = mls__manifest_parse(&mls__allocator_default, text, size, &m);
        mls_test_expect(!status || status == MLS_EFORMAT || status == MLS_EUNSUPPORTED, "%s",
                        mls_status_name(status));
        if (status)
            continue;
        taken++;
        ck_assert_ok(mls__manifest_print(&m, &printed, &printed_size));
        mls_test_expect(parse(printed, printed_size) == MLS_OK, "%s", mls_error_message());
        mls__free(&mls__allocator_default, printed);
        mls__manifest_clear(&m);
    }
    ck_assert_int_gt(taken, 10);
}
END_TEST

/* --- folders that cannot be written ---------------------------------------------------------- */

static void fail_to_save(ranked *r)
{
    const int64_t dims[1] = {4};
    const int32_t cut[1] = {0}, all[1] = {MLS_LAYOUT_REPLICATED};
    mls_sharded *x, *y;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_INT32, 1, dims, cut, &x));
    ck_assert_fails(mls_sharded_save(x, r->arg, NULL), MLS_EIO, r->rank ? "rank 0" : "cannot make");
    ck_assert_ok(mls_sharded_redistribute(x, all, NULL, &y)); /* the mesh is as good as before */
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(no_folder)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("no/such/folder"));
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, fail_to_save, folder);
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

typedef struct made {
    mls_group *group;
    mls_mesh *mesh;
    mls_sharded *x, *cut, *product, *sum, *loaded;
    mls_tensor *whole, *all;
} made;

static mls_status do_all(mls_context *context, const char *folder, made *m)
{
    const int64_t dims[2] = {5, 5};
    const int32_t rows[2] = {0, 1}, columns[2] = {1, 0}, terms[2] = {-2, -1};
    const uint32_t sizes[2] = {1, 1};
    mls_mesh_options options = MLS_MESH_OPTIONS_INIT;
    options.shards[0] = 3;
    mls_status status = mls_group_create(context, "inproc:memory", 0, 1, NULL, &m->group);
    if (!status)
        status = mls_mesh_create(m->group, 2, sizes, &options, &m->mesh);
    if (!status)
        status = mls_tensor_create(context, MLS_FLOAT32, 2, dims, &m->whole);
    if (!status)
        status =
            mls_sharded_scatter(m->mesh, MLS_FLOAT32, 2, dims, terms, 0, m->whole, NULL, &m->x);
    if (!status)
        status = mls_sharded_redistribute(m->x, columns, NULL, &m->cut);
    if (!status)
        status = mls_sharded_matmul(m->cut, m->x, NULL, &m->product);
    if (!status)
        status = mls_sharded_reduce(m->product, MLS_REDUCE_MEAN, NULL, 0, 0, NULL, &m->sum);
    if (!status)
        status = mls_sharded_save(m->cut, folder, NULL);
    if (!status)
        status = mls_sharded_load(m->mesh, folder, rows, NULL, &m->loaded);
    return status ? status : mls_sharded_gather(m->loaded, 0, NULL, &m->all);
}

static mls_status without_memory(mls_context *context, void *arg)
{
    made m = {.group = NULL};
    const mls_status status = do_all(context, arg, &m);
    mls_tensor_free(m.all);
    mls_tensor_free(m.whole);
    mls_sharded_free(m.loaded);
    mls_sharded_free(m.sum);
    mls_sharded_free(m.product);
    mls_sharded_free(m.cut);
    mls_sharded_free(m.x);
    mls_group_free(m.group); /* in any order */
    mls_mesh_free(m.mesh);
    return status;
}

START_TEST(each_allocation)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("memory"));
    mls_test_each_allocation(without_memory, folder);
}
END_TEST

void sharded_add_files(TCase *tests)
{
    tcase_add_test(tests, any_mesh_to_any_other);
    tcase_add_test(tests, many_chunks);
    tcase_add_test(tests, bfloat16);
    tcase_add_test(tests, damaged_files);
    tcase_add_test(tests, elements_of_too_many_bits);
    tcase_add_test(tests, damaged_manifests);
    tcase_add_test(tests, hostile_manifests);
    tcase_add_test(tests, mutated_manifests);
    tcase_add_test(tests, no_folder);
    tcase_add_test(tests, each_allocation);
}
