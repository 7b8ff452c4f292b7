/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LightGBM through its C entry points: the prepared single row, which is the fastest that it has,
 * and matrices for batches.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

/* Numbers of LightGBM's interface. */
enum { FLOAT32 = 0, PREDICT_NORMAL = 0, ROW_MAJOR = 1 };

typedef struct api {
    const char *(*last_error)(void);
    int (*load)(const char *text, int *ret_iterations, void **ret_booster);
    int (*free)(void *booster);
    int (*prepare_row)(void *booster, int predict, int begin, int iterations, int dtype,
                       int32_t columns, const char *parameters, void **ret_config);
    int (*predict_row)(void *config, const void *row, int64_t *ret_count, double *ret_scores);
    int (*free_row)(void *config);
    int (*predict)(void *booster, const void *rows, int dtype, int32_t row_count, int32_t columns,
                   int layout, int predict, int begin, int iterations, const char *parameters,
                   int64_t *ret_count, double *ret_scores);
} api;

static api lightgbm;

static const engine_symbol symbols[] = {
    {"LGBM_GetLastError", offsetof(api, last_error)},
    {"LGBM_BoosterLoadModelFromString", offsetof(api, load)},
    {"LGBM_BoosterFree", offsetof(api, free)},
    {"LGBM_BoosterPredictForMatSingleRowFastInit", offsetof(api, prepare_row)},
    {"LGBM_BoosterPredictForMatSingleRowFast", offsetof(api, predict_row)},
    {"LGBM_FastConfigFree", offsetof(api, free_row)},
    {"LGBM_BoosterPredictForMat", offsetof(api, predict)},
};

static bool lightgbm_load(const char *path)
{
    return engine_load_library(path, symbols, sizeof symbols / sizeof symbols[0], &lightgbm);
}

typedef struct peer {
    void *booster, *row;
    char parameters[48];
    const void *input;
    int32_t rows, columns;
    double *scores;
    float *rounded;
} peer;

static void peer_close(void *session)
{
    peer *p = session;
    if (p->row)
        lightgbm.free_row(p->row);
    if (p->booster)
        lightgbm.free(p->booster);
    free(p->scores);
    free(p->rounded);
    free(p);
}

static void *peer_open(const engine_model *model, uint32_t threads)
{
    const engine_input *input = &model->inputs[0];
    int iterations;
    peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->input = input->data;
    p->rows = (int32_t) input->dims[0];
    p->columns = (int32_t) input->dims[1];
    p->scores = calloc((size_t) p->rows, sizeof *p->scores);
    p->rounded = calloc((size_t) p->rows, sizeof *p->rounded);
    snprintf(p->parameters, sizeof p->parameters, "num_threads=%u verbosity=-1", threads);
    if (p->scores && p->rounded && !lightgbm.load(model->forest, &iterations, &p->booster) &&
        (p->rows > 1 || !lightgbm.prepare_row(p->booster, PREDICT_NORMAL, 0, -1, FLOAT32,
                                              p->columns, p->parameters, &p->row)))
        return p;
    fprintf(stderr, "lightgbm: %s\n", lightgbm.last_error());
    peer_close(p);
    return NULL;
}

static bool peer_run(void *session)
{
    peer *p = session;
    int64_t count;
    const int status =
        p->row ? lightgbm.predict_row(p->row, p->input, &count, p->scores)
               : lightgbm.predict(p->booster, p->input, FLOAT32, p->rows, p->columns, ROW_MAJOR,
                                  PREDICT_NORMAL, 0, -1, p->parameters, &count, p->scores);
    if (status)
        fprintf(stderr, "lightgbm: %s\n", lightgbm.last_error());
    return status == 0;
}

static size_t peer_output_count(void *session)
{
    (void) session;
    return 1;
}

static const float *peer_output(void *session, size_t index, size_t *ret_count)
{
    peer *p = session;
    (void) index;
    *ret_count = (size_t) p->rows;
    for (int32_t i = 0; i < p->rows; i++)
        p->rounded[i] = (float) p->scores[i];
    return p->rounded;
}

const engine engine_lightgbm = {
    .name = "LightGBM",
    .is_for_forests = true,
    .load = lightgbm_load,
    .open = peer_open,
    .run = peer_run,
    .output_count = peer_output_count,
    .output = peer_output,
    .close = peer_close,
};
