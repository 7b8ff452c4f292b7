# SPDX-License-Identifier: Apache-2.0
include %D%/base/local.mk
include %D%/tensor/local.mk
include %D%/op/local.mk
include %D%/plugin/local.mk
include %D%/graph/local.mk
include %D%/exec/local.mk
include %D%/onnx/local.mk
include %D%/backend/cpu/local.mk
include %D%/job/local.mk
include %D%/job_types/local.mk
include %D%/queue/memory/local.mk
include %D%/queue/durable/local.mk
include %D%/queue/sqlite/local.mk
include %D%/queue/postgres/local.mk
include %D%/group/local.mk
include %D%/transport/inproc/local.mk
