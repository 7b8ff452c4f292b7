# SPDX-License-Identifier: Apache-2.0
# --without-yaml leaves out job types from YAML (mlscale worker); without a word they are
# built when libyaml is there.
AC_DEFUN([MLS_WITH_YAML], [
    AC_ARG_WITH([yaml],
        [AS_HELP_STRING([--without-yaml], [no job types from YAML (mls_job_types, mlscale worker)])],
        [], [with_yaml=auto])
    AS_IF([test "$with_yaml" != no], [
        PKG_CHECK_MODULES([YAML], [yaml-0.1 >= 0.2.2],
            [with_yaml=yes],
            [AS_IF([test "$with_yaml" = yes], [AC_MSG_ERROR([--with-yaml needs libyaml's header])])
             with_yaml=no])
    ])
    AM_CONDITIONAL([MLS_YAML], [test "$with_yaml" = yes])
    AS_IF([test "$with_yaml" = yes], [AC_SUBST([MLS_YAML_REQUIRES], [", yaml-0.1"])])
])
