/* SPDX-License-Identifier: Apache-2.0 */
/* Transpose, Expand and Tile against index-by-index references. */
#include "cpu/moved_test.h"
#include "cpu/topics.h"

#include <stdlib.h>
#include <string.h>

/* --- Transpose ------------------------------------------------------------------------------- */

/* perm NULL: the attribute is left out. */
static void check_transpose(mls_dtype dtype, int rank, const int64_t *dims, const int *perm)
{
    int64_t out_dims[MLS_MAX_RANK], index[MLS_MAX_RANK], attr[MLS_MAX_RANK];
    moved m = moved_begin("Transpose", dtype, rank, dims);
    for (int i = 0; i < rank; i++) {
        attr[i] = perm ? perm[i] : rank - 1 - i;
        out_dims[i] = dims[attr[i]];
    }
    if (perm)
        op_test_ints(m.test, "perm", (size_t) rank, attr);
    int64_t *from = moved_positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[attr[i]] = walk.index[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    moved_expect(&m, rank, out_dims, from);
    free(from);
    moved_end(&m);
}

START_TEST(transposes_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK];
    int perm[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 6, 3000, dims);
    random_axes(&random, rank, rank, perm);
    /* One draw a statement: compilers differ in the order of arguments. */
    const mls_dtype dtype = random_dtype(&random);
    check_transpose(dtype, rank, dims, random_in(&random, 0, 5) ? perm : NULL);
}
END_TEST

/* Around the edges of tiles, for each element size. */
START_TEST(transposes_matrices)
{
    static const int64_t sizes[] = {1, 3, 7, 16, 17, 33, 64, 65, 130};
    const size_t count = sizeof sizes / sizeof sizes[0];
    const mls_dtype dtype = sized_dtypes[(size_t) _i / count];
    for (size_t k = 0; k < count; k++)
        check_transpose(dtype, 2, (int64_t[]){sizes[(size_t) _i % count], sizes[k]}, NULL);
}
END_TEST

/* Rows whose distance is a large power of two have a way of their own. */
START_TEST(transposes_matrices_of_crowded_rows)
{
    check_transpose(MLS_UINT8, 2, (int64_t[]){70, 1024}, NULL);
    check_transpose(MLS_FLOAT16, 2, (int64_t[]){35, 1024}, NULL);
    check_transpose(MLS_FLOAT32, 2, (int64_t[]){20, 1024}, NULL);
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 32, 32}, (int[]){1, 0, 2});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 64, 16}, (int[]){2, 1, 0});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 128, 8}, (int[]){2, 1, 0});
}
END_TEST

START_TEST(transposes_the_layouts_of_images)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 3, 19, 21}, (int[]){0, 2, 3, 1});
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 19, 21, 3}, (int[]){0, 3, 1, 2});
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 5, 34, 6}, (int[]){0, 2, 1, 3});
    }
}
END_TEST

/* Large enough for threads: cut along an outer loop, a tile's loop, and a long block. */
START_TEST(transposes_with_threads)
{
    check_transpose(MLS_FLOAT32, 2, (int64_t[]){411, 333}, NULL);
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){3, 200, 201}, (int[]){0, 2, 1});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){2, 2, 70001}, (int[]){1, 0, 2});
    check_transpose(MLS_UINT8, 2, (int64_t[]){2, 300001}, NULL);
    check_transpose(MLS_FLOAT64, 2, (int64_t[]){1, 70001}, NULL);
}
END_TEST

START_TEST(transpose_follows_smaller_dims)
{
    static const int64_t planned[] = {4, 50, 60};
    moved m = moved_begin("Transpose", MLS_FLOAT32, 3, (int64_t[]){2, 17, 1});
    op_test_planned(m.test, 3, planned, NULL);
    op_test_ints(m.test, "perm", 3, (int64_t[]){2, 0, 1});
    int64_t from[34];
    for (int i = 0; i < 34; i++)
        from[i] = i;
    moved_expect(&m, 3, (int64_t[]){1, 2, 17}, from);
    moved_end(&m);
}
END_TEST

