/* SPDX-License-Identifier: Apache-2.0 */
/* The samples, one function each. */
#include "support/onnx_samples.h"

#include <string.h>

/* A classifier with a hidden layer. */
static void fill_mlp(onnx_build *b)
{
    static const float w[12] = {1, -2, 3, 4, -5, 6, 7, 8, -9, 1, 2, 3};
    onnx_build_input(b, "x", MLS_FLOAT32, "N,3");
    onnx_build_floats(b, "w", "3,4", w);
    onnx_build_floats(b, "bias", "4", w);
    onnx_build_floats(b, "v", "2,4", w);
    onnx_build_node(b, "MatMul", "x w", "a");
    onnx_build_node(b, "Add", "a bias", "b");
    onnx_build_node(b, "Relu", "b", "h");
    onnx_node *gemm = onnx_build_node(b, "Gemm", "h v", "c");
    onnx_node_int(gemm, "transB", 1);
    onnx_node_float(gemm, "alpha", 0.5f);
    onnx_node_int(onnx_build_node(b, "Softmax", "c", "y"), "axis", -1);
    onnx_build_value(b, "h", MLS_FLOAT32, "N,4");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,2");
    onnx_build_model(b)->producer_name = onnx_build_text(b, "samples");
}

static void add_lists(onnx_build *b)
{
    static int32_t narrow[] = {1, 0, 1};
    static int64_t wide[] = {-1, 300};
    static double doubles[] = {0.5};
    static uint64_t naturals[] = {7};
    mls__tensor_proto *proto = onnx_build_raw(b, "bools", MLS_BOOL, "3", NULL, 0);
    proto->n_int32_data = 3;
    proto->int32_data = narrow;
    proto = onnx_build_raw(b, "halves", MLS_FLOAT16, "3", NULL, 0);
    proto->n_int32_data = 3;
    proto->int32_data = narrow;
    proto = onnx_build_raw(b, "wide", MLS_INT64, "2", NULL, 0);
    proto->n_int64_data = 2;
    proto->int64_data = wide;
    proto = onnx_build_raw(b, "doubles", MLS_FLOAT64, "", NULL, 0);
    proto->n_double_data = 1;
    proto->double_data = doubles;
    proto = onnx_build_raw(b, "naturals", MLS_UINT32, "1", NULL, 0);
    proto->n_uint64_data = 1;
    proto->uint64_data = naturals;
    proto = onnx_build_raw(b, "texts", MLS_STRING, "2", NULL, 0);
    proto->n_string_data = 2;
    proto->string_data = onnx_build_alloc(b, 2 * sizeof *proto->string_data);
    proto->string_data[0] = (ProtobufCBinaryData){2, (uint8_t *) onnx_build_text(b, "ab")};
}

/* Constants of all kinds, and constants only. */
static void fill_constants(onnx_build *b)
{
    static const char *const texts[] = {"a", "bc"};
    mls__graph_proto *graph = onnx_build_model(b)->graph;
    onnx_build_raw(b, "nibbles", MLS_INT4, "3", "\x81\x0e", 2);
    onnx_build_raw(b, "pairs", MLS_UINT2, "5", "\xe4\x02", 2);
    onnx_build_raw(b, "raw", MLS_BFLOAT16, "2,1", "abcd", 4);
    add_lists(b);
    mls__sparse_proto *sparse = onnx_build_alloc(b, sizeof *sparse);
    mls__onnx__sparse_tensor_proto__init(sparse);
    sparse->n_dims = 2;
    sparse->dims = onnx_build_alloc(b, 2 * sizeof *sparse->dims);
    sparse->dims[0] = 2;
    sparse->dims[1] = 3;
    sparse->values = onnx_build_tensor(b, "sparse", MLS_FLOAT32, "1", "abcd", 4);
    sparse->indices = onnx_build_tensor(b, "", MLS_INT64, "1,2", (int64_t[]){1, 2}, 16);
    graph->sparse_initializer = onnx_build_alloc(b, sizeof sparse);
    graph->sparse_initializer[0] = sparse;
    graph->n_sparse_initializer = 1;
    onnx_node_ints(onnx_build_node(b, "Constant", "", "c"), "value_ints", 2, (int64_t[]){4, 5});
    onnx_node_strings(onnx_build_node(b, "Constant", "", "s"), "value_strings", 2, texts);
    onnx_build_output(b, "c", MLS_INT64, "2");
    onnx_build_output(b, "sparse", MLS_FLOAT32, "2,3");
}

