# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/backend.c %D%/cpu.h \
	%D%/kernels/list.c %D%/kernels/kernels.h \
	%D%/math/f64.c %D%/math/f64.h \
	%D%/ops/binary.c %D%/ops/binary.h \
	%D%/ops/binary_loops.c %D%/ops/binary_loops.h \
	%D%/ops/broadcast.c %D%/ops/broadcast.h \
	%D%/ops/cast.c \
	%D%/ops/classify.c \
	%D%/ops/clip.c \
	%D%/ops/convert.c %D%/ops/convert.h \
	%D%/ops/families.h \
	%D%/ops/half.h \
	%D%/ops/number_text.c %D%/ops/number_text.h \
	%D%/ops/pow.c \
	%D%/ops/ranges.c %D%/ops/ranges.h \
	%D%/ops/unary.c \
	%D%/ops/unary_loops.c %D%/ops/unary_loops.h \
	%D%/ops/variadic.c \
	%D%/ops/where.c

# Chains of the above.
libmls_core_la_SOURCES += \
	%D%/ops/pointwise.c %D%/ops/pointwise.h \
	%D%/ops/pointwise_run.c

# Ops that move data.
libmls_core_la_SOURCES += \
	%D%/ops/copy.c %D%/ops/copy.h \
	%D%/ops/gather.c \
	%D%/ops/gather_blocks.c \
	%D%/ops/generate.c \
	%D%/ops/join.c \
	%D%/ops/pad.c \
	%D%/ops/rearrange.c \
	%D%/ops/tile.c %D%/ops/tile.h \
	%D%/ops/views.c

# What a matrix is made of, and positions marked in a tensor.
libmls_core_la_SOURCES += \
	%D%/ops/det.c \
	%D%/ops/diagonal.c \
	%D%/ops/hardmax.c \
	%D%/ops/one_hot.c

# Ops whose dims follow from contents.
libmls_core_la_SOURCES += \
	%D%/ops/non_max.c \
	%D%/ops/select.c \
	%D%/ops/unique.c

# Images.
libmls_core_la_SOURCES += \
	%D%/ops/affine_grid.c \
	%D%/ops/col2im.c \
	%D%/ops/depth_space.c \
	%D%/ops/grid_sample.c \
	%D%/ops/max_roi_pool.c \
	%D%/ops/resize.c %D%/ops/resize.h \
	%D%/ops/resize_nearest.c \
	%D%/ops/resize_taps.c %D%/ops/resize_taps.h \
	%D%/ops/roi.c %D%/ops/roi.h \
	%D%/ops/roi_align.c

# Matrix products.
libmls_core_la_SOURCES += \
	%D%/ops/activation.c %D%/ops/activation.h \
	%D%/ops/block_product.c %D%/ops/block_product.h %D%/ops/block_product_pack.c \
	%D%/ops/einsum.c %D%/ops/einsum.h %D%/ops/einsum_plan.c \
	%D%/ops/fast.c %D%/ops/fast.h \
	%D%/ops/pack.c %D%/ops/pack.h \
	%D%/ops/product.c %D%/ops/product.h %D%/ops/product_ops.c \
	%D%/ops/product_fast.c %D%/ops/product_plain.c %D%/ops/product_plan.c

# Quantized elements.
libmls_core_la_SOURCES += \
	%D%/ops/qlinear.h %D%/ops/qlinear_binary.c \
	%D%/ops/qlinear_map.c %D%/ops/qlinear_pool.c
libmls_core_la_SOURCES += \
	%D%/ops/int8_conv.c %D%/ops/int8_conv.h \
	%D%/ops/int8_conv_depth.c %D%/ops/int8_conv_ops.c \
	%D%/ops/int8_last.c %D%/ops/int8_last_depth.c
libmls_core_la_SOURCES += \
	%D%/ops/int8_product.c %D%/ops/int8_product.h %D%/ops/int8_product_ops.c \
	%D%/ops/quantize.c \
	%D%/ops/quantize_dynamic.c %D%/ops/quantize_dynamic.h
