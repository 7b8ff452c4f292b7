/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions and softmax against the canonical order of reduce.h written out in scalar C, bit for
 * bit on every instruction set of this machine, and against double precision. The scalar code
 * takes e^x and log from the portable kernels, whose accuracy is test_math.c's.
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "base/isa.h"

#include <float.h>
#include <stdlib.h>

enum { SETS = 4, LONGEST = 1000 };

/* The set for a loop test, NULL where there is none or this machine lacks it. */
static const mls__cpu_kernels *set_at(int index)
{
    const mls__cpu_kernels *set = mls__cpu_kernels_at(index);
    return set && mls__isa_is_supported(set->isa) ? set : NULL;
}

static void fill(float *x, int64_t n, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float) (int32_t) next_random(&state) * 0x1p-29f;
}

static float function(mls__unary_op op, float x)
{
    float y;
    mls__cpu_kernels_at(0)->elementwise->unary[op](&y, &x, 1, NULL);
    return y;
}

/* --- the canonical order --------------------------------------------------------------------- */

static float neutral(mls__reduce_op op)
{
    switch (op) {
    case MLS__REDUCE_PROD:
        return 1;
    case MLS__REDUCE_MAX:
        return -INFINITY;
    case MLS__REDUCE_MIN:
        return INFINITY;
    default:
        return 0;
    }
}

static float join(mls__reduce_op op, float a, float b)
{
    switch (op) {
    case MLS__REDUCE_PROD:
        return a * b;
    case MLS__REDUCE_MAX:
        return isnan(a) ? a : a > b ? a : b;
    case MLS__REDUCE_MIN:
        return isnan(a) ? a : a < b ? a : b;
    default:
        return a + b;
    }
}

static float step(mls__reduce_op op, float sum, float x, float shift)
{
    switch (op) {
    case MLS__REDUCE_SUM_ABS:
        return sum + fabsf(x);
    case MLS__REDUCE_SUM_SQUARE:
        return fmaf(x, x, sum);
    case MLS__REDUCE_LOG_SUM_EXP:
        return sum + function(MLS__UNARY_EXP, x - shift);
    default:
        return join(op, sum, x);
    }
}

static float lanes_then_tree(mls__reduce_op op, const float *x, int64_t n, float shift)
{
    float lane[64];
    for (int i = 0; i < 64; i++)
        lane[i] = neutral(op);
    for (int64_t i = 0; i < n; i++)
        lane[i % 64] = step(op, lane[i % 64], x[i], shift);
    for (int width = 32; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] = join(op, lane[i], lane[i + width]);
    return lane[0];
}

static float chain(mls__reduce_op op, const float *x, int64_t n, int64_t stride, float shift)
{
    float sum = neutral(op);
    for (int64_t i = 0; i < n; i++)
        sum = step(op, sum, x[i * stride], shift);
    return sum;
}

/* stride 0: a row. */
static float expected(mls__reduce_op op, const float *x, int64_t n, int64_t stride)
{
    if (op != MLS__REDUCE_LOG_SUM_EXP)
        return stride ? chain(op, x, n, stride, 0) : lanes_then_tree(op, x, n, 0);
    const float max = chain(MLS__REDUCE_MAX, x, n, stride ? stride : 1, 0);
    const float shift = isinf(max) ? 0 : max;
    const float sum = stride ? chain(op, x, n, stride, shift) : lanes_then_tree(op, x, n, shift);
    return function(MLS__UNARY_LOG, sum) + shift;
}

/* --- reductions ------------------------------------------------------------------------------ */

START_TEST(reduce_rows)
{
    const mls__cpu_kernels *set = set_at(_i);
    static float x[LONGEST + 4];
    for (int op = 0; set && op < MLS__REDUCE_COUNT; op++)
        for (int64_t n = 0; n <= LONGEST; n += n < 200 ? 1 : 97) {
            float *at = x + n % 4;
            fill(x, LONGEST + 4, (uint32_t) n);
            const float y = set->reduce->row[op](at, n);
            const float e = expected((mls__reduce_op) op, at, n, 0);
            EXPECT_MSG(same(y, e), "%s: op %d of %d is %a, expected %a", set->isa, op, (int) n,
                       (double) y, (double) e);
        }
}
END_TEST

