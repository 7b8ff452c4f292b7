/* SPDX-License-Identifier: Apache-2.0 */
/* See elements.h. */
#include "cpu/elements.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const mls_dtype sized_dtypes[] = {MLS_UINT8, MLS_FLOAT16, MLS_FLOAT32, MLS_INT64, MLS_STRING};
const size_t sized_dtype_count = sizeof sized_dtypes / sizeof sized_dtypes[0];

#define LAST_DTYPE MLS_INT2

mls_dtype next_dtype(mls_dtype dtype)
{
    do
        dtype = dtype == LAST_DTYPE ? (mls_dtype) 1 : (mls_dtype) (dtype + 1);
    while (mls_dtype_size(dtype) == 0);
    return dtype;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size + 1);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

#define TEXT_BYTES 24

/* The texts lie behind the elements. */
static void *make_strings(int64_t count)
{
    mls_string *strings = allocate((size_t) count * (sizeof *strings + TEXT_BYTES));
    char *text = (char *) (strings + count);
    for (int64_t i = 0; i < count; i++, text += TEXT_BYTES) {
        const int size = snprintf(text, TEXT_BYTES, "e%" PRId64, i);
        strings[i] = (mls_string){text, (size_t) size};
    }
    return strings;
}

void *make_elements(mls_dtype dtype, int64_t count)
{
    if (dtype == MLS_STRING)
        return make_strings(count);
    const size_t size = mls_dtype_size(dtype);
    /* A prime number of values, none of them the bits of a NaN in any dtype of its size. */
    const int64_t values = size == 1 ? 113 : size == 2 ? 31741 : INT32_MAX / 2;
    char *elements = allocate((size_t) count * size);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t value = (uint64_t) (i % values + 1);
        memcpy(elements + (size_t) i * size, &value, size);
    }
    return elements;
}

void *pick_elements(mls_dtype dtype, const void *data, const int64_t *from, int64_t count,
                    const void *value)
{
    const size_t size = mls_dtype_size(dtype);
    char *elements = allocate((size_t) count * size);
    for (int64_t i = 0; i < count; i++)
        memcpy(elements + (size_t) i * size,
               from[i] < 0 ? value : (const char *) data + (size_t) from[i] * size, size);
    return elements;
}

static uint64_t random_bits(random_state *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t random_in(random_state *random, int64_t low, int64_t high)
{
    return low + (int64_t) (random_bits(random) % (uint64_t) (high - low + 1));
}

mls_dtype random_dtype(random_state *random)
{
    mls_dtype dtype = (mls_dtype) 1;
    for (int64_t i = random_in(random, 0, LAST_DTYPE); i > 0; i--)
        dtype = next_dtype(dtype);
    return dtype;
}

int64_t random_dims(random_state *random, int rank, int64_t low, int64_t high, int64_t limit,
                    int64_t *ret_dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        ret_dims[i] = random_in(random, low, high);
        if (count && ret_dims[i] > limit / count)
            ret_dims[i] = low > 1 ? low : 1;
        count *= ret_dims[i];
    }
    return count;
}

void random_axes(random_state *random, int count, int picked, int *ret_axes)
{
    int all[2 * MLS_MAX_RANK];
    for (int i = 0; i < count; i++)
        all[i] = i;
    for (int i = 0; i < picked; i++) {
        const int64_t k = random_in(random, i, count - 1);
        ret_axes[i] = all[k];
        all[k] = all[i];
    }
}

int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

int64_t position_of(int rank, const int64_t *dims, const int64_t *index)
{
    int64_t position = 0;
    for (int i = 0; i < rank; i++)
        position = position * dims[i] + index[i];
    return position;
}

bool next_index(index_walk *walk)
{
    if (!walk->is_started) {
        walk->is_started = true;
        return count_of(walk->rank, walk->dims) > 0;
    }
    walk->position++;
    for (int i = walk->rank - 1; i >= 0; i--) {
        if (++walk->index[i] < walk->dims[i])
            return true;
        walk->index[i] = 0;
    }
    return false;
}
