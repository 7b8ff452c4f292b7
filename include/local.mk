# SPDX-License-Identifier: Apache-2.0
# Public headers: one a noun; ext/ is for those who write drivers.
include_HEADERS = %D%/mlscale.h

nounsdir = $(includedir)/mlscale
nouns_HEADERS = \
	%D%/mlscale/status.h \
	%D%/mlscale/context.h \
	%D%/mlscale/tensor.h \
	%D%/mlscale/model.h \
	%D%/mlscale/session.h \
	%D%/mlscale/job.h \
	%D%/mlscale/queue.h \
	%D%/mlscale/worker.h \
	%D%/mlscale/job_types.h \
	%D%/mlscale/service.h \
	%D%/mlscale/group.h \
	%D%/mlscale/sharded.h

extdir = $(includedir)/mlscale/ext
ext_HEADERS = \
	%D%/mlscale/ext/plugin.h \
	%D%/mlscale/ext/backend.h \
	%D%/mlscale/ext/queue_driver.h \
	%D%/mlscale/ext/transport.h
