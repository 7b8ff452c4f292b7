# SPDX-License-Identifier: Apache-2.0
# MLS_COMPILER_FLAGS: what the project's own code is compiled with. CFLAGS stay the user's.
AC_DEFUN([MLS_COMPILER_FLAGS], [
  AC_LANG_PUSH([C])
  MLS_CFLAGS="-std=c11 -fvisibility=hidden"
  # Without it a compiler may fuse a*b+c on its own, and results would depend on it.
  mls_save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -ffp-contract=off"
  AC_MSG_CHECKING([whether $CC accepts -ffp-contract=off])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([the same-bits contract needs a compiler with -ffp-contract=off])])
  MLS_CFLAGS="$MLS_CFLAGS -ffp-contract=off -fno-math-errno"
  MLS_WARNINGS="-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wcast-qual -Wundef"
  # gcc cannot know that an mls_status other than MLS_OK is what a failing call returns.
  CFLAGS="$mls_save_CFLAGS -Werror -Wno-error=maybe-uninitialized -Wmaybe-uninitialized"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [MLS_WARNINGS="$MLS_WARNINGS -Wno-maybe-uninitialized"])
  # A loop that clang cannot unroll as it is asked to is slower, not wrong.
  CFLAGS="$mls_save_CFLAGS -Werror -Wpass-failed"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [MLS_WARNINGS="$MLS_WARNINGS -Wno-pass-failed"])
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make compiler warnings errors])],
    [], [enable_werror=no])
  AS_IF([test "$enable_werror" = yes], [MLS_WARNINGS="$MLS_WARNINGS -Werror"])
  CFLAGS=$mls_save_CFLAGS
  AC_LANG_POP([C])
  AC_SUBST([MLS_CFLAGS])
  AC_SUBST([MLS_WARNINGS])
])