/* Ops in the form of old opsets. */
static void fill_old_forms(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "N,1,6");
    onnx_node *clip = onnx_build_node(b, "Clip", "x", "a");
    onnx_node_float(clip, "min", 0);
    onnx_node_float(clip, "max", 6);
    onnx_node_ints(onnx_build_node(b, "Squeeze", "a", "b"), "axes", 1, (int64_t[]){1});
    onnx_node *slice = onnx_build_node(b, "Slice", "b", "c");
    onnx_node_ints(slice, "starts", 1, (int64_t[]){1});
    onnx_node_ints(slice, "ends", 1, (int64_t[]){5});
    onnx_node_ints(slice, "axes", 1, (int64_t[]){1});
    onnx_node_int(onnx_build_node(b, "Split", "c", "d e"), "axis", 1);
    onnx_node *pad = onnx_build_node(b, "Pad", "d", "f");
    onnx_node_ints(pad, "pads", 4, (int64_t[]){0, 1, 0, 2});
    onnx_node_float(pad, "value", 2);
    onnx_node_int(onnx_build_node(b, "TopK", "f", "g h"), "k", 2);
    onnx_node_ints(onnx_build_node(b, "ReduceSum", "g", "i"), "axes", 1, (int64_t[]){-1});
    onnx_build_node(b, "Softmax", "i", "j");
    onnx_build_node(b, "Dropout", "j", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,1");
    onnx_build_output(b, "e", MLS_FLOAT32, "N,2");
}

/* Shapes that are computed. */
static void fill_shapes(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "N,T,2");
    onnx_build_ints(b, "zero", "1", (int64_t[]){0});
    onnx_build_ints(b, "rest", "1", (int64_t[]){-1});
    onnx_build_ints(b, "two", "1", (int64_t[]){2});
    onnx_build_ints(b, "twice", "2", (int64_t[]){2, 1});
    onnx_build_node(b, "Shape", "x", "s");
    onnx_node_int(onnx_build_node(b, "Gather", "s zero", "n"), "axis", 0);
    onnx_node_int(onnx_build_node(b, "Concat", "n rest", "flat"), "axis", 0);
    onnx_build_node(b, "Reshape", "x flat", "r");
    onnx_build_node(b, "Slice", "r zero two two", "cut");
    onnx_node_ints(onnx_build_node(b, "Transpose", "cut", "t"), "perm", 2, (int64_t[]){1, 0});
    onnx_node_tensor(onnx_build_node(b, "ConstantOfShape", "n", "f"), "value",
                     onnx_build_tensor(b, "", MLS_FLOAT32, "1", (float[]){3}, 4));
    onnx_build_node(b, "Unsqueeze", "f zero", "u");
    onnx_build_node(b, "Tile", "u twice", "tiled");
    onnx_node_int(onnx_build_node(b, "Cast", "tiled", "y"), "to", MLS_INT32);
    onnx_build_output(b, "t", MLS_FLOAT32, NULL);
    onnx_build_output(b, "y", MLS_INT32, NULL);
}

static void add_tree(onnx_build *b)
{
    static const int64_t trees[] = {0, 0, 0}, nodes[] = {0, 1, 2}, features[] = {0, 0, 0};
    static const int64_t trues[] = {1, 0, 0}, falses[] = {2, 0, 0}, leaves[] = {1, 2};
    static const float values[] = {0.5f, 0, 0}, weights[] = {1, 2};
    static const char *const modes[] = {"BRANCH_LEQ", "LEAF", "LEAF"};
    onnx_node *tree = onnx_build_node(b, "ai.onnx.ml:TreeEnsembleRegressor", "scaled", "score");
    onnx_node_ints(tree, "nodes_treeids", 3, trees);
    onnx_node_ints(tree, "nodes_nodeids", 3, nodes);
    onnx_node_ints(tree, "nodes_featureids", 3, features);
    onnx_node_floats(tree, "nodes_values", 3, values);
    onnx_node_strings(tree, "nodes_modes", 3, modes);
    onnx_node_ints(tree, "nodes_truenodeids", 3, trues);
    onnx_node_ints(tree, "nodes_falsenodeids", 3, falses);
    onnx_node_ints(tree, "target_treeids", 2, trees);
    onnx_node_ints(tree, "target_nodeids", 2, leaves);
    onnx_node_ints(tree, "target_ids", 2, trees);
    onnx_node_floats(tree, "target_weights", 2, weights);
    onnx_node_int(tree, "n_targets", 1);
}

