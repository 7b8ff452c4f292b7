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

mls_fuzz_pair = tests/transport/pair.c tests/transport/pair.h
mls_fuzz_folder = tests/support/folder.c tests/support/folder.h

mls_fuzz_generate = \
	%D%/generate/compare.c %D%/generate/compare.h \
	%D%/generate/constants.c \
	%D%/generate/generate.h \
	%D%/generate/graph.c %D%/generate/graph.h \
	%D%/generate/numbers.c %D%/generate/numbers.h \
	%D%/generate/pattern.c %D%/generate/pattern.h \
	%D%/generate/print.c \
	%D%/generate/rows.c \
	%D%/generate/rows_contrib.c \
	%D%/generate/rows_elementwise.c \
	%D%/generate/rows_features.c \
	%D%/generate/rows_flow.c \
	%D%/generate/rows_images.c \
	%D%/generate/rows_movement.c \
	%D%/generate/rows_patterns.c \
	%D%/generate/rows_products.c \
	%D%/generate/rows_quantized.c \
	%D%/generate/rows_reductions.c \
	%D%/generate/rows_sequences.c

check_PROGRAMS += %D%/test_generate
TESTS += %D%/test_generate
%C%_test_generate_SOURCES = %D%/test_generate.c $(mls_fuzz_generate)
%C%_test_generate_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_generate_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/make_corpus %D%/replay_cron %D%/replay_onnx %D%/replay_graph \
	%D%/replay_group %D%/replay_ops %D%/replay_sharded %D%/replay_shm %D%/replay_payload
dist_check_SCRIPTS += %D%/check_fuzz.sh
TESTS += %D%/check_fuzz.sh
EXTRA_DIST += %D%/corpus

mls_fuzz_build = tests/support/onnx_build.c tests/support/onnx_build.h
%C%_replay_payload_SOURCES = %D%/replay.c %D%/fuzz_payload.c %D%/fuzz.h $(mls_fuzz_build)
%C%_replay_payload_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_payload_LDADD = libmls_core.la $(JANSSON_LIBS) $(PROTOBUF_C_LIBS)

%C%_make_corpus_SOURCES = %D%/make_corpus.c $(mls_fuzz_samples)
%C%_make_corpus_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_make_corpus_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_cron_SOURCES = %D%/replay.c %D%/fuzz_cron.c %D%/fuzz.h
%C%_replay_cron_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_cron_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_onnx_SOURCES = %D%/replay.c %D%/fuzz_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_onnx_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_onnx_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_graph_SOURCES = %D%/replay.c %D%/fuzz_graph.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_graph_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_graph_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_ops_SOURCES = %D%/replay.c %D%/fuzz_ops.c %D%/fuzz.h $(mls_fuzz_generate)
%C%_replay_ops_CPPFLAGS = $(mls_fuzz_cppflags) $(CHECK_CFLAGS)
%C%_replay_ops_LDADD = $(MLS_TEST_LIBS)

%C%_replay_sharded_SOURCES = %D%/replay.c %D%/fuzz_sharded.c %D%/fuzz.h $(mls_fuzz_limits) \
	$(mls_fuzz_folder)
%C%_replay_sharded_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_sharded_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_group_SOURCES = %D%/replay.c %D%/fuzz_group.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_group_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_group_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_replay_shm_SOURCES = %D%/replay.c %D%/fuzz_shm.c %D%/fuzz.h
%C%_replay_shm_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_shm_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

mls_fuzz_targets = fuzz-onnx fuzz-graph fuzz-ops fuzz-cron fuzz-group fuzz-sharded fuzz-shm fuzz-payload
if MLS_YAML
mls_fuzz_targets += fuzz-types
check_PROGRAMS += %D%/replay_types
%C%_replay_types_SOURCES = %D%/replay.c %D%/fuzz_types.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_replay_types_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_types_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)
endif
if MLS_SQLITE
mls_fuzz_targets += fuzz-rows
check_PROGRAMS += %D%/replay_rows
%C%_replay_rows_SOURCES = %D%/replay.c %D%/fuzz_rows.c %D%/fuzz.h
%C%_replay_rows_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_rows_LDADD = libmls_core.la $(SQLITE_LIBS) $(PROTOBUF_C_LIBS)
endif
if MLS_TCP
mls_fuzz_targets += fuzz-tcp
check_PROGRAMS += %D%/replay_tcp
%C%_replay_tcp_SOURCES = %D%/replay.c %D%/fuzz_tcp.c %D%/fuzz.h $(mls_fuzz_pair)
%C%_replay_tcp_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_replay_tcp_LDADD = libmls_core.la $(TCP_LIBS) $(PROTOBUF_C_LIBS)
endif

