# SPDX-License-Identifier: Apache-2.0
# Fuzz targets: `make check` replays what they know; `make fuzz` looks for more, in a
# build configured with --enable-fuzzing, a sanitizer and clang (./dev fuzz does it all).
mls_fuzz_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
mls_fuzz_samples = \
	tests/support/onnx_build.c tests/support/onnx_build.h \
	tests/support/onnx_samples.c tests/support/onnx_samples.h

mls_fuzz_limits = \
	tests/fuzz/limits.c tests/fuzz/limits.h \
	tests/support/bits.c tests/support/bits.h

check_PROGRAMS += %D%/make_corpus %D%/replay_onnx %D%/replay_graph
dist_check_SCRIPTS += %D%/check_fuzz.sh
TESTS += %D%/check_fuzz.sh
EXTRA_DIST += %D%/corpus

%C%_make_corpus_SOURCES = %D%/make_corpus.c $(mls_fuzz_samples)
%C%_make_corpus_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_make_corpus_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_onnx_SOURCES = %D%/replay.c %D%/fuzz_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_onnx_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_onnx_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_graph_SOURCES = %D%/replay.c %D%/fuzz_graph.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_graph_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_graph_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

if MLS_FUZZING
noinst_PROGRAMS += %D%/fuzz_onnx %D%/fuzz_graph
%C%_fuzz_graph_SOURCES = %D%/fuzz_graph.c %D%/mutate_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_graph_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_graph_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_graph_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_onnx_SOURCES = %D%/fuzz_onnx.c %D%/mutate_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_onnx_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_onnx_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_onnx_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

FUZZ_SECONDS = 60
FUZZ_SEED = 0
mls_fuzz_targets = fuzz-onnx fuzz-graph
fuzz: $(mls_fuzz_targets)
fuzz-seeds: %D%/make_corpus$(EXEEXT)
	$(MKDIR_P) %D%/seeds/onnx
	%D%/make_corpus %D%/seeds/onnx
$(mls_fuzz_targets): fuzz-seeds %D%/fuzz_onnx$(EXEEXT) %D%/fuzz_graph$(EXEEXT)
	target=$(@:fuzz-%=%) && $(MKDIR_P) %D%/found/$$target && \
	%D%/fuzz_$$target -max_total_time=$(FUZZ_SECONDS) -seed=$(FUZZ_SEED) -timeout=10 \
		-rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix=%D%/ \
		%D%/found/$$target %D%/seeds/onnx $(srcdir)/%D%/corpus/onnx

clean-local: clean-fuzz
clean-fuzz:
	rm -rf %D%/found %D%/seeds
else
fuzz:
	@echo 'configure with --enable-fuzzing --enable-sanitize=address,undefined CC=clang'; exit 1
endif
.PHONY: fuzz fuzz-onnx fuzz-graph fuzz-seeds clean-fuzz
