/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled as gemm_int8.c is: filters of one channel each, over pixels whose channels lie side by
 * side. What lies under four rows of the filter is interleaved once for all pixels that it is
 * under, so that a column of four rows is one dot product.
 */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/dot.h"

void MLS_ISA_INT8_NAME(int8_depth)(const mls__int8_depth *depth, const uint8_t *const *rows,
                                   int64_t pixels, uint8_t *y, uint8_t *scratch);

/* Four vectors of groups. */
enum { QUAD = MLS_GROUP * MLS_GROUP_BYTES };
/* Columns of the filters that are known to the compiler. */
enum { COLUMNS = 3 };

_Static_assert(MLS__INT8_BLOCK == MLS_GROUP_BYTES, "a block is four vectors of int32");

/* One block of channels: of one pixel, or of all of `per_block` pixels. */
typedef struct block {
    const mls__int8_depth *depth;
    const int8_t *weights;
    const int32_t *bias;
    const float *scales;
    int64_t per_block;
    uint8_t *scratch;
    int64_t group_bytes; /* of the scratch */
    uint8_t *y, *end;    /* of its first pixel, and of the row */
} block;

/* Columns first .. first+count-1 of the input, from byte `at` of a pixel on. */
static void interleave(const block *b, const uint8_t *const *rows, int64_t first, int64_t count,
                       int64_t at)
{
    const int64_t channels = b->depth->channels;
    for (int64_t g = 0; g < b->depth->groups; g++) {
        const int64_t from = first * channels + at;
        const uint8_t *const *own = rows + g * MLS_GROUP;
        const uint8_t *const begin[] = {own[0] + from, own[1] + from, own[2] + from, own[3] + from};
        uint8_t *to = b->scratch + g * b->group_bytes;
        for (int64_t c = 0, i = 0; c < count; c++, i += channels, to += QUAD) {
            const uint8_t *const under[] = {begin[0] + i, begin[1] + i, begin[2] + i, begin[3] + i};
            interleave_quads(to, under);
        }
    }
}

/* What a block's pixels share. */
typedef struct terms {
    mls_vi bias[MLS_GROUP];
    mls_vf scales[MLS_GROUP];
    int zero;     /* of unsigned bytes */
    uint8_t mask; /* makes them signed ones */
} terms;

MLS_SIMD_FN terms terms_of(const block *b)
{
    const bool is_signed = b->depth->form == MLS__INT8_SIGNED;
    terms t = {.zero = b->depth->y_zero + (is_signed ? 128 : 0), .mask = is_signed ? 0x80 : 0};
    MLS_UNROLL
    for (int v = 0; v < MLS_GROUP; v++) {
        t.bias[v] = vi_load(b->bias + v * MLS_LANES);
        t.scales[v] = vf_load(b->scales + v * MLS_LANES);
    }
    return t;
}

/*
 * What is past a block's own channels is written too: it belongs to pixels that come later, but
 * for the end of the row.
 */
MLS_SIMD_FN void store_block(const terms *t, const mls_vi sums[MLS_GROUP], uint8_t *y,
                             const uint8_t *end)
{
    mls_vi codes[MLS_GROUP];
    MLS_UNROLL
    for (int v = 0; v < MLS_GROUP; v++)
        codes[v] = code_of(vf_mul(vi_to_float(sums[v]), t->scales[v]));
    if (end - y >= MLS_GROUP_BYTES) {
        vi_store_quads(y, codes, t->zero, t->mask);
        return;
    }
    uint8_t rest[MLS_GROUP_BYTES];
    vi_store_quads(rest, codes, t->zero, t->mask);
    memcpy(y, rest, (size_t) (end - y));
}

