/* SPDX-License-Identifier: Apache-2.0 */
/* A pass that only looks, then one for the message: the first has nothing to stop it. */
#include "backend/cpu/ops/indices.h"

#include "backend/cpu/cpu.h"

#include <inttypes.h>

static bool any_outside(const mls__indices *indices, int64_t bound)
{
    bool any = false;
    for (int64_t i = 0; i < indices->count && indices->is_wide; i++)
        any |= mls__index_is_outside(((const int64_t *) indices->data)[i], bound);
    for (int64_t i = 0; i < indices->count && !indices->is_wide; i++)
        any |= mls__index_is_outside(((const int32_t *) indices->data)[i], bound);
    return any;
}

static bool any_tuple_outside(const mls__indices *indices, const int64_t *bounds, int64_t size)
{
    bool any = false;
    for (int64_t i = 0; i < indices->count; i += size)
        for (int64_t j = 0; j < size; j++)
            any |= mls__index_is_outside(mls__index_at(indices, i + j), bounds[j]);
    return any;
}

static mls_status index_error(const mls_kernel *kernel, size_t input, const mls__indices *indices,
                              const int64_t *bounds, int64_t bound_count)
{
    int64_t i = 0;
    while (!mls__index_is_outside(mls__index_at(indices, i), bounds[i % bound_count]))
        i++;
    const int64_t index = mls__index_at(indices, i), bound = bounds[i % bound_count];
    if (bound == 0)
        return mls__cpu_run_error(kernel, MLS_ERANGE,
                                  "index %" PRId64 " at position %" PRId64
                                  " of input %zu is of an axis without elements",
                                  index, i, input);
    return mls__cpu_run_error(kernel, MLS_ERANGE,
                              "index %" PRId64 " at position %" PRId64 " of input %zu is outside "
                              "[%" PRId64 ", %" PRId64 "]",
                              index, i, input, -bound, bound - 1);
}

mls_status mls__indices_check(const mls_kernel *kernel, size_t input, const mls__indices *indices,
                              const int64_t *bounds, int64_t bound_count)
{
    const bool any = bound_count == 1 ? any_outside(indices, bounds[0])
                                      : any_tuple_outside(indices, bounds, bound_count);
    return any ? index_error(kernel, input, indices, bounds, bound_count) : MLS_OK;
}
