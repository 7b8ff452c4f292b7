# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/elementwise.c \
	%D%/files.c %D%/files.h \
	%D%/layout.c \
	%D%/load.c \
	%D%/local.c %D%/local.h \
	%D%/manifest.c %D%/manifest.h \
	%D%/matmul.c \
	%D%/mesh.c \
	%D%/redistribute.c \
	%D%/reduce.c \
	%D%/route.c \
	%D%/save.c \
	%D%/sharded.h \
	%D%/spread.c \
	%D%/swap.c \
	%D%/tensor.c
