# SPDX-License-Identifier: Apache-2.0
JOB_FIXTURE = %D%/fixture.c %D%/fixture.h %D%/gate.h

JOB_TESTS = \
	%D%/test_batch \
	%D%/test_cron \
	%D%/test_faults \
	%D%/test_lifecycle \
	%D%/test_memory \
	%D%/test_model \
	%D%/test_rules \
	%D%/test_stress \
	%D%/test_submit \
	%D%/test_url \
	%D%/test_worker
check_PROGRAMS += $(JOB_TESTS)
TESTS += $(JOB_TESTS)
%C%_test_batch_SOURCES = %D%/test_batch.c $(JOB_FIXTURE)
%C%_test_batch_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_batch_LDADD = $(MLS_TEST_LIBS)
%C%_test_cron_SOURCES = %D%/test_cron.c %D%/zones.c %D%/zones.h \
	tests/support/folder.c tests/support/folder.h
%C%_test_cron_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_cron_LDADD = $(MLS_TEST_LIBS)
%C%_test_faults_SOURCES = %D%/test_faults.c $(JOB_FIXTURE)
%C%_test_faults_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_faults_LDADD = $(MLS_TEST_LIBS)
%C%_test_lifecycle_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_lifecycle_LDADD = $(MLS_TEST_LIBS)
%C%_test_memory_SOURCES = \
	%D%/test_memory.c \
	%D%/memory.h \
	%D%/memory_faults.c \
	%D%/memory_windows.c \
	$(JOB_FIXTURE)
%C%_test_memory_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_memory_LDADD = $(MLS_TEST_LIBS)
%C%_test_model_SOURCES = %D%/test_model.c $(JOB_FIXTURE)
%C%_test_model_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_model_LDADD = $(MLS_TEST_LIBS)
%C%_test_rules_SOURCES = %D%/test_rules.c
%C%_test_rules_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_rules_LDADD = $(MLS_TEST_LIBS)
%C%_test_stress_SOURCES = %D%/test_stress.c $(JOB_FIXTURE)
%C%_test_stress_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_stress_LDADD = $(MLS_TEST_LIBS)
%C%_test_submit_SOURCES = %D%/test_submit.c $(JOB_FIXTURE)
%C%_test_submit_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_submit_LDADD = $(MLS_TEST_LIBS)
%C%_test_url_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_url_LDADD = $(MLS_TEST_LIBS)
%C%_test_worker_SOURCES = \
	%D%/test_worker.c \
	%D%/worker_fixture.c %D%/worker_fixture.h \
	%D%/worker_polls.c \
	%D%/worker_stops.c \
	$(JOB_FIXTURE)
%C%_test_worker_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_worker_LDADD = $(MLS_TEST_LIBS)
