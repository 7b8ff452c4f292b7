# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/test_error
TESTS += %D%/test_error
%C%_test_error_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_error_LDADD = $(MLS_TEST_LIBS)
