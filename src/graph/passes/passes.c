/* SPDX-License-Identifier: Apache-2.0 */
/* The list of passes. */
#include "graph/passes/passes.h"

static const mls__pass_fn passes[] = {
    mls__pass_dead_code,
    mls__pass_fold_constants,
    mls__pass_fuse_norm,
    mls__pass_fuse_gelu,
    mls__pass_fuse_gate,
    mls__pass_fuse_attention,
    /* What the passes above have replaced is in the way of those below. */
    mls__pass_dead_code,
    mls__pass_fuse_quantized,
    mls__pass_fuse_integer,
    mls__pass_dead_code,
    mls__pass_put_channels_last,
    mls__pass_fold_dequantized,
    /* With all constants that they may take; then without what only they have needed. */
    mls__pass_rewrite_bodies,
    mls__pass_dead_code,
    mls__pass_fold_pad,
    mls__pass_fold_batch_norm,
    mls__pass_fuse_conv,
    mls__pass_fuse_gemm,
    mls__pass_block_channels,
    mls__pass_keep_wide,
    /* Of what is left, in the layouts that have been chosen. */
    mls__pass_fuse_max_pool,
    mls__pass_stack_convs,
    mls__pass_fuse_pointwise,
};

mls_status mls__passes_run(mls__graph *graph)
{
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        bool changed = false;
        mls_status status = passes[i](graph, &changed);
        if (!status && changed)
            status = mls__graph_sort(graph);
        if (status)
            return status;
    }
    return MLS_OK;
}
