/* SPDX-License-Identifier: Apache-2.0 */
/* Ops in the form of an old opset compute, byte for byte, what the newest form does. */
#include "support/onnx_build.h"
#include "support/test.h"

#include <string.h>

#define MAX_BYTES 4096

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* A model of one op on x, [2,3,4] of float32, and what it does. */
typedef struct form {
    int64_t opset;
    void (*fill)(onnx_build *b);
} form;

typedef struct result {
    int rank;
    int64_t dims[MLS_MAX_RANK];
    size_t size;
    unsigned char bytes[MAX_BYTES];
} result;

static void get_output(mls_session *session, size_t index, result *ret_result)
{
    mls_dtype dtype;
    const int64_t *dims;
    ck_assert_ok(mls_session_output_shape(session, index, &dtype, &ret_result->rank, &dims));
    ret_result->size = mls_dtype_size(dtype);
    for (int i = 0; i < ret_result->rank; i++) {
        ret_result->dims[i] = dims[i];
        ret_result->size *= (size_t) dims[i];
    }
    ck_assert_uint_le(ret_result->size, MAX_BYTES);
    ck_assert_uint_gt(ret_result->size, 0);
    memcpy(ret_result->bytes, mls_session_output_data(session, index), ret_result->size);
}

/* Runs on numbers from -2 to 2; gives output `y`, and `z` where there is one. */
static size_t run_form(const form *f, result *ret_results)
{
    onnx_build *b = onnx_build_create(f->opset);
    mls_model *model;
    mls_session *session;
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3,4");
    f->fill(b);
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, NULL, &session));
    float *x = mls_session_input_data(session, 0);
    for (int i = 0; i < 24; i++)
        x[i] = (float) (i * 7 % 24) / 6 - 2;
    ck_assert_ok(mls_session_run(session));
    const size_t count = mls_model_output_count(model);
    for (size_t i = 0; i < count; i++)
        get_output(session, i, &ret_results[i]);
    mls_session_free(session);
    mls_model_free(model);
    onnx_build_free(b);
    return count;
}

static onnx_node *node(onnx_build *b, const char *op, const char *inputs, const char *outputs)
{
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    return onnx_build_node(b, op, inputs, outputs);
}

static void clip_old(onnx_build *b)
{
    onnx_node *clip = node(b, "Clip", "x", "y");
    onnx_node_float(clip, "min", -0.5f);
    onnx_node_float(clip, "max", 1.25f);
}

static void clip_new(onnx_build *b)
{
    onnx_build_floats(b, "low", "", (float[]){-0.5f});
    onnx_build_floats(b, "high", "", (float[]){1.25f});
    node(b, "Clip", "x low high", "y");
}

static void clip_half_old(onnx_build *b)
{
    onnx_node_int(onnx_build_node(b, "Cast", "x", "h"), "to", MLS_FLOAT16);
    onnx_node_float(node(b, "Clip", "h", "y"), "max", 0.75f);
}

static void clip_half_new(onnx_build *b)
{
    onnx_node_int(onnx_build_node(b, "Cast", "x", "h"), "to", MLS_FLOAT16);
    onnx_build_raw(b, "high", MLS_FLOAT16, "", (uint16_t[]){0x3a00}, 2);
    node(b, "Clip", "h - high", "y");
}

static void scatter(onnx_build *b, const char *op)
{
    onnx_build_ints(b, "at", "1,1,2", (int64_t[]){2, 0});
    onnx_build_floats(b, "updates", "1,1,2", (float[]){5, 6});
    onnx_node_int(node(b, op, "x at updates", "y"), "axis", 2);
}

static void scatter_old(onnx_build *b)
{
    scatter(b, "Scatter");
}

static void scatter_new(onnx_build *b)
{
    scatter(b, "ScatterElements");
}

static void pad_old(onnx_build *b)
{
    onnx_node *pad = node(b, "Pad", "x", "y");
    onnx_node_ints(pad, "pads", 6, (int64_t[]){0, 1, 2, 1, 0, 0});
    onnx_node_float(pad, "value", 3.5f);
}

static void pad_new(onnx_build *b)
{
    onnx_build_ints(b, "pads", "6", (int64_t[]){0, 1, 2, 1, 0, 0});
    onnx_build_floats(b, "value", "", (float[]){3.5f});
    node(b, "Pad", "x pads value", "y");
}

static void slice_old(onnx_build *b)
{
    onnx_node *slice = node(b, "Slice", "x", "y");
    onnx_node_ints(slice, "axes", 2, (int64_t[]){2, 1});
    onnx_node_ints(slice, "starts", 2, (int64_t[]){1, -2});
    onnx_node_ints(slice, "ends", 2, (int64_t[]){100, 3});
}

