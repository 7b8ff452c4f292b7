# SPDX-License-Identifier: Apache-2.0
if MLS_YAML
check_PROGRAMS += %D%/test_job_types %D%/test_score %D%/test_service
TESTS += %D%/test_job_types %D%/test_score %D%/test_service
%C%_test_job_types_SOURCES = %D%/test_job_types.c
%C%_test_job_types_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_job_types_LDADD = $(MLS_TEST_LIBS)
%C%_test_score_SOURCES = %D%/test_score.c tests/job/fixture.c tests/job/fixture.h \
	tests/support/folder.c tests/support/folder.h
%C%_test_score_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_score_LDADD = $(MLS_TEST_LIBS)
%C%_test_service_SOURCES = %D%/test_service.c tests/job/fixture.c tests/job/fixture.h tests/job/gate.h \
	tests/support/folder.c tests/support/folder.h
%C%_test_service_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_service_LDADD = $(MLS_TEST_LIBS)
endif
