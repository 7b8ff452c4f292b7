# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/alloc.c %D%/alloc.h \
	%D%/arena.c %D%/arena.h \
	%D%/clock.c %D%/clock.h \
	%D%/context.c %D%/context.h \
	%D%/error.c %D%/error.h \
	%D%/executor.c %D%/executor.h \
	%D%/file.c %D%/file.h \
	%D%/hash.c %D%/hash.h \
	%D%/isa.c %D%/isa.h \
	%D%/machine.c %D%/machine.h \
	%D%/map.c %D%/map.h \
	%D%/options.c %D%/options.h \
	%D%/refcount.h \
	%D%/rng.c %D%/rng.h \
	%D%/sketch.c %D%/sketch.h \
	%D%/thread.c %D%/thread.h \
	%D%/utf8.c %D%/utf8.h %D%/utf8_tables.h \
	%D%/vec.c %D%/vec.h

EXTRA_DIST += %D%/make_utf8_tables.py
