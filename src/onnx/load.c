/* SPDX-License-Identifier: Apache-2.0 */
/* mls_model_load: from a file or memory through the unpacked message to a model. */
#include "onnx/reader.h"

#include "base/error.h"
#include "base/file.h"
#include "base/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIN_IR_VERSION 3 /* the first with opset imports */
#define MAX_IR_VERSION 13

static const struct domain {
    const char *name;
    const char *text; /* for people */
    int64_t min, max; /* opsets whose ops we know */
} domains[] = {
    {"", "ai.onnx", 1, 27}, /* below 7 some ops only: translate/early.c */
    {"ai.onnx.ml", "ai.onnx.ml", 1, 5},
    {"com.microsoft", "com.microsoft", 1, 1}, /* ops that exporters of ONNX Runtime write */
};

const char *mls__onnx_domain(const char *domain)
{
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* A function's nodes are of the opsets that the function imports. */
static bool find_function_version(const mls__onnx_reader *reader, const char *domain,
                                  int64_t *ret_version)
{
    while (reader->captures)
        reader = reader->outer;
    const mls__function_proto *function = reader->function;
    for (size_t i = 0; function && i < function->n_opset_import; i++)
        if (strcmp(mls__onnx_domain(function->opset_import[i]->domain), domain) == 0) {
            *ret_version = function->opset_import[i]->version;
            return true;
        }
    return false;
}

static const char *domain_text(const char *domain)
{
    return domain[0] ? domain : "ai.onnx";
}

static mls__opset *find_opset(const mls_model *model, const char *domain)
{
    for (size_t i = 0; i < model->opsets.count; i++) {
        mls__opset *opset = mls__vec_at(&model->opsets, i);
        if (strcmp(opset->domain, domain) == 0)
            return opset;
    }
    return NULL;
}

mls_status mls__onnx_version(const mls__onnx_reader *reader, const char *domain,
                             int64_t *ret_version)
{
    if (!find_function_version(reader, domain, ret_version)) {
        const mls__opset *opset = find_opset(reader->model, domain);
        if (!opset)
            return mls__error(MLS_EFORMAT,
                              "the model does not import an opset of its domain '%.100s'",
                              domain_text(domain));
        *ret_version = opset->version;
    }
    const int64_t version = *ret_version;
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        const struct domain *d = &domains[i];
        if (strcmp(d->name, domain) != 0)
            continue;
        if (version >= d->min && version <= d->max)
            return MLS_OK;
        return mls__error(MLS_EUNSUPPORTED,
                          "opset %" PRId64 " of %s is not supported; %" PRId64 " to %" PRId64
                          " are",
                          version, d->text, d->min, d->max);
    }
    return mls__error(MLS_EUNSUPPORTED, "domain '%.100s' (version %" PRId64 ") is not supported",
                      domain, version);
}

const char *mls__onnx_reason(const mls__onnx_reader *reader)
{
    return mls__arena_string(&reader->graph->arena, mls_error_message());
}

/* Tools that join models leave a domain in twice; other readers take the last one too. */
static void replace_version(const mls_model *model, mls__opset *opset, int64_t version)
{
    if (opset->version != version)
        mls__log(model->context, MLS_LOG_WARNING,
                 "opset_import has versions %" PRId64 " and %" PRId64
                 " of domain '%.100s'; the last one is taken",
                 opset->version, version, domain_text(opset->domain));
    opset->version = version;
}

static mls_status read_opsets(mls__onnx_reader *reader)
{
    const mls__model_proto *proto = reader->proto;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < proto->n_opset_import; i++) {
        const char *domain = mls__onnx_domain(proto->opset_import[i]->domain);
        const int64_t version = proto->opset_import[i]->version;
        mls__opset *known = find_opset(reader->model, domain);
        if (known)
            replace_version(reader->model, known, version);
        else
            status = mls__model_add_opset(reader->model, domain, version);
    }
    if (proto->n_opset_import == 0)
        return mls__error(MLS_EFORMAT, "opset_import is empty: no op has a meaning");
    return status;
}

static mls_status check_ir_version(mls__onnx_reader *reader)
{
    const mls__model_proto *proto = reader->proto;
    if (!proto->has_ir_version || !proto->graph)
        return mls__error(MLS_EFORMAT, "not an ONNX model: it has no %s",
                          proto->graph ? "ir_version" : "graph");
    if (proto->ir_version >= MIN_IR_VERSION && proto->ir_version <= MAX_IR_VERSION)
        return MLS_OK;
    mls__error(MLS_EUNSUPPORTED, "IR version %" PRId64 " is not supported; %d to %d are",
               proto->ir_version, MIN_IR_VERSION, MAX_IR_VERSION);
    if (!reader->allow_unsupported)
        return MLS_EUNSUPPORTED;
    reader->unsupported = mls__onnx_reason(reader);
    return reader->unsupported ? MLS_OK : mls__error_nomem(1);
}

static mls_status add_metadata(mls_model *model, const char *key, const char *value)
{
    return value && value[0] ? mls__model_add_metadata(model, key, value) : MLS_OK;
}

static mls_status add_number(mls_model *model, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return mls__model_add_metadata(model, key, text);
}

