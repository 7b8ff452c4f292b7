# SPDX-License-Identifier: Apache-2.0
# --without-postgres leaves out the queue driver of PostgreSQL servers, a module that is
# loaded when a postgres:// queue is opened; without a word it is built when libpq is there.
AC_DEFUN([MLS_WITH_POSTGRES], [
    AC_ARG_WITH([postgres],
        [AS_HELP_STRING([--without-postgres], [no queues on a PostgreSQL server (postgres://)])],
        [], [with_postgres=auto])
    AS_IF([test "$with_postgres" != no], [
        PKG_CHECK_MODULES([POSTGRES], [libpq >= 14],
            [with_postgres=yes],
            [AS_IF([test "$with_postgres" = yes],
                [AC_MSG_ERROR([--with-postgres needs the headers of libpq])])
             with_postgres=no])
    ])
    AM_CONDITIONAL([MLS_POSTGRES], [test "$with_postgres" = yes])
])
