/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: keys, walking and scores of tree.h; scanning is in tree_scan.c.
 */
#include "backend/cpu/kernels/tree.h"

#include "backend/cpu/kernels/tree_aggregate.h"
#include "backend/cpu/simd/simd.h"

#include <math.h>

extern const mls__tree_kernels MLS_ISA_NAME(tree);

enum { HALF = LANES / 2 };

/* --- keys ------------------------------------------------------------------------------------ */

/* Adding 0 makes -0 the same as 0; then a sign-magnitude number becomes an offset one. */
MLS_SIMD_FN mls_vi float_keys(mls_vf x, mls_vi source)
{
    const mls_vi bits = vf_as_int(vf_add(x, vf_zero()));
    const mls_vi flip = vi_or(vi_sar(bits, 31), vi_set1(INT32_MIN));
    /* 0 where the lowest bit is set, else all ones; clang 14 fails over (source & 1) - 1. */
    const mls_vi nan_key = vi_sar(vi_xor(vi_shl(source, 31), vi_set1(INT32_MIN)), 31);
    return vi_select(vf_isnan(x), nan_key, vi_xor(bits, flip));
}

static void keys(const mls__forest *forest, const float *x, uint32_t *out)
{
    out[0] = UINT32_MAX;
    for (uint32_t i = 1; i < forest->key_count; i += LANES) {
        const uint32_t rest = forest->key_count - i;
        const int n = rest < LANES ? (int) rest : LANES;
        const mls_vi source = vi_load_n((const int32_t *) forest->key_source + i, n);
        const mls_vf values = vf_gather_mask(vf_zero(), vm_first(n), x, vi_shr(source, 1));
        vi_store_n((int32_t *) out + i, float_keys(values, source), n);
    }
}

static uint64_t double_key(double x, uint32_t source)
{
    const double value = x + 0.0;
    uint64_t bits;
    if (isnan(x))
        return source & 1u ? 0 : UINT64_MAX;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static void double_keys(const mls__forest *forest, const double *x, uint64_t *out)
{
    out[0] = UINT64_MAX;
    for (uint32_t i = 1; i < forest->key_count; i++)
        out[i] = double_key(x[forest->key_source[i] >> 1], forest->key_source[i]);
}

/* --- walking --------------------------------------------------------------------------------- */

static inline size_t step_compact(const mls__tree_node *nodes, const uint32_t *key, size_t slot)
{
    const mls__tree_node *node = &nodes[slot];
    return node->child + (size_t) (node->limit < key[node->key]);
}

static inline size_t step_wide(const mls__tree_wide_node *nodes, const uint32_t *key, size_t slot)
{
    const mls__tree_wide_node *node = &nodes[slot];
    return node->child + (size_t) (node->width < key[node->key] - node->low);
}

static inline size_t step_double(const mls__tree_double_node *nodes, const uint64_t *key,
                                 size_t slot)
{
    const mls__tree_double_node *node = &nodes[slot];
    return node->child + (size_t) (node->width < key[node->key] - node->low);
}

/* Eight trees of a group from `root` on; eight variables stay in registers, an array does not. */
#define WALK_HALF(form, node_type, key_type, payload_of)                                           \
    static void walk_half_##form(const node_type *nodes, const key_type *key, size_t root,         \
                                 uint32_t steps, uint32_t *payload)                                \
    {                                                                                              \
        size_t s0 = root, s1 = root + 1, s2 = root + 2, s3 = root + 3;                             \
        size_t s4 = root + 4, s5 = root + 5, s6 = root + 6, s7 = root + 7;                         \
        for (; steps; steps--) {                                                                   \
            s0 = step_##form(nodes, key, s0);                                                      \
            s1 = step_##form(nodes, key, s1);                                                      \
            s2 = step_##form(nodes, key, s2);                                                      \
            s3 = step_##form(nodes, key, s3);                                                      \
            s4 = step_##form(nodes, key, s4);                                                      \
            s5 = step_##form(nodes, key, s5);                                                      \
            s6 = step_##form(nodes, key, s6);                                                      \
            s7 = step_##form(nodes, key, s7);                                                      \
        }                                                                                          \
        payload[0] = (uint32_t) nodes[s0].payload_of;                                              \
        payload[1] = (uint32_t) nodes[s1].payload_of;                                              \
        payload[2] = (uint32_t) nodes[s2].payload_of;                                              \
        payload[3] = (uint32_t) nodes[s3].payload_of;                                              \
        payload[4] = (uint32_t) nodes[s4].payload_of;                                              \
        payload[5] = (uint32_t) nodes[s5].payload_of;                                              \
        payload[6] = (uint32_t) nodes[s6].payload_of;                                              \
        payload[7] = (uint32_t) nodes[s7].payload_of;                                              \
    }

