# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/copy.c \
	%D%/dlpack.c %D%/dlpack.h \
	%D%/dtype.c %D%/dtype.h \
	%D%/float_format.c %D%/float_format.h \
	%D%/npy.c \
	%D%/shape.c %D%/shape.h \
	%D%/tensor.c %D%/tensor.h \
	%D%/views.c
