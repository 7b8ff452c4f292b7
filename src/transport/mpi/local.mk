# SPDX-License-Identifier: Apache-2.0
# One source, a module for each MPI, and one that chooses among them. They link nothing of the
# library. MPI is never unloaded: its threads and handlers stay.
MPI_TRANSPORT_SOURCES = \
	%D%/driver.c \
	%D%/engine.c \
	%D%/link.c \
	%D%/link.h \
	%D%/making.c \
	%D%/meet.c \
	%D%/messages.c \
	%D%/round.c \
	%D%/wait.c \
	%D%/world.c \
	$(TRANSPORT_SHARED)
MPI_TRANSPORT_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -Wl,-z,nodelete \
	-export-symbols-regex '^mls_plugin_entry$$'

if MLS_OPENMPI
pkglib_LTLIBRARIES += mls_transport_openmpi.la
mls_transport_openmpi_la_SOURCES = $(MPI_TRANSPORT_SOURCES)
mls_transport_openmpi_la_CPPFLAGS = $(AM_CPPFLAGS) $(OPENMPI_CFLAGS)
mls_transport_openmpi_la_LDFLAGS = $(MPI_TRANSPORT_LDFLAGS)
mls_transport_openmpi_la_LIBADD = $(OPENMPI_LIBS)
endif

if MLS_MPICH
pkglib_LTLIBRARIES += mls_transport_mpich.la
mls_transport_mpich_la_SOURCES = $(MPI_TRANSPORT_SOURCES)
mls_transport_mpich_la_CPPFLAGS = $(AM_CPPFLAGS) $(MPICH_CFLAGS)
mls_transport_mpich_la_LDFLAGS = $(MPI_TRANSPORT_LDFLAGS)
mls_transport_mpich_la_LIBADD = $(MPICH_LIBS)
endif

if MLS_MPI
pkglib_LTLIBRARIES += mls_transport_mpi.la
mls_transport_mpi_la_SOURCES = %D%/choose.c
mls_transport_mpi_la_LDFLAGS = $(MPI_TRANSPORT_LDFLAGS)
endif