START_TEST(reduce_columns)
{
    const mls__cpu_kernels *set = set_at(_i);
    enum { ROWS = 7, STRIDE = 150 };
    static float x[ROWS * STRIDE];
    float y[STRIDE + 1];
    fill(x, ROWS * STRIDE, 5);
    for (int op = 0; set && op < MLS__REDUCE_COUNT; op++)
        for (int rows = 0; rows <= ROWS; rows++)
            for (int n = 0; n < STRIDE; n += n < 70 ? 3 : 11) {
                y[n] = -77.0f;
                set->reduce->columns[op](y, x, rows, STRIDE, n);
                for (int j = 0; j < n; j++) {
                    const float e = expected((mls__reduce_op) op, x + j, rows, STRIDE);
                    EXPECT_MSG(same(y[j], e), "%s: op %d, %d rows, column %d of %d", set->isa, op,
                               rows, j, n);
                }
                EXPECT(y[n] == -77.0f);
            }
}
END_TEST

/* One special value among ordinary ones, anywhere. */
START_TEST(special_values)
{
    const mls__cpu_kernels *set = set_at(_i);
    static const float special[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0.0f, 0x1p-149f};
    static float x[150];
    for (int op = 0; set && op < MLS__REDUCE_COUNT; op++)
        for (size_t s = 0; s < sizeof special / sizeof special[0]; s++)
            for (int at = 0; at < 150; at += at < 70 ? 1 : 9) {
                float y[30];
                fill(x, 150, 9);
                x[at] = special[s];
                EXPECT_MSG(
                    same(set->reduce->row[op](x, 150), expected((mls__reduce_op) op, x, 150, 0)),
                    "%s: op %d, %a at %d", set->isa, op, (double) special[s], at);
                set->reduce->columns[op](y, x, 5, 30, 30);
                for (int j = 0; j < 30; j++)
                    EXPECT(same(y[j], expected((mls__reduce_op) op, x + j, 5, 30)));
            }
}
END_TEST

START_TEST(log_sum_exp_of_infinities)
{
    const mls__cpu_kernels *set = set_at(_i);
    const float below[3] = {-INFINITY, -INFINITY, -INFINITY};
    const float above[3] = {1, INFINITY, -INFINITY};
    const float large[2] = {1000, 1000};
    if (!set)
        return;
    const mls__reduce_row_fn log_sum_exp = set->reduce->row[MLS__REDUCE_LOG_SUM_EXP];
    EXPECT(log_sum_exp(below, 3) == -INFINITY);
    EXPECT(log_sum_exp(above, 3) == INFINITY);
    EXPECT(log_sum_exp(below, 0) == -INFINITY);
    EXPECT(fabsf(log_sum_exp(large, 2) - 1000.6931f) < 1e-4f);
}
END_TEST

/* The order serves accuracy too: one chain would be off by 1e-4 and more here. */
START_TEST(long_sum)
{
    const mls__cpu_kernels *set = set_at(_i);
    enum { N = 1000000 };
    float *x = malloc(N * sizeof *x);
    double exact = 0;
    ck_assert_ptr_nonnull(x);
    fill(x, N, 77);
    for (int i = 0; i < N; i++) {
        x[i] = fabsf(x[i]);
        exact += (double) x[i];
    }
    if (set)
        EXPECT(fabs((double) set->reduce->row[MLS__REDUCE_SUM](x, N) / exact - 1) < 1e-5);
    free(x);
}
END_TEST

/* --- softmax --------------------------------------------------------------------------------- */

static void expect_softmax(const float *x, const float *y, int64_t n, int64_t stride, bool row,
                           bool logarithm)
{
    const float max = chain(MLS__REDUCE_MAX, x, n, stride, 0);
    const float sum = row ? lanes_then_tree(MLS__REDUCE_LOG_SUM_EXP, x, n, max)
                          : chain(MLS__REDUCE_LOG_SUM_EXP, x, n, stride, max);
    double exact_sum = 0;
    for (int64_t i = 0; i < n; i++)
        exact_sum += exp((double) x[i * stride] - (double) max);
    const double log_of_sum = log(exact_sum);
    for (int64_t i = 0; i < n; i++) {
        const float shifted = x[i * stride] - max;
        const float e = logarithm ? shifted - function(MLS__UNARY_LOG, sum)
                                  : function(MLS__UNARY_EXP, shifted) * (1.0f / sum);
        const double exact_log = (double) x[i * stride] - (double) max - log_of_sum;
        const double exact = logarithm ? exact_log : exp(exact_log);
        EXPECT_MSG(same(y[i * stride], e), "element %d of %d: %a, expected %a", (int) i, (int) n,
                   (double) y[i * stride], (double) e);
        EXPECT(fabs((double) e - exact) <= 4e-6 * fmax(fabs(exact), logarithm ? 1 : 0));
    }
}

