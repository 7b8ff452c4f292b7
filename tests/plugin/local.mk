# SPDX-License-Identifier: Apache-2.0
PLUGIN_TESTS = \
	%D%/test_context \
	%D%/test_drivers
check_PROGRAMS += $(PLUGIN_TESTS)
TESTS += $(PLUGIN_TESTS)
%C%_test_context_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_context_LDADD = $(MLS_TEST_LIBS)
%C%_test_drivers_CPPFLAGS = $(MLS_TEST_CPPFLAGS) -DMLS_TEST_MODULES='"$(abs_top_builddir)/%D%"'
%C%_test_drivers_LDADD = $(MLS_TEST_LIBS)

# Modules as others would build them: public headers only, no library linked. The path
# that -rpath names does not matter; without one libtool would build no shared object.
PLUGIN_MODULE_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_LTLIBRARIES += \
	%D%/mls_transport_refusing.la \
	%D%/module_empty.la \
	%D%/module_mixed.la \
	%D%/module_none.la \
	%D%/module_tiny.la
%C%_mls_transport_refusing_la_LDFLAGS = $(PLUGIN_MODULE_LDFLAGS)
%C%_mls_transport_refusing_la_SOURCES = %D%/mls_transport_refusing.c
%C%_module_empty_la_LDFLAGS = $(PLUGIN_MODULE_LDFLAGS)
%C%_module_empty_la_SOURCES = %D%/module_empty.c
%C%_module_mixed_la_LDFLAGS = $(PLUGIN_MODULE_LDFLAGS)
%C%_module_mixed_la_SOURCES = %D%/module_mixed.c
%C%_module_none_la_LDFLAGS = $(PLUGIN_MODULE_LDFLAGS)
%C%_module_none_la_SOURCES = %D%/module_none.c
%C%_module_tiny_la_LDFLAGS = $(PLUGIN_MODULE_LDFLAGS)
%C%_module_tiny_la_SOURCES = %D%/module_tiny.c
