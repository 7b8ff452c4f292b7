/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that go by indices. */
#include "onnx/translate/translate.h"

/* The same op; its name changed when ScatterND came. */
static mls_status rename_scatter(mls__onnx_node *node, const mls__onnx_rule *rule)
{
    (void) rule;
    node->type = "ScatterElements";
    return MLS_OK;
}

const mls__onnx_rule mls__onnx_rules_indexing[] = {
    {"", "Scatter", 11, rename_scatter, NULL, 0},
    {.type = NULL},
};
