# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/bind.c \
	%D%/dims.c %D%/dims.h \
	%D%/flow_session.c \
	%D%/infer.c \
	%D%/memory.c %D%/parts.c \
	%D%/plan.c %D%/plan.h \
	%D%/report.c \
	%D%/run.c \
	%D%/seal.c \
	%D%/session.c %D%/session.h \
	%D%/walk.c

# What one plan cannot run.
libmls_core_la_SOURCES += \
	%D%/flow/control.c %D%/flow/control.h \
	%D%/flow/flow.c %D%/flow/flow.h \
	%D%/flow/join.c \
	%D%/flow/map.c \
	%D%/flow/object.c %D%/flow/object.h \
	%D%/flow/optional.c \
	%D%/flow/partition.c %D%/flow/partition.h \
	%D%/flow/pool.c %D%/flow/pool.h \
	%D%/flow/scan.c \
	%D%/flow/segment.c \
	%D%/flow/sequence.c \
	%D%/flow/text.c \
	%D%/flow/visit.c
