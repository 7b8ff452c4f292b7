/* SPDX-License-Identifier: Apache-2.0 */
/* What the elements of inputs and constants are. */
#ifndef MLS_TESTS_FUZZ_GENERATE_NUMBERS_H
#define MLS_TESTS_FUZZ_GENERATE_NUMBERS_H

#include "fuzz/generate/generate.h"

/* One in [least, most]; a wild one may be none, or very large. */
void gen_put_number(uint64_t *state, int32_t dtype, double least, double most, bool is_wild,
                    void *to);

/* All of an input, from the beginning that `state` is. */
void gen_put_all(uint64_t state, const gen_value *value, unsigned char *data);

#endif
