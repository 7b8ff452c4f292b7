# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/attributes.c \
	%D%/bodies.c \
	%D%/count.c \
	%D%/external.c %D%/external.h \
	%D%/functions.c \
	%D%/lists.c \
	%D%/load.c \
	%D%/nodes.c \
	%D%/proto.c %D%/proto.h \
	%D%/reader.h \
	%D%/reading.h \
	%D%/sparse.c \
	%D%/tensor.c %D%/tensor.h \
	%D%/tensor_file.c \
	%D%/types.c \
	%D%/values.c \
	%D%/wire.c %D%/wire.h \
	%D%/translate/translate.c %D%/translate/translate.h \
	%D%/translate/constant.c \
	%D%/translate/control.c \
	%D%/translate/contrib.c \
	%D%/translate/early.c \
	%D%/translate/image.c \
	%D%/translate/spectral.c \
	%D%/translate/indexing.c \
	%D%/translate/maps.c \
	%D%/translate/movement.c \
	%D%/translate/nn.c \
	%D%/translate/norm.c \
	%D%/translate/quantized_lstm.c \
	%D%/translate/reduce.c
