# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/graph.c %D%/graph.h \
	%D%/attributes.c \
	%D%/model.c %D%/model.h \
	%D%/model_info.c \
	%D%/sort.c \
	%D%/weights.c %D%/weights.h \
	%D%/passes/passes.c %D%/passes/passes.h \
	%D%/passes/dead_code.c \
	%D%/passes/block_channels.c \
	%D%/passes/fold_constants.c \
	%D%/passes/fold_pad.c \
	%D%/passes/fold_batch_norm.c \
	%D%/passes/fuse_conv.c \
	%D%/passes/fuse_max_pool.c \
	%D%/passes/formula.c %D%/passes/formula.h \
	%D%/passes/fuse_attention.c \
	%D%/passes/fuse_gate.c \
	%D%/passes/fuse_gelu.c \
	%D%/passes/fuse_norm.c \
	%D%/passes/fuse_gemm.c \
	%D%/passes/fuse_pointwise.c \
	%D%/passes/keep_wide.c \
	%D%/passes/image_dims.c %D%/passes/image_dims.h \
	%D%/passes/images.c %D%/passes/images.h \
	%D%/passes/matching.c %D%/passes/matching.h \
	%D%/passes/rewrite_bodies.c \
	%D%/passes/stack_convs.c \
	%D%/schema/schema.c %D%/schema/schema.h %D%/schema/families.h \
	%D%/schema/attributes.c \
	%D%/schema/elementwise.c \
	%D%/schema/pointwise.c

# Ops that move data.
libmls_core_la_SOURCES += \
	%D%/schema/generate.c \
	%D%/schema/movement.c \
	%D%/schema/views.c

# Ops whose dims follow from contents.
libmls_core_la_SOURCES += %D%/schema/late.c

# Images.
libmls_core_la_SOURCES += %D%/schema/image.c

# What a matrix is made of.
libmls_core_la_SOURCES += %D%/schema/matrix.c
# Convolutions.
libmls_core_la_SOURCES += %D%/schema/convolution.c %D%/schema/stack.c

# Matrix products.
libmls_core_la_SOURCES += %D%/schema/einsum.c %D%/schema/product.c
# Ops of ai.onnx.ml.
libmls_core_la_SOURCES += \
	%D%/schema/ml.c %D%/schema/ml.h \
	%D%/schema/ml_features.c \
	%D%/schema/ml_maps.c \
	%D%/schema/ml_linear.c \
	%D%/schema/ml_trees.c

# Ops that go by indices.
libmls_core_la_SOURCES += %D%/schema/indexing.c
# Ops that draw random numbers.
libmls_core_la_SOURCES += %D%/schema/random.c
# Ops of signals.
libmls_core_la_SOURCES += %D%/schema/spectral.c
# Ops on texts.
libmls_core_la_SOURCES += %D%/schema/text.c
# Quantized elements.
libmls_core_la_SOURCES += %D%/passes/fuse_quantized.c %D%/passes/put_channels_last.c
libmls_core_la_SOURCES += %D%/passes/fuse_integer.c
libmls_core_la_SOURCES += %D%/schema/quantize.c
libmls_core_la_SOURCES += %D%/schema/int8_convolution.c
libmls_core_la_SOURCES += %D%/schema/int8_product.c %D%/schema/product.h
libmls_core_la_SOURCES += %D%/schema/qlinear.c %D%/schema/block_quantized.c
# Subgraphs, sequences, optionals.
libmls_core_la_SOURCES += %D%/schema/control.c
# Attention and recurrent layers.
libmls_core_la_SOURCES += %D%/schema/attention.c %D%/schema/contrib_attention.c \
	%D%/schema/contrib_attention.h %D%/schema/group_attention.c \
	%D%/schema/linear_attention.c \
	%D%/schema/recurrent.c

# Reductions.
libmls_core_la_SOURCES += %D%/schema/reduction.c

# Losses.
libmls_core_la_SOURCES += %D%/schema/loss.c

# Normalisations.
libmls_core_la_SOURCES += %D%/schema/norm.c %D%/schema/pooling.c

# Ops of com.microsoft.
libmls_core_la_SOURCES += %D%/schema/contrib.c