# Convolutions.
libmls_core_la_SOURCES += \
	%D%/ops/blocks.c %D%/ops/blocked_pool.c \
	%D%/ops/conv.c %D%/ops/conv.h %D%/ops/conv_along.c %D%/ops/conv_band.c \
	%D%/ops/conv_direct.c %D%/ops/conv_fast.c %D%/ops/conv_ops.c %D%/ops/conv_pack.c \
	%D%/ops/conv_pooled.c %D%/ops/conv_rows.c %D%/ops/conv_tasks.h \
	%D%/ops/deform_conv.c \
	%D%/ops/fold_batch_norm.c \
	%D%/ops/stack.c %D%/ops/stack.h %D%/ops/stack_run.c

# Ops of ai.onnx.ml.
libmls_core_la_SOURCES += \
	%D%/ops/ml_numbers.c %D%/ops/ml_numbers.h \
	%D%/ops/ml_columns.c \
	%D%/ops/ml_encoders.c \
	%D%/ops/ml_features.c \
	%D%/ops/ml_maps.c \
	%D%/ops/ml_linear.c \
	%D%/ops/ml_lookup.c %D%/ops/ml_lookup.h \
	%D%/ops/ml_product.c %D%/ops/ml_product.h \
	%D%/ops/ml_rows.c %D%/ops/ml_rows.h \
	%D%/ops/ml_scores.c %D%/ops/ml_scores.h \
	%D%/ops/ml_svm.c %D%/ops/ml_svm.h \
	%D%/ops/ml_svm_classify.c \
	%D%/ops/ml_tree_finish.c %D%/ops/ml_tree_finish.h \
	%D%/ops/ml_tree_index.c %D%/ops/ml_tree_index.h \
	%D%/ops/ml_tree_lower.c \
	%D%/ops/ml_tree_pack.c \
	%D%/ops/ml_tree_read.c \
	%D%/ops/ml_tree_read5.c \
	%D%/ops/ml_tree_scan.c %D%/ops/ml_tree_scan.h \
	%D%/ops/ml_trees.c %D%/ops/ml_trees.h

# Ops that draw random numbers.
libmls_core_la_SOURCES += \
	%D%/math/turn.c %D%/math/turn.h \
	%D%/ops/multinomial.c \
	%D%/ops/random.c %D%/ops/random.h

# Ops of signals.
libmls_core_la_SOURCES += \
	%D%/ops/dft.c \
	%D%/ops/fft.c %D%/ops/fft.h \
	%D%/ops/tfidf.c \
	%D%/ops/window.c

# Ops that go by indices.
libmls_core_la_SOURCES += \
	%D%/ops/combine.c %D%/ops/combine.h \
	%D%/ops/element_walk.c %D%/ops/element_walk.h \
	%D%/ops/gather_elements.c \
	%D%/ops/gather_nd.c \
	%D%/ops/indices.c %D%/ops/indices.h \
	%D%/ops/scatter_elements.c \
	%D%/ops/scatter_nd.c \
	%D%/ops/sequence_moves.c \
	%D%/ops/tuples.c %D%/ops/tuples.h
# Attention.
libmls_core_la_SOURCES += \
	%D%/ops/attend.c %D%/ops/attend.h \
	%D%/ops/attend_block.c %D%/ops/attend_item.h \
	%D%/ops/attend_panels.c %D%/ops/attend_rows.c \
	%D%/ops/attention.c %D%/ops/fused_attention.c %D%/ops/fused_matmul.c \
	%D%/ops/causal_conv.c %D%/ops/linear_attention.c \
	%D%/ops/multi_head.c \
	%D%/ops/group_attention.c \
	%D%/ops/padding_mask.c %D%/ops/padding_mask.h \
	%D%/ops/projected_attention.c \
	%D%/ops/rotary.c %D%/ops/rotary.h

# Recurrent layers.
libmls_core_la_SOURCES += \
	%D%/ops/recurrent.c %D%/ops/recurrent.h %D%/ops/recurrent_f64.c \
	%D%/ops/recurrent_pack.c %D%/ops/recurrent_run.c

# Losses.
libmls_core_la_SOURCES += %D%/ops/loss.c

