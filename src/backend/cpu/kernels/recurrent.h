/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gates of LSTM, GRU and RNN: what one time step does with the sums that products left. Each
 * unit of each row is computed on its own, so that its bits depend on its sums and state only.
 *
 * Rows of h and c are `units` apart, rows of sums `sums_row`. `clip` bounds what goes into the
 * activations of sums, infinity does nothing; the cell of an LSTM goes into h_gate as it is, which
 * is how ONNX Runtime reads the specification.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_RECURRENT_H
#define MLS_BACKEND_CPU_KERNELS_RECURRENT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum mls__gate_fn {
    MLS__GATE_SIGMOID,
    MLS__GATE_TANH,
    MLS__GATE_RELU,
    MLS__GATE_AFFINE,           /* alpha x + beta */
    MLS__GATE_LEAKY_RELU,       /* x < 0 ? alpha x : x */
    MLS__GATE_THRESHOLDED_RELU, /* x >= alpha ? x : 0 */
    MLS__GATE_SCALED_TANH,      /* alpha tanh(beta x) */
    MLS__GATE_HARD_SIGMOID,     /* alpha x + beta, between 0 and 1 */
    MLS__GATE_ELU,              /* x < 0 ? alpha (e^x - 1) : x */
    MLS__GATE_SOFTSIGN,
    MLS__GATE_SOFTPLUS
} mls__gate_fn;

typedef struct mls__gate {
    mls__gate_fn fn;
    float alpha, beta;
} mls__gate;

/* Elements are float32, or float64 for functions of that type. */
typedef struct mls__gates {
    int64_t units;
    void *sums; /* of each gate, one after the other; they are overwritten */
    int64_t sums_row;
    void *h;               /* the state, which becomes the next one */
    void *c;               /* of an LSTM: likewise */
    const void *peepholes; /* of an LSTM: of gates i, o and f; or NULL */
    void *reset;           /* of a GRU: takes r h; NULL where the product comes before r */
    const void
        *input; /* of a GRU with reset NULL: what inputs add to gate h, in rows of sums_row */
    float clip;
    bool is_coupled; /* of an LSTM: f is 1 - i */
    mls__gate f, g, h_gate;
} mls__gates;

/* Rows row .. row+rows-1. */
typedef void (*mls__gates_fn)(const mls__gates *gates, int64_t row, int64_t rows);

typedef struct mls__recurrent_kernels {
    /*
     * Sums of i, o, f, c, where p is 0 without peepholes:
     *   i = f(fma(pi, c, i))   f = f(fma(pf, c, f))   c' = fma(f, c, i g(c))
     *   o = f(fma(po, c', o))  h' = o h_gate(c')
     */
    mls__gates_fn lstm;
    /* Sums of z, r: z = f(z) stays in sums; r = f(r) too, or reset = r h. */
    mls__gates_fn gru_reset;
    /* Sums z and r as above, and h: n = g(h), or g(fma(r, h, input)); h' = fma(z, h, (1 - z) n). */
    mls__gates_fn gru_update;
    /* h' = f(sum) */
    mls__gates_fn rnn;
} mls__recurrent_kernels;

#endif
