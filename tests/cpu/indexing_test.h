/* SPDX-License-Identifier: Apache-2.0 */
/* What the references of ops that go by indices share. */
#ifndef TESTS_CPU_INDEXING_TEST_H
#define TESTS_CPU_INDEXING_TEST_H

#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdbool.h>

#define CASES 60

static const char *const reductions[] = {"none", "add", "mul", "min", "max"};

static const mls_dtype numbers[] = {
    MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16, MLS_INT8,   MLS_INT16, MLS_INT32,
    MLS_INT64,   MLS_UINT8,   MLS_UINT16,  MLS_UINT32,   MLS_UINT64, MLS_BOOL,
};
#define NUMBERS (int) (sizeof numbers / sizeof numbers[0])

/* Memory of count numbers. */
int64_t *indexing_integers(int64_t count);

/* The next input: indices, as int64 or int32. */
void indexing_give(op_test *t, bool is_wide, int rank, const int64_t *dims, const int64_t *indices);

/* Element i of what is there, and update j. */
void indexing_reduce(mls_dtype dtype, int reduction, void *data, int64_t i, const void *updates,
                     int64_t j);

/*
 * Small whole numbers and few specials: sums in double are exact then, so that the reference
 * rounds once, as the op does.
 */
void *indexing_numbers(random_state *random, mls_dtype dtype, int64_t count);

#endif
