# SPDX-License-Identifier: Apache-2.0
# MLS_SANITIZE: --enable-sanitize=LIST and --enable-fuzzing; what kernels leave out of it.
AC_DEFUN([MLS_SANITIZE], [
  AC_ARG_ENABLE([sanitize],
    [AS_HELP_STRING([--enable-sanitize=LIST],
      [build with sanitizers, such as address,undefined or thread])],
    [], [enable_sanitize=no])
  AS_CASE([$enable_sanitize],
    [no], [],
    [yes], [AC_MSG_ERROR([--enable-sanitize wants a list, such as address,undefined])],
    [MLS_SANITIZE_FLAGS="-fsanitize=$enable_sanitize -fno-sanitize-recover=all -fno-omit-frame-pointer -DMLS_SANITIZED"])
  # In code that clang has unrolled, its checks of each pointer's arithmetic take minutes to
  # compile; what a kernel then reads and writes is checked all the same.
  AS_IF([test "$enable_sanitize" != no],
    [MLS_SANITIZE_KERNEL_FLAGS="-fno-sanitize=pointer-overflow"])
  AC_ARG_ENABLE([fuzzing],
    [AS_HELP_STRING([--enable-fuzzing], [build the libFuzzer targets (needs clang)])],
    [], [enable_fuzzing=no])
  AS_IF([test "$enable_fuzzing" = yes],
    [MLS_SANITIZE_FLAGS="$MLS_SANITIZE_FLAGS -fsanitize=fuzzer-no-link"])
  AM_CONDITIONAL([MLS_FUZZING], [test "$enable_fuzzing" = yes])
  AM_CONDITIONAL([MLS_SANITIZED_THREAD], [test "$enable_sanitize" = thread])
  AC_SUBST([MLS_SANITIZE_FLAGS])
  AC_SUBST([MLS_SANITIZE_KERNEL_FLAGS])
])
