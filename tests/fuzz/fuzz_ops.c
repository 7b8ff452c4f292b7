/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes are choices: which ops a graph has, of what dims and dtypes (generate/generate.h). */
#include "fuzz/fuzz.h"
#include "fuzz/generate/compare.h"

#include <stdlib.h>

#define MOST_NODES 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gen *g = gen_create(data, size, NULL, 1 + (int) (size % MOST_NODES));
    if (!gen_compare(g))
        abort();
    gen_free(g);
    return 0;
}
