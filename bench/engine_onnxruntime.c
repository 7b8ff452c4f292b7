/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX Runtime through its C API, as its documentation recommends for speed: inputs and outputs
 * bound once (IoBinding), sequential execution, all graph optimizations.
 */
#include "engine.h"
#include "onnxruntime_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MLS_BENCH_ONNXRUNTIME_HEADER
#include <onnxruntime_c_api.h>
#define CHECK(place, name, member)                                                                 \
    _Static_assert(offsetof(OrtApi, name) == (place) * sizeof(void *), #name " is elsewhere");
MLS_ONNXRUNTIME_FUNCTIONS(CHECK)
#endif

static onnxruntime_api ort;

static const struct {
    size_t place, offset;
} places[] = {
#define PLACE(place, name, member) {place, offsetof(onnxruntime_api, member)},
    MLS_ONNXRUNTIME_FUNCTIONS(PLACE)
#undef PLACE
};

/* The one function that the library exports, and what it gives. */
typedef struct api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
} api_base;

typedef struct exports {
    const api_base *(*base)(void);
} exports;

static bool peer_load(const char *path)
{
    static const engine_symbol symbols[] = {{"OrtGetApiBase", offsetof(exports, base)}};
    exports library;
    if (!engine_load_library(path, symbols, 1, &library))
        return false;
    void *const *table = library.base()->get_api(API_VERSION);
    if (!table) {
        fprintf(stderr, "onnxruntime %s lacks version %d of its API\n", library.base()->version(),
                API_VERSION);
        return false;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        memcpy((char *) &ort + places[i].offset, &table[places[i].place], sizeof *table);
    return true;
}

typedef struct peer {
    void *env, *session, *binding, *memory, *allocator;
    void *inputs[ENGINE_INPUTS_MOST];
    void **outputs;
    size_t output_count;
} peer;

/* false after the status's message. */
static bool good(failure status)
{
    if (!status)
        return true;
    fprintf(stderr, "onnxruntime: %s\n", ort.error_message(status));
    ort.release_status(status);
    return false;
}

static void drop(const peer *p, void *block)
{
    if (block)
        good(ort.free(p->allocator, block));
}

static void peer_close(void *session)
{
    peer *p = session;
    for (size_t i = 0; i < p->output_count; i++)
        ort.release_value(p->outputs[i]);
    drop(p, p->outputs);
    for (size_t i = 0; i < ENGINE_INPUTS_MOST; i++)
        ort.release_value(p->inputs[i]);
    ort.release_memory(p->memory);
    ort.release_binding(p->binding);
    ort.release_session(p->session);
    ort.release_env(p->env);
    free(p);
}

static bool create_session(peer *p, const engine_model *model, uint32_t threads)
{
    void *options = NULL;
    const bool is_created =
        good(ort.create_env(LOG_ERRORS, "bench", &p->env)) && good(ort.create_options(&options)) &&
        good(ort.set_threads(options, (int) threads)) && good(ort.set_node_threads(options, 1)) &&
        good(ort.set_mode(options, SEQUENTIAL)) &&
        good(ort.set_optimization(options, ALL_OPTIMIZATIONS)) &&
        good(ort.create_session(p->env, model->onnx, model->onnx_bytes, options, &p->session));
    if (options)
        ort.release_options(options);
    return is_created;
}

static bool bind_inputs(peer *p, const engine_model *model)
{
    bool is_bound = true;
    for (size_t i = 0; is_bound && i < model->input_count; i++) {
        const engine_input *in = &model->inputs[i];
        is_bound = good(ort.wrap(p->memory, in->data, in->bytes, in->dims, (size_t) in->rank,
                                 in->dtype, &p->inputs[i])) &&
                   good(ort.bind_input(p->binding, in->name, p->inputs[i]));
    }
    return is_bound;
}

/* To memory that the first run finds, or to what it found. */
static bool bind_output(const peer *p, size_t index, const void *value)
{
    char *name = NULL;
    const bool is_bound = good(ort.output_name(p->session, index, p->allocator, &name)) &&
                          good(value ? ort.bind_output(p->binding, name, value)
                                     : ort.place_output(p->binding, name, p->memory));
    drop(p, name);
    return is_bound;
}

/* One run shows the outputs' dims; from then on all runs write to the memory of that one. */
static bool bind_outputs(peer *p)
{
    size_t count = 0;
    bool is_bound = good(ort.output_count(p->session, &count));
    for (size_t i = 0; is_bound && i < count; i++)
        is_bound = bind_output(p, i, NULL);
    is_bound = is_bound && good(ort.run(p->session, NULL, p->binding)) &&
               good(ort.bound_outputs(p->binding, p->allocator, &p->outputs, &p->output_count));
    if (is_bound)
        ort.clear_outputs(p->binding);
    for (size_t i = 0; is_bound && i < p->output_count; i++)
        is_bound = bind_output(p, i, p->outputs[i]);
    return is_bound;
}

static void *peer_open(const engine_model *model, uint32_t threads)
{
    peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    if (create_session(p, model, threads) && good(ort.default_allocator(&p->allocator)) &&
        good(ort.create_memory(ARENA_ALLOCATOR, DEFAULT_MEMORY, &p->memory)) &&
        good(ort.create_binding(p->session, &p->binding)) && bind_inputs(p, model) &&
        bind_outputs(p))
        return p;
    peer_close(p);
    return NULL;
}

static bool peer_run(void *session)
{
    peer *p = session;
    return good(ort.run(p->session, NULL, p->binding));
}

static size_t peer_output_count(void *session)
{
    return ((peer *) session)->output_count;
}

static const float *peer_output(void *session, size_t index, size_t *ret_count)
{
    peer *p = session;
    void *info = NULL, *data = NULL;
    int is_tensor = 0, dtype = 0;
    *ret_count = 0;
    if (!good(ort.is_tensor(p->outputs[index], &is_tensor)) || !is_tensor ||
        !good(ort.describe(p->outputs[index], &info)))
        return NULL;
    const bool is_read = good(ort.element_type(info, &dtype)) && dtype == ELEMENT_FLOAT32 &&
                         good(ort.element_count(info, ret_count)) &&
                         good(ort.data(p->outputs[index], &data));
    ort.release_info(info);
    return is_read ? data : NULL;
}

const engine engine_onnxruntime = {
    .name = "ONNX Runtime",
    .load = peer_load,
    .open = peer_open,
    .run = peer_run,
    .output_count = peer_output_count,
    .output = peer_output,
    .close = peer_close,
};
