/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: convolution of float64 (conv.h), some outputs at a time. */
#include "backend/cpu/kernels/conv.h"

#include "backend/cpu/simd/simd.h"

#include <math.h>

void MLS_ISA_NAME(conv_float64)(const mls__conv *conv, const mls__conv_row *row, const double *x,
                                const double *w, double bias, double *y, int64_t count);

enum { OUTPUTS = 64 };

/* One of the kernel's positions, for `count` outputs from i on. */
static void take_tap(const mls__conv *c, const mls__conv_line *line, const mls__conv_tap *tap,
                     int64_t block, const double *x, const double *w, int64_t i, int64_t count,
                     double *sums)
{
    const int64_t begin = tap->begin > i ? tap->begin - i : 0;
    const int64_t end = tap->end - i < count ? tap->end - i : count;
    const int64_t left = c->channels - block * MLS__CONV_BLOCK;
    const int64_t channels = left < MLS__CONV_BLOCK ? left : MLS__CONV_BLOCK;
    for (int64_t k = 0; k < channels; k++) {
        const double weight =
            w[(block * MLS__CONV_BLOCK + k) * c->w_channel + line->index + tap->index];
        const int64_t at = block * c->x_block + k * c->x_channel + line->x + tap->x;
        for (int64_t j = begin; j < end; j++)
            sums[j] = fma(x[at + (i + j) * c->x_step], weight, sums[j]);
    }
}

void MLS_ISA_NAME(conv_float64)(const mls__conv *c, const mls__conv_row *row, const double *x,
                                const double *w, double bias, double *y, int64_t count)
{
    const int64_t blocks = (c->channels + MLS__CONV_BLOCK - 1) / MLS__CONV_BLOCK;
    for (int64_t i = 0; i < count; i += OUTPUTS) {
        const int64_t outputs = count - i < OUTPUTS ? count - i : OUTPUTS;
        double sums[OUTPUTS] = {0};
        for (int64_t b = 0; b < blocks; b++)
            for (int64_t l = 0; l < row->line_count; l++)
                for (int64_t t = 0; t < row->tap_count; t++)
                    take_tap(c, &row->lines[l], &row->taps[t], b, x, w, i, outputs, sums);
        for (int64_t j = 0; j < outputs; j++)
            y[(i + j) * c->y_step] = sums[j] + bias;
    }
}
