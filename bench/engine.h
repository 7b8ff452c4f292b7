/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is compared: an engine that opens a model from memory and runs it on inputs that stay
 * where they are. Every engine is given the same bytes, or (forests) the same trees as text.
 */
#ifndef MLS_BENCH_ENGINE_H
#define MLS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENGINE_RANK_MOST = 8, ENGINE_INPUTS_MOST = 48 };

typedef struct engine_input {
    char name[128];
    int32_t dtype; /* mls_dtype, whose numbers are ONNX's */
    int rank;
    int64_t dims[ENGINE_RANK_MOST];
    void *data;
    size_t bytes;
} engine_input;

typedef struct engine_model {
    const void *onnx;
    size_t onnx_bytes;
    const char *forest; /* the same trees as LightGBM writes them, or NULL */
    engine_input inputs[ENGINE_INPUTS_MOST];
    size_t input_count;
} engine_model;

typedef struct engine {
    const char *name;
    bool is_for_forests; /* and for nothing else */
    /* Loads the engine's library; false after a message. NULL: it is linked. */
    bool (*load)(const char *path);
    /* A session with bound inputs; NULL after a message on standard error. */
    void *(*open)(const engine_model *model, uint32_t threads);
    bool (*run)(void *session);
    size_t (*output_count)(void *session);
    /* An output's elements after a run; NULL (count 0) if they are not float32. */
    const float *(*output)(void *session, size_t index, size_t *ret_count);
    void (*close)(void *session);
} engine;

extern const engine engine_mlscale;
extern const engine engine_mlscale_fast; /* the same with fast numerics */
extern const engine engine_onnxruntime;
extern const engine engine_lightgbm;
extern const engine engine_treelite;

/* What a peer's library has under a name, and where in a struct of pointers that goes. */
typedef struct engine_symbol {
    const char *name;
    size_t offset;
} engine_symbol;

/* library.c: opens it and fills `ret_functions`; false after a message. It stays open. */
bool engine_load_library(const char *path, const engine_symbol *symbols, size_t count,
                         void *ret_functions);

#endif