if MLS_FUZZING
noinst_PROGRAMS += %D%/fuzz_cron %D%/fuzz_onnx %D%/fuzz_graph %D%/fuzz_group %D%/fuzz_ops \
	%D%/fuzz_sharded %D%/fuzz_shm %D%/fuzz_payload
if MLS_YAML
noinst_PROGRAMS += %D%/fuzz_types
%C%_fuzz_types_SOURCES = %D%/fuzz_types.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_types_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_types_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_types_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)
endif
if MLS_SQLITE
noinst_PROGRAMS += %D%/fuzz_rows
%C%_fuzz_rows_SOURCES = %D%/fuzz_rows.c %D%/fuzz.h
%C%_fuzz_rows_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_rows_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_rows_LDADD = libmls_core.la $(SQLITE_LIBS) $(PROTOBUF_C_LIBS)
endif
if MLS_TCP
noinst_PROGRAMS += %D%/fuzz_tcp
%C%_fuzz_tcp_SOURCES = %D%/fuzz_tcp.c %D%/fuzz.h $(mls_fuzz_pair)
%C%_fuzz_tcp_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_tcp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_tcp_LDADD = libmls_core.la $(TCP_LIBS) $(PROTOBUF_C_LIBS)
endif
%C%_fuzz_payload_SOURCES = %D%/fuzz_payload.c %D%/fuzz.h $(mls_fuzz_build)
%C%_fuzz_payload_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_payload_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_payload_LDADD = libmls_core.la $(JANSSON_LIBS) $(PROTOBUF_C_LIBS)

%C%_fuzz_cron_SOURCES = %D%/fuzz_cron.c %D%/fuzz.h
%C%_fuzz_cron_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_cron_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_cron_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_graph_SOURCES = %D%/fuzz_graph.c %D%/mutate_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_graph_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_graph_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_graph_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_ops_SOURCES = %D%/fuzz_ops.c %D%/fuzz.h $(mls_fuzz_generate)
%C%_fuzz_ops_CPPFLAGS = $(mls_fuzz_cppflags) $(CHECK_CFLAGS)
%C%_fuzz_ops_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_ops_LDADD = $(MLS_TEST_LIBS)

%C%_fuzz_onnx_SOURCES = %D%/fuzz_onnx.c %D%/mutate_onnx.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_onnx_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_onnx_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_onnx_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_sharded_SOURCES = %D%/fuzz_sharded.c %D%/fuzz.h $(mls_fuzz_limits) $(mls_fuzz_folder)
%C%_fuzz_sharded_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_sharded_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_sharded_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_group_SOURCES = %D%/fuzz_group.c %D%/fuzz.h $(mls_fuzz_limits)
%C%_fuzz_group_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_group_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_group_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

%C%_fuzz_shm_SOURCES = %D%/fuzz_shm.c %D%/fuzz.h
%C%_fuzz_shm_CPPFLAGS = $(mls_fuzz_cppflags)
%C%_fuzz_shm_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_shm_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

FUZZ_SECONDS = 60
FUZZ_SEED = 0
# The reader gets the whole time, graphs made of the table of ops half of it, the rest a fourth each.
fuzz: $(mls_fuzz_targets)
fuzz-seeds: %D%/make_corpus$(EXEEXT)
	$(MKDIR_P) %D%/seeds
	%D%/make_corpus %D%/seeds
$(mls_fuzz_targets): fuzz-seeds $(noinst_PROGRAMS)
	target=$(@:fuzz-%=%) && kind=$$target && share=4 && \
	case $$target in onnx) share=1 ;; graph) kind=onnx ;; ops) share=2 ;; esac && \
	$(MKDIR_P) %D%/found/$$target && \
	%D%/fuzz_$$target -max_total_time=$$(($(FUZZ_SECONDS) / share)) -seed=$(FUZZ_SEED) -timeout=10 \
		-rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix=%D%/ \
		%D%/found/$$target %D%/seeds/$$kind $(srcdir)/%D%/corpus/$$kind

clean-local: clean-fuzz
clean-fuzz:
	rm -rf %D%/found %D%/seeds
else
fuzz:
	@echo 'configure with --enable-fuzzing --enable-sanitize=address,undefined CC=clang'; exit 1
endif
.PHONY: fuzz $(mls_fuzz_targets) fuzz-seeds clean-fuzz
