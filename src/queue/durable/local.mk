# SPDX-License-Identifier: Apache-2.0
# Compiled into each durable driver: a module links nothing of the library.
QUEUE_DURABLE = \
	%D%/ends.c \
	%D%/ends.h \
	%D%/holds.c \
	%D%/holds.h \
	%D%/rules.c \
	%D%/rules.h \
	%D%/schedules.c \
	%D%/schedules.h \
	%D%/served.c \
	%D%/served.h \
	%D%/shares.c \
	%D%/shares.h