/* One group of rows, three columns. */
static void run_three(const block *b, int64_t pixels)
{
    const terms t = terms_of(b);
    const int64_t dilation = b->depth->dilation * QUAD;
    const int64_t step = b->per_block * b->depth->stride * QUAD;
    const int64_t y_step = b->per_block * b->depth->channels;
    const uint8_t *under = b->scratch, *const end = b->end;
    uint8_t *y = b->y;
    mls_vs weights[COLUMNS][MLS_GROUP];
    MLS_UNROLL
    for (int k = 0; k < COLUMNS; k++) {
        MLS_UNROLL
        for (int v = 0; v < MLS_GROUP; v++)
            weights[k][v] = vs_load(b->weights + k * QUAD + v * MLS_GROUP_BYTES);
    }
    for (int64_t i = 0; i < pixels; i += b->per_block, under += step, y += y_step) {
        mls_vi sums[MLS_GROUP];
        MLS_UNROLL
        for (int v = 0; v < MLS_GROUP; v++) {
            const uint8_t *groups = under + v * MLS_GROUP_BYTES;
            sums[v] = vi_dot4(t.bias[v], vu_load(groups), weights[0][v]);
            sums[v] = vi_dot4(sums[v], vu_load(groups + dilation), weights[1][v]);
            sums[v] = vi_dot4(sums[v], vu_load(groups + 2 * dilation), weights[2][v]);
        }
        store_block(&t, sums, y, end);
    }
}

/* The sums of the pixel whose first column lies at `under`. */
MLS_SIMD_FN void sum_taps(const block *b, const uint8_t *under, mls_vi sums[MLS_GROUP])
{
    const mls__int8_depth *d = b->depth;
    const int8_t *weights = b->weights;
    for (int64_t g = 0; g < d->groups; g++)
        for (int64_t k = 0; k < d->columns; k++, weights += QUAD) {
            const uint8_t *groups = under + g * b->group_bytes + k * d->dilation * QUAD;
            MLS_UNROLL
            for (int v = 0; v < MLS_GROUP; v++)
                sums[v] = vi_dot4(sums[v], vu_load(groups + v * MLS_GROUP_BYTES),
                                  vs_load(weights + v * MLS_GROUP_BYTES));
        }
}

static void run_any(const block *b, int64_t pixels)
{
    const terms t = terms_of(b);
    const mls__int8_depth *d = b->depth;
    for (int64_t i = 0; i < pixels; i += b->per_block) {
        mls_vi sums[MLS_GROUP];
        MLS_UNROLL
        for (int v = 0; v < MLS_GROUP; v++)
            sums[v] = t.bias[v];
        sum_taps(b, b->scratch + i * d->stride * QUAD, sums);
        store_block(&t, sums, b->y + i * d->channels, b->end);
    }
}

/* Blocks from the last one back, so that what one writes past its channels is overwritten. */
static void run_pixels(const mls__int8_depth *d, const uint8_t *const *rows, int64_t first,
                       int64_t pixels, uint8_t *y, uint8_t *end, uint8_t *scratch)
{
    const int64_t columns = mls__int8_depth_columns(d, pixels);
    const int64_t block_bytes = d->groups * d->columns * QUAD;
    for (int64_t at = (d->channels - 1) / MLS__INT8_BLOCK * MLS__INT8_BLOCK; at >= 0;
         at -= MLS__INT8_BLOCK) {
        const block b = {.depth = d,
                         .weights = d->weights + at / MLS__INT8_BLOCK * block_bytes,
                         .bias = d->bias + at,
                         .scales = d->scales + at,
                         .per_block = mls__int8_block_pixels(d->channels, d->stride),
                         .scratch = scratch,
                         .group_bytes = columns * QUAD,
                         .y = y + at,
                         .end = end};
        interleave(&b, rows, first * d->stride, columns, at);
        if (d->groups == 1 && d->columns == COLUMNS)
            run_three(&b, pixels);
        else
            run_any(&b, pixels);
    }
}

void MLS_ISA_INT8_NAME(int8_depth)(const mls__int8_depth *d, const uint8_t *const *rows,
                                   int64_t pixels, uint8_t *y, uint8_t *scratch)
{
    uint8_t *end = y + pixels * d->channels;
    for (int64_t i = 0; i < pixels; i += MLS__INT8_DEPTH_PIXELS) {
        const int64_t left = pixels - i;
        const int64_t taken = left < MLS__INT8_DEPTH_PIXELS ? left : MLS__INT8_DEPTH_PIXELS;
        run_pixels(d, rows, i, taken, y + i * d->channels, end, scratch);
    }
}
