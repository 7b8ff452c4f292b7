# SPDX-License-Identifier: Apache-2.0
# What the tests of passes share.
EXTRA_DIST += %D%/graph_nodes.h

check_PROGRAMS += %D%/test_passes
TESTS += %D%/test_passes
%C%_test_passes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_passes_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_conv_passes
TESTS += %D%/test_conv_passes
%C%_test_conv_passes_SOURCES = %D%/take_floats.h %D%/conv_model.c %D%/conv_model.h \
	%D%/test_conv_passes.c
%C%_test_conv_passes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_conv_passes_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_block_passes
TESTS += %D%/test_block_passes
%C%_test_block_passes_SOURCES = %D%/take_floats.h %D%/conv_model.c %D%/conv_model.h \
	%D%/test_block_passes.c
%C%_test_block_passes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_block_passes_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_fold_constants
TESTS += %D%/test_fold_constants
%C%_test_fold_constants_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_fold_constants_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_recognized
TESTS += %D%/test_recognized
%C%_test_recognized_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_recognized_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_fuse_quantized
TESTS += %D%/test_fuse_quantized
%C%_test_fuse_quantized_SOURCES = %D%/take_floats.h %D%/test_fuse_quantized.c
%C%_test_fuse_quantized_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_fuse_quantized_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_put_channels_last
TESTS += %D%/test_put_channels_last
%C%_test_put_channels_last_SOURCES = %D%/take_floats.h %D%/test_put_channels_last.c
%C%_test_put_channels_last_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_put_channels_last_LDADD = $(MLS_TEST_LIBS)
check_PROGRAMS += %D%/test_attention_pass
TESTS += %D%/test_attention_pass
%C%_test_attention_pass_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_attention_pass_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_fuse_integer
TESTS += %D%/test_fuse_integer
%C%_test_fuse_integer_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_fuse_integer_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_fuse_pointwise
TESTS += %D%/test_fuse_pointwise
%C%_test_fuse_pointwise_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_fuse_pointwise_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_attributes
TESTS += %D%/test_attributes
%C%_test_attributes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_attributes_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_bodies
TESTS += %D%/test_bodies
%C%_test_bodies_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_bodies_LDADD = $(MLS_TEST_LIBS)
