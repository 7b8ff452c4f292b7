/* SPDX-License-Identifier: Apache-2.0 */
/* How far fast numerics are from exact ones: mlscale verify --numerics fast. */
#ifndef MLSCALE_TOOL_DEVIATION_H
#define MLSCALE_TOOL_DEVIATION_H

#include "compare.h"

#include <mlscale.h>

#include <stddef.h>

/* The worst of all data sets, and which of them have it. */
typedef struct deviations {
    deviation worst;
    char worst_share[256], worst_rms[256];
    size_t deviating, measured; /* sets */
    size_t fast;                /* sets whose plan had a kernel of fast numerics */
} deviations;

/* Prints how far the outputs of `fast` are from those of `exact`; both have run on set `name`. */
void deviations_add(deviations *all, const char *name, mls_session *fast, mls_session *exact,
                    size_t output_count);

void deviations_print(const deviations *all);

#endif
