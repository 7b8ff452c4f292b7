# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/test_plan
TESTS += %D%/test_plan
%C%_test_plan_SOURCES = %D%/test_plan.c %D%/random_graph.c %D%/random_graph.h
%C%_test_plan_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_plan_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_quiet_run
TESTS += %D%/test_quiet_run
%C%_test_quiet_run_SOURCES = %D%/test_quiet_run.c \
	%D%/flow_models.c %D%/flow_models.h %D%/random_graph.c %D%/random_graph.h
%C%_test_quiet_run_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_quiet_run_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_session
TESTS += %D%/test_session
%C%_test_session_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_session_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_same_bits
TESTS += %D%/test_same_bits
%C%_test_same_bits_SOURCES = %D%/test_same_bits.c %D%/bit_models.c %D%/bit_models.h
%C%_test_same_bits_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_same_bits_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_flow
TESTS += %D%/test_flow
%C%_test_flow_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_flow_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_flow_steps
TESTS += %D%/test_flow_steps
%C%_test_flow_steps_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_flow_steps_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_fast
TESTS += %D%/test_fast
%C%_test_fast_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_fast_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_seal
TESTS += %D%/test_seal
%C%_test_seal_SOURCES = %D%/test_seal.c %D%/flow_models.c %D%/flow_models.h
%C%_test_seal_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_seal_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_text
TESTS += %D%/test_text
%C%_test_text_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_text_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_maps
TESTS += %D%/test_maps
%C%_test_maps_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_maps_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_report
TESTS += %D%/test_report
%C%_test_report_SOURCES = %D%/test_report.c %D%/random_graph.c %D%/random_graph.h
%C%_test_report_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_report_LDADD = $(MLS_TEST_LIBS)
