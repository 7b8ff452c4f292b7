# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += %D%/test_load
TESTS += %D%/test_load
%C%_test_load_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_load_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_models
TESTS += %D%/test_models
%C%_test_models_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_models_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_tensor
TESTS += %D%/test_tensor
%C%_test_tensor_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tensor_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_translate
TESTS += %D%/test_translate
%C%_test_translate_SOURCES = %D%/test_translate.c %D%/translate_test.h
%C%_test_translate_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_translate_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_wire
TESTS += %D%/test_wire
%C%_test_wire_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_wire_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_bad_input
TESTS += %D%/test_bad_input
%C%_test_bad_input_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_bad_input_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_external
TESTS += %D%/test_external
%C%_test_external_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_external_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_old_forms
TESTS += %D%/test_old_forms
%C%_test_old_forms_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_old_forms_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_translate_layers
TESTS += %D%/test_translate_layers
%C%_test_translate_layers_SOURCES = %D%/test_translate_layers.c %D%/translate_test.h
%C%_test_translate_layers_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_translate_layers_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_functions
TESTS += %D%/test_functions
%C%_test_functions_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_functions_LDADD = $(MLS_TEST_LIBS)

check_PROGRAMS += %D%/test_attributes
TESTS += %D%/test_attributes
%C%_test_attributes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_attributes_LDADD = $(MLS_TEST_LIBS)
