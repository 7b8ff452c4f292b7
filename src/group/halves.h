/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of float16 and bfloat16 to and from float32: to nearest, ties to even. */
#ifndef MLS_GROUP_HALVES_H
#define MLS_GROUP_HALVES_H

#include <stddef.h>
#include <stdint.h>

void mls__halves_from_float16(const uint16_t *from, float *to, size_t count);
void mls__halves_to_float16(const float *from, uint16_t *to, size_t count);
void mls__halves_from_bfloat16(const uint16_t *from, float *to, size_t count);
void mls__halves_to_bfloat16(const float *from, uint16_t *to, size_t count);

#endif
