/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of every dtype but strings keep their bits, wherever they are moved, and in files. */
#include "sharded/suite.h"

#include "support/folder.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 11, COLUMNS = 6, MOST_BYTES = ROWS * COLUMNS * 16 };

typedef struct bits {
    mls_dtype dtype;
    const char *folder;
    unsigned char bytes[MOST_BYTES]; /* of the whole */
} bits;

/* Any bits that the dtype has. */
static void fill(bits *b)
{
    uint64_t state = (uint64_t) b->dtype;
    const size_t size = mls_dtype_size(b->dtype);
    for (size_t i = 0; i < (size_t) ROWS * COLUMNS; i++) {
        unsigned char *at = b->bytes + i * size;
        do
            for (size_t k = 0; k < size; k++)
                at[k] = (unsigned char) mls_test_random_below(&state, 256);
        while (!mls__dtype_holds(b->dtype, at, 1));
    }
}

static void check_bits(const bits *b, const mls_tensor *tensor, const char *when)
{
    mls_test_expect(memcmp(mls_tensor_data(tensor), b->bytes, mls_tensor_size_bytes(tensor)) == 0,
                    "%s: bits have changed when they were %s", mls_dtype_name(b->dtype), when);
}

static void move_bits(ranked *r)
{
    const bits *b = r->arg;
    const int64_t dims[2] = {ROWS, COLUMNS};
    const int32_t ways[][2] = {{0, 1}, {1, 0}, {0, 0}, {-1, 1}, {-1, -1}};
    mls_tensor *given, *gathered = NULL;
    mls_sharded *x, *y;
    ck_assert_ok(mls_tensor_create(the_context, b->dtype, 2, dims, &given));
    memcpy(mls_tensor_data(given), b->bytes, mls_tensor_size_bytes(given));
    ck_assert_ok(mls_sharded_scatter(r->mesh, b->dtype, 2, dims, ways[2], 1, given, NULL, &x));
    mls_tensor_free(given);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        ck_assert_ok(mls_sharded_redistribute(x, ways[i], NULL, &y));
        ck_assert_int_eq(mls_sharded_dtype(y), b->dtype);
        mls_sharded_free(x);
        x = y;
        if (i == 1)
            ck_assert_ok(mls_sharded_gather(x, 3, NULL, &gathered));
        if (i == 1)
            ck_assert_ok(mls_sharded_save(x, b->folder, NULL));
    }
    if (gathered)
        check_bits(b, gathered, "gathered");
    mls_tensor_free(gathered);
    check_bits(b, mls_sharded_local(x), "moved to all");
    mls_sharded_free(x);
    ck_assert_ok(mls_sharded_load(r->mesh, b->folder, ways[4], NULL, &x));
    check_bits(b, mls_sharded_local(x), "loaded");
    mls_sharded_free(x);
}

START_TEST(every_dtype)
{
    char folder[512];
    int count = 0;
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("dtypes"));
    for (int32_t dtype = 1; dtype <= MLS_INT2; dtype++) {
        bits b = {.dtype = (mls_dtype) dtype, .folder = folder};
        arrangement on = {.axis_count = 2, .axes = {2, 3}, .ranks = 6};
        on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
        if (!mls__dtype_is_valid(dtype) || dtype == MLS_STRING)
            continue;
        fill(&b);
        on_mesh(&on, move_bits, &b);
        count++;
    }
    ck_assert_int_gt(count, 20);
}
END_TEST

void sharded_add_dtypes(TCase *tests)
{
    tcase_add_test(tests, every_dtype);
}
