# SPDX-License-Identifier: Apache-2.0
# Tests speak TAP; Automake's parallel harness runs them.
TEST_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TEST_LOG_DRIVER)
SH_LOG_DRIVER = $(TEST_LOG_DRIVER)
TEST_EXTENSIONS = .sh
AM_TESTS_ENVIRONMENT = \
	CK_TAP_LOG_FILE_NAME=-; export CK_TAP_LOG_FILE_NAME; \
	srcdir='$(srcdir)'; export srcdir; \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	MLS_TEST_SANITIZE_FLAGS='$(MLS_SANITIZE_FLAGS)'; export MLS_TEST_SANITIZE_FLAGS; \
	CC='$(CC)'; export CC; CXX='$(CXX)'; export CXX;

# The rules of the repository.
MLS_CHECKS = \
	%D%/check_abi.sh \
	%D%/check_exports.sh \
	%D%/check_headers.sh \
	%D%/check_layers.sh \
	%D%/check_operators.sh \
	%D%/check_pages.sh \
	%D%/check_sizes.sh
dist_check_SCRIPTS += $(MLS_CHECKS) %D%/peers/test_judge.sh
TESTS += $(MLS_CHECKS) %D%/peers/test_judge.sh
EXTRA_DIST += \
	%D%/peers/compare_models.py \
	%D%/peers/draw.py \
	%D%/peers/judge.py \
	%D%/peers/light_models.py \
	%D%/peers/test_judge.py
EXTRA_DIST += %D%/lint.sh %D%/sizes.exempt %D%/abi/libmlscale.x86_64.abi %D%/abi/opaque.suppr

# docs/operators.md is what this program prints.
check_PROGRAMS += %D%/list_operators
%C%_list_operators_LDADD = libmls_core.la $(PROTOBUF_C_LIBS)

include %D%/fuzz/local.mk

include %D%/tool/local.mk

if HAVE_CHECK
check_LTLIBRARIES += libmls_test.la
libmls_test_la_SOURCES = \
	%D%/support/bits.c %D%/support/bits.h \
	%D%/support/onnx_build.c %D%/support/onnx_build.h \
	%D%/support/onnx_samples.c %D%/support/onnx_samples.h \
	%D%/support/test.c %D%/support/test.h
libmls_test_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CHECK_CFLAGS)
MLS_TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CHECK_CFLAGS)
MLS_TEST_LIBS = libmls_test.la libmls_core.la $(PROTOBUF_C_LIBS) $(CHECK_LIBS)

include %D%/base/local.mk
include %D%/plugin/local.mk
include %D%/cpu/local.mk
include %D%/job/local.mk
include %D%/job_types/local.mk
include %D%/graph/threads.mk
include %D%/group/local.mk
include %D%/exec/local.mk
include %D%/perf/local.mk
include %D%/queue/local.mk
include %D%/conformance/queue/local.mk
include %D%/conformance/transport/local.mk
include %D%/transport/local.mk
include %D%/sharded/local.mk

# These start no threads: under ThreadSanitizer they could find nothing.
if !MLS_SANITIZED_THREAD
check_PROGRAMS += %D%/support/test_folder
TESTS += %D%/support/test_folder
%C%_support_test_folder_SOURCES = %D%/support/test_folder.c %D%/support/folder.c \
	%D%/support/folder.h
%C%_support_test_folder_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_support_test_folder_LDADD = $(MLS_TEST_LIBS)
include %D%/graph/local.mk
include %D%/tensor/local.mk
include %D%/op/local.mk
include %D%/onnx/local.mk
include %D%/cpu/kernels.mk
endif
endif
