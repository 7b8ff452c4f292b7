# SPDX-License-Identifier: Apache-2.0
GROUP_TESTS = \
	%D%/test_arena \
	%D%/test_choice \
	%D%/test_launched \
	%D%/test_plans \
	%D%/test_shm_faults \
	%D%/test_turns
check_PROGRAMS += $(GROUP_TESTS)
TESTS += $(GROUP_TESTS)
%C%_test_arena_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_arena_LDADD = $(MLS_TEST_LIBS)
%C%_test_choice_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_choice_LDADD = $(MLS_TEST_LIBS)
%C%_test_launched_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_launched_LDADD = $(MLS_TEST_LIBS)
%C%_test_plans_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_plans_LDADD = $(MLS_TEST_LIBS)
%C%_test_shm_faults_SOURCES = %D%/test_shm_faults.c %D%/shm_meetings.c %D%/shm_noise.c \
	%D%/shm_ranks.c %D%/shm_ranks.h tests/support/folder.c tests/support/folder.h
%C%_test_shm_faults_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_shm_faults_LDADD = $(MLS_TEST_LIBS)
%C%_test_turns_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_turns_LDADD = $(MLS_TEST_LIBS)
