# SPDX-License-Identifier: Apache-2.0
# A module: only who opens postgres:// needs libpq. It links nothing of the library.
if MLS_POSTGRES
pkglib_LTLIBRARIES += mls_queue_postgres.la
mls_queue_postgres_la_SOURCES = \
	%D%/answers.c \
	%D%/away.c \
	%D%/change.c \
	%D%/claim.c \
	%D%/claimers.c \
	%D%/committer.c \
	%D%/connect.c \
	%D%/connection.c \
	%D%/costs.c \
	%D%/driver.c \
	%D%/ends.c \
	%D%/family.c \
	%D%/fields.c \
	%D%/group.c \
	%D%/inbox.c \
	%D%/lanes.c \
	%D%/members.c \
	%D%/offers.c \
	%D%/parents.c \
	%D%/postgres.h \
	%D%/process.c \
	%D%/returns.c \
	%D%/room.c \
	%D%/rows.c \
	%D%/rules.c \
	%D%/schedules.c \
	%D%/schema.c \
	%D%/states.c \
	%D%/statements.c %D%/statements.h \
	%D%/submit.c \
	%D%/take.c \
	%D%/turns.c \
	%D%/types.h \
	%D%/url.c \
	%D%/views.c \
	%D%/walk.c \
	%D%/watch.c \
	$(QUEUE_DURABLE)
mls_queue_postgres_la_CPPFLAGS = $(AM_CPPFLAGS) $(POSTGRES_CFLAGS)
mls_queue_postgres_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^mls_plugin_entry$$'
mls_queue_postgres_la_LIBADD = $(POSTGRES_LIBS)
endif
