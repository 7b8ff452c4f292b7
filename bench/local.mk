# SPDX-License-Identifier: Apache-2.0
# Built by `make bench`.
EXTRA_LTLIBRARIES += libfma_peak_portable.la libfma_peak_avx2.la libfma_peak_avx512.la \
	libfma_peak_neon.la
libfma_peak_portable_la_SOURCES = %D%/fma_peak.c %D%/fma_peak.h
libfma_peak_portable_la_CFLAGS = $(MLS_PORTABLE_CFLAGS)
libfma_peak_avx2_la_SOURCES = %D%/fma_peak.c %D%/fma_peak.h
libfma_peak_avx2_la_CFLAGS = $(MLS_AVX2_CFLAGS)
libfma_peak_avx512_la_SOURCES = %D%/fma_peak.c %D%/fma_peak.h
libfma_peak_avx512_la_CFLAGS = $(MLS_AVX512_CFLAGS)
libfma_peak_neon_la_SOURCES = %D%/fma_peak.c %D%/fma_peak.h
libfma_peak_neon_la_CFLAGS = $(MLS_NEON_CFLAGS)
MLS_FMA_PEAK = libfma_peak_portable.la
if MLS_ARCH_X86_64
MLS_FMA_PEAK += libfma_peak_avx2.la libfma_peak_avx512.la
endif
if MLS_ARCH_ARM64
MLS_FMA_PEAK += libfma_peak_neon.la
endif

EXTRA_PROGRAMS += %D%/gemm
%C%_gemm_SOURCES = %D%/gemm.c %D%/limit.c %D%/limit.h
%C%_gemm_LDADD = $(MLS_FMA_PEAK) libmls_core.la $(PROTOBUF_C_LIBS)
%C%_gemm_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/%D%

EXTRA_PROGRAMS += %D%/conv
%C%_conv_SOURCES = %D%/conv.c %D%/limit.c %D%/limit.h
%C%_conv_LDADD = $(MLS_FMA_PEAK) libmls_core.la $(PROTOBUF_C_LIBS)
%C%_conv_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/%D%

EXTRA_PROGRAMS += %D%/gemm_int8
%C%_gemm_int8_SOURCES = %D%/gemm_int8.c
%C%_gemm_int8_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

EXTRA_PROGRAMS += %D%/trees
%C%_trees_SOURCES = %D%/trees.c
%C%_trees_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

# Ours against peers, whose libraries are loaded when it runs.
EXTRA_PROGRAMS += %D%/peers
%C%_peers_SOURCES = %D%/peers.c %D%/peers.h %D%/peers_tables.c %D%/cases.c %D%/cases.h \
	%D%/engine.h %D%/engine_lightgbm.c %D%/engine_mlscale.c %D%/engine_mlscale.h \
	%D%/engine_onnxruntime.c %D%/engine_treelite.c %D%/forest.c %D%/forest.h %D%/library.c \
	%D%/limit.c %D%/limit.h %D%/models.c %D%/models.h %D%/networks.c \
	%D%/onnxruntime_api.h %D%/timing.c %D%/timing.h \
	tests/support/onnx_build.c tests/support/onnx_build.h
%C%_peers_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -I$(top_srcdir)/%D% \
	-DMLS_BENCH_ONNXRUNTIME='"$(ONNXRUNTIME_LIBRARY)"' $(ONNXRUNTIME_CPPFLAGS)
%C%_peers_LDADD = $(MLS_FMA_PEAK) libmls_core.la $(PROTOBUF_C_LIBS)

# Queues: submits, and jobs through a worker.
EXTRA_PROGRAMS += %D%/queue
EXTRA_DIST += %D%/queue_peers.py

# By mpicc: ./dev bench group.
EXTRA_DIST += %D%/group.c %D%/group_gloo.cpp %D%/group_gloo.h

%C%_queue_SOURCES = %D%/queue.c %D%/queue.h %D%/queue_durable.c %D%/queue_memory.c \
	%D%/queue_server.c
%C%_queue_CPPFLAGS = $(AM_CPPFLAGS)
%C%_queue_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)
if MLS_POSTGRES
%C%_queue_SOURCES += tests/support/folder.c tests/support/folder.h \
	tests/support/postgres.c tests/support/postgres.h
%C%_queue_CPPFLAGS += -I$(top_srcdir)/tests -DBENCH_DRIVERS='"$(abs_top_builddir)/.libs"'
EXTRA_%C%_queue_DEPENDENCIES = mls_queue_postgres.la
endif

# All of them, built; those that need no peer run, one after the other.
MLS_BENCHES =
MLS_BENCHES += %D%/gemm$(EXEEXT)
MLS_BENCHES += %D%/conv$(EXEEXT)
MLS_BENCHES += %D%/trees$(EXEEXT)
MLS_BENCHES += %D%/queue$(EXEEXT)
MLS_BENCHES += %D%/gemm_int8$(EXEEXT)
bench: $(MLS_BENCHES) %D%/peers$(EXEEXT)
	@for program in $(MLS_BENCHES); do \
		echo; echo "== $$program"; \
		$$program || exit 1; \
	done
.PHONY: bench
