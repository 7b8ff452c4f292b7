/* SPDX-License-Identifier: Apache-2.0 */
/* FusedMatMul of matrices that are turned or lie apart, and MatMul, which has none of that. */
#include "cpu/product_matrix.h"
#include "cpu/topics.h"

#include <string.h>

enum { BATCHES = 2, PLANES = 3 };

/* [BATCHES, PLANES, rows, columns], stored turned, with rows before the batches, or both. */
static matrix stored_matrix(mls_dtype dtype, int64_t rows, int64_t columns, bool is_turned,
                            bool is_moved, uint64_t seed)
{
    const int64_t first = is_turned ? columns : rows, last = is_turned ? rows : columns;
    const int64_t usual[] = {BATCHES, PLANES, first, last};
    const int64_t moved[] = {first, BATCHES, PLANES, last};
    return matrix_random(dtype, 4, is_moved ? moved : usual, seed);
}

static double stored_at(const matrix *m, int64_t batch, int64_t row, int64_t column, bool is_turned,
                        bool is_moved)
{
    const int64_t first = is_turned ? column : row, last = is_turned ? row : column;
    const int64_t before = is_moved ? first * BATCHES * PLANES + batch : batch * m->dims[2] + first;
    return m->values[before * m->dims[3] + last];
}

static void check_fused_matmul(const char *type, mls_dtype dtype, int turns, int64_t m, int64_t n,
                               int64_t k)
{
    const bool turn_a = turns & 1, turn_b = turns & 2, move_a = turns & 4, move_b = turns & 8;
    const matrix a = stored_matrix(dtype, m, k, turn_a, move_a, 1);
    const matrix b = stored_matrix(dtype, k, n, turn_b, move_b, 2);
    const matrix y = matrix_empty(dtype, 4, (int64_t[]){BATCHES, PLANES, m, n});
    for (int64_t i = 0; i < y.count; i++) {
        const int64_t batch = i / n / m;
        for (int64_t j = 0; j < k; j++)
            y.values[i] += 0.5 * stored_at(&a, batch, i / n % m, j, turn_a, move_a) *
                           stored_at(&b, batch, j, i % n, turn_b, move_b);
        if (strcmp(type, "FusedMatMulActivation") == 0 && y.values[i] < 0)
            y.values[i] = 0;
    }
    op_test *test = op_test_create("com.microsoft", type);
    op_test_int(test, "transA", turn_a);
    op_test_int(test, "transB", turn_b);
    op_test_int(test, "transBatchA", move_a);
    op_test_int(test, "transBatchB", move_b);
    op_test_float(test, "alpha", 0.5f);
    if (strcmp(type, "FusedMatMulActivation") == 0)
        op_test_string(test, "activation", "Relu");
    matrix_give(test, &a, false);
    matrix_give(test, &b, turns % 3 == 0);
    matrix_expect(test, &y);
    op_test_free(test);
    matrix_free(a);
    matrix_free(b);
    matrix_free(y);
}

START_TEST(fused_matmul)
{
    static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16, MLS_FLOAT64};
    check_fused_matmul("FusedMatMul", floats[_i / 16], _i % 16, 5, 19, 7);
    check_fused_matmul("FusedMatMul", floats[_i / 16], _i % 16, 3, 2, 33);
    if (floats[_i / 16] != MLS_FLOAT64)
        check_fused_matmul("FusedMatMulActivation", floats[_i / 16], _i % 16, 4, 17, 3);
}
END_TEST

/* All matrices of a turned A with the one of B; vectors are not turned. */
START_TEST(fused_matmul_of_one_matrix)
{
    const matrix a = matrix_random(MLS_FLOAT32, 3, (int64_t[]){2, 3, 4}, 1);
    const matrix b = matrix_random(MLS_FLOAT32, 1, (int64_t[]){3}, 2);
    const matrix y = matrix_empty(MLS_FLOAT32, 2, (int64_t[]){2, 4});
    for (int64_t i = 0; i < y.count; i++)
        for (int64_t j = 0; j < 3; j++)
            y.values[i] += a.values[(i / 4 * 3 + j) * 4 + i % 4] * b.values[j];
    op_test *test = op_test_create("com.microsoft", "TransposeMatMul");
    op_test_int(test, "transA", 1);
    op_test_int(test, "transB", 1);
    matrix_give(test, &a, false);
    matrix_give(test, &b, true);
    matrix_expect(test, &y);
    op_test_free(test);
    matrix_free(a);
    matrix_free(b);
    matrix_free(y);
}
END_TEST

void add_fused_matmul(TCase *tests)
{
    tcase_add_loop_test(tests, fused_matmul, 0, 64);
    tcase_add_test(tests, fused_matmul_of_one_matrix);
}
