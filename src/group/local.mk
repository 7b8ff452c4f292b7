# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/call.c \
	%D%/calls.c \
	%D%/check.c \
	%D%/choice.c %D%/choice.h \
	%D%/engine.c \
	%D%/exchange.c \
	%D%/failure.c \
	%D%/flat.c \
	%D%/group.c %D%/group.h \
	%D%/halves.c %D%/halves.h \
	%D%/header.c %D%/header.h \
	%D%/launched.c \
	%D%/message.c \
	%D%/move.c \
	%D%/open.c \
	%D%/piped.c \
	%D%/reduce.c %D%/reduce.h \
	%D%/reduction.c %D%/reduction.h \
	%D%/regroup.c \
	%D%/staged.c \
	%D%/state.c %D%/state.h \
	%D%/stream.c %D%/stream.h \
	%D%/swap.c \
	%D%/tensor.c \
	%D%/tree.c %D%/tree.h \
	%D%/work.c
