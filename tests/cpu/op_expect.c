/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the elements of an op's outputs. */
#include "cpu/op_parts.h"

#include "support/bits.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* An assertion of Check's is a system call: those of every element come after an if. */

/* --- comparison ------------------------------------------------------------------------------ */

static bool same_element(int32_t dtype, const void *a, const void *b)
{
    if (dtype == MLS_STRING)
        return mls__string_equal(*(const mls_string *) a, *(const mls_string *) b);
    return memcmp(a, b, mls_dtype_size((mls_dtype) dtype)) == 0 ||
           (mls_test_is_nan(dtype, a) && mls_test_is_nan(dtype, b));
}

static const char *element_text(int32_t dtype, const void *element, char text[80])
{
    uint64_t bits = 0;
    if (dtype == MLS_FLOAT32)
        snprintf(text, 80, "%.9g", (double) *(const float *) element);
    else if (dtype == MLS_FLOAT64)
        snprintf(text, 80, "%.17g", *(const double *) element);
    else if (dtype == MLS_STRING)
        snprintf(text, 80, "'%.*s'", (int) ((const mls_string *) element)->size,
                 ((const mls_string *) element)->data);
    else {
        memcpy(&bits, element, mls_dtype_size((mls_dtype) dtype));
        snprintf(text, 80, "0x%" PRIx64, bits);
    }
    return text;
}

void op_part_expect_same(const char *what, const mls_arg *arg, const void *got,
                         const void *expected)
{
    char a[80], b[80];
    const size_t size = mls_dtype_size((mls_dtype) arg->dtype);
    if (!mls__arg_bytes(arg) || memcmp(got, expected, mls__arg_bytes(arg)) == 0)
        return;
    for (int64_t i = 0; i < mls__arg_count(arg); i++) {
        const char *x = (const char *) got + (size_t) i * size;
        const char *y = (const char *) expected + (size_t) i * size;
        mls_test_expect(same_element(arg->dtype, x, y), "%s, element %" PRId64 ": %s, expected %s",
                        what, i, element_text(arg->dtype, x, a), element_text(arg->dtype, y, b));
    }
}

/* --- expectations ---------------------------------------------------------------------------- */

const mls_arg *op_test_output(const op_test *test, size_t index)
{
    mls_test_expect(index < test->op.output_count, "there is no output %zu", index);
    return &test->outputs[index].arg;
}

const void *op_test_data(const op_test *test, size_t index)
{
    mls_test_expect(index < test->op.output_count, "there is no output %zu", index);
    mls_test_expect(test->has_results, "there was no run that went well");
    return test->outputs[index].data;
}

static void expect_arg(const op_test *test, size_t index, int32_t dtype, int rank,
                       const int64_t *dims)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *arg = op_test_output(test, index);
    ck_assert_msg(arg->dtype == dtype, "output %zu is %s, expected %s", index,
                  mls_dtype_name((mls_dtype) arg->dtype), mls_dtype_name((mls_dtype) dtype));
    ck_assert_msg(mls__shape_equal(arg->rank, arg->dims, rank, dims),
                  "output %zu is %s, expected %s", index, mls__shape_text(arg->rank, arg->dims, a),
                  mls__shape_text(rank, dims, b));
}

void op_test_expect(const op_test *test, size_t index, mls_dtype dtype, int rank,
                    const int64_t *dims, const void *data)
{
    char what[32];
    expect_arg(test, index, dtype, rank, dims);
    snprintf(what, sizeof what, "output %zu", index);
    op_part_expect_same(what, op_test_output(test, index), op_test_data(test, index), data);
}

static double element_at(int32_t dtype, const void *data, int64_t i)
{
    return dtype == MLS_FLOAT32 ? (double) ((const float *) data)[i] : ((const double *) data)[i];
}

void op_test_expect_near(const op_test *test, size_t index, mls_dtype dtype, int rank,
                         const int64_t *dims, const void *data, double absolute, double relative)
{
    expect_arg(test, index, dtype, rank, dims);
    ck_assert(dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64);
    const void *results = op_test_data(test, index);
    for (int64_t i = 0; i < mls__arg_count(op_test_output(test, index)); i++) {
        const double got = element_at(dtype, results, i);
        const double expected = element_at(dtype, data, i);
        if (got == expected || (isnan(got) && isnan(expected)))
            continue;
        if (!isfinite(expected) || !(fabs(got - expected) <= absolute + relative * fabs(expected)))
            ck_abort_msg("output %zu, element %" PRId64 ": %.17g, expected %.17g", index, i, got,
                         expected);
    }
}
