# SPDX-License-Identifier: Apache-2.0
libmls_core_la_SOURCES += \
	%D%/cgroup.c %D%/cgroup.h \
	%D%/command.c \
	%D%/container.c %D%/container.h \
	%D%/handlers.c \
	%D%/keeper.c %D%/keeper.h \
	%D%/process.c %D%/process.h \
	%D%/schedules.c \
	%D%/score.c %D%/score.h \
	%D%/score_joined.c \
	%D%/service.c \
	%D%/types.c %D%/types.h
if MLS_YAML
libmls_core_la_SOURCES += \
	%D%/fields.c \
	%D%/places.c \
	%D%/read.c %D%/reader.h \
	%D%/values.c
libmls_core_la_LIBADD += $(YAML_LIBS)
else
libmls_core_la_SOURCES += %D%/without.c
endif
libmls_core_la_LIBADD += $(JANSSON_LIBS)
