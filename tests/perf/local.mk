# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/instructions
%C%_instructions_SOURCES = %D%/instructions.c
%C%_instructions_CPPFLAGS = $(MLS_TEST_CPPFLAGS) \
	-DMLS_PERF_FLAGS='"$(CFLAGS) $(MLS_SANITIZE_FLAGS)"'
%C%_instructions_LDADD = $(MLS_TEST_LIBS)
dist_check_SCRIPTS += %D%/test_instructions.sh
TESTS += %D%/test_instructions.sh
EXTRA_DIST += %D%/instructions.tsv
