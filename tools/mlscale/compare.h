/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a tensor with its reference, element by element. */
#ifndef MLSCALE_TOOL_COMPARE_H
#define MLSCALE_TOOL_COMPARE_H

#include <mlscale.h>

#include <stdbool.h>

/*
 * |got - want| <= absolute + relative * |want|, for floats; all else must be equal. Where the
 * reference has no more than `residue`, which its own roundings left of 0, a millionth of that is
 * good too: the exact result is 0.
 */
typedef struct tolerance {
    double absolute, relative, residue;
} tolerance;

/*
 * Whether the contiguous elements at `got` agree with `want`; else `ret_difference`
 * says where the first one is that does not: "element [1,2] is 3, expected 4".
 */
bool compare_elements(const mls_tensor *want, const void *got, tolerance limit,
                      char *ret_difference, size_t size);

/*
 * The same for what another generator drew, with chances that are the same: elements that both
 * drew (they are not 0) agree, and both drew about as many, by four standard deviations at most.
 */
bool compare_draws(const mls_tensor *want, const void *got, tolerance limit, char *ret_difference,
                   size_t size);

/* How far floats are from their reference: the largest differences, and where they are. */
typedef struct deviation {
    double absolute, relative; /* the latter to |want|, where that is not 0 */
    char absolute_at[128], relative_at[128];
    int64_t unmatched; /* elements that are not finite in one of the two alone */
} deviation;

/* Adds what the contiguous floats at `got` do; other elements have no deviation. */
void measure_deviation(const mls_tensor *want, const void *got, deviation *deviation);

#endif
