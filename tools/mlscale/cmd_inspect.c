/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale inspect: what a model takes, gives and consists of. */
#include "commands.h"
#include "common.h"
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>

static const option_spec options[] = {
    {"json", NULL, "print JSON instead of text"},
    {"dim", "NAME=N", "plan with dynamic dimension NAME at N (default 1); may be\nrepeated"},
    SESSION_THREADS,
    SESSION_NUMERICS,
    {"plan", NULL, "show the plan node by node: kernels, and where each output lies"},
    {"input", "NAME=FILE",
     "run once on a .npy or .pb file as an input before the plan is\n"
     "shown: control flow is planned as it runs; may be repeated"},
    {NULL, NULL, NULL},
};

/* A model to be shown, and its plan. */
typedef struct inspection {
    mls_model *model;
    mls_session *session; /* NULL when there is no plan, and then ... */
    const char *reason;   /* ... why */
    plan_totals totals;
    bool wants_plan; /* --plan */
} inspection;

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
        json_t *entry = json_pack("{s:s, s:s, s:s, s:o}", "name", value.name, "kind",
                                  value_kind_text(value.kind), "dtype",
                                  mls_dtype_name((mls_dtype) value.dtype), "shape", shape);
        if (value.kind == MLS_VALUE_MAP)
            json_object_set_new(entry, "key_dtype",
                                json_string(mls_dtype_name((mls_dtype) value.key_dtype)));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *json_bytes(const inspection *in, size_t bytes)
{
    return in->session ? json_integer((json_int_t) bytes) : json_null();
}

static json_t *json_plan(const inspection *in)
{
    json_t *entries;
    return in->session && !plan_json(in->session, &entries) ? entries : json_null();
}

static int inspect_json(const inspection *in)
{
    const mls_model *model = in->model;
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
    json_t *document = json_object();
    json_object_set_new(document, "inputs",
                        json_values(model, mls_model_input_count(model), mls_model_input));
    json_object_set_new(document, "outputs",
                        json_values(model, mls_model_output_count(model), mls_model_output));
    json_object_set_new(document, "opsets", opsets);
    json_object_set_new(document, "ops", ops);
    json_object_set_new(document, "parameters", json_integer(mls_model_parameter_count(model)));
    json_object_set_new(document, "unsupported", unsupported);
    json_object_set_new(document, "plan_bytes", json_bytes(in, in->totals.block_bytes));
    if (in->wants_plan) {
        json_object_set_new(document, "unshared_bytes", json_bytes(in, in->totals.unshared_bytes));
        json_object_set_new(document, "plan", json_plan(in));
    }
    return print_json(document);
}

static void print_values(const mls_model *model, const char *title, size_t count, value_fn get)
{
    char type[512];
    printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (!get(model, i, &value))
            printf("  %-24s %s\n", value.name, value_type_text(&value, type, sizeof type));
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

static void print_plan(const inspection *in)
{
    if (!in->session) {
        printf("memory of the plan         unknown: %s\n", in->reason);
        return;
    }
    if (in->wants_plan && plan_print(in->session))
        library_failure(NULL);
    printf("memory of the plan         %zu bytes\n", in->totals.block_bytes);
    if (in->wants_plan)
        printf("without reuse              %zu bytes\n", in->totals.unshared_bytes);
}

static int inspect_text(const inspection *in)
{
    const mls_model *model = in->model;
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
    print_plan(in);
    return EXIT_GOOD;
}

static int run_once(const arguments *args, mls_context *context, const mls_model *model,
                    mls_session *session)
{
    const int code = bind_inputs(args, context, model, session);
    if (code)
        return code;
    return mls_session_run(session) ? library_failure("run") : EXIT_GOOD;
}

/* Makes the plan, if it can be made. Gives an exit code, after a message, when inputs are wrong. */
static int make_plan(const arguments *args, mls_context *context, const dim_options *dims,
                     inspection *in)
{
    mls_session_options session_options = MLS_SESSION_OPTIONS_INIT;
    int code = EXIT_GOOD;
    if (!session_options_read(args, &session_options))
        return EXIT_USAGE;
    session_options.dims = dims->dims;
    session_options.dim_count = dims->count;
    if (mls_session_create(in->model, &session_options, &in->session)) {
        in->session = NULL;
    } else {
        if (arguments_count(args, "input"))
            code = run_once(args, context, in->model, in->session);
        if (!code && !plan_measure(in->session, &in->totals))
            return EXIT_GOOD;
    }
    in->reason = mls_error_message();
    mls_session_free(in->session);
    in->session = NULL;
    return code;
}

static int inspect_loaded(const arguments *args, mls_context *context, const dim_options *dims,
                          mls_model *model)
{
    inspection in = {.model = model, .wants_plan = arguments_has(args, "plan")};
    int code = make_plan(args, context, dims, &in);
    if (!code)
        code = arguments_has(args, "json") ? inspect_json(&in) : inspect_text(&in);
    if (!code && in.wants_plan && !in.session)
        code = EXIT_FAILED;
    mls_session_free(in.session);
    return code;
}

static int inspect(const arguments *args)
{
    mls_context *context;
    mls_model *model;
    dim_options dims;
    if (!dim_options_read(args, 0, &dims))
        return EXIT_USAGE;
    int code =
        model_open(arguments_operand(args, 0), MLS_MODEL_ALLOW_UNSUPPORTED, &context, &model);
    if (!code) {
        code = inspect_loaded(args, context, &dims, model);
        model_close(context, model);
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
