/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that move elements, each of which has a place in the input. */
#ifndef TESTS_CPU_MOVED_TEST_H
#define TESTS_CPU_MOVED_TEST_H

#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>

#define CASES 60

/* One op on an input of `dtype` and `dims`; the test is to be freed with its elements. */
typedef struct moved {
    op_test *test;
    mls_dtype dtype;
    void *data;
} moved;

static inline moved moved_begin(const char *type, mls_dtype dtype, int rank, const int64_t *dims)
{
    moved m = {op_test_create("", type), dtype, make_elements(dtype, count_of(rank, dims))};
    op_test_input(m.test, dtype, rank, dims, m.data);
    return m;
}

/* Runs it: element i of the output must be element from[i] of the input. */
static inline void moved_expect(moved *m, int rank, const int64_t *dims, const int64_t *from)
{
    void *expected = pick_elements(m->dtype, m->data, from, count_of(rank, dims), NULL);
    ck_assert_ok(op_test_run(m->test));
    op_test_expect(m->test, 0, m->dtype, rank, dims, expected);
    free(expected);
}

static inline void moved_end(moved *m)
{
    op_test_free(m->test);
    free(m->data);
}

/* Memory of as many places as the dims have. */
static inline int64_t *moved_positions(int rank, const int64_t *dims)
{
    int64_t *from = malloc(((size_t) count_of(rank, dims) + 1) * sizeof *from);
    ck_assert_ptr_nonnull(from);
    return from;
}

#endif
