/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of mls_tensor: a view, and the memory that views share. */
#ifndef MLS_TENSOR_TENSOR_H
#define MLS_TENSOR_TENSOR_H

#include "base/context.h"

#include <mlscale/tensor.h>

typedef struct mls__storage mls__storage;

struct mls_tensor {
    mls__storage *storage; /* a reference */
    void *data;            /* the first element of the view */
    int64_t count;
    int32_t dtype;
    int32_t rank;
    int64_t dims[MLS_MAX_RANK];
    int64_t strides[MLS_MAX_RANK]; /* in elements */
};

/* The context whose memory the tensor lives in. */
mls_context *mls__tensor_context(const mls_tensor *tensor);

/* Another view of the same memory, with dims and strides to be set by the caller. */
mls_status mls__tensor_view(const mls_tensor *tensor, mls_tensor **ret_view);

/*
 * Checks dtype, rank and dims. `what` begins the message.
 * Errors: MLS_EINVAL.
 */
mls_status mls__tensor_check(const char *what, int32_t dtype, int rank, const int64_t *dims,
                             size_t *ret_bytes);

/* Whether the pointers of two strings, or their bytes, are the same text. */
static inline int mls__string_equal(mls_string a, mls_string b)
{
    return a.size == b.size && (a.size == 0 || __builtin_memcmp(a.data, b.data, a.size) == 0);
}

#endif