START_TEST(transpose_refuses_what_is_no_permutation)
{
    static const struct {
        size_t count;
        int64_t perm[3];
        const char *words;
    } cases[] = {
        {2, {0, 1}, "perm has 2 entries for an input of rank 3"},
        {3, {0, 1, 1}, "entry 2 is 1"},
        {3, {0, 3, 1}, "entry 1 is 3"},
        {3, {-1, 0, 1}, "entry 0 is -1"},
        {3, {0, 1, INT64_MIN}, "entry 2 is -9223372036854775808"},
    };
    moved m = moved_begin("Transpose", MLS_FLOAT32, 3, (int64_t[]){1, 2, 3});
    op_test_ints(m.test, "perm", cases[_i].count, cases[_i].perm);
    ck_assert_fails(op_test_infer(m.test), MLS_EINVAL, cases[_i].words);
    moved_end(&m);
}
END_TEST

/* --- Expand ---------------------------------------------------------------------------------- */

static void check_expand(mls_dtype dtype, int rank, const int64_t *dims, int shape_rank,
                         const int64_t *shape, int out_rank, const int64_t *out_dims)
{
    const int64_t n = shape_rank;
    int64_t index[MLS_MAX_RANK];
    moved m = moved_begin("Expand", dtype, rank, dims);
    op_test_constant(m.test, MLS_INT64, 1, &n, shape);
    int64_t *from = moved_positions(out_rank, out_dims);
    index_walk walk = {.rank = out_rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = dims[i] == 1 ? 0 : walk.index[out_rank - rank + i];
        from[walk.position] = position_of(rank, dims, index);
    }
    moved_expect(&m, out_rank, out_dims, from);
    free(from);
    moved_end(&m);
}

START_TEST(expands_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t out_dims[MLS_MAX_RANK], dims[MLS_MAX_RANK], shape[MLS_MAX_RANK];
    const int out_rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, out_rank, random_in(&random, 0, 8) ? 1 : 0, 6, 3000, out_dims);
    /* One of the two has the full rank, and one of the two has each dim. */
    const int fewer = (int) random_in(&random, 0, out_rank);
    const bool data_is_fewer = random_in(&random, 0, 2) > 0;
    const int rank = data_is_fewer ? fewer : out_rank;
    const int shape_rank = data_is_fewer ? out_rank : fewer;
    for (int i = 0; i < out_rank; i++) {
        const int d = i - (out_rank - rank), s = i - (out_rank - shape_rank);
        const int64_t choice = s < 0 ? 1 : d < 0 ? 0 : random_in(&random, 0, 2);
        if (d >= 0)
            dims[d] = choice == 0 ? 1 : out_dims[i];
        if (s >= 0)
            shape[s] = choice == 1 ? 1 : out_dims[i];
    }
    check_expand(random_dtype(&random), rank, dims, shape_rank, shape, out_rank, out_dims);
}
END_TEST

START_TEST(expands_long_lines)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        const mls_dtype dtype = sized_dtypes[i];
        for (int64_t n = 15; n < 20; n++)
            check_expand(dtype, OP_DIMS(3, 1), OP_DIMS(3, n), OP_DIMS(3, n));
        check_expand(dtype, OP_SCALAR, OP_DIMS(9001), OP_DIMS(9001));
        check_expand(dtype, OP_DIMS(3), OP_DIMS(5001, 3), OP_DIMS(5001, 3));
        check_expand(dtype, OP_DIMS(5000), OP_DIMS(3, 5000), OP_DIMS(3, 5000));
        check_expand(dtype, OP_DIMS(2, 1, 5), OP_DIMS(2, 700, 5), OP_DIMS(2, 700, 5));
    }
    check_expand(MLS_FLOAT32, OP_SCALAR, OP_DIMS(100003), OP_DIMS(100003));
    check_expand(MLS_FLOAT32, OP_DIMS(500, 1), OP_DIMS(500, 301), OP_DIMS(500, 301));
}
END_TEST

START_TEST(expand_refuses_what_does_not_fit)
{
    static const struct {
        int64_t count, shape[9];
        mls_status status;
        const char *words;
    } cases[] = {
        {2, {2, 4}, MLS_ESHAPE, "[2,3] does not broadcast with [2,4]"},
        {2, {-1, 3}, MLS_EINVAL, "entry 0 of the shape is -1"},
        {1, {INT64_MIN}, MLS_EINVAL, "entry 0 of the shape is -9223372036854775808"},
        {3, {INT64_MAX, 1, 1}, MLS_ESHAPE, "more than memory can hold"},
        {4, {INT32_MAX, INT32_MAX, 1, 1}, MLS_ESHAPE, "more than memory can hold"},
        {9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, MLS_ESHAPE, "input 1 has 9 elements"},
    };
    moved m = moved_begin("Expand", MLS_FLOAT32, 2, (int64_t[]){2, 3});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].count, cases[_i].shape);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    moved_end(&m);
}
END_TEST

