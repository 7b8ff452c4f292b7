/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the attention ops of com.microsoft compute of heads, a number at a time in double precision:
 * masks of every form, biases, pasts.
 */
#ifndef TESTS_CPU_CONTRIB_SCENE_H
#define TESTS_CPU_CONTRIB_SCENE_H

#include "cpu/op_harness.h"

#include <stdbool.h>

/* [batch, heads, rows, size] as numbers. */
typedef struct heads {
    int64_t batch, heads, rows, size;
    double *values;
} heads;

heads heads_make(int64_t batch, int64_t count, int64_t rows, int64_t size);
double *heads_at(const heads *h, int64_t batch, int64_t head, int64_t row);

/* Whole sixteenths between -1 and 1, which every dtype has. */
double *contrib_random(int64_t count, uint64_t seed);

/* The next input: numbers in a dtype. */
void contrib_give(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                  const double *values, bool is_constant);

/* Numbers of an output, within what its dtype allows. */
void contrib_expect(const op_test *test, size_t index, mls_dtype dtype, const double *expected,
                    int64_t count);

enum { NO_PADDING, ENDS, CUMULATED, RANGES, KEYS, ROWS, SQUARE, PADDINGS };

typedef struct scene {
    heads q, k, v; /* keys and values with their past */
    int64_t past;
    bool is_causal;
    double scale;
    int padding;
    int32_t *mask;
    const double *bias; /* [batch or 1, heads or 1, queries, keys]; NULL: none */
    int64_t bias_batch, bias_heads;
} scene;

/* The next input: the mask that the padding says. */
void scene_add_mask(op_test *test, scene *s);

/* Output 0: [batch, queries, heads, size]. */
void scene_expect(const op_test *test, mls_dtype dtype, const scene *s);
void scene_free(scene *s);

#endif
