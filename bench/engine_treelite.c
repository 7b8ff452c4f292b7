/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Treelite through its C entry points: GTIL, the predictor in its own library. It takes the
 * features as doubles, as the model it read has thresholds of double; they are given that way.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct api {
    const char *(*last_error)(void);
    int (*load)(const char *text, const char *config, void **ret_model);
    int (*free)(void *model);
    int (*parse_config)(const char *json, void **ret_config);
    int (*free_config)(void *config);
    int (*predict)(void *model, const void *rows, const char *dtype, uint64_t row_count,
                   void *ret_scores, void *config);
} api;

static api treelite;

static const engine_symbol symbols[] = {
    {"TreeliteGetLastError", offsetof(api, last_error)},
    {"TreeliteLoadLightGBMModelFromString", offsetof(api, load)},
    {"TreeliteFreeModel", offsetof(api, free)},
    {"TreeliteGTILParseConfig", offsetof(api, parse_config)},
    {"TreeliteGTILDeleteConfig", offsetof(api, free_config)},
    {"TreeliteGTILPredict", offsetof(api, predict)},
};

static bool treelite_load(const char *path)
{
    return engine_load_library(path, symbols, sizeof symbols / sizeof symbols[0], &treelite);
}

typedef struct peer {
    void *model, *config;
    uint64_t rows;
    double *input, *scores;
    float *rounded;
} peer;

static void peer_close(void *session)
{
    peer *p = session;
    if (p->config)
        treelite.free_config(p->config);
    if (p->model)
        treelite.free(p->model);
    free(p->input);
    free(p->scores);
    free(p->rounded);
    free(p);
}

static bool widen(peer *p, const engine_input *input)
{
    const size_t count = (size_t) (input->dims[0] * input->dims[1]);
    const float *features = input->data;
    p->rows = (uint64_t) input->dims[0];
    p->input = calloc(count, sizeof *p->input);
    p->scores = calloc(p->rows, sizeof *p->scores);
    p->rounded = calloc(p->rows, sizeof *p->rounded);
    for (size_t i = 0; p->input && i < count; i++)
        p->input[i] = (double) features[i];
    return p->input && p->scores && p->rounded;
}

static void *peer_open(const engine_model *model, uint32_t threads)
{
    char config[64];
    peer *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    snprintf(config, sizeof config, "{\"predict_type\": \"default\", \"nthread\": %u}", threads);
    if (widen(p, &model->inputs[0]) && !treelite.load(model->forest, "{}", &p->model) &&
        !treelite.parse_config(config, &p->config))
        return p;
    fprintf(stderr, "treelite: %s\n", treelite.last_error());
    peer_close(p);
    return NULL;
}

static bool peer_run(void *session)
{
    peer *p = session;
    if (!treelite.predict(p->model, p->input, "float64", p->rows, p->scores, p->config))
        return true;
    fprintf(stderr, "treelite: %s\n", treelite.last_error());
    return false;
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
    for (uint64_t i = 0; i < p->rows; i++)
        p->rounded[i] = (float) p->scores[i];
    return p->rounded;
}

const engine engine_treelite = {
    .name = "Treelite",
    .is_for_forests = true,
    .load = treelite_load,
    .open = peer_open,
    .run = peer_run,
    .output_count = peer_output_count,
    .output = peer_output,
    .close = peer_close,
};
