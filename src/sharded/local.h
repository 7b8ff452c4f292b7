/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on a rank's own parts. */
#ifndef MLS_SHARDED_LOCAL_H
#define MLS_SHARDED_LOCAL_H

#include "tensor/tensor.h"

#include <mlscale/ext/backend.h>

#define MLS__LOCAL_INPUTS 3

/* An op of ai.onnx that has one output. */
typedef struct mls__local_op {
    const char *type;
    size_t input_count; /* at most MLS__LOCAL_INPUTS */
    uint32_t known;     /* a bit for each input whose contents are known to the kernel before */
    const mls_attr *attrs;
    size_t attr_count;
} mls__local_op;

/* Computes `output`, whose dims are right. All contiguous. */
mls_status mls__local_run(mls_context *context, const mls__local_op *what,
                          const mls_tensor *const *inputs, mls_tensor *output);

/*
 * Whether there is a kernel for inputs of these dtypes and, behind them, that of the output.
 * Errors: those of making it.
 */
mls_status mls__local_probe(mls_context *context, const mls__local_op *what, const int32_t *dtypes);

#endif