# Reductions, and what else goes along an axis.
libmls_core_la_SOURCES += \
	%D%/ops/cumsum.c \
	%D%/ops/order_key.c %D%/ops/order_key.h \
	%D%/ops/position.c \
	%D%/ops/reduce.c %D%/ops/reduce.h %D%/ops/reduce_finish.c \
	%D%/ops/reduce_plain.c %D%/ops/reduce_plain.h \
	%D%/ops/softmax.c %D%/ops/softmax.h \
	%D%/ops/top_k.c

# Normalisations.
libmls_core_la_SOURCES += \
	%D%/ops/float_work.c %D%/ops/float_work.h \
	%D%/ops/lp_norm.c \
	%D%/ops/lrn.c \
	%D%/ops/mvn.c \
	%D%/ops/norm_channels.c \
	%D%/ops/norm_plain.c %D%/ops/norm_plain.h \
	%D%/ops/norm_rows.c

# Ops of com.microsoft.
libmls_core_la_SOURCES += \
	%D%/ops/bias_gelu.c \
	%D%/ops/embed_norm.c

# Pools.
libmls_core_la_SOURCES += \
	%D%/ops/global_pool.c \
	%D%/ops/max_unpool.c \
	%D%/ops/pool.c %D%/ops/pool.h %D%/ops/pool_indices.c \
	%D%/ops/pool_plain.c %D%/ops/pool_plain.h

# The kernels are written once over the virtual vector (simd/simd.h) and compiled once
# an instruction set, each time into a library of their own. -fno-trapping-math changes
# no result; it lets the compiler vectorise the portable set.
mls_kernel_sources = \
	%D%/kernels/conv.c %D%/kernels/conv.h %D%/kernels/conv_tile.h \
	%D%/kernels/conv_blocks.c %D%/kernels/conv_depthwise.c \
	%D%/kernels/conv_plain.c %D%/kernels/conv_rows.c \
	%D%/kernels/elementwise.c %D%/kernels/elementwise.h \
	%D%/kernels/gemm.c %D%/kernels/gemm.h \
	%D%/kernels/gemm_bf16.c %D%/kernels/gemm_bf16.h %D%/simd/dot2.h \
	%D%/kernels/gemm_int8.c %D%/kernels/gemm_int8.h \
	%D%/simd/bytes.h %D%/simd/dot.h \
	%D%/kernels/gemm_int8_depth.c %D%/kernels/gemm_int8_finish.c \
	%D%/kernels/gemm_int8_operands.c %D%/kernels/gemm_int8_taps.c \
	%D%/kernels/gemm_plain.c %D%/kernels/gemm_plain_type.h \
	%D%/kernels/kernels.h \
	%D%/kernels/block_weights.c %D%/kernels/block_weights.h \
	%D%/kernels/quantize.c %D%/kernels/quantize.h \
	%D%/kernels/linear_attention.c %D%/kernels/linear_attention.h \
	%D%/kernels/recurrent.c %D%/kernels/recurrent.h \
	%D%/kernels/norm.c %D%/kernels/norm.h \
	%D%/kernels/pool.c %D%/kernels/pool.h \
	%D%/kernels/reduce.c %D%/kernels/reduce.h \
	%D%/kernels/resize.c %D%/kernels/resize.h \
	%D%/kernels/row_ops.h \
	%D%/kernels/softmax.c %D%/kernels/softmax.h \
	%D%/kernels/scores.c %D%/kernels/scores.h \
	%D%/kernels/svm.c %D%/kernels/svm.h \
	%D%/kernels/table.c \
	%D%/kernels/tree.c %D%/kernels/tree.h %D%/kernels/tree_aggregate.h \
	%D%/kernels/tree_scan.c \
	%D%/kernels/unary_ops.h \
	%D%/math/f64_inline.h %D%/math/f64_tables.h \
	%D%/math/f64_trig_inline.h %D%/math/f64_trig_tables.h \
	%D%/simd/avx2.h %D%/simd/avx512.h %D%/simd/math.h %D%/simd/neon.h %D%/simd/portable.h \
	%D%/simd/simd.h %D%/simd/trig.h

EXTRA_DIST += %D%/math/make_tables.py %D%/math/make_trig_tables.py

