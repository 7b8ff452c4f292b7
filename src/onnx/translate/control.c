/* SPDX-License-Identifier: Apache-2.0 */
/* Ops with subgraphs. */
#include "onnx/translate/translate.h"

/* Before 9 everything that Scan takes and gives had a batch as its first axis. */
static mls_status note_batch(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    mls__onnx_set_int(node, "mls_batched", 1);
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_control[] = {
    {"", "Scan", 9, note_batch, NULL, 0},
    {NULL, NULL, 0, NULL, NULL, 0},
};
