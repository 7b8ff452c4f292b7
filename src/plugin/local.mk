# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/builtin.c \
	%D%/context.c \
	%D%/drivers.c %D%/drivers.h \
	%D%/modules.c

# One file knows a path of the installation, so that no other is built anew when it changes.
noinst_LTLIBRARIES += libmls_folder.la
libmls_folder_la_SOURCES = %D%/folder.c
libmls_folder_la_CPPFLAGS = $(AM_CPPFLAGS) -DMLS_DRIVER_FOLDER='"$(pkglibdir)"'
libmls_core_la_LIBADD += libmls_folder.la
