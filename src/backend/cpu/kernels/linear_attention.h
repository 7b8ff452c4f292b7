/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of linear attention for one head: a state of `size` rows of `v_size` float32. Sums are
 * chains of fused multiply-adds over ascending rows, lanes run across columns.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_LINEAR_ATTENTION_H
#define MLS_BACKEND_CPU_KERNELS_LINEAR_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mls__linear_step {
    int64_t size, v_size;
    const float *decay; /* what each row is multiplied with first; NULL: nothing */
    const float *k, *v;
    bool is_delta; /* v becomes beta * (v - sum of k[i] state[i]) */
    float beta;
    float *state; /* then state[i] = fma(k[i], v, state[i]) */
} mls__linear_step;

typedef struct mls__linear_kernels {
    void (*update)(const mls__linear_step *step);
    /* y = scale * sum of q[i] state[i] */
    void (*read)(const mls__linear_step *step, const float *q, float scale, float *y);
} mls__linear_kernels;

#endif
