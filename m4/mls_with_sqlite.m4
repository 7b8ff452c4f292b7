# SPDX-License-Identifier: Apache-2.0
# --without-sqlite leaves out the durable queue driver; without a word it is built when
# its libraries are there. SQLite stores the jobs, libsodium hashes large payloads.
AC_DEFUN([MLS_WITH_SQLITE], [
    AC_ARG_WITH([sqlite],
        [AS_HELP_STRING([--without-sqlite], [no durable queues (sqlite:PATH)])],
        [], [with_sqlite=auto])
    AS_IF([test "$with_sqlite" != no], [
        PKG_CHECK_MODULES([SQLITE], [sqlite3 >= 3.37.2 libsodium >= 1.0.12],
            [with_sqlite=yes],
            [AS_IF([test "$with_sqlite" = yes],
                [AC_MSG_ERROR([--with-sqlite needs the headers of SQLite and libsodium])])
             with_sqlite=no])
    ])
    AM_CONDITIONAL([MLS_SQLITE], [test "$with_sqlite" = yes])
    AS_IF([test "$with_sqlite" = yes], [
        AC_DEFINE([MLS_SQLITE], [1], [Whether the queue driver "sqlite" is built in.])
        AC_SUBST([MLS_SQLITE_REQUIRES], [", sqlite3, libsodium"])
    ])
])
