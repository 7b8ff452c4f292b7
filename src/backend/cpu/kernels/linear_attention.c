/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the steps that linear_attention.h declares. */
#include "backend/cpu/kernels/linear_attention.h"

#include "backend/cpu/simd/simd.h"

extern const mls__linear_kernels MLS_ISA_NAME(linear_attention);

/* Columns j .. j+lanes-1: decay them, and sum them weighted by k. */
static mls_vf decay_columns(const mls__linear_step *s, int64_t j, int lanes)
{
    mls_vf sum = vf_zero();
    for (int64_t i = 0; i < s->size; i++) {
        float *at = s->state + i * s->v_size + j;
        mls_vf x = vf_load_n(at, lanes);
        if (s->decay) {
            x = vf_mul(x, vf_set1(s->decay[i]));
            vf_store_n(at, x, lanes);
        }
        sum = vf_fma(vf_set1(s->k[i]), x, sum);
    }
    return sum;
}

static void update(const mls__linear_step *s)
{
    for (int64_t j = 0; j < s->v_size; j += MLS_LANES) {
        const int lanes = lanes_at(j, s->v_size);
        mls_vf v = vf_load_n(s->v + j, lanes);
        if (s->decay || s->is_delta) {
            const mls_vf found = decay_columns(s, j, lanes);
            if (s->is_delta)
                v = vf_mul(vf_set1(s->beta), vf_sub(v, found));
        }
        for (int64_t i = 0; i < s->size; i++) {
            float *at = s->state + i * s->v_size + j;
            vf_store_n(at, vf_fma(vf_set1(s->k[i]), v, vf_load_n(at, lanes)), lanes);
        }
    }
}

static void read_state(const mls__linear_step *s, const float *q, float scale, float *y)
{
    for (int64_t j = 0; j < s->v_size; j += MLS_LANES) {
        const int lanes = lanes_at(j, s->v_size);
        mls_vf sum = vf_zero();
        for (int64_t i = 0; i < s->size; i++)
            sum = vf_fma(vf_set1(q[i]), vf_load_n(s->state + i * s->v_size + j, lanes), sum);
        vf_store_n(y + j, vf_mul(vf_set1(scale), sum), lanes);
    }
}

const mls__linear_kernels MLS_ISA_NAME(linear_attention) = {
    .update = update,
    .read = read_state,
};
