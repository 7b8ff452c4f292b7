/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, clocks, JSON and files, for all commands. */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int library_failure(const char *what)
{
    return what ? failure("%s: %s", what, mls_error_message()) : failure("%s", mls_error_message());
}

int model_open(const char *path, uint64_t flags, mls_context **ret_context, mls_model **ret_model)
{
    mls_context *context;
    mls_model_options model_options = MLS_MODEL_OPTIONS_INIT;
    model_options.flags = flags;
    if (mls_context_create(NULL, &context))
        return library_failure(NULL);
    if (mls_model_load(context, path, &model_options, ret_model)) {
        library_failure(NULL);
        mls_context_free(context);
        return EXIT_FAILED;
    }
    *ret_context = context;
    return EXIT_GOOD;
}

void model_close(mls_context *context, mls_model *model)
{
    mls_model_free(model);
    mls_context_free(context);
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

const char *value_shape_text(const mls_model_value *value, char *text, size_t size)
{
    size_t used = 0;
    if (value->rank < 0) {
        snprintf(text, size, "?");
        return text;
    }
    used += (size_t) snprintf(text, size, "[");
    for (int i = 0; i < value->rank && used < size; i++) {
        const char *comma = i ? "," : "";
        if (value->dims[i] >= 0)
            used +=
                (size_t) snprintf(text + used, size - used, "%s%" PRId64, comma, value->dims[i]);
        else
            used += (size_t) snprintf(text + used, size - used, "%s%s", comma,
                                      value->dim_names[i] ? value->dim_names[i] : "?");
    }
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

const char *value_kind_text(uint64_t kind)
{
    static const char *const words[] = {
        [MLS_VALUE_TENSOR] = "tensor",
        [MLS_VALUE_SEQUENCE] = "sequence",
        [MLS_VALUE_OPTIONAL] = "optional",
        [MLS_VALUE_MAP] = "map",
    };
    return kind < sizeof words / sizeof words[0] ? words[kind] : "?";
}

const char *value_type_text(const mls_model_value *value, char *text, size_t size)
{
    char shape[256];
    const char *dtype = mls_dtype_name((mls_dtype) value->dtype);
    if (value->kind == MLS_VALUE_MAP)
        snprintf(text, size, "map from %s to %s", mls_dtype_name((mls_dtype) value->key_dtype),
                 dtype);
    else if (value->kind == MLS_VALUE_TENSOR)
        snprintf(text, size, "%s %s", dtype, value_shape_text(value, shape, sizeof shape));
    else
        snprintf(text, size, "%s of %s", value_kind_text(value->kind), dtype);
    return text;
}

int print_json(json_t *document)
{
    const int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(document);
    if (failed || printf("\n") < 0 || fflush(stdout) != 0)
        return failure("cannot write to standard output");
    return EXIT_GOOD;
}

bool dim_options_read(const arguments *args, size_t extra, dim_options *ret_dims)
{
    const size_t count = arguments_count(args, "dim");
    dim_options dims = {
        .dims = calloc(count + extra + 1, sizeof *dims.dims),
        .names = calloc(count + 1, sizeof *dims.names),
    };
    if (!dims.dims || !dims.names) {
        failure("out of memory");
        dim_options_free(&dims);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *text;
        char *end;
        if (!arguments_pair(args, "dim", i, dims.names[i], sizeof dims.names[i], &text)) {
            dim_options_free(&dims);
            return false;
        }
        errno = 0;
        const long long value = strtoll(text, &end, 10);
        if (errno || end == text || *end || value < 0) {
            usage_error(args, "--dim %s=%s: expected a whole number of at least 0", dims.names[i],
                        text);
            dim_options_free(&dims);
            return false;
        }
        dims.dims[dims.count++] = (mls_dim_value){dims.names[i], value};
    }
    *ret_dims = dims;
    return true;
}

static bool read_numerics(const arguments *args, mls_session_options *options)
{
    static const char *const names[] = {
        [MLS_NUMERICS_EXACT] = "exact",
        [MLS_NUMERICS_FAST] = "fast",
    };
    const char *text = arguments_get(args, "numerics");
    for (uint32_t i = 0; text && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            options->numerics = i;
            return true;
        }
    if (text)
        usage_error(args, "--numerics %s: expected exact or fast", text);
    return !text;
}

bool session_options_read(const arguments *args, mls_session_options *options)
{
    int64_t threads;
    if (!arguments_int(args, "threads", 1, 1024, 1, &threads))
        return false;
    options->threads = (uint32_t) threads;
    return read_numerics(args, options);
}

void dim_options_free(dim_options *dims)
{
    free(dims->dims);
    free(dims->names);
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t size = strlen(text), tail = strlen(ending);
    return size >= tail && strcmp(text + size - tail, ending) == 0;
}

mls_status tensor_read(mls_context *context, const char *path, mls_tensor **ret_tensor)
{
    if (ends_with(path, ".pb"))
        return mls_tensor_read_onnx(context, path, ret_tensor);
    return mls_tensor_read_npy(context, path, ret_tensor);
}

mls_status tensor_read_contiguous(mls_context *context, const char *path, mls_tensor **ret_tensor)
{
    mls_tensor *tensor;
    mls_status status = tensor_read(context, path, &tensor);
    if (status || mls_tensor_is_contiguous(tensor)) {
        if (!status)
            *ret_tensor = tensor;
        return status;
    }
    status = mls_tensor_copy(tensor, ret_tensor);
    mls_tensor_free(tensor);
    return status;
}

static int bind_tensor(mls_context *context, mls_session *session, size_t index, const char *path)
{
    mls_tensor *tensor;
    if (tensor_read_contiguous(context, path, &tensor))
        return library_failure(NULL);
    const mls_status status = mls_session_bind_input(session, index, tensor);
    mls_tensor_free(tensor); /* the session holds a view */
    return status ? library_failure(path) : EXIT_GOOD;
}

static int bind_items(mls_session *session, size_t index, const mls_model_value *value,
                      mls_tensor *const *items, size_t count)
{
    mls_status status = MLS_OK;
    if (value->kind == MLS_VALUE_MAP && count != 2)
        return failure("--input %s: %zu files; a map takes two, its keys and its values",
                       value->name, count);
    if (value->kind == MLS_VALUE_MAP)
        status = mls_session_bind_input_map(session, index, items[0], items[1]);
    else
        status = mls_session_bind_input_sequence(session, index, (const mls_tensor *const *) items,
                                                 count);
    return status ? library_failure(NULL) : EXIT_GOOD;
}

/* All tensors that are given for a sequence or a map, in the order of the command line. */
static int bind_all(const arguments *args, mls_context *context, mls_session *session, size_t index,
                    const mls_model_value *value)
{
    const size_t most = arguments_count(args, "input");
    mls_tensor **items = calloc(most, sizeof(mls_tensor *));
    size_t count = 0;
    int code = items ? EXIT_GOOD : failure("out of memory");
    for (size_t i = 0; !code && i < most; i++) {
        char given[256];
        const char *path;
        if (!arguments_pair(args, "input", i, given, sizeof given, &path))
            code = EXIT_USAGE;
        else if (strcmp(given, value->name) != 0)
            continue;
        else if (tensor_read_contiguous(context, path, &items[count]))
            code = library_failure(NULL);
        count += !code;
    }
    if (!code)
        code = bind_items(session, index, value, items, count);
    for (size_t i = 0; i < count; i++)
        mls_tensor_free(items[i]);
    free(items);
    return code;
}

int bind_inputs(const arguments *args, mls_context *context, const mls_model *model,
                mls_session *session)
{
    int code = EXIT_GOOD;
    for (size_t i = 0; !code && i < arguments_count(args, "input"); i++) {
        char name[256];
        const char *path;
        size_t index;
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (!arguments_pair(args, "input", i, name, sizeof name, &path))
            return EXIT_USAGE;
        if (mls_session_input_index(session, name, &index) || mls_model_input(model, index, &value))
            return library_failure(NULL);
        code = value.kind == MLS_VALUE_SEQUENCE || value.kind == MLS_VALUE_MAP
                   ? bind_all(args, context, session, index, &value)
                   : bind_tensor(context, session, index, path);
    }
    return code;
}
