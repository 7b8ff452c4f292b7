# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/test_load
TESTS += %D%/test_load
%C%_test_load_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_load_LDADD = $(MLS_TEST_LIBS)
