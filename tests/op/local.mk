# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/test_op
TESTS += %D%/test_op
%C%_test_op_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_op_LDADD = $(MLS_TEST_LIBS)
