/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a tensor with its reference, element by element. */
#ifndef MLSCALE_TOOL_COMPARE_H
#define MLSCALE_TOOL_COMPARE_H

#include <mlscale.h>

#include <stdbool.h>

/* |got - want| <= absolute + relative * |want|, for floats; all else must be equal. */
typedef struct tolerance {
    double absolute, relative;
} tolerance;

/*
 * Whether the contiguous elements at `got` agree with `want`; else `ret_difference`
 * says where the first one is that does not: "element [1,2] is 3, expected 4".
 */
bool compare_elements(const mls_tensor *want, const void *got, tolerance limit,
                      char *ret_difference, size_t size);

#endif
