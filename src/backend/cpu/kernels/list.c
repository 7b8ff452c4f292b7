/* SPDX-License-Identifier: Apache-2.0 */
/* The list of kernel tables in this build. */
#include "backend/cpu/kernels/kernels.h"

#include <stddef.h>
#include <string.h>

static const mls__cpu_kernels *const tables[] = {
    &mls__cpu_kernels_portable,
#if defined(__x86_64__)
    &mls__cpu_kernels_avx2,
    &mls__cpu_kernels_avx2vnni,
    &mls__cpu_kernels_avx512,
    &mls__cpu_kernels_avx512vnni,
    &mls__cpu_kernels_avx512bf16,
    &mls__cpu_kernels_amx,
#elif defined(__aarch64__)
    &mls__cpu_kernels_neon,
#endif
    NULL,
};

const mls__cpu_kernels *mls__cpu_kernels_at(int index)
{
    const int count = (int) (sizeof tables / sizeof tables[0]);
    return index >= 0 && index < count ? tables[index] : NULL;
}

const mls__cpu_kernels *mls__cpu_kernels_find(const char *isa)
{
    for (int i = 0; tables[i] != NULL; i++) {
        if (strcmp(tables[i]->isa, isa) == 0)
            return tables[i];
    }
    return NULL;
}
