/* SPDX-License-Identifier: Apache-2.0 */
/* Stores of 16 bytes that every x86-64 has; four of them fill a line. */
#include "group/stream.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

void mls__stream_copy(void *to, const void *from, size_t size_bytes)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    const size_t before = -(uintptr_t) target % 64;
    const size_t head = before < size_bytes ? before : size_bytes;
    memcpy(target, source, head);
    size_t at = head;
    for (; at + 64 <= size_bytes; at += 64)
        for (size_t k = at; k < at + 64; k += 16)
            _mm_stream_si128((__m128i *) (void *) (target + k),
                             _mm_loadu_si128((const __m128i *) (const void *) (source + k)));
    memcpy(target + at, source + at, size_bytes - at);
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
