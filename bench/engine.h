/* SPDX-License-Identifier: Apache-2.0 */
/* What is compared: an engine that loads a model from memory and runs it on one input. */
#ifndef MLS_BENCH_ENGINE_H
#define MLS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct engine {
    const char *name;
    /*
     * A session of the model whose one float32 input has `dims`; input and output stay
     * bound. NULL after a message on standard error.
     */
    void *(*open)(const void *model, size_t model_bytes, const int64_t *dims, int rank,
                  const float *input, uint32_t threads);
    bool (*run)(void *session);
    /* The first output's float32 elements, to check that engines agree. */
    const float *(*output)(void *session, size_t *ret_count);
    void (*close)(void *session);
} engine;

extern const engine engine_mlscale;
extern const engine engine_onnxruntime;

#endif
