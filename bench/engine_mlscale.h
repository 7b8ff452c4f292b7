/* SPDX-License-Identifier: Apache-2.0 */
/* What only our own engine can tell. */
#ifndef MLS_BENCH_ENGINE_MLSCALE_H
#define MLS_BENCH_ENGINE_MLSCALE_H

#include "engine.h"

/*
 * Floating-point operations of the convolutions, products and recurrences of one run, as planned;
 * 0 if there are none, or if control flow hides them.
 */
double engine_mlscale_flops(void *session);

#endif