WALK_HALF(compact, mls__tree_node, uint32_t, limit)
WALK_HALF(wide, mls__tree_wide_node, uint32_t, width)
WALK_HALF(double, mls__tree_double_node, uint64_t, width)

static void walk_group(const mls__forest *forest, const mls__tree_group *group, const uint32_t *key,
                       uint32_t *payload)
{
    if (forest->form == MLS__TREE_COMPACT) {
        const mls__tree_node *nodes = (const mls__tree_node *) forest->nodes + group->first;
        walk_half_compact(nodes, key, 1, group->steps[0], payload);
        walk_half_compact(nodes, key, 1 + HALF, group->steps[1], payload + HALF);
    } else {
        const mls__tree_wide_node *nodes =
            (const mls__tree_wide_node *) forest->nodes + group->first;
        walk_half_wide(nodes, key, 1, group->steps[0], payload);
        walk_half_wide(nodes, key, 1 + HALF, group->steps[1], payload + HALF);
    }
}

/* --- aggregation ----------------------------------------------------------------------------- */

/* All 16 trees have their weight for the only target. */
MLS_SIMD_FN void take_vector(mls__tree_aggregate aggregate, float *lanes, const uint32_t *payload)
{
    const mls_vf weight = vi_as_float(vi_load((const int32_t *) payload));
    vf_store(lanes, aggregate_vector(aggregate, vf_load(lanes), weight));
}

static void take_targets(const mls__forest *forest, const uint32_t *target, float *lanes,
                         const uint32_t *payload)
{
    for (size_t i = 0; i < LANES; i++) {
        float *lane = lanes + (size_t) target[i] * LANES + i;
        *lane = aggregate_float(forest->aggregate, *lane, weight_of(payload[i]));
    }
}

static void take_leaves(const mls__forest *forest, float *lanes, uint8_t *seen,
                        const uint32_t *payload)
{
    for (size_t i = 0; i < LANES; i++)
        take_leaf(forest, payload[i], lanes + i, LANES, seen, 1);
}

static void walk(const mls__forest *forest, int64_t rows, const uint32_t *key, float *lanes,
                 uint8_t *seen)
{
    const size_t key_stride = forest->key_count;
    const size_t lane_stride = (size_t) forest->target_count * LANES;
    for (uint32_t g = 0; g < forest->group_count; g++)
        for (size_t r = 0; r < (size_t) rows; r++) {
            uint32_t payload[LANES];
            float *row = lanes + r * lane_stride;
            walk_group(forest, &forest->groups[g], key + r * key_stride, payload);
            if (forest->leaf_first)
                take_leaves(forest, row, seen + r * forest->target_count, payload);
            else if (forest->target_count == 1)
                take_vector(forest->aggregate, row, payload);
            else
                take_targets(forest, forest->tree_target + g * LANES, row, payload);
        }
}

