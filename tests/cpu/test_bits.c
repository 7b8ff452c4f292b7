/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bits themselves, as hashes that every compiler, instruction set and architecture must give.
 * Other tests compare the instruction sets of one machine; this one compares machines. A change of
 * numerics on purpose changes the constants: MLS_TEST_PRINT=1 prints them.
 */
#include "cpu_test.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/math/f64.h"
#include "base/isa.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 4096, CHUNKS = 8, SETS = 4 };

static float x[N], y[N];

/* FNV-1a over bytes in little-endian order; every NaN counts as the same. */
static uint64_t hash_bits(uint64_t hash, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++)
        hash = (hash ^ (bits >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t hash_floats(uint64_t hash, const float *values, int n)
{
    for (int i = 0; i < n; i++)
        hash = hash_bits(hash, isnan(values[i]) ? 0x7fc00000u : bits_of(values[i]), 4);
    return hash;
}

/* All exponents and both signs in each chunk. */
static void fill(int chunk)
{
    for (int i = 0; i < N; i++)
        x[i] = float_of((uint32_t) (i + chunk * N) * 131101u);
}

/* Of ordinary size, so that sums are no infinities. */
static void fill_ordinary(int chunk)
{
    uint32_t state = (uint32_t) chunk + 1;
    for (int i = 0; i < N; i++)
        x[i] = (float) (int32_t) next_random(&state) * 0x1p-28f;
}

static uint64_t hash_unary(const mls__cpu_kernels *set)
{
    static const float params[2] = {1.25f, 0.75f};
    uint64_t hash = 1;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        fill(chunk);
        for (int op = 0; op < MLS__UNARY_COUNT; op++) {
            set->elementwise->unary[op](y, x, N, params);
            hash = hash_floats(hash, y, N);
        }
    }
    return hash;
}

static uint64_t hash_binary(const mls__cpu_kernels *set)
{
    uint64_t hash = 1;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        fill(chunk);
        for (int op = 0; op < MLS__BINARY_COUNT; op++) {
            set->elementwise->binary[op](y, x, 1, x + 5, 1, N - 5);
            hash = hash_floats(hash, y, N - 5);
        }
    }
    return hash;
}

static uint64_t hash_reduce(const mls__cpu_kernels *set)
{
    uint64_t hash = 1;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        fill_ordinary(chunk);
        for (int op = 0; op < MLS__REDUCE_COUNT; op++) {
            y[0] = set->reduce->row[op](x, N - chunk);
            set->reduce->columns[op](y + 1, x, 32, 128, 127);
            hash = hash_floats(hash, y, 128);
        }
    }
    return hash;
}

static uint64_t hash_softmax(const mls__cpu_kernels *set)
{
    uint64_t hash = 1;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        fill_ordinary(chunk);
        set->softmax->rows(y, x, 32, 128 - chunk);
        hash = hash_floats(hash, y, 32 * (128 - chunk));
        set->softmax->log_rows(y, x, 32, 128 - chunk);
        hash = hash_floats(hash, y, 32 * (128 - chunk));
        set->softmax->columns(y, x, 32, 128, 128);
        hash = hash_floats(hash, y, N);
        set->softmax->log_columns(y, x, 32, 128, 128);
        hash = hash_floats(hash, y, N);
    }
    return hash;
}

static uint64_t hash_halves(const mls__cpu_kernels *set)
{
    static uint16_t half[N];
    uint64_t hash = 1;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        fill(chunk);
        set->elementwise->f32_to_f16(half, x, N);
        for (int i = 0; i < N; i++)
            hash = hash_bits(hash, half[i], 2);
        set->elementwise->f32_to_bf16(half, x, N);
        for (int i = 0; i < N; i++)
            hash = hash_bits(hash, half[i], 2);
    }
    return hash;
}

static uint64_t hash_double(const mls__cpu_kernels *set)
{
    double (*const functions[])(double) = {
        mls__f64_exp,  mls__f64_expm1,   mls__f64_log, mls__f64_log1p,
        mls__f64_tanh, mls__f64_sigmoid, mls__f64_erf,
    };
    uint32_t state = 7;
    uint64_t hash = 1;
    (void) set;
    for (int i = 0; i < N * CHUNKS; i++) {
        const double wide = (double) (int32_t) next_random(&state) * 0x1p-26;
        const double fine = wide + (double) next_random(&state) * 0x1p-60;
        double results[8];
        for (int f = 0; f < 7; f++)
            results[f] = functions[f](fine);
        results[7] = mls__f64_pow(fabs(fine), fine * 3);
        for (int f = 0; f < 8; f++) {
            uint64_t bits = 0;
            if (!isnan(results[f]))
                memcpy(&bits, &results[f], sizeof bits);
            hash = hash_bits(hash, bits, 8);
        }
    }
    return hash;
}

static const struct {
    const char *name;
    uint64_t (*hash)(const mls__cpu_kernels *set);
    uint64_t expected;
} groups[] = {
    {"unary", hash_unary, UINT64_C(0xe477f2cbf8816281)},
    {"binary", hash_binary, UINT64_C(0x1c3d92313f4f0a46)},
    {"reduce", hash_reduce, UINT64_C(0x5bcffaefd9efd729)},
    {"softmax", hash_softmax, UINT64_C(0xf37db166ede6b2f8)},
    {"halves", hash_halves, UINT64_C(0xa60c0b76f6700dfc)},
    {"double", hash_double, UINT64_C(0x7d2ca0e1a0e0177f)},
};

enum { GROUPS = sizeof groups / sizeof groups[0] };

START_TEST(same_bits_everywhere)
{
    const mls__cpu_kernels *set = mls__cpu_kernels_at(_i / GROUPS);
    const int g = _i % GROUPS;
    if (!set || !mls__isa_is_supported(set->isa))
        return;
    const uint64_t hash = groups[g].hash(set);
    if (getenv("MLS_TEST_PRINT"))
        printf("# %s %s 0x%016llx\n", set->isa, groups[g].name, (unsigned long long) hash);
    EXPECT_MSG(hash == groups[g].expected, "%s: other bits in %s: 0x%016llx", set->isa,
               groups[g].name, (unsigned long long) hash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/bits");
    TCase *tests = tcase_create("hashes");
    tcase_add_loop_test(tests, same_bits_everywhere, 0, SETS * GROUPS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