START_TEST(softmax_rows)
{
    const mls__cpu_kernels *set = set_at(_i);
    enum { ROWS = 3 };
    static float x[ROWS * LONGEST], y[ROWS * LONGEST + 1];
    for (int64_t n = 0; set && n <= LONGEST; n += n < 150 ? 1 : 131)
        for (int form = 0; form < 4; form++) {
            const bool in_place = form & 1, log = form >> 1;
            fill(x, ROWS * n, (uint32_t) n);
            memcpy(y, x, (size_t) (ROWS * n) * sizeof *x);
            y[ROWS * n] = -77.0f;
            (log ? set->softmax->log_rows : set->softmax->rows)(y, in_place ? y : x, ROWS, n);
            for (int r = 0; r < ROWS; r++)
                expect_softmax(x + r * n, y + r * n, n, 1, true, log);
            EXPECT(y[ROWS * n] == -77.0f);
        }
}
END_TEST

START_TEST(softmax_columns)
{
    const mls__cpu_kernels *set = set_at(_i);
    enum { N = 9, STRIDE = 45 };
    static float x[N * STRIDE], y[N * STRIDE];
    fill(x, N * STRIDE, 3);
    for (int columns = 0; set && columns <= STRIDE; columns++)
        for (int form = 0; form < 4; form++) {
            const bool in_place = form & 1, log = form >> 1;
            memcpy(y, x, sizeof y);
            (log ? set->softmax->log_columns : set->softmax->columns)(y, in_place ? y : x, N,
                                                                      STRIDE, columns);
            for (int j = 0; j < STRIDE; j++) {
                if (j < columns)
                    expect_softmax(x + j, y + j, N, STRIDE, false, log);
                for (int i = 0; j >= columns && i < N; i++)
                    EXPECT(y[i * STRIDE + j] == x[i * STRIDE + j]);
            }
        }
}
END_TEST

START_TEST(softmax_of_specials)
{
    const mls__cpu_kernels *set = set_at(_i);
    const float masked[4] = {-INFINITY, 0, -INFINITY, 0};
    const float nan[4] = {9, NAN, 1, 2};
    float y[4];
    if (!set)
        return;
    set->softmax->rows(y, masked, 1, 4);
    EXPECT(y[0] == 0 && y[1] == 0.5f && y[2] == 0 && y[3] == 0.5f);
    set->softmax->columns(y, masked, 4, 1, 1);
    EXPECT(y[0] == 0 && y[1] == 0.5f && y[2] == 0 && y[3] == 0.5f);
    set->softmax->log_rows(y, masked, 1, 4);
    EXPECT(y[0] == -INFINITY && fabsf(y[1] + 0.6931472f) < 1e-6f);
    set->softmax->rows(y, nan, 1, 4);
    EXPECT(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && isnan(y[3]));
    set->softmax->log_columns(y, nan, 4, 1, 1);
    EXPECT(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && isnan(y[3]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/reduce");
    TCase *tests = tcase_create("order");
    tcase_add_loop_test(tests, reduce_rows, 0, SETS);
    tcase_add_loop_test(tests, reduce_columns, 0, SETS);
    tcase_add_loop_test(tests, special_values, 0, SETS);
    tcase_add_loop_test(tests, log_sum_exp_of_infinities, 0, SETS);
    tcase_add_loop_test(tests, long_sum, 0, SETS);
    tcase_add_loop_test(tests, softmax_rows, 0, SETS);
    tcase_add_loop_test(tests, softmax_columns, 0, SETS);
    tcase_add_loop_test(tests, softmax_of_specials, 0, SETS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