static double aggregate_double(mls__tree_aggregate aggregate, double sum, double weight)
{
    if (aggregate == MLS__TREE_SUM)
        return sum + weight;
    if (aggregate == MLS__TREE_MIN)
        return weight < sum ? weight : sum;
    return weight > sum ? weight : sum;
}

static void take_double_leaves(const mls__forest *forest, double *lanes, uint8_t *seen,
                               const uint32_t *payload)
{
    const double *weights = forest->weights;
    for (size_t i = 0; i < LANES; i++)
        for (uint32_t w = forest->leaf_first[payload[i]]; w < forest->leaf_first[payload[i] + 1];
             w++) {
            const uint32_t target = forest->weight_target[w];
            double *lane = lanes + (size_t) target * LANES + i;
            *lane = aggregate_double(forest->aggregate, *lane, weights[w]);
            seen[target] = 1;
        }
}

static void walk_double(const mls__forest *forest, int64_t rows, const uint64_t *key, double *lanes,
                        uint8_t *seen)
{
    for (uint32_t g = 0; g < forest->group_count; g++) {
        const mls__tree_group *group = &forest->groups[g];
        const mls__tree_double_node *nodes =
            (const mls__tree_double_node *) forest->nodes + group->first;
        for (size_t r = 0; r < (size_t) rows; r++) {
            uint32_t payload[LANES];
            const uint64_t *row = key + r * forest->key_count;
            walk_half_double(nodes, row, 1, group->steps[0], payload);
            walk_half_double(nodes, row, 1 + HALF, group->steps[1], payload + HALF);
            take_double_leaves(forest, lanes + r * forest->target_count * LANES,
                               seen + r * forest->target_count, payload);
        }
    }
}

/* --- scores ---------------------------------------------------------------------------------- */

static void walk_scores(const mls__forest *forest, int64_t rows, const float *lanes, float *scores)
{
    const int64_t count = rows * forest->target_count;
    for (int64_t i = 0; i < count; i++) {
        const mls_vf v = vf_load(lanes + i * LANES);
        if (forest->aggregate == MLS__TREE_SUM)
            scores[i] = vf_hsum(v);
        else
            scores[i] = forest->aggregate == MLS__TREE_MIN ? vf_hmin(v) : vf_hmax(v);
    }
}

static void double_scores(const mls__forest *forest, int64_t rows, const double *lanes,
                          double *scores)
{
    const int64_t count = rows * forest->target_count;
    for (int64_t i = 0; i < count; i++) {
        double v[LANES];
        memcpy(v, lanes + i * LANES, sizeof v);
        for (int half = HALF; half; half /= 2)
            for (int k = 0; k < half; k++)
                v[k] = aggregate_double(forest->aggregate, v[k], v[k + half]);
        scores[i] = v[0];
    }
}

/*
 * What scanning costs, measured with bench/trees. Without vector instructions it never pays; NEON
 * is yet to be measured, and counts its instructions.
 */
#if defined(MLS_SIMD_AVX512)
enum { TEST_COST = 7, BLOCK_COST = 75 };
#elif defined(MLS_SIMD_AVX2)
enum { TEST_COST = 10, BLOCK_COST = 120 };
#elif defined(MLS_SIMD_NEON)
enum { TEST_COST = 20, BLOCK_COST = 400 };
#else
enum { TEST_COST = 250, BLOCK_COST = 2000 };
#endif

const mls__tree_kernels MLS_ISA_NAME(tree) = {
    .costs = {.step = 5.0f,
              .group = 50.0f,
              .test = (float) TEST_COST,
              .block = (float) BLOCK_COST,
              .key = 100.0f},
    .keys = keys,
    .double_keys = double_keys,
    .walk = walk,
    .walk_double = walk_double,
    .scan_keys = MLS_ISA_NAME(tree_scan_keys),
    .scan = MLS_ISA_NAME(tree_scan),
    .walk_scores = walk_scores,
    .scan_scores = MLS_ISA_NAME(tree_scan_scores),
    .double_scores = double_scores,
};