static mls_status read_metadata(mls__onnx_reader *reader)
{
    const mls__model_proto *proto = reader->proto;
    mls_model *model = reader->model;
    mls_status status = add_number(model, "ir_version", proto->ir_version);
    if (!status)
        status = add_metadata(model, "producer_name", proto->producer_name);
    if (!status)
        status = add_metadata(model, "producer_version", proto->producer_version);
    if (!status)
        status = add_metadata(model, "domain", proto->domain);
    if (!status && proto->has_model_version)
        status = add_number(model, "model_version", proto->model_version);
    if (!status)
        status = add_metadata(model, "graph_name", proto->graph->name);
    if (!status)
        status = add_metadata(model, "doc_string", proto->doc_string);
    for (size_t i = 0; !status && i < proto->n_metadata_props; i++)
        status = mls__model_add_metadata(model, mls__proto_text(proto->metadata_props[i]->key),
                                         mls__proto_text(proto->metadata_props[i]->value));
    return status;
}

static mls_status read_model(mls__onnx_reader *reader)
{
    mls_status status = check_ir_version(reader);
    if (!status)
        status = read_opsets(reader);
    if (!status)
        status = read_metadata(reader);
    if (!status)
        status = mls__onnx_count(reader);
    if (!status)
        status = mls__onnx_note_functions(reader);
    if (!status)
        status = mls__onnx_read_values(reader);
    if (!status)
        status =
            mls__onnx_read_nodes(reader, reader->graph_proto->node, reader->graph_proto->n_node);
    if (!status)
        status = mls__onnx_read_outputs(reader);
    if (!status)
        status = mls__model_finish(reader->model, reader->allow_unsupported);
    return status;
}

static mls_status load_proto(mls_context *context, mls__model_proto *proto,
                             const mls_model_options *options, mls_model **ret_model)
{
    mls_model *model;
    mls_status status = mls__model_create(context, &model);
    if (status)
        return status;
    mls__external external;
    mls__map functions;
    mls__vec notes;
    size_t call_nodes = 0;
    mls__onnx_reader reader = {
        .model = model,
        .graph = &model->graph,
        .proto = proto,
        .graph_proto = proto->graph,
        .external = &external,
        .allow_unsupported = (options->flags & MLS_MODEL_ALLOW_UNSUPPORTED) != 0,
        .notes = &notes,
        .functions = &functions,
        .call_nodes = &call_nodes,
    };
    mls__external_init(&external, context, options->external_data_dir);
    mls__map_init(&reader.values, &context->allocator);
    mls__map_init(&functions, &context->allocator);
    mls__vec_init(&notes, &context->allocator, sizeof(mls__value_note));
    status = read_model(&reader);
    mls__vec_clear(&notes);
    mls__map_clear(&functions);
    mls__map_clear(&reader.values);
    mls__external_clear(&external);
    if (status)
        mls__model_unref(model);
    else
        *ret_model = model;
    return status;
}

static mls_status load_bytes(mls_context *context, const void *data, size_t size,
                             const mls_model_options *options, mls_model **ret_model)
{
    mls__model_proto *proto;
    mls_status status = mls__proto_unpack(&context->allocator, data, size, &proto);
    if (status)
        return status;
    status = load_proto(context, proto, options, ret_model);
    mls__proto_free(&context->allocator, proto);
    return status;
}

static mls_status read_options(const mls_model_options *given, mls_model_options *ret_options)
{
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    const mls_status status =
        mls__options_read("mls_model_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    if (options.flags & ~MLS_MODEL_ALLOW_UNSUPPORTED)
        return mls__error(MLS_EINVAL, "mls_model_options.flags: 0x%" PRIx64 " is not known",
                          options.flags);
    *ret_options = options;
    return MLS_OK;
}

mls_status mls_model_load_memory(mls_context *context, const void *data, size_t size,
                                 const mls_model_options *given, mls_model **ret_model)
{
    mls_model_options options;
    if (!context || !ret_model || (!data && size))
        return mls__error(MLS_EINVAL, "mls_model_load_memory: an argument is NULL");
    const mls_status status = read_options(given, &options);
    if (status)
        return status;
    return load_bytes(context, data, size, &options, ret_model);
}

/* The path up to its last slash; NULL when there is no memory. */
static char *directory_of(const mls__allocator *allocator, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mls__alloc_string(allocator, ".");
    return mls__alloc_bytes(allocator, path, slash == path ? 1 : (size_t) (slash - path));
}

static mls_status load_file(mls_context *context, const char *path,
                            const mls_model_options *options, mls_model **ret_model)
{
    mls__file_map map;
    mls_status status = mls__file_map_open(path, &map);
    if (status)
        return status;
    status = load_bytes(context, map.data, map.size, options, ret_model);
    mls__file_map_close(&map);
    return status ? mls__error_at(status, "%.300s", path) : MLS_OK;
}

mls_status mls_model_load(mls_context *context, const char *path, const mls_model_options *given,
                          mls_model **ret_model)
{
    mls_model_options options;
    if (!context || !path || !ret_model)
        return mls__error(MLS_EINVAL, "mls_model_load: an argument is NULL");
    mls_status status = read_options(given, &options);
    if (status)
        return status;
    char *directory = directory_of(&context->allocator, path);
    if (!directory)
        return mls__error_nomem(strlen(path));
    if (!options.external_data_dir)
        options.external_data_dir = directory;
    status = load_file(context, path, &options, ret_model);
    mls__free(&context->allocator, directory);
    return status;
}
