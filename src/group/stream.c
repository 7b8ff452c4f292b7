/* SPDX-License-Identifier: Apache-2.0 */
/* A line is one store of AVX-512, or four of 16 bytes, which every x86-64 has. */
#include "group/stream.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>

#define LINE_BYTES ((size_t) 64)

static void stream_lines(unsigned char *to, const unsigned char *from, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes; at += LINE_BYTES) {
        const __m128i *source = (const __m128i *) (const void *) (from + at);
        __m128i *target = (__m128i *) (void *) (to + at);
        const __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
        const __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
}

/* Half the time of what comes from the nearest cache. */
__attribute__((target("avx512f"))) static void
stream_whole_lines(unsigned char *to, const unsigned char *from, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes; at += LINE_BYTES)
        _mm512_stream_si512((__m512i *) (void *) (to + at),
                            _mm512_loadu_si512((const void *) (from + at)));
}

void mls__stream_copy(void *to, const void *from, size_t size_bytes)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    const size_t before = -(uintptr_t) target % LINE_BYTES;
    const size_t head = before < size_bytes ? before : size_bytes;
    const size_t lines = (size_bytes - head) / LINE_BYTES * LINE_BYTES;
    const size_t tail = size_bytes - head - lines;
    if (head)
        memcpy(target, source, head);
    if (__builtin_cpu_supports("avx512f"))
        stream_whole_lines(target + head, source + head, lines);
    else
        stream_lines(target + head, source + head, lines);
    if (tail)
        memcpy(target + head + lines, source + head + lines, tail);
}

void mls__stream_end(void)
{
    _mm_sfence();
}
#else
void mls__stream_copy(void *to, const void *from, size_t size_bytes)
{
    memcpy(to, from, size_bytes);
}

void mls__stream_end(void)
{
}
#endif
