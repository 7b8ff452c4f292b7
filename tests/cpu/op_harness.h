/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One op, tested the way a session runs it: inferred by its schema, made by the CPU
 * backend, run.
 *
 *     op_test *t = op_test_create("", "Add");
 *     op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3), a);
 *     op_test_constant(t, MLS_FLOAT32, OP_SCALAR, b);
 *     ck_assert_ok(op_test_run(t));
 *     op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(2, 3), expected);
 *     op_test_free(t);
 *
 * op_test_run() runs the op on every instruction set of the machine, with 1 and 3
 * threads, twice each, once more after a reshape, and in the memory of each input that
 * the backend says may be overwritten. All must give the same bytes (any NaN equals any
 * other). Inputs must stay as they were, nothing may be written past an output or the
 * workspace, and no run or reshape may allocate. It fails the test itself when one of
 * these does not hold; it returns what inference, creation, reshape or run returned. The dims of
 * a late op's outputs (MLS__OP_LATE) are those that its run gave.
 */
#ifndef TESTS_CPU_OP_HARNESS_H
#define TESTS_CPU_OP_HARNESS_H

#include "support/test.h"

#include <mlscale/ext/backend.h>

/* rank and dims as two arguments. A dim may be 0. */
#define OP_DIMS(...)                                                                               \
    (int) (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                        \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define OP_SCALAR 0, NULL

/* A string element of a literal. */
#define OP_STRING(literal)                                                                         \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

typedef struct op_test op_test;

/* With one output, until op_test_outputs(). Everything given to a test is copied. */
op_test *op_test_create(const char *domain, const char *type);
void op_test_free(op_test *test);
void op_test_outputs(op_test *test, size_t count);
/* With MLS_NUMERICS_FAST. Results still have to be the same bytes: give numbers that are exact. */
void op_test_fast(op_test *test);

void op_test_int(op_test *test, const char *name, int64_t value);
void op_test_float(op_test *test, const char *name, float value);
void op_test_string(op_test *test, const char *name, const char *value);
void op_test_ints(op_test *test, const char *name, size_t count, const int64_t *values);
void op_test_floats(op_test *test, const char *name, size_t count, const float *values);
void op_test_strings(op_test *test, const char *name, size_t count, const char *const *values);
void op_test_tensor(op_test *test, const char *name, mls_dtype dtype, int rank, const int64_t *dims,
                    const void *data);

/* The next input. What the kernel knows of its contents when it is made: */
void op_test_input(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                   const void *data); /* nothing */
void op_test_constant(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                      const void *data); /* all, for ever: a weight */
void op_test_known(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                   const void *data); /* all, until the next reshape */
void op_test_left_out(op_test *test); /* an optional input that is not given */

/*
 * Makes the kernel for these dims (and, for a known input, these contents; else `data`
 * is NULL) of the input given last, and has it follow to the input's own by reshape.
 */
void op_test_planned(op_test *test, int rank, const int64_t *dims, const void *data);

/* Inference alone; the outputs' dtypes and dims can be read afterwards. */
mls_status op_test_infer(op_test *test);
mls_status op_test_run(op_test *test);

/* Output `index`; data is the run's, strings and all, valid until the next run. */
const mls_arg *op_test_output(const op_test *test, size_t index);
const void *op_test_data(const op_test *test, size_t index);

/* The output is of this dtype and dims, and has these very bytes (any NaN equals any other). */
void op_test_expect(const op_test *test, size_t index, mls_dtype dtype, int rank,
                    const int64_t *dims, const void *data);
/* float32 or float64: |output - data| <= absolute + relative * |data|; infinities and NaN alike. */
void op_test_expect_near(const op_test *test, size_t index, mls_dtype dtype, int rank,
                         const int64_t *dims, const void *data, double absolute, double relative);

#endif
