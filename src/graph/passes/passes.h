/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes rewrite a graph into one that runs faster and gives the same results: the
 * same bytes, unless the pass says otherwise. One file a pass; passes.c lists them in
 * the order in which they run. A pass marks nodes dead and adds nodes at the end; the
 * graph is sorted again after each.
 */
#ifndef MLS_GRAPH_PASSES_PASSES_H
#define MLS_GRAPH_PASSES_PASSES_H

#include "graph/graph.h"

/* Rewrites `graph`; *ret_changed tells whether anything did. Errors: MLS_ENOMEM. */
typedef mls_status (*mls__pass_fn)(mls__graph *graph, bool *ret_changed);

mls_status mls__pass_dead_code(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_block_channels(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fold_batch_norm(mls__graph *graph, bool *ret_changed);
/* All nodes that take constants alone, but those that the passes for quantized models look for. */
mls_status mls__pass_fold_constants(mls__graph *graph, bool *ret_changed);
/* What these have left. */
mls_status mls__pass_fold_dequantized(mls__graph *graph, bool *ret_changed);
/* All of these, on the graphs of If, Loop and Scan. */
mls_status mls__pass_rewrite_bodies(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_attention(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fold_pad(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_conv(mls__graph *graph, bool *ret_changed);
/* Behind the choice of layouts. */
mls_status mls__pass_fuse_max_pool(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_gate(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_gelu(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_norm(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_integer(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_quantized(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_put_channels_last(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_gemm(mls__graph *graph, bool *ret_changed);
/* Of images in blocks. */
mls_status mls__pass_keep_wide(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_stack_convs(mls__graph *graph, bool *ret_changed);
mls_status mls__pass_fuse_pointwise(mls__graph *graph, bool *ret_changed);

/* Runs them all. */
mls_status mls__passes_run(mls__graph *graph);

#endif
