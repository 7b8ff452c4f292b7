# SPDX-License-Identifier: Apache-2.0
# Compiled into the library, and into modules, which link nothing of it.
TRANSPORT_SHARED = \
	%D%/shared.c \
	%D%/shared.h
libmls_core_la_SOURCES += $(TRANSPORT_SHARED)
