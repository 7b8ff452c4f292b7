/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of this folder, a family each; schema.c lists them. */
#ifndef MLS_GRAPH_SCHEMA_FAMILIES_H
#define MLS_GRAPH_SCHEMA_FAMILIES_H

#include "graph/schema/schema.h"

extern mls__op_schema_table mls__schemas_elementwise;
extern mls__op_schema_table mls__schemas_views;
extern mls__op_schema_table mls__schemas_movement;
extern mls__op_schema_table mls__schemas_generate;
extern mls__op_schema_table mls__schemas_matrix;
extern mls__op_schema_table mls__schemas_image;
extern mls__op_schema_table mls__schemas_product;
extern mls__op_schema_table mls__schemas_convolution;
extern mls__op_schema_table mls__schemas_int8_product;
extern mls__op_schema_table mls__schemas_qlinear;
extern mls__op_schema_table mls__schemas_int8_convolution;
extern mls__op_schema_table mls__schemas_quantize;
extern mls__op_schema_table mls__schemas_ml_features;
extern mls__op_schema_table mls__schemas_ml_linear;
extern mls__op_schema_table mls__schemas_ml_trees;
extern mls__op_schema_table mls__schemas_reduction;
extern mls__op_schema_table mls__schemas_indexing;
extern mls__op_schema_table mls__schemas_recurrent;
extern mls__op_schema_table mls__schemas_norm;
extern mls__op_schema_table mls__schemas_einsum;
extern mls__op_schema_table mls__schemas_pooling;
extern mls__op_schema_table mls__schemas_attention;
extern mls__op_schema_table mls__schemas_contrib_attention;
extern mls__op_schema_table mls__schemas_random;
extern mls__op_schema_table mls__schemas_contrib;
extern mls__op_schema_table mls__schemas_control;

#endif
