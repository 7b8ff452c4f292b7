# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/backfill.c %D%/backfill.h \
	%D%/civil.c %D%/civil.h \
	%D%/claimer.c \
	%D%/costs.c %D%/costs.h \
	%D%/cron.c %D%/cron.h \
	%D%/cron_parse.c \
	%D%/job.c %D%/job.h \
	%D%/lifecycle.c %D%/lifecycle.h \
	%D%/poll.c \
	%D%/queue.c %D%/queue.h \
	%D%/resources.c %D%/resources.h \
	%D%/rules.c %D%/rules.h \
	%D%/run.c \
	%D%/schedules.c %D%/schedules.h \
	%D%/slot.c \
	%D%/start.c \
	%D%/stop.c \
	%D%/submit.c \
	%D%/url.c %D%/url.h \
	%D%/worker.c %D%/worker.h \
	%D%/zone.c %D%/zone.h \
	%D%/zone_rule.c %D%/zone_rule.h
