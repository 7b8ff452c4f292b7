/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale run: any model once, with inputs and outputs in files. */
#include "commands.h"
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const option_spec options[] = {
    {"input", "NAME=FILE",
     "the tensor for input NAME, an .npy or .pb file; one for\neach input, several for one that is "
     "a sequence, two for a map:\nits keys, then its values"},
    {"output-dir", "DIR", "where the outputs go, a file each; made if missing"},
    {"format", "npy|pb", "of the outputs (default npy)"},
    SESSION_THREADS,
    SESSION_NUMERICS,
    {NULL, NULL, NULL},
};

/* Every input must have been given: a run on zeros would look like a result. */
static int check_inputs(const arguments *args, const mls_model *model)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_input(model, i, &value);
        const size_t size = strlen(value.name);
        bool is_given = false;
        for (size_t k = 0; k < arguments_count(args, "input"); k++) {
            const char *text = arguments_at(args, "input", k);
            is_given = is_given || (strncmp(text, value.name, size) == 0 && text[size] == '=');
        }
        char type[512];
        if (!is_given && value.kind != MLS_VALUE_OPTIONAL)
            return usage_error(args, "input '%s' (%s) is missing: --input %s=FILE", value.name,
                               value_type_text(&value, type, sizeof type), value.name);
    }
    return EXIT_GOOD;
}

/* Names come from the model: none may lead out of the folder. `item` is of a sequence, or -1. */
static void output_path(const char *dir, const char *name, int item, const char *format, char *path,
                        size_t size)
{
    char number[16] = "";
    if (item >= 0)
        snprintf(number, sizeof number, ".%d", item);
    snprintf(path, size, "%s/%s%s.%s", dir, name[0] == '.' ? "_" : name, number, format);
    for (char *c = path + strlen(dir) + 1; *c; c++)
        if (*c == '/' || *c == ':' || *c == '\\' || (unsigned char) *c < ' ')
            *c = '_';
}

static int write_item(mls_session *session, size_t index, size_t item, const char *name,
                      const char *path, const char *format)
{
    mls_tensor *tensor;
    if (mls_session_output_item(session, index, item, &tensor))
        return library_failure(name);
    const mls_status status = strcmp(format, "pb") == 0 ? mls_tensor_write_onnx(tensor, name, path)
                                                        : mls_tensor_write_npy(tensor, path);
    mls_tensor_free(tensor);
    if (status)
        return library_failure(NULL);
    printf("%s\n", path);
    return EXIT_GOOD;
}

/* A file each tensor: of a sequence NAME.0, NAME.1, ..., a map two; of an empty optional none. */
static int write_output(mls_session *session, size_t index, const mls_model_value *value,
                        const char *dir, const char *format)
{
    char path[4096];
    size_t count;
    int code = EXIT_GOOD;
    if (mls_session_output_count(session, index, &count))
        return library_failure(value->name);
    for (size_t i = 0; !code && i < count; i++) {
        const bool is_one = value->kind != MLS_VALUE_SEQUENCE && count == 1;
        output_path(dir, value->name, is_one ? -1 : (int) i, format, path, sizeof path);
        code = write_item(session, index, i, value->name, path, format);
    }
    return code;
}

static int write_outputs(const arguments *args, const mls_model *model, mls_session *session)
{
    const char *dir = arguments_get(args, "output-dir");
    const char *format = arguments_get(args, "format");
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return failure("cannot make the folder '%s': %s", dir, strerror(errno));
    int code = EXIT_GOOD;
    for (size_t i = 0; !code && i < mls_model_output_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        mls_model_output(model, i, &value);
        code = write_output(session, i, &value, dir, format ? format : "npy");
    }
    return code;
}

static int run_session(const arguments *args, mls_context *context, mls_model *model,
                       const mls_session_options *session_options)
{
    mls_session *session;
    if (mls_session_create(model, session_options, &session))
        return library_failure(NULL);
    int code = bind_inputs(args, context, model, session);
    if (!code && mls_session_run(session))
        code = library_failure(NULL);
    if (!code)
        code = write_outputs(args, model, session);
    mls_session_free(session);
    return code;
}

static int run(const arguments *args)
{
    const char *format = arguments_get(args, "format");
    mls_session_options session_options = MLS_SESSION_OPTIONS_INIT;
    if (!arguments_has(args, "output-dir"))
        return usage_error(args, "--output-dir is missing");
    if (format && strcmp(format, "npy") != 0 && strcmp(format, "pb") != 0)
        return usage_error(args, "--format %s: expected npy or pb", format);
    if (!session_options_read(args, &session_options))
        return EXIT_USAGE;
    mls_context *context;
    mls_model *model;
    int code = model_open(arguments_operand(args, 0), 0, &context, &model);
    if (code)
        return code;
    code = check_inputs(args, model);
    if (!code)
        code = run_session(args, context, model, &session_options);
    model_close(context, model);
    return code;
}

const command command_run = {
    .name = "run",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "run any model once on tensors in files",
    .details = "Prints the path of each output file that it wrote.",
    .options = options,
    .run = run,
};
