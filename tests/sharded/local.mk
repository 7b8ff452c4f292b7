# SPDX-License-Identifier: Apache-2.0
# One program, a file a topic: ranks are threads, and processes in processes.c.
check_PROGRAMS += %D%/test_sharded
TESTS += %D%/test_sharded
%C%_test_sharded_SOURCES = \
	%D%/arenas.c %D%/breaks.c %D%/bytes.c %D%/counted.c %D%/dtypes.c %D%/files.c %D%/formula.c %D%/halves.c %D%/hostile.c %D%/layouts.c %D%/ops.c \
	%D%/processes.c %D%/products.c %D%/reductions.c %D%/suite.c %D%/suite.h \
	tests/support/folder.c tests/support/folder.h tests/support/port.c tests/support/port.h
%C%_test_sharded_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sharded_LDADD = $(MLS_TEST_LIBS)
