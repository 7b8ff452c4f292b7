/* SPDX-License-Identifier: Apache-2.0 */
/* How leaves' weights are aggregated: what tree.c and tree_scan.c share. */
#ifndef MLS_BACKEND_CPU_KERNELS_TREE_AGGREGATE_H
#define MLS_BACKEND_CPU_KERNELS_TREE_AGGREGATE_H

#include "backend/cpu/kernels/tree.h"
#include "backend/cpu/simd/simd.h"

enum { LANES = MLS__TREE_LANES };

/* tree_scan.c, for the table. */
void MLS_ISA_NAME(tree_scan_keys)(const mls__forest *forest, int64_t rows, const uint32_t *keys,
                                  int32_t *scan_keys);
void MLS_ISA_NAME(tree_scan)(const mls__forest *forest, const int32_t *scan_keys, float *lanes,
                             uint8_t *seen);
void MLS_ISA_NAME(tree_scan_scores)(const mls__forest *forest, int64_t rows, const float *lanes,
                                    float *scores);

static inline float weight_of(uint32_t payload)
{
    float weight;
    memcpy(&weight, &payload, sizeof weight);
    return weight;
}

/* The vector and the float take the same branch for every value, NaN too. */
MLS_SIMD_FN mls_vf aggregate_vector(mls__tree_aggregate aggregate, mls_vf sum, mls_vf weight)
{
    if (aggregate == MLS__TREE_SUM)
        return vf_add(sum, weight);
    return aggregate == MLS__TREE_MIN ? vf_min(weight, sum) : vf_max(weight, sum);
}

static inline float aggregate_float(mls__tree_aggregate aggregate, float sum, float weight)
{
    if (aggregate == MLS__TREE_SUM)
        return sum + weight;
    if (aggregate == MLS__TREE_MIN)
        return weight < sum ? weight : sum;
    return weight > sum ? weight : sum;
}

/* All weights of a leaf; a target's lane is `lane_stride` lanes away from the next target's. */
static inline void take_leaf(const mls__forest *forest, uint32_t leaf, float *lane,
                             size_t lane_stride, uint8_t *seen, size_t seen_stride)
{
    const float *weights = forest->weights;
    const uint32_t end = forest->leaf_first[leaf + 1];
    for (uint32_t w = forest->leaf_first[leaf]; w < end; w++) {
        const size_t target = forest->weight_target[w];
        float *sum = lane + target * lane_stride;
        *sum = aggregate_float(forest->aggregate, *sum, weights[w]);
        seen[target * seen_stride] = 1;
    }
}

#endif
