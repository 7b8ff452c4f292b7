# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/backfill.c %D%/backfill.h \
	%D%/claimer.c \
	%D%/job.c %D%/job.h \
	%D%/lifecycle.c %D%/lifecycle.h \
	%D%/poll.c \
	%D%/queue.c %D%/queue.h \
	%D%/resources.c %D%/resources.h \
	%D%/rules.c %D%/rules.h \
	%D%/run.c \
	%D%/slot.c \
	%D%/submit.c \
	%D%/url.c %D%/url.h \
	%D%/worker.c %D%/worker.h
