/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/flow_models.h"

static onnx_build *begin(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "4,3");
    return b;
}

/* A body of a Loop that never ends it; the carried value is "a". */
static onnx_build *begin_body(const char *shape)
{
    onnx_build *body = onnx_build_create(17);
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "a", MLS_FLOAT32, shape);
    onnx_build_node(body, "Identity", "go", "goes");
    onnx_build_output(body, "goes", MLS_BOOL, "");
    return body;
}

onnx_build *flow_gathering(void)
{
    onnx_build *b = begin(), *body = begin_body("4,3");
    onnx_build_ints(b, "n", "", (int64_t[]){100});
    onnx_build_node(body, "Sin", "a", "next");
    onnx_build_node(body, "Softmax", "next", "shown");
    onnx_build_output(body, "next", MLS_FLOAT32, "4,3");
    onnx_build_output(body, "shown", MLS_FLOAT32, "4,3");
    onnx_node_body(onnx_build_node(b, "Loop", "n - x", "y all"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "4,3");
    onnx_build_output(b, "all", MLS_FLOAT32, "100,4,3");
    return b;
}

onnx_build *flow_growing(void)
{
    onnx_build *b = begin(), *body = begin_body("?,3");
    onnx_build_ints(b, "n", "", (int64_t[]){20});
    onnx_node_int(onnx_build_node(body, "Concat", "a x", "longer"), "axis", 0);
    onnx_build_node(body, "Tanh", "longer", "next");
    onnx_build_output(body, "next", MLS_FLOAT32, "?,3");
    onnx_node_body(onnx_build_node(b, "Loop", "n - x", "y"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "84,3");
    return b;
}

onnx_build *flow_alternating(void)
{
    onnx_build *b = begin(), *body = begin_body("4,3");
    onnx_build *yes = onnx_build_create(17), *no = onnx_build_create(17);
    onnx_build_ints(b, "n", "", (int64_t[]){5});
    onnx_build_ints(b, "two", "", (int64_t[]){2});
    onnx_build_ints(b, "one", "", (int64_t[]){1});
    onnx_build_node(yes, "Cos", "a", "even");
    onnx_build_output(yes, "even", MLS_FLOAT32, "4,3");
    onnx_build_node(no, "Add", "a x", "odd");
    onnx_build_output(no, "odd", MLS_FLOAT32, "4,3");
    onnx_build_node(body, "Mod", "i two", "rest");
    onnx_build_node(body, "Less", "rest one", "is_even");
    onnx_node *choice = onnx_build_node(body, "If", "is_even", "next");
    onnx_node_body(choice, "then_branch", yes);
    onnx_node_body(choice, "else_branch", no);
    onnx_build_output(body, "next", MLS_FLOAT32, "4,3");
    onnx_node_body(onnx_build_node(b, "Loop", "n - x", "y"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "4,3");
    return b;
}

onnx_build *flow_scanning(void)
{
    onnx_build *b = begin(), *body = onnx_build_create(17);
    onnx_build_floats(b, "zero", "4", (float[4]){0});
    onnx_build_input(body, "sum", MLS_FLOAT32, "4");
    onnx_build_input(body, "column", MLS_FLOAT32, "4");
    onnx_build_node(body, "Add", "sum column", "next");
    onnx_build_node(body, "Exp", "next", "shown");
    onnx_build_output(body, "next", MLS_FLOAT32, "4");
    onnx_build_output(body, "shown", MLS_FLOAT32, "4");
    onnx_node *scan = onnx_build_node(b, "Scan", "zero x", "total sums");
    onnx_node_int(scan, "num_scan_inputs", 1);
    onnx_node_ints(scan, "scan_input_axes", 1, (int64_t[]){1});
    onnx_node_ints(scan, "scan_input_directions", 1, (int64_t[]){1});
    onnx_node_ints(scan, "scan_output_axes", 1, (int64_t[]){-1});
    onnx_node_body(scan, "body", body);
    onnx_build_output(b, "total", MLS_FLOAT32, "4");
    onnx_build_output(b, "sums", MLS_FLOAT32, "4,3");
    return b;
}

onnx_build *flow_sequence(void)
{
    onnx_build *b = begin(), *body = onnx_build_create(17);
    onnx_build_input(body, "item", MLS_FLOAT32, "?,?");
    onnx_build_node(body, "Neg", "item", "less");
    onnx_build_output(body, "less", MLS_FLOAT32, "?,?");
    onnx_build_node(b, "SplitToSequence", "x", "rows");
    onnx_build_node(b, "SequenceInsert", "rows x", "more");
    onnx_node_body(onnx_build_node(b, "SequenceMap", "more", "mapped"), "body", body);
    onnx_build_node(b, "SequenceErase", "mapped", "fewer");
    onnx_node_int(onnx_build_node(b, "ConcatFromSequence", "fewer", "joined"), "axis", 0);
    onnx_build_node(b, "Relu", "joined", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "4,3");
    return b;
}

onnx_build *flow_late(void)
{
    onnx_build *b = begin();
    onnx_build_node(b, "Cos", "x", "ones");
    onnx_build_node(b, "NonZero", "ones", "places");
    onnx_build_node(b, "Neg", "places", "y");
    onnx_build_output(b, "y", MLS_INT64, "2,?");
    return b;
}
