# SPDX-License-Identifier: Apache-2.0
# What the tests of op families share.
check_LTLIBRARIES += libmls_test_ops.la
libmls_test_ops_la_SOURCES = \
	%D%/op_digest.c \
	%D%/op_expect.c \
	%D%/op_harness.c %D%/op_harness.h \
	%D%/op_numbers.c %D%/op_numbers.h \
	%D%/op_parts.h \
	%D%/op_run.c \
	%D%/op_values.c %D%/op_values.h
libmls_test_ops_la_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
MLS_OP_TEST_LIBS = libmls_test_ops.la $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_ranges
TESTS += %D%/test_ranges
%C%_test_ranges_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ranges_LDADD = $(MLS_TEST_LIBS)
check_PROGRAMS += %D%/test_conv_chunks
TESTS += %D%/test_conv_chunks
%C%_test_conv_chunks_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_conv_chunks_LDADD = $(MLS_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_binary
TESTS += %D%/test_ops_binary
%C%_test_ops_binary_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_binary_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_cast
TESTS += %D%/test_ops_cast
%C%_test_ops_cast_SOURCES = \
	%D%/cast_test.h \
	%D%/ops_cast_strings.c \
	%D%/test_ops_cast.c \
	%D%/topics.h
%C%_test_ops_cast_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_cast_LDADD = $(MLS_OP_TEST_LIBS)

# Ops that move data.
libmls_test_ops_la_SOURCES += %D%/elements.c %D%/elements.h
check_PROGRAMS += %D%/test_ops_rearrange
TESTS += %D%/test_ops_rearrange
%C%_test_ops_rearrange_SOURCES = \
	%D%/moved_test.h \
	%D%/ops_slice.c \
	%D%/test_ops_rearrange.c \
	%D%/topics.h
%C%_test_ops_rearrange_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_rearrange_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_join
TESTS += %D%/test_ops_join
%C%_test_ops_join_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_join_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_gather
TESTS += %D%/test_ops_gather
%C%_test_ops_gather_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_gather_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_pad
TESTS += %D%/test_ops_pad
%C%_test_ops_pad_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_pad_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_views
TESTS += %D%/test_ops_views
%C%_test_ops_views_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_views_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_generate
TESTS += %D%/test_ops_generate
%C%_test_ops_generate_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_generate_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_unary
TESTS += %D%/test_ops_unary
%C%_test_ops_unary_SOURCES = \
	%D%/ops_functions.c \
	%D%/test_ops_unary.c \
	%D%/topics.h \
	%D%/unary_test.h
%C%_test_ops_unary_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_unary_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_pointwise
TESTS += %D%/test_ops_pointwise
%C%_test_ops_pointwise_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_pointwise_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_variadic
TESTS += %D%/test_ops_variadic
%C%_test_ops_variadic_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_variadic_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_product
TESTS += %D%/test_ops_product
%C%_test_ops_product_SOURCES = \
	%D%/ops_fused_matmul.c \
	%D%/product_matrix.c %D%/product_matrix.h \
	%D%/test_ops_product.c \
	%D%/topics.h
%C%_test_ops_product_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_product_LDADD = $(MLS_OP_TEST_LIBS)

# Ops of ai.onnx.ml.
check_PROGRAMS += %D%/test_ops_ml_trees
TESTS += %D%/test_ops_ml_trees
%C%_test_ops_ml_trees_SOURCES = \
	%D%/ml_forest.c %D%/ml_forest.h \
	%D%/ops_ml_trees_hostile.c \
	%D%/test_ops_ml_trees.c \
	%D%/topics.h
%C%_test_ops_ml_trees_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_ml_trees_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_pow
TESTS += %D%/test_ops_pow
%C%_test_ops_pow_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_pow_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_reduction %D%/test_ops_axis
TESTS += %D%/test_ops_reduction %D%/test_ops_axis
%C%_test_ops_reduction_SOURCES = \
	%D%/ops_reduction_special.c \
	%D%/test_ops_reduction.c \
	%D%/topics.h
%C%_test_ops_reduction_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_reduction_LDADD = $(MLS_OP_TEST_LIBS)
%C%_test_ops_axis_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_axis_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_ml_references
TESTS += %D%/test_ops_ml_references
%C%_test_ops_ml_references_SOURCES = %D%/test_ops_ml_references.c \
	%D%/ml_references_features.h %D%/ml_references_linear.h %D%/ml_references_svm.h \
	%D%/ml_references_trees.h
%C%_test_ops_ml_references_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_ml_references_LDADD = $(MLS_OP_TEST_LIBS)
EXTRA_DIST += %D%/make_ml_references.py

check_PROGRAMS += %D%/test_ops_ml_features %D%/test_ops_ml_linear
TESTS += %D%/test_ops_ml_features %D%/test_ops_ml_linear
%C%_test_ops_ml_features_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_ml_features_LDADD = $(MLS_OP_TEST_LIBS)
%C%_test_ops_ml_linear_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_ml_linear_LDADD = $(MLS_OP_TEST_LIBS)

# Ops that go by indices.
check_PROGRAMS += %D%/test_ops_indexing
TESTS += %D%/test_ops_indexing
%C%_test_ops_indexing_SOURCES = \
	%D%/indexing_test.c %D%/indexing_test.h \
	%D%/ops_sequences.c \
	%D%/ops_tuples.c \
	%D%/test_ops_indexing.c \
	%D%/topics.h
%C%_test_ops_indexing_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_indexing_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_quantize
TESTS += %D%/test_ops_quantize
%C%_test_ops_quantize_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_quantize_LDADD = $(MLS_OP_TEST_LIBS)
# Remainders, shifts and bits; triangles, determinants and marks.
check_PROGRAMS += %D%/test_ops_bits %D%/test_ops_matrix
TESTS += %D%/test_ops_bits %D%/test_ops_matrix
%C%_test_ops_bits_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_bits_LDADD = $(MLS_OP_TEST_LIBS)
%C%_test_ops_matrix_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_matrix_LDADD = $(MLS_OP_TEST_LIBS)
# Recurrent layers.
check_PROGRAMS += %D%/test_ops_recurrent
TESTS += %D%/test_ops_recurrent
%C%_test_ops_recurrent_SOURCES = \
	%D%/rnn_case.c %D%/rnn_case.h \
	%D%/test_ops_recurrent.c
%C%_test_ops_recurrent_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_recurrent_LDADD = $(MLS_OP_TEST_LIBS)
# Losses.
check_PROGRAMS += %D%/test_ops_loss
TESTS += %D%/test_ops_loss
%C%_test_ops_loss_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_loss_LDADD = $(MLS_OP_TEST_LIBS)

# Normalisations.
check_PROGRAMS += %D%/test_ops_norm
TESTS += %D%/test_ops_norm
%C%_test_ops_norm_SOURCES = \
	%D%/norm_test.h \
	%D%/ops_norm_channels.c \
	%D%/test_ops_norm.c \
	%D%/topics.h
%C%_test_ops_norm_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_norm_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_einsum
TESTS += %D%/test_ops_einsum
%C%_test_ops_einsum_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_einsum_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_conv
TESTS += %D%/test_ops_conv
%C%_test_ops_conv_SOURCES = \
	%D%/conv_case.c %D%/conv_case.h \
	%D%/test_ops_conv.c
%C%_test_ops_conv_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_conv_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_conv_pooled
TESTS += %D%/test_ops_conv_pooled
%C%_test_ops_conv_pooled_SOURCES = \
	%D%/conv_case.c %D%/conv_case.h \
	%D%/test_ops_conv_pooled.c
%C%_test_ops_conv_pooled_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_conv_pooled_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_stack
TESTS += %D%/test_ops_stack
%C%_test_ops_stack_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_stack_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_deform_conv
TESTS += %D%/test_ops_deform_conv
%C%_test_ops_deform_conv_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_deform_conv_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_fast
TESTS += %D%/test_ops_fast
%C%_test_ops_fast_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_fast_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_int8_product
TESTS += %D%/test_ops_int8_product
%C%_test_ops_int8_product_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_int8_product_LDADD = $(MLS_OP_TEST_LIBS)

# Pools.
check_PROGRAMS += %D%/test_ops_pool
TESTS += %D%/test_ops_pool
%C%_test_ops_pool_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_pool_LDADD = $(MLS_OP_TEST_LIBS)

# Attention.
check_PROGRAMS += %D%/test_ops_attention
TESTS += %D%/test_ops_attention
%C%_test_ops_attention_SOURCES = \
	%D%/ops_fused_attention.c \
	%D%/ops_rotary.c \
	%D%/test_ops_attention.c \
	%D%/topics.h
%C%_test_ops_attention_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_attention_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_contrib_attention %D%/test_ops_group_attention
TESTS += %D%/test_ops_contrib_attention %D%/test_ops_group_attention
check_PROGRAMS += %D%/test_ops_block_quantized
TESTS += %D%/test_ops_block_quantized
%C%_test_ops_block_quantized_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_block_quantized_LDADD = $(MLS_OP_TEST_LIBS)
%C%_test_ops_group_attention_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_group_attention_LDADD = $(MLS_OP_TEST_LIBS)
%C%_test_ops_contrib_attention_SOURCES = \
	%D%/contrib_scene.c %D%/contrib_scene.h \
	%D%/ops_contrib_rotary.c \
	%D%/test_ops_contrib_attention.c \
	%D%/topics.h
%C%_test_ops_contrib_attention_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_contrib_attention_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_linear_attention
TESTS += %D%/test_ops_linear_attention
%C%_test_ops_linear_attention_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_linear_attention_LDADD = $(MLS_OP_TEST_LIBS)

# Ops that draw random numbers.
check_PROGRAMS += %D%/test_ops_random
TESTS += %D%/test_ops_random
%C%_test_ops_random_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_random_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_int8_conv
TESTS += %D%/test_ops_int8_conv
%C%_test_ops_int8_conv_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_int8_conv_LDADD = $(MLS_OP_TEST_LIBS)
# Ops of com.microsoft.
check_PROGRAMS += %D%/test_ops_contrib
TESTS += %D%/test_ops_contrib
%C%_test_ops_contrib_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_contrib_LDADD = $(MLS_OP_TEST_LIBS)

# Images.
check_PROGRAMS += %D%/test_ops_resize
TESTS += %D%/test_ops_resize
%C%_test_ops_resize_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_resize_LDADD = $(MLS_OP_TEST_LIBS)

check_PROGRAMS += %D%/test_ops_qlinear
TESTS += %D%/test_ops_qlinear
%C%_test_ops_qlinear_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_qlinear_LDADD = $(MLS_OP_TEST_LIBS)
check_PROGRAMS += %D%/test_ops_image
TESTS += %D%/test_ops_image
%C%_test_ops_image_SOURCES = \
	%D%/image_test.h \
	%D%/ops_roi.c \
	%D%/test_ops_image.c \
	%D%/topics.h
%C%_test_ops_image_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_image_LDADD = $(MLS_OP_TEST_LIBS)

# Ops of signals.
check_PROGRAMS += %D%/test_ops_spectral
TESTS += %D%/test_ops_spectral
%C%_test_ops_spectral_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_spectral_LDADD = $(MLS_OP_TEST_LIBS)
# Ops whose dims follow from contents.
check_PROGRAMS += %D%/test_ops_late
TESTS += %D%/test_ops_late
%C%_test_ops_late_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_late_LDADD = $(MLS_OP_TEST_LIBS)

# Ops on texts.
check_PROGRAMS += %D%/test_ops_text
TESTS += %D%/test_ops_text
%C%_test_ops_text_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_ops_text_LDADD = $(MLS_OP_TEST_LIBS)
