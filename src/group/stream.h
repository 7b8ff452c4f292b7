/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies past the caches: for what is larger than they are and not read soon, as a line that is
 * written whole need not be loaded before; and for what another core reads next, which has it
 * sooner from memory than from a cache that they do not share. Where processors have no such stores
 * these are copies like others.
 */
#ifndef MLS_GROUP_STREAM_H
#define MLS_GROUP_STREAM_H

#include <stddef.h>

/* From so many bytes on it pays where the same core reads them. */
#define MLS__STREAM_BYTES ((size_t) 4 << 20)

/* The places do not overlap. */
void mls__stream_copy(void *to, const void *from, size_t size_bytes);

/* Behind the last copy, before others are told of it. */
void mls__stream_end(void);

#endif
