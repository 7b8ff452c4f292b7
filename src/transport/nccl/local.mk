# SPDX-License-Identifier: Apache-2.0
# A module that is always built: it opens NCCL and CUDA when it is opened.
pkglib_LTLIBRARIES += mls_transport_nccl.la
mls_transport_nccl_la_SOURCES = \
	%D%/device.c \
	%D%/driver.c \
	%D%/engine.c \
	%D%/library.c \
	%D%/nccl.h
mls_transport_nccl_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^mls_plugin_entry$$'
