# SPDX-License-Identifier: Apache-2.0
# One suite for every transport; a transport's test hands it the URL of a new group.
TRANSPORT_CONFORMANCE = \
	%D%/failures.c %D%/handles.c %D%/long_reductions.c %D%/moves.c %D%/races.c %D%/reduced.h \
	%D%/reductions.c %D%/regroup.c %D%/splits.c %D%/suite.c %D%/suite.h

check_PROGRAMS += %D%/test_engine %D%/test_inproc %D%/test_messages %D%/test_shm \
	%D%/test_shm_processes
TESTS += %D%/test_engine %D%/test_inproc %D%/test_messages %D%/test_shm %D%/test_shm_processes
%C%_test_engine_SOURCES = %D%/test_engine.c $(TRANSPORT_CONFORMANCE)
%C%_test_engine_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_engine_LDADD = $(MLS_TEST_LIBS)
%C%_test_inproc_SOURCES = %D%/test_inproc.c $(TRANSPORT_CONFORMANCE)
%C%_test_inproc_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_inproc_LDADD = $(MLS_TEST_LIBS)
%C%_test_messages_SOURCES = %D%/test_messages.c $(TRANSPORT_CONFORMANCE)
%C%_test_messages_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_messages_LDADD = $(MLS_TEST_LIBS)
%C%_test_shm_SOURCES = %D%/test_shm.c $(TRANSPORT_CONFORMANCE)
%C%_test_shm_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_shm_LDADD = $(MLS_TEST_LIBS)
%C%_test_shm_processes_SOURCES = %D%/test_shm_processes.c $(TRANSPORT_CONFORMANCE)
%C%_test_shm_processes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_shm_processes_LDADD = $(MLS_TEST_LIBS)

if MLS_TCP
check_PROGRAMS += %D%/test_faults %D%/test_tcp %D%/test_tcp_processes
TESTS += %D%/test_faults %D%/test_tcp %D%/test_tcp_processes
%C%_test_faults_SOURCES = %D%/test_faults.c %D%/calls.c %D%/calls.h tests/support/folder.c \
	tests/support/folder.h
%C%_test_faults_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_faults_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_SOURCES = %D%/test_tcp.c tests/support/port.c tests/support/port.h $(TRANSPORT_CONFORMANCE)
%C%_test_tcp_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_processes_SOURCES = %D%/test_tcp_processes.c tests/support/port.c tests/support/port.h \
	$(TRANSPORT_CONFORMANCE)
%C%_test_tcp_processes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_processes_LDADD = $(MLS_TEST_LIBS)
endif

# Programs of the two MPIs, and one that knows of neither, for a script that launches them.
dist_check_SCRIPTS += %D%/run_mpi.sh
TRANSPORT_MPI = %D%/test_mpi.c %D%/against_mpi.c %D%/against_mpi.h %D%/makings.c %D%/makings.h \
	$(TRANSPORT_CONFORMANCE)
# Where libtool leaves modules before they are installed.
TRANSPORT_MPI_CPPFLAGS = $(MLS_TEST_CPPFLAGS) -DMLS_TEST_DRIVERS='"$(abs_top_builddir)/.libs"'
if MLS_MPI
# ThreadSanitizer would have to see into MPI's locks.
if !MLS_SANITIZED_THREAD
TESTS += %D%/run_mpi.sh
endif
check_PROGRAMS += %D%/mpi_launched
%C%_mpi_launched_LDADD = libmlscale.la
EXTRA_%C%_mpi_launched_DEPENDENCIES = mls_transport_mpi.la
endif
if MLS_OPENMPI
check_PROGRAMS += %D%/test_openmpi
%C%_test_openmpi_SOURCES = $(TRANSPORT_MPI)
%C%_test_openmpi_CPPFLAGS = $(TRANSPORT_MPI_CPPFLAGS) $(OPENMPI_CFLAGS)
%C%_test_openmpi_LDADD = $(MLS_TEST_LIBS) $(OPENMPI_LIBS)
EXTRA_%C%_test_openmpi_DEPENDENCIES = mls_transport_openmpi.la mls_transport_mpi.la
endif
if MLS_MPICH
check_PROGRAMS += %D%/test_mpich
%C%_test_mpich_SOURCES = $(TRANSPORT_MPI)
%C%_test_mpich_CPPFLAGS = $(TRANSPORT_MPI_CPPFLAGS) $(MPICH_CFLAGS)
%C%_test_mpich_LDADD = $(MLS_TEST_LIBS) $(MPICH_LIBS)
EXTRA_%C%_test_mpich_DEPENDENCIES = mls_transport_mpich.la mls_transport_mpi.la
endif

# NCCL and CUDA that a test can have anywhere.
check_LTLIBRARIES += %D%/fake_nccl.la
%C%_fake_nccl_la_SOURCES = %D%/fake_nccl.c %D%/fake_nccl.h %D%/fake_cuda.c %D%/fake_collectives.c
%C%_fake_nccl_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
%C%_fake_nccl_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_PROGRAMS += %D%/test_nccl
TESTS += %D%/test_nccl
%C%_test_nccl_SOURCES = %D%/test_nccl.c $(TRANSPORT_CONFORMANCE)
%C%_test_nccl_CPPFLAGS = $(MLS_TEST_CPPFLAGS) -DMLS_TEST_DRIVERS='"$(abs_top_builddir)/.libs"' \
	-DMLS_TEST_FAKES='"$(abs_top_builddir)/%D%"'
%C%_test_nccl_LDADD = $(MLS_TEST_LIBS)
EXTRA_%C%_test_nccl_DEPENDENCIES = mls_transport_nccl.la %D%/fake_nccl.la
