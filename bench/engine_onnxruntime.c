/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX Runtime through its C API, as its documentation recommends for speed: input and
 * output bound once (IoBinding), sequential execution, all graph optimizations.
 */
#include "engine.h"

#include <onnxruntime_c_api.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct peer {
    const OrtApi *api;
    OrtEnv *env;
    OrtSession *session;
    OrtIoBinding *binding;
    OrtMemoryInfo *memory;
    OrtValue *input;
    OrtAllocator *allocator;
    OrtValue **outputs;
    size_t output_count;
} peer;

/* false after the status's message. */
static bool good(const peer *p, OrtStatus *status)
{
    if (!status)
        return true;
    fprintf(stderr, "onnxruntime: %s\n", p->api->GetErrorMessage(status));
    p->api->ReleaseStatus(status);
    return false;
}

static void peer_close(void *session)
{
    peer *p = session;
    for (size_t i = 0; i < p->output_count; i++)
        p->api->ReleaseValue(p->outputs[i]);
    if (p->outputs)
        p->allocator->Free(p->allocator, p->outputs);
    p->api->ReleaseValue(p->input);
    p->api->ReleaseMemoryInfo(p->memory);
    p->api->ReleaseIoBinding(p->binding);
    p->api->ReleaseSession(p->session);
    p->api->ReleaseEnv(p->env);
    free(p);
}

static bool create_session(peer *p, const void *model, size_t model_bytes, uint32_t threads)
{
    OrtSessionOptions *options = NULL;
    const bool created =
        good(p, p->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "bench", &p->env)) &&
        good(p, p->api->CreateSessionOptions(&options)) &&
        good(p, p->api->SetIntraOpNumThreads(options, (int) threads)) &&
        good(p, p->api->SetInterOpNumThreads(options, 1)) &&
        good(p, p->api->SetSessionExecutionMode(options, ORT_SEQUENTIAL)) &&
        good(p, p->api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL)) &&
        good(p, p->api->CreateSessionFromArray(p->env, model, model_bytes, options, &p->session));
    if (options)
        p->api->ReleaseSessionOptions(options);
    return created;
}

static bool bind_one(peer *p, const int64_t *dims, int rank, const float *input)
{
    char *in = NULL, *out = NULL;
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t) dims[i];
    const bool bound =
        good(p, p->api->GetAllocatorWithDefaultOptions(&p->allocator)) &&
        good(p, p->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &p->memory)) &&
        good(p, p->api->CreateTensorWithDataAsOrtValue(
                    p->memory, (void *) (uintptr_t) input, count * sizeof *input, dims,
                    (size_t) rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &p->input)) &&
        good(p, p->api->CreateIoBinding(p->session, &p->binding)) &&
        good(p, p->api->SessionGetInputName(p->session, 0, p->allocator, &in)) &&
        good(p, p->api->SessionGetOutputName(p->session, 0, p->allocator, &out)) &&
        good(p, p->api->BindInput(p->binding, in, p->input)) &&
        good(p, p->api->BindOutputToDevice(p->binding, out, p->memory));
    if (in)
        p->allocator->Free(p->allocator, in);
    if (out)
        p->allocator->Free(p->allocator, out);
    return bound;
}

/* One run shows the output's dims; from then on all runs write to the memory of that one. */
static bool bind_output(peer *p)
{
    char *out = NULL;
    OrtValue **values = NULL;
    size_t count = 0;
    bool bound = good(p, p->api->RunWithBinding(p->session, NULL, p->binding)) &&
                 good(p, p->api->GetBoundOutputValues(p->binding, p->allocator, &values, &count)) &&
                 good(p, p->api->SessionGetOutputName(p->session, 0, p->allocator, &out));
    if (bound) {
        p->api->ClearBoundOutputs(p->binding);
        bound = good(p, p->api->BindOutput(p->binding, out, values[0]));
    }
    for (size_t i = 0; i < count; i++)
        p->api->ReleaseValue(values[i]);
    if (values)
        p->allocator->Free(p->allocator, values);
    if (out)
        p->allocator->Free(p->allocator, out);
    return bound;
}

static void *peer_open(const void *model, size_t model_bytes, const int64_t *dims, int rank,
                       const float *input, uint32_t threads)
{
    peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (!p->api) {
        fprintf(stderr, "onnxruntime: the library is older than its header\n");
        free(p);
        return NULL;
    }
    if (create_session(p, model, model_bytes, threads) && bind_one(p, dims, rank, input) &&
        bind_output(p))
        return p;
    peer_close(p);
    return NULL;
}

static bool peer_run(void *session)
{
    peer *p = session;
    return good(p, p->api->RunWithBinding(p->session, NULL, p->binding));
}

static const float *peer_output(void *session, size_t *ret_count)
{
    peer *p = session;
    OrtTensorTypeAndShapeInfo *info = NULL;
    void *data = NULL;
    if (!p->outputs && !good(p, p->api->GetBoundOutputValues(p->binding, p->allocator, &p->outputs,
                                                             &p->output_count)))
        return NULL;
    if (!good(p, p->api->GetTensorTypeAndShape(p->outputs[0], &info)))
        return NULL;
    const bool read = good(p, p->api->GetTensorShapeElementCount(info, ret_count)) &&
                      good(p, p->api->GetTensorMutableData(p->outputs[0], &data));
    p->api->ReleaseTensorTypeAndShapeInfo(info);
    return read ? data : NULL;
}

const engine engine_onnxruntime = {"onnxruntime", peer_open, peer_run, peer_output, peer_close};
