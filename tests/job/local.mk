# SPDX-License-Identifier: Apache-2.0
JOB_FIXTURE = %D%/fixture.c %D%/fixture.h

JOB_TESTS = \
	%D%/test_lifecycle \
	%D%/test_submit
check_PROGRAMS += $(JOB_TESTS)
TESTS += $(JOB_TESTS)
%C%_test_lifecycle_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_lifecycle_LDADD = $(MLS_TEST_LIBS)
%C%_test_submit_SOURCES = %D%/test_submit.c $(JOB_FIXTURE)
%C%_test_submit_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_submit_LDADD = $(MLS_TEST_LIBS)
