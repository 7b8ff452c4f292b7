# SPDX-License-Identifier: Apache-2.0
if MLS_SQLITE
libmls_core_la_SOURCES += \
	%D%/change.c \
	%D%/claim.c \
	%D%/claimers.c \
	%D%/committer.c \
	%D%/connection.c \
	%D%/costs.c \
	%D%/damage.c \
	%D%/driver.c \
	%D%/ends.c \
	%D%/group.c \
	%D%/inbox.c \
	%D%/lanes.c \
	%D%/later.c \
	%D%/liveness.c \
	%D%/lockfile.c \
	%D%/parents.c \
	%D%/room.c \
	%D%/returns.c \
	%D%/rows.c \
	%D%/rules.c \
	%D%/schedules.c \
	%D%/schema.c \
	%D%/segments.c \
	%D%/shares.c \
	%D%/sqlite.h \
	%D%/states.c \
	%D%/statements.c \
	%D%/statements.h \
	%D%/submit.c \
	%D%/types.h \
	%D%/views.c \
	%D%/watch.c \
	$(QUEUE_DURABLE)
libmls_core_la_LIBADD += $(SQLITE_LIBS)
endif
