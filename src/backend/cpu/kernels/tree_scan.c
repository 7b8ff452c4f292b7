/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: scanning a forest's tests for 32 rows at a time. */
#include "backend/cpu/kernels/tree_aggregate.h"

#include "backend/cpu/simd/simd.h"

/* Two vectors of rows: each test's limit and bits are then loaded once for 32 rows. */
enum { ROWS = MLS__TREE_ROWS, VECTORS = ROWS / MLS_LANES };

typedef struct exit_bits {
    mls_vi v[VECTORS];
} exit_bits;

void MLS_ISA_NAME(tree_scan_keys)(const mls__forest *forest, int64_t rows, const uint32_t *keys,
                                  int32_t *scan_keys)
{
    const size_t stride = forest->key_count;
    for (size_t k = 0; k < stride; k++)
        for (size_t r = 0; r < ROWS; r++) {
            const uint32_t key = (int64_t) r < rows ? keys[r * stride + k] : 0;
            scan_keys[k * ROWS + r] = (int32_t) (key ^ UINT32_C(0x80000000));
        }
}

/* The exits that no test of the block has cleared. */
MLS_SIMD_FN exit_bits scan_tests(const mls__forest *forest, const mls__tree_block *block,
                                 const int32_t *scan_keys)
{
    exit_bits bits;
    for (int i = 0; i < VECTORS; i++)
        bits.v[i] = vi_set1(-1);
    for (uint32_t t = 0; t < block->test_count; t++) {
        const mls__tree_test *test = &forest->tests[block->first_test + t];
        const mls_vi limit = vi_set1(test->limit);
        const mls_vi clear = vi_set1((int32_t) test->clear);
        const int32_t *key = scan_keys + (size_t) test->key * ROWS;
        for (int i = 0; i < VECTORS; i++) {
            const mls_vm is_false = vi_gt(vi_load(key + i * MLS_LANES), limit);
            bits.v[i] = vi_clear(is_false, bits.v[i], clear);
        }
    }
    return bits;
}

/* The position of the lowest bit set; some bit is. A power of two as a float is its exponent. */
MLS_SIMD_FN mls_vi lowest_bit(mls_vi bits)
{
    const mls_vi lowest = vi_and(bits, vi_sub(vi_zero(), bits));
    const mls_vi exponent = vi_shr(vf_as_int(vi_to_float(lowest)), 23);
    return vi_sub(vi_and(exponent, vi_set1(0xff)), vi_set1(127));
}

/* A tree's payloads of 32 rows. A block stands after those that its exits lead to. */
MLS_SIMD_FN void scan_tree(const mls__forest *forest, uint32_t first, uint32_t end,
                           const int32_t *scan_keys, int32_t *payload)
{
    int32_t of_block[MLS__TREE_BLOCKS][ROWS];
    for (uint32_t b = first; b < end; b++) {
        const mls__tree_block *block = &forest->blocks[b];
        const int32_t *exits = (const int32_t *) forest->exits + (size_t) b * MLS__TREE_EXITS;
        const exit_bits bits = scan_tests(forest, block, scan_keys);
        int32_t *out = b + 1 == end ? payload : of_block[b - first];
        for (int i = 0; i < VECTORS; i++) {
            const mls_vi exit = lowest_bit(bits.v[i]);
            mls_vi result = vi_lookup32(exits, exit);
            for (uint32_t k = 0; k < block->link_count; k++) {
                const mls__tree_link *link = &forest->links[block->first_link + k];
                const mls_vm goes = vi_eq(exit, vi_set1((int32_t) link->exit));
                result = vi_select(goes, vi_load(of_block[link->block] + i * MLS_LANES), result);
            }
            vi_store(out + i * MLS_LANES, result);
        }
    }
}

static void take_payloads(const mls__forest *forest, size_t tree, const int32_t *payload,
                          float *lanes, uint8_t *seen)
{
    const size_t lane = tree % LANES;
    if (forest->leaf_first) {
        for (size_t r = 0; r < ROWS; r++)
            take_leaf(forest, (uint32_t) payload[r], lanes + lane * ROWS + r, LANES * ROWS,
                      seen + r, ROWS);
        return;
    }
    float *sums = lanes + (forest->tree_target[tree] * LANES + lane) * ROWS;
    for (int i = 0; i < ROWS; i += MLS_LANES) {
        const mls_vf weight = vi_as_float(vi_load(payload + i));
        vf_store(sums + i, aggregate_vector(forest->aggregate, vf_load(sums + i), weight));
    }
}

/* The trees that are missing from the last group have no block, and change nothing. */
void MLS_ISA_NAME(tree_scan)(const mls__forest *forest, const int32_t *scan_keys, float *lanes,
                             uint8_t *seen)
{
    const uint32_t *first = forest->tree_first_block;
    for (size_t t = 0; t < (size_t) forest->group_count * LANES; t++) {
        int32_t payload[ROWS];
        if (first[t] == first[t + 1])
            continue;
        scan_tree(forest, first[t], first[t + 1], scan_keys, payload);
        take_payloads(forest, t, payload, lanes, seen);
    }
}

/* The lower lane is the left operand, as in vf_hsum. */
MLS_SIMD_FN mls_vf join(mls__tree_aggregate aggregate, mls_vf a, mls_vf b)
{
    if (aggregate == MLS__TREE_SUM)
        return vf_add(a, b);
    return aggregate == MLS__TREE_MIN ? vf_min(a, b) : vf_max(a, b);
}

void MLS_ISA_NAME(tree_scan_scores)(const mls__forest *forest, int64_t rows, const float *lanes,
                                    float *scores)
{
    const size_t targets = forest->target_count;
    for (size_t target = 0; target < targets; target++)
        for (int64_t first = 0; first < rows; first += MLS_LANES) {
            const float *column = lanes + target * LANES * ROWS + first;
            float sums[MLS_LANES];
            mls_vf v[LANES];
            for (int k = 0; k < LANES; k++)
                v[k] = vf_load(column + k * ROWS);
            for (int half = LANES / 2; half; half /= 2)
                for (int k = 0; k < half; k++)
                    v[k] = join(forest->aggregate, v[k], v[k + half]);
            vf_store(sums, v[0]);
            for (int64_t r = first; r < rows && r < first + MLS_LANES; r++)
                scores[(size_t) r * targets + target] = sums[r - first];
        }
}