static void slice_new(onnx_build *b)
{
    onnx_build_ints(b, "axes", "2", (int64_t[]){2, 1});
    onnx_build_ints(b, "starts", "2", (int64_t[]){1, -2});
    onnx_build_ints(b, "ends", "2", (int64_t[]){100, 3});
    node(b, "Slice", "x starts ends axes", "y");
}

static void unsqueeze_old(onnx_build *b)
{
    onnx_node_ints(onnx_build_node(b, "Unsqueeze", "x", "u"), "axes", 2, (int64_t[]){0, 2});
    onnx_node_ints(node(b, "Squeeze", "u", "y"), "axes", 1, (int64_t[]){0});
}

static void unsqueeze_new(onnx_build *b)
{
    onnx_build_ints(b, "out", "2", (int64_t[]){0, 2});
    onnx_build_ints(b, "in", "1", (int64_t[]){0});
    onnx_build_node(b, "Unsqueeze", "x out", "u");
    node(b, "Squeeze", "u in", "y");
}

static void split_old(onnx_build *b)
{
    onnx_node *split = node(b, "Split", "x", "- y -");
    onnx_node_int(split, "axis", 1);
}

static void split_new(onnx_build *b)
{
    onnx_node *split = node(b, "Split", "x", "- y -");
    onnx_node_int(split, "axis", 1);
    onnx_node_int(split, "num_outputs", 3);
}

static void split_sizes_old(onnx_build *b)
{
    onnx_node *split = node(b, "Split", "x", "y z");
    onnx_node_int(split, "axis", 2);
    onnx_node_ints(split, "split", 2, (int64_t[]){1, 3});
    onnx_build_output(b, "z", MLS_FLOAT32, NULL);
}

static void split_sizes_new(onnx_build *b)
{
    onnx_build_ints(b, "sizes", "2", (int64_t[]){1, 3});
    onnx_node_int(node(b, "Split", "x sizes", "y z"), "axis", 2);
    onnx_build_output(b, "z", MLS_FLOAT32, NULL);
}

static void softmax_old(onnx_build *b)
{
    node(b, "Softmax", "x", "y");
}

static void softmax_new(onnx_build *b)
{
    onnx_build_ints(b, "rows", "2", (int64_t[]){2, 12});
    onnx_build_ints(b, "back", "3", (int64_t[]){2, 3, 4});
    onnx_build_node(b, "Reshape", "x rows", "r");
    onnx_build_node(b, "Softmax", "r", "s");
    node(b, "Reshape", "s back", "y");
}

static void reduce_old(onnx_build *b)
{
    onnx_node_ints(node(b, "ReduceMean", "x", "y"), "axes", 2, (int64_t[]){0, -1});
}

static void reduce_new(onnx_build *b)
{
    onnx_build_ints(b, "axes", "2", (int64_t[]){0, -1});
    node(b, "ReduceMean", "x axes", "y");
}

static void topk_old(onnx_build *b)
{
    onnx_node_int(node(b, "TopK", "x", "y z"), "k", 2);
    onnx_build_output(b, "z", MLS_INT64, NULL);
}

static void topk_new(onnx_build *b)
{
    onnx_build_ints(b, "k", "1", (int64_t[]){2});
    node(b, "TopK", "x k", "y z");
    onnx_build_output(b, "z", MLS_INT64, NULL);
}

/* Opset 6 says that the second shape matches the end of the first. */
static void add_old(onnx_build *b)
{
    onnx_build_floats(b, "c", "4", (float[]){1, 2, 3, 4});
    onnx_node_int(node(b, "Add", "x c", "y"), "broadcast", 1);
}

static void add_new(onnx_build *b)
{
    onnx_build_floats(b, "c", "4", (float[]){1, 2, 3, 4});
    node(b, "Add", "x c", "y");
}

static void upsample_7(onnx_build *b)
{
    onnx_node *up = node(b, "Upsample", "x", "y");
    onnx_node_floats(up, "scales", 3, (float[]){1, 2, 1.5f});
    onnx_node_string(up, "mode", "linear");
}

static void upsample_9(onnx_build *b)
{
    onnx_build_floats(b, "scales", "3", (float[]){1, 2, 1.5f});
    onnx_node_string(node(b, "Upsample", "x scales", "y"), "mode", "linear");
}

static void resize_new(onnx_build *b)
{
    onnx_build_floats(b, "scales", "3", (float[]){1, 2, 1.5f});
    onnx_node *resize = node(b, "Resize", "x - scales", "y");
    onnx_node_string(resize, "mode", "linear");
    onnx_node_string(resize, "coordinate_transformation_mode", "asymmetric");
}

