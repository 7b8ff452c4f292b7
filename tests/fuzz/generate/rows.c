/* SPDX-License-Identifier: Apache-2.0 */
/* The families of rows as one list. */
#include "fuzz/generate/generate.h"

static const gen_row *const families[] = {
    gen_rows_contrib,   gen_rows_elementwise, gen_rows_features,  gen_rows_flow,
    gen_rows_images,    gen_rows_movement,    gen_rows_patterns,  gen_rows_products,
    gen_rows_quantized, gen_rows_reductions,  gen_rows_sequences,
};

const gen_row *gen_row_next(size_t *cursor)
{
    size_t skipped = *cursor;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        for (const gen_row *row = families[i]; row->op; row++)
            if (skipped-- == 0) {
                ++*cursor;
                return row;
            }
    return NULL;
}
