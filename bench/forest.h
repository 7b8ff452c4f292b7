/* SPDX-License-Identifier: Apache-2.0 */
/* A regression forest from a fixed seed, in the form of each library that is to score it. */
#ifndef MLS_BENCH_FOREST_H
#define MLS_BENCH_FOREST_H

#include "support/onnx_build.h"

typedef struct forest forest;

/* `trees` complete trees of `depth` over `features`, with random thresholds and leaves. */
forest *forest_create(int trees, int depth, int features);
void forest_free(forest *f);

/* A model of one TreeEnsembleRegressor; the forest may go before it. */
onnx_build *forest_onnx(const forest *f);

/* The text that LightGBM saves and Treelite reads, to be freed. */
char *forest_lightgbm(const forest *f);

#endif
