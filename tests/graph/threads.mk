# SPDX-License-Identifier: Apache-2.0
# What runs what the passes made, in several threads too.
check_PROGRAMS += %D%/test_pointwise_programs
TESTS += %D%/test_pointwise_programs
%C%_test_pointwise_programs_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_pointwise_programs_LDADD = $(MLS_TEST_LIBS)
