/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of this folder, a family each; backend.c lists them. */
#ifndef MLS_BACKEND_CPU_OPS_FAMILIES_H
#define MLS_BACKEND_CPU_OPS_FAMILIES_H

#include "backend/cpu/cpu.h"

extern const mls__cpu_op mls__cpu_ops_binary[];
extern const mls__cpu_op mls__cpu_ops_cast[];
extern mls__cpu_op_table mls__cpu_ops_views;
extern mls__cpu_op_table mls__cpu_ops_rearrange;
extern mls__cpu_op_table mls__cpu_ops_join;
extern mls__cpu_op_table mls__cpu_ops_gather;
extern mls__cpu_op_table mls__cpu_ops_pad;
extern mls__cpu_op_table mls__cpu_ops_generate;
extern const mls__cpu_op mls__cpu_ops_classify[];
extern const mls__cpu_op mls__cpu_ops_clip[];
extern const mls__cpu_op mls__cpu_ops_pow[];
extern const mls__cpu_op mls__cpu_ops_unary[];
extern const mls__cpu_op mls__cpu_ops_variadic[];
extern const mls__cpu_op mls__cpu_ops_where[];
extern const mls__cpu_op mls__cpu_ops_product[];
extern mls__cpu_op_table mls__cpu_ops_conv;
extern mls__cpu_op_table mls__cpu_ops_int8_product;
extern mls__cpu_op_table mls__cpu_ops_int8_conv;
extern mls__cpu_op_table mls__cpu_ops_quantize;
extern const mls__cpu_op mls__cpu_ops_ml_columns[];
extern const mls__cpu_op mls__cpu_ops_ml_encoders[];
extern const mls__cpu_op mls__cpu_ops_ml_features[];
extern const mls__cpu_op mls__cpu_ops_ml_linear[];
extern const mls__cpu_op mls__cpu_ops_ml_svm[];
extern const mls__cpu_op mls__cpu_ops_ml_trees[];
extern const mls__cpu_op mls__cpu_ops_reduction[];
extern const mls__cpu_op mls__cpu_ops_position[];
extern const mls__cpu_op mls__cpu_ops_top_k[];
extern const mls__cpu_op mls__cpu_ops_cumsum[];
extern const mls__cpu_op mls__cpu_ops_softmax[];
extern mls__cpu_op_table mls__cpu_ops_det;
extern mls__cpu_op_table mls__cpu_ops_diagonal;
extern mls__cpu_op_table mls__cpu_ops_hardmax;
extern mls__cpu_op_table mls__cpu_ops_one_hot;
extern mls__cpu_op_table mls__cpu_ops_resize;

/* By indices. */
extern mls__cpu_op_table mls__cpu_ops_gather_elements;
extern mls__cpu_op_table mls__cpu_ops_gather_nd;
extern mls__cpu_op_table mls__cpu_ops_einsum;
extern mls__cpu_op_table mls__cpu_ops_scatter_elements;
extern mls__cpu_op_table mls__cpu_ops_scatter_nd;
extern mls__cpu_op_table mls__cpu_ops_sequence_moves;
extern mls__cpu_op_table mls__cpu_ops_recurrent;
extern const mls__cpu_op mls__cpu_ops_norm_rows[];
extern const mls__cpu_op mls__cpu_ops_norm_channels[];
extern const mls__cpu_op mls__cpu_ops_lp_norm[];
extern const mls__cpu_op mls__cpu_ops_lrn[];
extern const mls__cpu_op mls__cpu_ops_mvn[];
extern const mls__cpu_op mls__cpu_ops_pool[];
extern const mls__cpu_op mls__cpu_ops_global_pool[];
extern const mls__cpu_op mls__cpu_ops_max_unpool[];
extern mls__cpu_op_table mls__cpu_ops_attention;
extern mls__cpu_op_table mls__cpu_ops_rotary;

/* By chance. */
extern mls__cpu_op_table mls__cpu_ops_multinomial;
extern mls__cpu_op_table mls__cpu_ops_random;
extern const mls__cpu_op mls__cpu_ops_bias_gelu[];
extern const mls__cpu_op mls__cpu_ops_embed_norm[];

#endif
