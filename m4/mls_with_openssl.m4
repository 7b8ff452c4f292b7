# SPDX-License-Identifier: Apache-2.0
# --without-openssl leaves the packets of groups over hosts to libsodium; without a word they are
# sealed by libcrypto, which does the same several times as fast, when it is there.
AC_DEFUN([MLS_WITH_OPENSSL], [
    AC_ARG_WITH([openssl],
        [AS_HELP_STRING([--without-openssl], [tcp:// encrypts by libsodium alone, which is slower])],
        [], [with_openssl=auto])
    AS_IF([test "$with_tcp" != yes], [with_openssl=no])
    AS_IF([test "$with_openssl" != no], [
        PKG_CHECK_MODULES([OPENSSL], [libcrypto >= 1.1.1],
            [with_openssl=yes],
            [AS_IF([test "$with_openssl" = yes],
                [AC_MSG_ERROR([--with-openssl needs the headers of OpenSSL])])
             with_openssl=no])
    ])
    AM_CONDITIONAL([MLS_OPENSSL], [test "$with_openssl" = yes])
    AS_IF([test "$with_openssl" = yes], [
        AC_DEFINE([MLS_OPENSSL], [1], [Whether the transport "tcp" encrypts by libcrypto.])
        AC_SUBST([MLS_OPENSSL_REQUIRES], [", libcrypto"])
    ])
])