/* Shorter axes took the element above. */
static void resize_old(onnx_build *b)
{
    onnx_build_floats(b, "scales", "3", (float[]){1, 0.7f, 0.6f});
    node(b, "Resize", "x scales", "y");
}

static void resize_old_new(onnx_build *b)
{
    onnx_build_floats(b, "scales", "3", (float[]){1, 0.7f, 0.6f});
    onnx_node *resize = node(b, "Resize", "x - scales", "y");
    onnx_node_string(resize, "nearest_mode", "ceil");
    onnx_node_string(resize, "coordinate_transformation_mode", "asymmetric");
}

/* The middle of x is matched. */
static void add_axis_old(onnx_build *b)
{
    onnx_build_floats(b, "c", "3", (float[]){1, 20, 300});
    onnx_node *add = node(b, "Add", "x c", "y");
    onnx_node_int(add, "broadcast", 1);
    onnx_node_int(add, "axis", 1);
}

static void add_axis_new(onnx_build *b)
{
    onnx_build_floats(b, "c", "3,1", (float[]){1, 20, 300});
    node(b, "Add", "x c", "y");
}

static void prelu_old(onnx_build *b)
{
    onnx_build_floats(b, "c", "3", (float[]){1, 20, 300});
    node(b, "PRelu", "x c", "y");
}

static void prelu_new(onnx_build *b)
{
    onnx_build_floats(b, "c", "3,1", (float[]){1, 20, 300});
    node(b, "PRelu", "x c", "y");
}

static onnx_node *roi_align(onnx_build *b)
{
    onnx_build_ints(b, "shape", "4", (int64_t[]){1, 2, 3, 4});
    onnx_build_floats(b, "regions", "1,4", (float[]){0.5f, 0.25f, 3, 2});
    onnx_build_ints(b, "images", "1", (int64_t[]){0});
    onnx_build_node(b, "Reshape", "x shape", "image");
    onnx_node *roi = node(b, "RoiAlign", "image regions images", "y");
    onnx_node_int(roi, "output_width", 2);
    return roi;
}

static void roi_align_old(onnx_build *b)
{
    roi_align(b);
}

static void roi_align_new(onnx_build *b)
{
    onnx_node_string(roi_align(b), "coordinate_transformation_mode", "output_half_pixel");
}

static const struct pair {
    const char *name;
    form before, after;
} pairs[] = {
    {"Scatter", {10, scatter_old}, {18, scatter_new}},
    {"Clip", {10, clip_old}, {13, clip_new}},
    {"Clip of float16", {10, clip_half_old}, {13, clip_half_new}},
    {"Pad", {10, pad_old}, {13, pad_new}},
    {"Slice", {9, slice_old}, {13, slice_new}},
    {"Squeeze and Unsqueeze", {12, unsqueeze_old}, {13, unsqueeze_new}},
    {"Split", {17, split_old}, {18, split_new}},
    {"Softmax", {12, softmax_old}, {13, softmax_new}},
    {"ReduceMean", {17, reduce_old}, {18, reduce_new}},
    {"TopK", {9, topk_old}, {11, topk_new}},
    {"Add", {6, add_old}, {7, add_new}},
    {"Add along an axis", {6, add_axis_old}, {7, add_axis_new}},
    {"PRelu of channels", {6, prelu_old}, {7, prelu_new}},
    {"Upsample with an attribute", {7, upsample_7}, {13, resize_new}},
    {"Upsample", {9, upsample_9}, {13, resize_new}},
    {"RoiAlign", {10, roi_align_old}, {16, roi_align_new}},
    {"Resize", {10, resize_old}, {13, resize_old_new}},
    {"Split by sizes", {12, split_sizes_old}, {13, split_sizes_new}},
};

START_TEST(same_bytes)
{
    const struct pair *p = &pairs[_i];
    static result before[2], after[2];
    const size_t count = run_form(&p->before, before);
    ck_assert_uint_eq(run_form(&p->after, after), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(before[i].rank == after[i].rank && before[i].size == after[i].size,
                      "%s: shapes differ", p->name);
        ck_assert_mem_eq(before[i].dims, after[i].dims, (size_t) after[i].rank * sizeof(int64_t));
        ck_assert_msg(memcmp(before[i].bytes, after[i].bytes, after[i].size) == 0,
                      "%s: bytes differ", p->name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/old_forms");
    TCase *tests = tcase_create("old_forms");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, same_bytes, 0, (int) (sizeof pairs / sizeof pairs[0]));
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
