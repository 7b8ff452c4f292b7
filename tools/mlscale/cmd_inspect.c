/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale inspect: what a model takes, gives and consists of. */
#include "commands.h"
#include "common.h"

#include <inttypes.h>
#include <stdio.h>

static const option_spec options[] = {
    {"json", NULL, "print JSON instead of text"},
    {"dim", "NAME=N", "plan with dynamic dimension NAME at N (default 1); may be\nrepeated"},
    {NULL, NULL, NULL},
};

/* Bytes of a plan; -1 when the model cannot be planned, with the reason in *ret_reason. */
static int64_t plan_bytes(mls_model *model, const dim_options *dims, const char **ret_reason)
{
    mls_session_options session_options = MLS_SESSION_OPTIONS_INIT;
    session_options.dims = dims->dims;
    session_options.dim_count = dims->count;
    mls_session *session;
    *ret_reason = "";
    if (mls_session_create(model, &session_options, &session)) {
        *ret_reason = mls_error_message();
        return -1;
    }
    int64_t bytes = -1;
    if (mls_session_plan(session))
        *ret_reason = mls_error_message();
    else
        bytes = (int64_t) mls_session_plan_bytes(session);
    mls_session_free(session);
    return bytes;
}

typedef mls_status (*value_fn)(const mls_model *, size_t, mls_model_value *);

static json_t *json_values(const mls_model *model, size_t count, value_fn get)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (get(model, i, &value))
            continue;
        json_t *shape = value.rank < 0 ? json_null() : json_array();
        for (int k = 0; k < value.rank; k++)
            json_array_append_new(shape, value.dims[k] >= 0   ? json_integer(value.dims[k])
                                         : value.dim_names[k] ? json_string(value.dim_names[k])
                                                              : json_null());
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "name", value.name, "dtype",
                                        mls_dtype_name((mls_dtype) value.dtype), "shape", shape));
    }
    return list;
}

static int inspect_json(mls_model *model, const dim_options *dims)
{
    json_t *opsets = json_object(), *ops = json_object(), *unsupported = json_array();
    for (size_t i = 0; i < mls_model_opset_count(model); i++) {
        const char *domain;
        int64_t version;
        mls_model_opset(model, i, &domain, &version);
        json_object_set_new(opsets, domain[0] ? domain : "ai.onnx", json_integer(version));
    }
    for (size_t i = 0; i < mls_model_op_count(model); i++) {
        const char *op;
        size_t uses;
        mls_model_op(model, i, &op, &uses);
        json_object_set_new(ops, op, json_integer((json_int_t) uses));
    }
    for (size_t i = 0; i < mls_model_unsupported_count(model); i++) {
        const char *op, *node, *reason;
        mls_model_unsupported(model, i, &op, &node, &reason);
        json_array_append_new(
            unsupported, json_pack("{s:s, s:s, s:s}", "op", op, "node", node, "reason", reason));
    }
    const char *reason;
    const int64_t bytes = plan_bytes(model, dims, &reason);
    json_t *document = json_object();
    json_object_set_new(document, "inputs",
                        json_values(model, mls_model_input_count(model), mls_model_input));
    json_object_set_new(document, "outputs",
                        json_values(model, mls_model_output_count(model), mls_model_output));
    json_object_set_new(document, "opsets", opsets);
    json_object_set_new(document, "ops", ops);
    json_object_set_new(document, "parameters", json_integer(mls_model_parameter_count(model)));
    json_object_set_new(document, "plan_bytes", bytes < 0 ? json_null() : json_integer(bytes));
    json_object_set_new(document, "unsupported", unsupported);
    return print_json(document);
}

static void print_values(const mls_model *model, const char *title, size_t count, value_fn get)
{
    char shape[512];
    printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (!get(model, i, &value))
            printf("  %-24s %s %s\n", value.name, mls_dtype_name((mls_dtype) value.dtype),
                   value_shape_text(&value, shape, sizeof shape));
    }
}

static void print_unsupported(const mls_model *model)
{
    const size_t count = mls_model_unsupported_count(model);
    if (!count)
        return;
    printf("not supported: %zu nodes\n", count);
    for (size_t i = 0; i < count; i++) {
        const char *op, *node, *reason;
        mls_model_unsupported(model, i, &op, &node, &reason);
        printf("  %-24s node '%s': %s\n", op, node, reason);
    }
}

static int inspect_text(mls_model *model, const dim_options *dims)
{
    print_values(model, "inputs", mls_model_input_count(model), mls_model_input);
    print_values(model, "outputs", mls_model_output_count(model), mls_model_output);
    printf("opsets\n");
    for (size_t i = 0; i < mls_model_opset_count(model); i++) {
        const char *domain;
        int64_t version;
        mls_model_opset(model, i, &domain, &version);
        printf("  %-24s %" PRId64 "\n", domain[0] ? domain : "ai.onnx", version);
    }
    printf("ops\n");
    for (size_t i = 0; i < mls_model_op_count(model); i++) {
        const char *op;
        size_t uses;
        mls_model_op(model, i, &op, &uses);
        printf("  %-24s %zu\n", op, uses);
    }
    printf("parameters                 %" PRId64 "\n", mls_model_parameter_count(model));
    print_unsupported(model);
    const char *reason;
    const int64_t bytes = plan_bytes(model, dims, &reason);
    if (bytes >= 0)
        printf("memory of the plan         %" PRId64 " bytes\n", bytes);
    else
        printf("memory of the plan         unknown: %s\n", reason);
    return EXIT_GOOD;
}

static int inspect_model(const arguments *args, mls_context *context, const dim_options *dims)
{
    const char *path = arguments_operand(args, 0);
    mls_model_options model_options = MLS_MODEL_OPTIONS_INIT;
    model_options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    mls_model *model;
    if (mls_model_load(context, path, &model_options, &model))
        return library_failure(NULL);
    const int code =
        arguments_has(args, "json") ? inspect_json(model, dims) : inspect_text(model, dims);
    mls_model_free(model);
    return code;
}

static int inspect(const arguments *args)
{
    mls_context *context;
    dim_options dims;
    if (!dim_options_read(args, 0, &dims))
        return EXIT_USAGE;
    int code = EXIT_FAILED;
    if (mls_context_create(NULL, &context)) {
        library_failure(NULL);
    } else {
        code = inspect_model(args, context, &dims);
        mls_context_free(context);
    }
    dim_options_free(&dims);
    return code;
}

const command command_inspect = {
    .name = "inspect",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "show a model's inputs, outputs, ops and memory",
    .options = options,
    .run = inspect,
};
