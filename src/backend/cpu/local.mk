# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/backend.c %D%/cpu.h \
	%D%/ops/families.h
