/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libFuzzer calls, and what replay.c calls in its place: one input, whatever it is.
 * Anything but returning is a bug of the library. Always gives 0.
 */
#ifndef MLS_TESTS_FUZZ_FUZZ_H
#define MLS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
