# SPDX-License-Identifier: Apache-2.0
# --without-openmpi and --without-mpich leave out the transports of groups over these MPIs,
# modules that are loaded when a group of openmpi:, mpich: or mpi: is made; without a word each is
# built when its headers are there.
AC_DEFUN([MLS_WITH_MPI], [
    MLS_WITH_ONE_MPI([openmpi], [OPENMPI], [ompi-c >= 4.0])
    MLS_WITH_ONE_MPI([mpich], [MPICH], [mpich >= 3.4])
    AM_CONDITIONAL([MLS_MPI], [test "$with_openmpi" = yes || test "$with_mpich" = yes])
])

# MLS_WITH_ONE_MPI(NAME, VARIABLE, PACKAGE)
AC_DEFUN([MLS_WITH_ONE_MPI], [
    AC_ARG_WITH([$1],
        [AS_HELP_STRING([--without-$1], [no groups over $1 ($1:)])],
        [], [with_$1=auto])
    AS_IF([test "$with_$1" != no], [
        PKG_CHECK_MODULES([$2], [$3],
            [with_$1=yes],
            [AS_IF([test "$with_$1" = yes],
                [AC_MSG_ERROR([--with-$1 needs the headers of $1])])
             with_$1=no])
    ])
    AM_CONDITIONAL([MLS_$2], [test "$with_$1" = yes])
])
