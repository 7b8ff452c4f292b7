# SPDX-License-Identifier: Apache-2.0
# Tests of kernels and of what they are written in, called as they are, by one thread.
CPU_KERNEL_TESTS = \
	%D%/test_bits \
	%D%/test_elementwise \
	%D%/test_f64 \
	%D%/test_gemm \
	%D%/test_gemm_bf16 \
	%D%/test_math \
	%D%/test_reduce \
	%D%/test_simd \
	%D%/test_tree
check_PROGRAMS += $(CPU_KERNEL_TESTS)
TESTS += $(CPU_KERNEL_TESTS)

# The vector's primitives as functions, compiled once an instruction set.
check_LTLIBRARIES += libsimd_ops_portable.la
libsimd_ops_portable_la_SOURCES = %D%/simd_ops.c %D%/simd_ops.h
libsimd_ops_portable_la_CFLAGS = $(MLS_PORTABLE_CFLAGS)
MLS_SIMD_OPS = libsimd_ops_portable.la
if MLS_ARCH_X86_64
check_LTLIBRARIES += libsimd_ops_avx2.la libsimd_ops_avx512.la
libsimd_ops_avx2_la_SOURCES = %D%/simd_ops.c %D%/simd_ops.h
libsimd_ops_avx2_la_CFLAGS = $(MLS_AVX2_CFLAGS)
libsimd_ops_avx512_la_SOURCES = %D%/simd_ops.c %D%/simd_ops.h
libsimd_ops_avx512_la_CFLAGS = $(MLS_AVX512_CFLAGS)
MLS_SIMD_OPS += libsimd_ops_avx2.la libsimd_ops_avx512.la
endif
if MLS_ARCH_ARM64
check_LTLIBRARIES += libsimd_ops_neon.la
libsimd_ops_neon_la_SOURCES = %D%/simd_ops.c %D%/simd_ops.h
libsimd_ops_neon_la_CFLAGS = $(MLS_NEON_CFLAGS)
MLS_SIMD_OPS += libsimd_ops_neon.la
endif

%C%_test_bits_SOURCES = %D%/test_bits.c %D%/cpu_test.h
%C%_test_bits_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_bits_LDADD = $(MLS_TEST_LIBS)
%C%_test_elementwise_SOURCES = %D%/test_elementwise.c %D%/cpu_test.h
%C%_test_elementwise_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_elementwise_LDADD = $(MLS_TEST_LIBS)
%C%_test_f64_SOURCES = %D%/test_f64.c %D%/cpu_test.h %D%/f64_reference.h \
	%D%/f64_trig_reference.h
%C%_test_f64_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_f64_LDADD = $(MLS_TEST_LIBS)
EXTRA_DIST += %D%/make_f64_reference.py
%C%_test_gemm_SOURCES = %D%/test_gemm.c %D%/cpu_test.h
%C%_test_gemm_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_gemm_LDADD = $(MLS_TEST_LIBS)
%C%_test_gemm_bf16_SOURCES = %D%/test_gemm_bf16.c %D%/tile_model.c %D%/cpu_test.h
%C%_test_gemm_bf16_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_gemm_bf16_LDADD = $(MLS_TEST_LIBS)
%C%_test_math_SOURCES = %D%/test_math.c %D%/cpu_test.h
%C%_test_math_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_math_LDADD = $(MLS_TEST_LIBS)
%C%_test_reduce_SOURCES = %D%/test_reduce.c %D%/cpu_test.h
%C%_test_reduce_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_reduce_LDADD = $(MLS_TEST_LIBS)
%C%_test_simd_SOURCES = \
	%D%/cpu_test.h \
	%D%/simd_halves.c \
	%D%/simd_integers.c \
	%D%/simd_test.h \
	%D%/test_simd.c
%C%_test_simd_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_simd_LDADD = $(MLS_SIMD_OPS) $(MLS_TEST_LIBS)
%C%_test_tree_SOURCES = %D%/test_tree.c %D%/ml_forest.c %D%/ml_forest.h %D%/cpu_test.h
%C%_test_tree_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tree_LDADD = $(MLS_OP_TEST_LIBS)
