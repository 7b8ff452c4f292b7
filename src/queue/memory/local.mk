# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/claim.c \
	%D%/claimers.c \
	%D%/costs.c \
	%D%/driver.c \
	%D%/keys.c \
	%D%/lanes.c \
	%D%/memory.h \
	%D%/parents.c \
	%D%/records.c \
	%D%/room.c \
	%D%/rules.c \
	%D%/schedules.c \
	%D%/shares.c \
	%D%/states.c \
	%D%/submit.c \
	%D%/timers.c \
	%D%/types.h \
	%D%/views.c \
	%D%/visit.c \
	%D%/watch.c \
	%D%/windows.c
