/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention: softmax(scale Q K^T + mask) V for all heads of all batches, which the attention ops
 * share.
 *
 * Order. A score is a chain of fused multiply-adds over the head's elements, then times scale; the
 * mask is added to it; softmax is that of kernels/softmax.h over all keys; an output is a chain
 * over all keys. Keys that a query may not attend have the weight 0, so that leaving out those
 * behind the last one that it may changes nothing. Rows go through in blocks; bits depend on the
 * row and on dims other than batch and heads. 16-bit floats are computed in float32, and rounded
 * once. A query that may attend no key gives zeros.
 */
#ifndef MLS_BACKEND_CPU_OPS_ATTEND_H
#define MLS_BACKEND_CPU_OPS_ATTEND_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/half.h"

/* Steps in elements between batches, heads and rows; elements of a row are neighbours. */
typedef struct mls__attend_steps {
    int64_t batch, head, row;
} mls__attend_steps;

/*
 * What is added to the scores: elements of the op's dtype, or float32 with 16-bit floats, or BOOL
 * (0: not attended). Past `columns` it is -inf.
 */
typedef struct mls__attend_mask {
    int32_t dtype; /* NONE: there is no mask */
    mls__attend_steps steps;
    int64_t columns;
} mls__attend_mask;

#define MLS__ATTEND_MASKS 2

/* Scores as they are after which step. */
typedef enum mls__attend_scores {
    MLS__SCORES_NONE = -1,
    MLS__SCORES_RAW,
    MLS__SCORES_CAPPED,
    MLS__SCORES_MASKED,
    MLS__SCORES_WEIGHTS
} mls__attend_scores;

typedef struct mls__attend {
    const mls__cpu *cpu;
    int32_t dtype; /* a float of 16, 32 or 64 bits: of all that is not said otherwise */
    uint32_t threads;
    int64_t batch, heads, kv_heads; /* heads / kv_heads neighbours share a head of K and V */
    int64_t queries, keys;
    int64_t size, v_size; /* elements of a head: of Q and K, of V and Y */
    mls__attend_steps q, k, v, y;
    double scale;
    bool is_divided; /* the scores are divided by scale */
    float softcap;   /* > 0: scores become softcap * tanh(score / softcap) */
    /*
     * Query i stands at key i + offset: `past`, or length - queries where there are lengths. It
     * attends from `left` before to `right` behind that, where these are not negative, and with
     * is_causal nothing behind it.
     */
    bool is_causal;
    int64_t left, right, past;
    mls__attend_mask masks[MLS__ATTEND_MASKS];
    mls__attend_scores scores; /* which of them are kept */
    bool gives_nan;            /* a query that may attend no key gives NaN, as its softmax does */
} mls__attend;

typedef struct mls__attend_data {
    const void *q, *k, *v;
    const void *masks[MLS__ATTEND_MASKS];
    const int64_t *lengths; /* of each batch: keys from there on are not attended; NULL: none */
    void *y;
    void *scores; /* [batch, heads, queries, keys] */
} mls__attend_data;

/* What a run needs, for dims that are never exceeded; false where it does not fit a size. */
bool mls__attend_workspace(const mls__attend *attend, size_t *ret_bytes);

void mls__attend_run(const mls__attend *attend, const mls__attend_data *data,
                     const mls_kernel_call *call, void *workspace);

/* New rows of K or V behind those of a past: [batch, heads, past + rows, size]. */
typedef struct mls__attend_joint {
    int64_t batch, heads, past, rows, size;
    size_t element; /* bytes */
    mls__attend_steps fresh;
} mls__attend_joint;

/* `past` may be NULL where it has no rows. */
void mls__attend_join(const mls__attend_joint *joint, const void *past, const void *fresh,
                      void *ret_joined);

/* One row of scores, `wide` type: float32, or float64 for that dtype (attend_rows.c). */
typedef struct mls__attend_row_fns {
    void (*divide)(const mls__cpu *cpu, void *x, int64_t n, double divisor);
    void (*cap)(const mls__cpu *cpu, void *x, int64_t n, float cap);
    void (*add)(const mls__cpu *cpu, void *x, const void *mask, int64_t n);
    void (*keep)(const mls__cpu *cpu, void *x, const uint8_t *mask, int64_t n);
    void (*exclude)(void *x, int64_t n); /* n times -inf */
    /* Whether all are -inf. */
    bool (*is_excluded)(const mls__cpu *cpu, const void *x, int64_t n);
    void (*softmax)(const mls__cpu *cpu, void *x, int64_t n);
} mls__attend_row_fns;

extern const mls__attend_row_fns mls__attend_rows_f32, mls__attend_rows_f64;

#endif
