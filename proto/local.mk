# SPDX-License-Identifier: Apache-2.0
# Every stored or sent record is defined here; protobuf-c makes the readers, which are
# compiled without our warnings.
EXTRA_DIST += %D%/onnx.proto

noinst_LTLIBRARIES += libmls_proto.la
libmls_core_la_LIBADD += libmls_proto.la
libmls_proto_la_SOURCES =
nodist_libmls_proto_la_SOURCES = %D%/onnx.pb-c.c %D%/onnx.pb-c.h
libmls_proto_la_CFLAGS = $(MLS_CFLAGS) $(MLS_SANITIZE_FLAGS)

BUILT_SOURCES += %D%/onnx.pb-c.h
CLEANFILES += %D%/onnx.pb-c.c %D%/onnx.pb-c.h

%D%/onnx.pb-c.c: $(top_srcdir)/%D%/onnx.proto
	$(AM_V_GEN)$(MKDIR_P) %D% && $(PROTOC_C) -I$(top_srcdir)/%D% --c_out=%D% $(top_srcdir)/%D%/onnx.proto
%D%/onnx.pb-c.h: %D%/onnx.pb-c.c
	@test -f $@ || { rm -f %D%/onnx.pb-c.c && $(MAKE) $(AM_MAKEFLAGS) %D%/onnx.pb-c.c; }
