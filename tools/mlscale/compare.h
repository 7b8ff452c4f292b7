/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a tensor with its reference, element by element. */
#ifndef MLSCALE_TOOL_COMPARE_H
#define MLSCALE_TOOL_COMPARE_H

#include <mlscale.h>

#include <stdbool.h>

/*
 * |got - want| <= absolute + relative * |want|, for floats; all else must be equal. With
 * `is_of_largest` it is relative to the largest finite |want| of the tensor: operands that were
 * rounded leave an error of the size of the terms of a sum, not of the sum. Where the
 * reference has no more than `residue`, which its own roundings left of 0, a millionth of that is
 * good too: the exact result is 0.
 */
typedef struct tolerance {
    double absolute, relative, residue;
    bool is_of_largest;
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

/* How far floats are from their reference: of several tensors the worst. */
typedef struct deviation {
    double share;      /* the largest difference, as a share of the tensor's largest |want| ... */
    double absolute;   /* ... as it is ... */
    char at[128];      /* ... and where */
    double rms;        /* root mean square of the differences, as a share of that of `want` */
    int64_t unmatched; /* elements that are not finite in one of the two alone */
} deviation;

/* Adds what the contiguous floats at `got` do; other elements have no deviation. */
void measure_deviation(const mls_tensor *want, const void *got, deviation *deviation);

#endif
