/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of test programs of several files: each adds the tests of its topic. */
#ifndef TESTS_CPU_TOPICS_H
#define TESTS_CPU_TOPICS_H

#include <mlscale/tensor.h>

#include <check.h>

/* Of test_ops_attention. */
void add_fused_attention(TCase *tests);
void add_rotary(TCase *tests);
/* What rounding may add to 1, by the dtype's precision. */
double attention_bound(mls_dtype dtype);

/* Of test_ops_cast. */
void add_cast_strings(TCase *tests);

/* Of test_ops_contrib_attention. */
void add_contrib_rotary(TCase *tests);

/* Of test_ops_image. */
void add_roi(TCase *tests);

/* Of test_ops_indexing. */
void add_sequences(TCase *tests);
void add_tuples(TCase *tests);

/* Of test_ops_ml_trees. */
void add_hostile_trees(TCase *tests);

/* Of test_ops_norm. */
void add_norm_channels(TCase *tests);

/* Of test_ops_product. */
void add_fused_matmul(TCase *tests);

/* Of test_ops_rearrange. */
void add_slice(TCase *tests);

/* Of test_ops_reduction. */
void add_special_reductions(TCase *tests);

/* Of test_ops_unary. */
void add_functions(TCase *tests);

#endif
