# SPDX-License-Identifier: Apache-2.0
MLS_TOOL_TESTS = \
	%D%/test_bench_group.sh \
	%D%/test_conformance.sh \
	%D%/test_examples.sh \
	%D%/test_launch.sh \
	%D%/test_models.sh \
	%D%/test_queue.sh \
	%D%/test_real_models.sh \
	%D%/test_score.sh \
	%D%/test_score_queue.sh \
	%D%/test_worker.sh \
	%D%/test_worker_killed.sh
dist_check_SCRIPTS += $(MLS_TOOL_TESTS)
TESTS += $(MLS_TOOL_TESTS)
EXTRA_DIST += %D%/model_cases.py %D%/page.sh %D%/tap.sh

check_PROGRAMS += %D%/test_at_once
TESTS += %D%/test_at_once
%C%_test_at_once_SOURCES = %D%/test_at_once.c tools/mlscale/at_once.c tools/mlscale/at_once.h
%C%_test_at_once_CPPFLAGS = $(MLS_TEST_CPPFLAGS) -I$(top_srcdir)
%C%_test_at_once_LDADD = $(MLS_TEST_LIBS)
