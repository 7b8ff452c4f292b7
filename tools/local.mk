# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += mlscale
mlscale_SOURCES = \
	%D%/mlscale/at_once.c %D%/mlscale/at_once.h \
	%D%/mlscale/bench_group.h \
	%D%/mlscale/bench_ops.c \
	%D%/mlscale/bench_ring.c \
	%D%/mlscale/cmd_bench.c \
	%D%/mlscale/cmd_bench_group.c \
	%D%/mlscale/cmd_inspect.c \
	%D%/mlscale/cmd_launch.c \
	%D%/mlscale/cmd_queue.c %D%/mlscale/cmd_queue.h \
	%D%/mlscale/cmd_queue_jobs.c \
	%D%/mlscale/cmd_queue_list.c \
	%D%/mlscale/cmd_queue_needs.c \
	%D%/mlscale/cmd_queue_rules.c \
	%D%/mlscale/cmd_queue_schedules.c \
	%D%/mlscale/cmd_queue_store.c \
	%D%/mlscale/cmd_queue_submit.c \
	%D%/mlscale/cmd_queue_times.c \
	%D%/mlscale/cmd_queue_top.c \
	%D%/mlscale/cmd_run.c \
	%D%/mlscale/cmd_score.c \
	%D%/mlscale/cmd_verify.c \
	%D%/mlscale/cmd_worker.c \
	%D%/mlscale/commands.h \
	%D%/mlscale/common.c %D%/mlscale/common.h \
	%D%/mlscale/compare.c %D%/mlscale/compare.h \
	%D%/mlscale/deviation.c %D%/mlscale/deviation.h \
	%D%/mlscale/csv.c %D%/mlscale/csv.h \
	%D%/mlscale/histogram.c %D%/mlscale/histogram.h \
	%D%/mlscale/launch.h \
	%D%/mlscale/launch_child.c \
	%D%/mlscale/launch_hosts.c \
	%D%/mlscale/launch_output.c \
	%D%/mlscale/launch_plan.c \
	%D%/mlscale/launch_run.c \
	%D%/mlscale/main.c \
	%D%/mlscale/options.c %D%/mlscale/options.h \
	%D%/mlscale/plan.c %D%/mlscale/plan.h \
	%D%/mlscale/rows.c %D%/mlscale/rows.h \
	%D%/mlscale/score_run.c %D%/mlscale/score_run.h \
	%D%/mlscale/scorer.c %D%/mlscale/scorer.h \
	%D%/mlscale/scores.c %D%/mlscale/scores.h \
	%D%/mlscale/table.c %D%/mlscale/table.h \
	%D%/mlscale/verify_case.c %D%/mlscale/verify_case.h
# Public headers only: src/ is not on its include path.
mlscale_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)/include $(JANSSON_CFLAGS)
mlscale_LDADD = libmlscale.la $(JANSSON_LIBS)
