# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/op.c %D%/op.h \
	%D%/movement.c %D%/movement.h \
	%D%/pointwise.c %D%/pointwise.h

libmls_core_la_SOURCES += %D%/convolution.c %D%/convolution.h
libmls_core_la_SOURCES += %D%/stack.c %D%/stack.h
libmls_core_la_SOURCES += %D%/deform.c %D%/deform.h

libmls_core_la_SOURCES += %D%/pooling.c %D%/pooling.h
libmls_core_la_SOURCES += %D%/resize.c %D%/resize.h
libmls_core_la_SOURCES += %D%/image.c %D%/image.h
libmls_core_la_SOURCES += %D%/reduction.c %D%/reduction.h
libmls_core_la_SOURCES += %D%/indexing.c %D%/indexing.h

libmls_core_la_SOURCES += %D%/quantize.c %D%/quantize.h
libmls_core_la_SOURCES += %D%/einsum.c %D%/einsum.h

libmls_core_la_SOURCES += %D%/int8_product.c %D%/int8_product.h
libmls_core_la_SOURCES += %D%/int8_convolution.c %D%/int8_convolution.h

libmls_core_la_SOURCES += %D%/padding.c %D%/padding.h
libmls_core_la_SOURCES += %D%/group_attention.h
libmls_core_la_SOURCES += %D%/block_product.c %D%/block_product.h
libmls_core_la_SOURCES += %D%/block_gather.c %D%/block_gather.h
libmls_core_la_SOURCES += %D%/spectral.c %D%/spectral.h
libmls_core_la_SOURCES += %D%/tfidf.c %D%/tfidf.h
