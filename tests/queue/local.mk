# SPDX-License-Identifier: Apache-2.0
# What one driver promises beyond the conformance suite.
QUEUE_CRASHES = %D%/crashes.c %D%/crashes.h %D%/processes.c %D%/processes.h
check_PROGRAMS += %D%/test_simulation
TESTS += %D%/test_simulation
%C%_test_simulation_SOURCES = %D%/test_simulation.c %D%/simulation.h \
	%D%/simulation_steps.c %D%/simulation_compare.c %D%/model.c %D%/model_races.c %D%/model.h \
	%D%/clocks.c %D%/clocks.h \
	%D%/schedules.c %D%/schedules.h %D%/memory_times.c %D%/memory_times.h \
	%D%/stores.c %D%/stores.h \
	%D%/virtual_clock.c %D%/virtual_clock.h %D%/processes.c %D%/processes.h \
	tests/job/fixture.c tests/job/fixture.h tests/support/folder.c tests/support/folder.h \
	tests/support/postgres.c tests/support/postgres.h
%C%_test_simulation_CPPFLAGS = $(MLS_TEST_CPPFLAGS) $(POSTGRES_TEST_CPPFLAGS)
%C%_test_simulation_LDADD = $(MLS_TEST_LIBS)

if MLS_SQLITE
SQLITE_FIXTURE = %D%/sqlite_file.c %D%/sqlite_file.h tests/job/fixture.c tests/job/fixture.h \
	tests/support/folder.c tests/support/folder.h
SQLITE_TESTS = \
	%D%/test_sqlite_crashes \
	%D%/test_sqlite_faults \
	%D%/test_sqlite_files \
	%D%/test_sqlite_groups \
	%D%/test_sqlite_processes \
	%D%/test_sqlite_segments
check_PROGRAMS += $(SQLITE_TESTS)
TESTS += $(SQLITE_TESTS)
%C%_test_sqlite_crashes_SOURCES = %D%/test_sqlite_crashes.c $(QUEUE_CRASHES) \
	$(SQLITE_FIXTURE)
%C%_test_sqlite_crashes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_crashes_LDADD = $(MLS_TEST_LIBS)
%C%_test_sqlite_faults_SOURCES = %D%/test_sqlite_faults.c %D%/shim_vfs.c %D%/shim_vfs.h \
	%D%/shim_files.c %D%/shim_files.h %D%/sqlite_life.c %D%/sqlite_life.h $(SQLITE_FIXTURE)
%C%_test_sqlite_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=openat,--wrap=write,--wrap=fsync \
	-Wl,--wrap=renameat,--wrap=unlinkat,--wrap=mkdir
%C%_test_sqlite_faults_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_faults_LDADD = $(MLS_TEST_LIBS)
%C%_test_sqlite_files_SOURCES = %D%/test_sqlite_files.c %D%/sqlite_files.h \
	%D%/sqlite_damages.c %D%/sqlite_schedules.c %D%/sqlite_stays.c $(SQLITE_FIXTURE)
%C%_test_sqlite_files_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_files_LDADD = $(MLS_TEST_LIBS)
%C%_test_sqlite_groups_SOURCES = %D%/test_sqlite_groups.c $(SQLITE_FIXTURE)
%C%_test_sqlite_groups_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_groups_LDADD = $(MLS_TEST_LIBS)
%C%_test_sqlite_processes_SOURCES = %D%/test_sqlite_processes.c \
	%D%/processes.c %D%/processes.h $(SQLITE_FIXTURE)
%C%_test_sqlite_processes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_processes_LDADD = $(MLS_TEST_LIBS)
%C%_test_sqlite_segments_SOURCES = %D%/test_sqlite_segments.c $(SQLITE_FIXTURE)
%C%_test_sqlite_segments_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sqlite_segments_LDADD = $(MLS_TEST_LIBS)
endif

if MLS_POSTGRES
EXTRA_%C%_test_simulation_DEPENDENCIES = mls_queue_postgres.la
POSTGRES_TESTS = \
	%D%/test_postgres_crashes \
	%D%/test_postgres_server
check_PROGRAMS += $(POSTGRES_TESTS)
TESTS += $(POSTGRES_TESTS)
%C%_test_postgres_crashes_SOURCES = %D%/test_postgres_crashes.c $(QUEUE_CRASHES) \
	tests/job/fixture.c tests/job/fixture.h $(POSTGRES_FIXTURE)
%C%_test_postgres_crashes_CPPFLAGS = $(MLS_TEST_CPPFLAGS) $(POSTGRES_TEST_CPPFLAGS)
%C%_test_postgres_crashes_LDADD = $(MLS_TEST_LIBS)
EXTRA_%C%_test_postgres_crashes_DEPENDENCIES = mls_queue_postgres.la
%C%_test_postgres_server_SOURCES = %D%/test_postgres_server.c \
	%D%/postgres_claims.c %D%/postgres_clients.c %D%/postgres_clients.h \
	%D%/postgres_deaths.c %D%/postgres_losses.c %D%/postgres_losses.h \
	%D%/postgres_plans.c %D%/postgres_proxy.c %D%/postgres_proxy.h %D%/postgres_stops.c \
	src/queue/postgres/statements.c src/queue/postgres/statements.h \
	%D%/postgres_tables.c %D%/postgres_tables.h \
	tests/job/fixture.c tests/job/fixture.h $(POSTGRES_FIXTURE)
%C%_test_postgres_server_CPPFLAGS = $(MLS_TEST_CPPFLAGS) $(POSTGRES_TEST_CPPFLAGS)
%C%_test_postgres_server_LDADD = $(MLS_TEST_LIBS)
EXTRA_%C%_test_postgres_server_DEPENDENCIES = mls_queue_postgres.la
endif
