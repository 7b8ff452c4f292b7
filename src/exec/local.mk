# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/bind.c \
	%D%/dims.c %D%/dims.h \
	%D%/infer.c \
	%D%/memory.c \
	%D%/plan.c %D%/plan.h \
	%D%/run.c \
	%D%/session.c %D%/session.h
