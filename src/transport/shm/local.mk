# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/arena.c \
	%D%/channel.c \
	%D%/driver.c \
	%D%/folder.c \
	%D%/frames.c \
	%D%/host.c \
	%D%/link.c \
	%D%/meet.c \
	%D%/memory.c \
	%D%/messages.c %D%/messages.h \
	%D%/round.c \
	%D%/shm.h \
	%D%/survivors.c \
	%D%/wait.c