/* Ops of ai.onnx.ml, with strings. */
static void fill_trees(onnx_build *b)
{
    static const char *const keys[] = {"red", "green"};
    onnx_build_opset(b, "ai.onnx.ml", 3);
    onnx_build_input(b, "x", MLS_FLOAT32, "N,2");
    onnx_build_input(b, "colour", MLS_STRING, "N,1");
    onnx_node *scaler = onnx_build_node(b, "ai.onnx.ml:Scaler", "x", "scaled");
    onnx_node_floats(scaler, "offset", 2, (float[]){0, 1});
    onnx_node_floats(scaler, "scale", 2, (float[]){1, 2});
    add_tree(b);
    onnx_node *encoder = onnx_build_node(b, "ai.onnx.ml:LabelEncoder", "colour", "code");
    onnx_node_strings(encoder, "keys_strings", 2, keys);
    onnx_node_floats(encoder, "values_floats", 2, (float[]){1, 2});
    onnx_node_float(encoder, "default_float", -1);
    onnx_build_output(b, "score", MLS_FLOAT32, "N,1");
    onnx_build_output(b, "code", MLS_FLOAT32, "N,1");
}

/* Features by name, and numbers by their places. */
static void fill_maps(onnx_build *b)
{
    static const char *const words[] = {"age", "size", "age"};
    onnx_build_opset(b, "ai.onnx.ml", 1);
    onnx_build_input(b, "features", MLS_FLOAT32, "1");
    onnx_build_map_type(b, onnx_build_model(b)->graph->input[0], MLS_STRING);
    onnx_build_input(b, "numbers", MLS_FLOAT32, "");
    onnx_build_map_type(b, onnx_build_model(b)->graph->input[1], MLS_INT64);
    onnx_node *vectorizer = onnx_build_node(b, "ai.onnx.ml:DictVectorizer", "features", "row");
    onnx_node_strings(vectorizer, "string_vocabulary", 3, words);
    onnx_build_node(b, "Neg", "row", "y");
    onnx_node *cast = onnx_build_node(b, "ai.onnx.ml:CastMap", "numbers", "texts");
    onnx_node_string(cast, "cast_to", "TO_STRING");
    onnx_node_string(cast, "map_form", "SPARSE");
    onnx_node_int(cast, "max_map", 4);
    onnx_build_output(b, "y", MLS_FLOAT32, "1,3");
    onnx_build_output(b, "texts", MLS_STRING, "1,4");
}

/* What is read but not run: types that are no tensors. */
static void fill_unsupported(onnx_build *b)
{
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "opaque", MLS_FLOAT32, "2");
    mls__type_proto *type = onnx_build_model(b)->graph->input[1]->type;
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE;
    type->opaque_type = onnx_build_alloc(b, sizeof *type->opaque_type);
    mls__onnx__type_proto__other__init(type->opaque_type);
    onnx_build_node(b, "NoSuchOp", "cond", "y");
    onnx_build_node(b, "NoSuchOp", "opaque", "z");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    onnx_build_output(b, "z", MLS_FLOAT32, "2");
}

/* A body of Loop: sums up, stops at a limit from outside, and shows each sum. */
static onnx_build *summing_body(void)
{
    onnx_build *body = onnx_build_create(18);
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "sum", MLS_FLOAT32, "2");
    onnx_build_node(body, "Add", "sum x", "next");
    onnx_build_node(body, "ReduceMax", "next", "most");
    onnx_build_node(body, "Less", "most limit", "goes");
    onnx_build_output(body, "goes", MLS_BOOL, NULL);
    onnx_build_output(body, "next", MLS_FLOAT32, "2");
    onnx_build_output(body, "next", MLS_FLOAT32, "2");
    return body;
}