/* --- Tile ------------------------------------------------------------------------------------ */

static void check_tile(mls_dtype dtype, int rank, const int64_t *dims, const int64_t *repeats)
{
    const int64_t n = rank;
    int64_t out_dims[MLS_MAX_RANK], index[MLS_MAX_RANK];
    moved m = moved_begin("Tile", dtype, rank, dims);
    op_test_constant(m.test, MLS_INT64, 1, &n, repeats);
    for (int i = 0; i < rank; i++)
        out_dims[i] = dims[i] * repeats[i];
    int64_t *from = moved_positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = walk.index[i] % dims[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    moved_expect(&m, rank, out_dims, from);
    free(from);
    moved_end(&m);
}

START_TEST(tiles_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK], repeats[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 5, 100, dims);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 4, 50, repeats);
    check_tile(random_dtype(&random), rank, dims, repeats);
}
END_TEST

START_TEST(tiles_with_threads)
{
    check_tile(MLS_FLOAT32, 2, (int64_t[]){30, 70}, (int64_t[]){5, 11});
    check_tile(MLS_FLOAT32, 1, (int64_t[]){3}, (int64_t[]){50000});
    check_tile(MLS_UINT8, 2, (int64_t[]){3, 1}, (int64_t[]){1, 200000});
}
END_TEST

START_TEST(tile_refuses_what_does_not_fit)
{
    static const struct {
        int64_t count, repeats[3];
        mls_status status;
        const char *words;
    } cases[] = {
        {1, {1}, MLS_ESHAPE, "1 repeats for an input of rank 2"},
        {3, {1, 1, 1}, MLS_ESHAPE, "3 repeats for an input of rank 2"},
        {2, {1, -1}, MLS_EINVAL, "repeat 1 is -1"},
        {2, {INT64_MIN, 1}, MLS_EINVAL, "repeat 0 is -9223372036854775808"},
        {2, {INT64_MAX, 1}, MLS_ESHAPE, "do not fit 64 bits"},
        {2, {INT32_MAX, INT32_MAX}, MLS_ESHAPE, "more than memory can hold"},
    };
    moved m = moved_begin("Tile", MLS_FLOAT32, 2, (int64_t[]){2, 3});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].count, cases[_i].repeats);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    moved_end(&m);
}
END_TEST

/* Dims beside a 0 may be past all memory. */
START_TEST(transposes_nothing_of_absurd_dims)
{
    const int64_t huge = INT64_C(1) << 55;
    check_transpose(MLS_INT64, 3, (int64_t[]){0, 2, huge}, (int[]){1, 2, 0});
    check_transpose(MLS_STRING, 3, (int64_t[]){huge, 3, 0}, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_rearrange");
    TCase *tests = tcase_create("rearrange");
    tcase_add_loop_test(tests, transposes_random_shapes, 0, CASES);
    tcase_add_loop_test(tests, transposes_matrices, 0, 45);
    tcase_add_test(tests, transposes_matrices_of_crowded_rows);
    tcase_add_test(tests, transposes_the_layouts_of_images);
    tcase_add_test(tests, transposes_with_threads);
    tcase_add_test(tests, transpose_follows_smaller_dims);
    tcase_add_loop_test(tests, transpose_refuses_what_is_no_permutation, 0, 5);
    add_slice(tests);
    tcase_add_loop_test(tests, expands_random_shapes, 0, CASES);
    tcase_add_test(tests, expands_long_lines);
    tcase_add_loop_test(tests, expand_refuses_what_does_not_fit, 0, 6);
    tcase_add_loop_test(tests, tiles_random_shapes, 0, CASES);
    tcase_add_test(tests, tiles_with_threads);
    tcase_add_loop_test(tests, tile_refuses_what_does_not_fit, 0, 6);
    tcase_add_test(tests, transposes_nothing_of_absurd_dims);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