MLS_KERNEL_CFLAGS = $(AM_CFLAGS) $(MLS_SANITIZE_KERNEL_FLAGS) -fno-trapping-math
MLS_PORTABLE_CFLAGS = $(MLS_KERNEL_CFLAGS) -DMLS_SIMD_PORTABLE=1
MLS_AVX2_CFLAGS = $(MLS_KERNEL_CFLAGS) -DMLS_SIMD_AVX2=1 -mavx2 -mfma -mf16c
MLS_AVX512_CFLAGS = $(MLS_KERNEL_CFLAGS) -DMLS_SIMD_AVX512=1 \
	-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
MLS_AVX2VNNI_CFLAGS = $(MLS_AVX2_CFLAGS) -DMLS_SIMD_VNNI=1 -mavxvnni
MLS_AVX512VNNI_CFLAGS = $(MLS_AVX512_CFLAGS) -DMLS_SIMD_VNNI=1 -mavx512vnni
MLS_AVX512BF16_CFLAGS = $(MLS_AVX512VNNI_CFLAGS) -DMLS_SIMD_BF16=1 -mavx512bf16
MLS_AMX_CFLAGS = $(MLS_AVX512BF16_CFLAGS) -DMLS_SIMD_AMX=1 -mamx-tile -mamx-bf16
MLS_NEON_CFLAGS = $(MLS_KERNEL_CFLAGS) -DMLS_SIMD_NEON=1

noinst_LTLIBRARIES += libmls_kernels_portable.la
libmls_core_la_LIBADD += libmls_kernels_portable.la
libmls_kernels_portable_la_SOURCES = $(mls_kernel_sources)
libmls_kernels_portable_la_CFLAGS = $(MLS_PORTABLE_CFLAGS)

if MLS_ARCH_X86_64
noinst_LTLIBRARIES += libmls_kernels_avx2.la libmls_kernels_avx512.la
libmls_core_la_LIBADD += libmls_kernels_avx2.la libmls_kernels_avx512.la
libmls_kernels_avx2_la_SOURCES = $(mls_kernel_sources)
libmls_kernels_avx2_la_CFLAGS = $(MLS_AVX2_CFLAGS)
libmls_kernels_avx512_la_SOURCES = $(mls_kernel_sources)
libmls_kernels_avx512_la_CFLAGS = $(MLS_AVX512_CFLAGS)

# What VNNI is for, and tables that have the rest from the sets above.
mls_vnni_sources = %D%/kernels/gemm_int8.c %D%/kernels/gemm_int8_depth.c \
	%D%/kernels/gemm_int8_finish.c %D%/kernels/gemm_int8_operands.c \
	%D%/kernels/gemm_int8_taps.c %D%/kernels/table.c
noinst_LTLIBRARIES += libmls_kernels_avx2vnni.la libmls_kernels_avx512vnni.la
libmls_core_la_LIBADD += libmls_kernels_avx2vnni.la libmls_kernels_avx512vnni.la
libmls_kernels_avx2vnni_la_SOURCES = $(mls_vnni_sources)
libmls_kernels_avx2vnni_la_CFLAGS = $(MLS_AVX2VNNI_CFLAGS)
libmls_kernels_avx512vnni_la_SOURCES = $(mls_vnni_sources)
libmls_kernels_avx512vnni_la_CFLAGS = $(MLS_AVX512VNNI_CFLAGS)

# Likewise what is for products of bfloat16.
noinst_LTLIBRARIES += libmls_kernels_avx512bf16.la libmls_kernels_amx.la
libmls_core_la_LIBADD += libmls_kernels_avx512bf16.la libmls_kernels_amx.la
libmls_kernels_avx512bf16_la_SOURCES = %D%/kernels/gemm_bf16.c %D%/kernels/table.c
libmls_kernels_avx512bf16_la_CFLAGS = $(MLS_AVX512BF16_CFLAGS)
libmls_kernels_amx_la_SOURCES = %D%/kernels/gemm_tiles.c %D%/simd/tiles.h %D%/kernels/table.c
libmls_kernels_amx_la_CFLAGS = $(MLS_AMX_CFLAGS)
endif

if MLS_ARCH_ARM64
noinst_LTLIBRARIES += libmls_kernels_neon.la
libmls_core_la_LIBADD += libmls_kernels_neon.la
libmls_kernels_neon_la_SOURCES = $(mls_kernel_sources)
libmls_kernels_neon_la_CFLAGS = $(MLS_NEON_CFLAGS)
endif
