/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of com.microsoft's GroupQueryAttention, which inference and kernel read alike. */
#ifndef MLS_OP_GROUP_ATTENTION_H
#define MLS_OP_GROUP_ATTENTION_H

enum {
    MLS__GROUP_Q,
    MLS__GROUP_K,
    MLS__GROUP_V,
    MLS__GROUP_PAST_K,
    MLS__GROUP_PAST_V,
    MLS__GROUP_LENGTHS, /* seqlens_k: keys of each batch, new ones among them, less one */
    MLS__GROUP_TOTAL,   /* total_sequence_length: the most of them */
    MLS__GROUP_COSINES,
    MLS__GROUP_SINES,
    MLS__GROUP_POSITIONS,
    MLS__GROUP_BIAS,
    MLS__GROUP_SINK
};

#endif
