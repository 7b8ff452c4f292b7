/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the virtual vector share: the sets, and values to try on them. */
#ifndef MLS_TESTS_CPU_SIMD_TEST_H
#define MLS_TESTS_CPU_SIMD_TEST_H

#include "cpu_test.h"

#include "base/isa.h"

#include "simd_ops.h"

enum { LANES = 16, VALUES = 256 };

static const simd_ops *const all_sets[] = {
    &mls__simd_ops_portable,
#if defined(__x86_64__)
    &mls__simd_ops_avx2,
    &mls__simd_ops_avx512,
#elif defined(__aarch64__)
    &mls__simd_ops_neon,
#endif
};

enum { SETS = sizeof all_sets / sizeof all_sets[0] };

/* The set for a loop test, NULL where this machine lacks it. */
static inline const simd_ops *set_at(int index)
{
    return mls__isa_is_supported(all_sets[index]->isa) ? all_sets[index] : NULL;
}

/* Values whose handling differs between instruction sets, then random bit patterns. */
extern float simd_values[VALUES];

/* The parts of the program. */
void add_simd_integers(TCase *tests);
void add_simd_halves(TCase *tests);

#endif
