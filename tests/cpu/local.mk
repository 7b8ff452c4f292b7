# SPDX-License-Identifier: Apache-2.0

# What the tests of op families share.
check_LTLIBRARIES += libmls_test_ops.la
libmls_test_ops_la_SOURCES = %D%/op_harness.c %D%/op_harness.h
libmls_test_ops_la_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
MLS_OP_TEST_LIBS = libmls_test_ops.la $(MLS_TEST_LIBS)