static onnx_build *branch(const char *op)
{
    onnx_build *body = onnx_build_create(18);
    onnx_build_node(body, op, "x total", "r");
    onnx_build_output(body, "r", MLS_FLOAT32, "2");
    return body;
}

/* Subgraphs, functions, sequences and optionals. */
static void fill_flow(onnx_build *b)
{
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "2");
    onnx_build_input(b, "list", MLS_FLOAT32, "2");
    onnx_build_sequence_type(b, onnx_build_model(b)->graph->input[2]);
    onnx_build_ints(b, "trips", "", (int64_t[]){5});
    onnx_build_floats(b, "limit", "1,1", (float[]){1});
    onnx_build_floats(b, "zero", "2", (float[]){0, 0});
    onnx_node_body(onnx_build_node(b, "Loop", "trips cond zero", "total sums"), "body",
                   summing_body());
    onnx_node *choice = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(choice, "then_branch", branch("Mul"));
    onnx_node_body(choice, "else_branch", branch("Sub"));
    onnx_build_opset(b, "com.example", 1);
    onnx_build *twice = onnx_build_create(18);
    onnx_build_input(twice, "a", MLS_FLOAT32, NULL);
    onnx_build_node(twice, "Add", "a a", "b");
    onnx_build_output(twice, "b", MLS_FLOAT32, NULL);
    onnx_build_function(b, "com.example", "Twice", twice);
    onnx_build_node(b, "com.example:Twice", "y", "z");
    onnx_build_node(b, "SequenceInsert", "list z", "longer");
    onnx_build_node(b, "SequenceLength", "longer", "n");
    onnx_build_node(b, "Optional", "longer", "maybe");
    onnx_build_node(b, "OptionalHasElement", "maybe", "has");
    onnx_build_output(b, "z", MLS_FLOAT32, "2");
    onnx_build_output(b, "n", MLS_INT64, "");
    onnx_build_output(b, "has", MLS_BOOL, "");
    onnx_build_output(b, "sums", MLS_FLOAT32, NULL);
    onnx_build_output(b, "longer", MLS_FLOAT32, NULL);
    onnx_build_sequence_type(b, onnx_build_model(b)->graph->output[4]);
}

/* A product that is large, in a file that is small: its weights are computed. */
static void fill_wide(onnx_build *b)
{
    onnx_build_input(b, "x", MLS_FLOAT32, "N,64");
    onnx_build_floats(b, "start", "", (const float[]){0});
    onnx_build_floats(b, "limit", "", (const float[]){4096});
    onnx_build_floats(b, "step", "", (const float[]){1});
    onnx_build_ints(b, "shape", "2", (const int64_t[]){64, 64});
    onnx_build_node(b, "Range", "start limit step", "numbers");
    onnx_build_node(b, "Sin", "numbers", "sines");
    onnx_build_node(b, "Reshape", "sines shape", "w");
    onnx_build_node(b, "MatMul", "x w", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,64");
}

const onnx_sample onnx_samples[] = {
    {"mlp", 13, fill_mlp},
    {"constants", 21, fill_constants},
    {"old_forms", 9, fill_old_forms},
    {"shapes", 13, fill_shapes},
    {"trees", 17, fill_trees},
    {"flow", 18, fill_flow},
    {"maps", 18, fill_maps},
    {"unsupported", 18, fill_unsupported},
    {"wide", 13, fill_wide},
    {NULL, 0, NULL},
};

onnx_build *onnx_sample_build(const onnx_sample *sample)
{
    onnx_build *build = onnx_build_create(sample->opset);
    sample->fill(build);
    return build;
}

onnx_build *onnx_sample_named(const char *name)
{
    const onnx_sample *sample = onnx_samples;
    while (strcmp(sample->name, name) != 0)
        sample++;
    return onnx_sample_build(sample);
}
