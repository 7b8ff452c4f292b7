# SPDX-License-Identifier: Apache-2.0
dist_check_SCRIPTS += %D%/test_tcp_hosts.sh
if MLS_TCP
MLS_TCP_TESTS = %D%/test_tcp_arrivals %D%/test_tcp_bytes %D%/test_tcp_faults \
	%D%/test_tcp_meeting %D%/test_tcp_messages %D%/test_tcp_strangers \
	%D%/test_tcp_survivors
check_PROGRAMS += $(MLS_TCP_TESTS) %D%/host_rank %D%/wire
TESTS += $(MLS_TCP_TESTS) %D%/test_tcp_hosts.sh
%C%_host_rank_LDADD = libmlscale.la
mls_tcp_test_ranks = %D%/ranks.c %D%/ranks.h tests/support/port.c tests/support/port.h
%C%_test_tcp_arrivals_SOURCES = %D%/test_tcp_arrivals.c %D%/pair.c %D%/pair.h
%C%_test_tcp_arrivals_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_arrivals_LDADD = $(MLS_TEST_LIBS) $(TCP_LIBS)
%C%_test_tcp_bytes_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_bytes_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_faults_SOURCES = %D%/test_tcp_faults.c $(mls_tcp_test_ranks)
%C%_test_tcp_faults_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_faults_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_meeting_SOURCES = %D%/test_tcp_meeting.c tests/support/folder.c tests/support/folder.h \
	$(mls_tcp_test_ranks)
%C%_test_tcp_meeting_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_meeting_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_messages_SOURCES = %D%/test_tcp_messages.c %D%/pair.c %D%/pair.h
%C%_test_tcp_messages_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_messages_LDADD = $(MLS_TEST_LIBS) $(TCP_LIBS)
%C%_test_tcp_strangers_SOURCES = %D%/test_tcp_strangers.c $(mls_tcp_test_ranks)
%C%_test_tcp_strangers_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_strangers_LDADD = $(MLS_TEST_LIBS)
%C%_test_tcp_survivors_SOURCES = %D%/test_tcp_survivors.c %D%/pair.c %D%/pair.h
%C%_test_tcp_survivors_CPPFLAGS = $(MLS_TEST_CPPFLAGS)
%C%_test_tcp_survivors_LDADD = $(MLS_TEST_LIBS) $(TCP_LIBS)
endif
