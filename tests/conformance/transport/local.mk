# SPDX-License-Identifier: Apache-2.0
# One suite for every transport; a transport's test hands it the URL of a new group.
TRANSPORT_CONFORMANCE = \
	%D%/failures.c %D%/handles.c %D%/moves.c %D%/reductions.c %D%/regroup.c %D%/suite.c %D%/suite.h

check_PROGRAMS += %D%/test_inproc %D%/test_messages
TESTS += %D%/test_inproc %D%/test_messages
%C%_test_inproc_SOURCES = %D%/test_inproc.c $(TRANSPORT_CONFORMANCE)
%C%_test_inproc_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_inproc_LDADD = $(MLS_TEST_LIBS)
%C%_test_messages_SOURCES = %D%/test_messages.c $(TRANSPORT_CONFORMANCE)
%C%_test_messages_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_messages_LDADD = $(MLS_TEST_LIBS)
