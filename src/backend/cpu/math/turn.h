/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a full turn: the roots of unity of Fourier transforms, the angles of random pairs. */
#ifndef MLS_BACKEND_CPU_MATH_TURN_H
#define MLS_BACKEND_CPU_MATH_TURN_H

#include <stdint.h>

/*
 * The cosine and sine of 2 pi k / n, for k < n < 2^60. The octant is found in integers, so that
 * multiples of an eighth of a turn are exact but for one rounding, and what mirrors another angle
 * has its very bits. Else the error is below 2 ulp.
 */
void mls__f64_turn(uint64_t k, uint64_t n, double *ret_cos, double *ret_sin);

#endif
