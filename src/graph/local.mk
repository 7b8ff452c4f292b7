# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/schema/schema.c %D%/schema/schema.h %D%/schema/families.h
