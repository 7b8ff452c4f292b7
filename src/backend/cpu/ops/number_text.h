/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as text and back. The calling thread's locale must be the one named "C".
 *
 * A number is written as numpy's str() writes it: floats with as few digits as give the
 * same number of its dtype again ("0.1", "314.15926", "2.0", "1e-05", "inf", "nan"),
 * plain from 1e-4 up to 1e16 and scientific elsewhere; bool as "True" and "False".
 *
 * Read are, with white space around them: decimal numbers ("-12", "3.14", ".5", "1E8"),
 * "inf", "infinity" and "nan", with a sign and in any case, and "true" and "false".
 */
#ifndef MLS_BACKEND_CPU_OPS_NUMBER_TEXT_H
#define MLS_BACKEND_CPU_OPS_NUMBER_TEXT_H

#include "backend/cpu/ops/convert.h"

/* The longest text that is written, without a NUL. */
#define MLS__NUMBER_TEXT 24

/* Number i of a block of `dtype` into `text`, with no NUL; returns its length. */
size_t mls__number_write(int32_t dtype, const mls__wide *wide, int64_t i,
                         char text[MLS__NUMBER_TEXT]);

/*
 * A text as a number for `dtype`, by way of a block of its kind: an integer is read as
 * one where the dtype is no float, so that all 64 bits count. A float of 16 bits or fewer
 * is rounded twice: here to float64.
 * False when it is no number, or one for an integer dtype that 64 bits do not hold.
 */
bool mls__number_read(int32_t dtype, mls_string text, mls__wide_kind *ret_kind, mls__wide *ret_wide,
                      int64_t i);

#endif
