# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/builtin.c \
	%D%/context.c \
	%D%/drivers.c %D%/drivers.h
