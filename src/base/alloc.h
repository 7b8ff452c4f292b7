/* SPDX-License-Identifier: Apache-2.0 */
/* Memory through the host's allocator, with every size computed under overflow checks. */
#ifndef MLS_BASE_ALLOC_H
#define MLS_BASE_ALLOC_H

#include <mlscale/context.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Alignment of every block: a cache line and the widest vector. */
#define MLS__ALIGN 64

typedef struct mls__allocator {
    mls_alloc_fn alloc;
    mls_free_fn free;
    void *user;
} mls__allocator;

/* aligned_alloc and free. */
extern const mls__allocator mls__allocator_default;

/* Uninitialized; NULL when there is no memory. A size of 0 is taken as 1. */
void *mls__alloc(const mls__allocator *allocator, size_t size);

/* How often the calling thread has asked for memory, or freed some. */
uint64_t mls__alloc_calls(void);

/* Zero-filled; NULL when there is no memory or count * size overflows. */
void *mls__alloc_array(const mls__allocator *allocator, size_t count, size_t size);

/* A copy of a string, or of `size` bytes with a NUL behind them. */
char *mls__alloc_string(const mls__allocator *allocator, const char *string);
char *mls__alloc_bytes(const mls__allocator *allocator, const void *data, size_t size);

/* NULL is fine. */
void mls__free(const mls__allocator *allocator, void *ptr);

/* a * b and a + b; false when they do not fit. */
bool mls__mul_size(size_t a, size_t b, size_t *ret_product);
bool mls__add_size(size_t a, size_t b, size_t *ret_sum);
bool mls__mul_i64(int64_t a, int64_t b, int64_t *ret_product);
bool mls__add_i64(int64_t a, int64_t b, int64_t *ret_sum);

/* Rounded up to a multiple; for what is far from not fitting. */
static inline size_t mls__round_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) / multiple * multiple;
}

/* `size` rounded up to a multiple of MLS__ALIGN; false when it does not fit. */
bool mls__align_size(size_t size, size_t *ret_size);

#endif
