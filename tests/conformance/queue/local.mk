# SPDX-License-Identifier: Apache-2.0
# One suite for every queue driver; a driver's test hands it the URL of a new store.
QUEUE_CONFORMANCE = \
	tests/job/fixture.c tests/job/fixture.h \
	%D%/basics.c %D%/claims.c %D%/limits.c %D%/listing.c %D%/needs.c %D%/parents.c %D%/pauses.c %D%/resources.c %D%/schedules.c %D%/shares.c %D%/states.c %D%/suite.c %D%/suite.h %D%/threads.c \
	%D%/times.c

check_PROGRAMS += %D%/test_memory %D%/test_plain
TESTS += %D%/test_memory %D%/test_plain
%C%_test_memory_SOURCES = %D%/test_memory.c $(QUEUE_CONFORMANCE)
%C%_test_memory_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_memory_LDADD = $(MLS_TEST_LIBS)
%C%_test_plain_SOURCES = %D%/test_plain.c $(QUEUE_CONFORMANCE)
%C%_test_plain_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_plain_LDADD = $(MLS_TEST_LIBS)

if MLS_SQLITE
check_PROGRAMS += %D%/test_sqlite
TESTS += %D%/test_sqlite
%C%_test_sqlite_SOURCES = %D%/test_sqlite.c tests/support/folder.c tests/support/folder.h \
	$(QUEUE_CONFORMANCE)
%C%_test_sqlite_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_LDADD = $(MLS_TEST_LIBS)
endif

if MLS_POSTGRES
check_PROGRAMS += %D%/test_postgres
TESTS += %D%/test_postgres
%C%_test_postgres_SOURCES = %D%/test_postgres.c $(POSTGRES_FIXTURE) $(QUEUE_CONFORMANCE)
%C%_test_postgres_CPPFLAGS = $(MLS_TEST_CPPFLAGS) $(POSTGRES_TEST_CPPFLAGS)
%C%_test_postgres_LDADD = $(MLS_TEST_LIBS)
EXTRA_%C%_test_postgres_DEPENDENCIES = mls_queue_postgres.la
POSTGRES_FIXTURE = tests/support/folder.c tests/support/folder.h \
	tests/support/postgres.c tests/support/postgres.h
# Where libtool leaves the module before it is installed.
POSTGRES_TEST_CPPFLAGS = -DMLS_TEST_DRIVERS='"$(abs_top_builddir)/.libs"'
endif
