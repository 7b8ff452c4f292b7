# SPDX-License-Identifier: Apache-2.0
# MLS_WITH_ONNXRUNTIME: --with-onnxruntime=DIR, the peer that bench/ measures against.
AC_DEFUN([MLS_WITH_ONNXRUNTIME], [
  AC_ARG_WITH([onnxruntime],
    [AS_HELP_STRING([--with-onnxruntime=DIR],
      [ONNX Runtime (include/, lib/) to compare with in bench/])],
    [], [with_onnxruntime=no])
  AS_IF([test "$with_onnxruntime" != no], [
    AS_IF([test -f "$with_onnxruntime/include/onnxruntime_c_api.h"], [],
      [AC_MSG_ERROR([there is no include/onnxruntime_c_api.h in '$with_onnxruntime'])])
    ONNXRUNTIME_CPPFLAGS="-isystem $with_onnxruntime/include -DMLS_BENCH_ONNXRUNTIME_HEADER"
    ONNXRUNTIME_LIBRARY="$with_onnxruntime/lib/libonnxruntime.so"
  ])
  AC_SUBST([ONNXRUNTIME_CPPFLAGS])
  AC_SUBST([ONNXRUNTIME_LIBRARY])
])
