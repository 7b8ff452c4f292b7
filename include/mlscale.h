/* SPDX-License-Identifier: Apache-2.0 */
/* libmlscale: machine learning inside a host process. Includes every public header. */
#ifndef MLSCALE_H
#define MLSCALE_H

#include <mlscale/status.h>
#include <mlscale/context.h>
#include <mlscale/tensor.h>
#include <mlscale/model.h>
#include <mlscale/session.h>
#include <mlscale/job.h>
#include <mlscale/queue.h>
#include <mlscale/worker.h>
#include <mlscale/job_types.h>
#include <mlscale/service.h>
#include <mlscale/group.h>
#include <mlscale/sharded.h>

#endif
