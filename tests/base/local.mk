# SPDX-License-Identifier: Apache-2.0
BASE_TESTS = \
	%D%/test_alloc \
	%D%/test_arena \
	%D%/test_error \
	%D%/test_executor \
	%D%/test_file \
	%D%/test_hash \
	%D%/test_isa \
	%D%/test_map \
	%D%/test_options \
	%D%/test_rng \
	%D%/test_sketch \
	%D%/test_thread \
	%D%/test_utf8 \
	%D%/test_vec
check_PROGRAMS += $(BASE_TESTS)
TESTS += $(BASE_TESTS)
%C%_test_alloc_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_alloc_LDADD = $(MLS_TEST_LIBS)
%C%_test_arena_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_arena_LDADD = $(MLS_TEST_LIBS)
%C%_test_error_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_error_LDADD = $(MLS_TEST_LIBS)
%C%_test_executor_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_executor_LDADD = $(MLS_TEST_LIBS)
%C%_test_file_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_file_LDADD = $(MLS_TEST_LIBS)
%C%_test_hash_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_hash_LDADD = $(MLS_TEST_LIBS)
%C%_test_isa_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_isa_LDADD = $(MLS_TEST_LIBS)
%C%_test_map_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_map_LDADD = $(MLS_TEST_LIBS)
%C%_test_options_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_options_LDADD = $(MLS_TEST_LIBS)
%C%_test_rng_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_rng_LDADD = $(MLS_TEST_LIBS)
%C%_test_sketch_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_sketch_LDADD = $(MLS_TEST_LIBS)
%C%_test_thread_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_thread_LDADD = $(MLS_TEST_LIBS)
%C%_test_utf8_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_utf8_LDADD = $(MLS_TEST_LIBS)
%C%_test_vec_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_vec_LDADD = $(MLS_TEST_LIBS)
