/* SPDX-License-Identifier: Apache-2.0 */
/* One table of instruction sets, the best last. */
#include "base/isa.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* Clang 14 does not know this one by name. It uses the registers of AVX2. */
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

/* Nor this: leaf 7, subleaf 1. */
static bool has_avx_vnni(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}

/* __builtin_cpu_supports also asks whether the operating system keeps the registers. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2vnni(void)
{
    return has_avx2() && has_avx_vnni();
}

static bool has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_avx512bf16(void)
{
    unsigned eax, ebx, ecx, edx;
    return has_avx512vnni() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 5);
}

/* Of arch_prctl(2), and the component of the registers' state that holds tiles. */
enum { GET_XCOMP_SUPPORT = 0x1021, REQUEST_XCOMP_PERMISSION = 0x1023, TILE_DATA = 18 };

/* The processor has tiles, and the system would keep them. */
static bool has_amx(void)
{
    unsigned eax, ebx, ecx, edx;
    const unsigned wanted = 1u << 22 | 1u << 24; /* AMX-BF16, AMX-TILE */
    unsigned long components = 0;
    return has_avx512bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           (edx & wanted) == wanted &&
           syscall(SYS_arch_prctl, GET_XCOMP_SUPPORT, &components) == 0 &&
           (components & 1ul << TILE_DATA);
}
#endif

static const struct {
    const char *name;
    bool (*is_supported)(void);
} sets[] = {
    {"portable", always},
#if defined(__x86_64__)
    {"avx2", has_avx2},
    {"avx2vnni", has_avx2vnni},
    {"avx512", has_avx512},
    {"avx512vnni", has_avx512vnni},
    {"avx512bf16", has_avx512bf16},
    {"amx", has_amx},
#elif defined(__aarch64__)
    {"neon", always},
#endif
};

#define SET_COUNT (sizeof sets / sizeof sets[0])

static bool is_supported(size_t set)
{
#if defined(__x86_64__)
    /* A host may make a context from a constructor, before libgcc's own has run. */
    __builtin_cpu_init();
#endif
    return sets[set].is_supported();
}

static void list_supported(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < SET_COUNT && used < size; i++)
        if (is_supported(i))
            used +=
                (size_t) snprintf(text + used, size - used, "%s%s", used ? ", " : "", sets[i].name);
}

bool mls__isa_is_supported(const char *name)
{
    for (size_t i = 0; i < SET_COUNT; i++)
        if (strcmp(sets[i].name, name) == 0)
            return is_supported(i);
    return false;
}

static mls_status select_named(const char *name, const char **ret_isa)
{
    char supported[96];
    list_supported(supported, sizeof supported);
    for (size_t i = 0; i < SET_COUNT; i++) {
        if (strcmp(sets[i].name, name) != 0)
            continue;
        if (!is_supported(i))
            return mls__error(MLS_EUNSUPPORTED,
                              "this machine lacks the instruction set '%s'; it has: %s", name,
                              supported);
        *ret_isa = sets[i].name;
        return MLS_OK;
    }
    return mls__error(MLS_EINVAL,
                      "'%.32s' is no instruction set (option isa, environment MLS_ISA); this "
                      "machine has: %s",
                      name, supported);
}

mls_status mls__isa_select(const char *name, const char **ret_isa)
{
    if (!name)
        name = getenv("MLS_ISA");
    if (name && name[0])
        return select_named(name, ret_isa);
    for (size_t i = 0; i < SET_COUNT; i++)
        if (is_supported(i))
            *ret_isa = sets[i].name;
    return MLS_OK;
}

bool mls__isa_request_tiles(void)
{
#if defined(__x86_64__)
    return has_amx() && syscall(SYS_arch_prctl, REQUEST_XCOMP_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}
