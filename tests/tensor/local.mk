# SPDX-License-Identifier: Apache-2.0
TENSOR_TESTS = \
	%D%/test_copy \
	%D%/test_dlpack \
	%D%/test_dtype \
	%D%/test_npy \
	%D%/test_shape \
	%D%/test_tensor \
	%D%/test_views
check_PROGRAMS += $(TENSOR_TESTS)
TESTS += $(TENSOR_TESTS)
%C%_test_copy_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_copy_LDADD = $(MLS_TEST_LIBS)
%C%_test_dlpack_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_dlpack_LDADD = $(MLS_TEST_LIBS)
%C%_test_dtype_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_dtype_LDADD = $(MLS_TEST_LIBS)
%C%_test_npy_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_npy_LDADD = $(MLS_TEST_LIBS)
%C%_test_shape_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_shape_LDADD = $(MLS_TEST_LIBS)
%C%_test_tensor_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tensor_LDADD = $(MLS_TEST_LIBS)
%C%_test_views_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_views_LDADD = $(MLS_TEST_LIBS)
