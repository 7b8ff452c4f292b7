# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/driver.c \
	%D%/inproc.h \
	%D%/messages.c \
	%D%/room.c \
	%D%/round.c \
	%D%/survivors.c
