# SPDX-License-Identifier: Apache-2.0
# --without-tcp leaves out groups over hosts; without a word they are built when their
# libraries are there. libuv waits for sockets, libsodium shakes hands and encrypts.
AC_DEFUN([MLS_WITH_TCP], [
    AC_ARG_WITH([tcp],
        [AS_HELP_STRING([--without-tcp], [no groups over hosts (tcp://HOST:PORT/NAME)])],
        [], [with_tcp=auto])
    AS_IF([test "$with_tcp" != no], [
        PKG_CHECK_MODULES([TCP], [libuv >= 1.30 libsodium >= 1.0.12],
            [with_tcp=yes],
            [AS_IF([test "$with_tcp" = yes],
                [AC_MSG_ERROR([--with-tcp needs the headers of libuv and libsodium])])
             with_tcp=no])
    ])
    AM_CONDITIONAL([MLS_TCP], [test "$with_tcp" = yes])
    AS_IF([test "$with_tcp" = yes], [
        AC_DEFINE([MLS_TCP], [1], [Whether the transport "tcp" is built in.])
        AC_SUBST([MLS_TCP_REQUIRES], [", libuv, libsodium"])
    ])
])
