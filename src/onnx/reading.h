/* SPDX-License-Identifier: Apache-2.0 */
/* What tensor.c and the files that read one kind of contents for it share. */
#ifndef MLS_ONNX_READING_H
#define MLS_ONNX_READING_H

#include "onnx/tensor.h"
#include "tensor/dtype.h"

/* A tensor while it is read: its type and dims are checked, its contents are not. */
typedef struct mls__reading {
    mls__external *external;
    mls_context *context;
    mls__tensor_proto *proto;
    const mls__dtype_info *info;
    mls_dtype dtype;
    int rank;
    int64_t count; /* of elements */
    size_t packed; /* bytes they take in a file; 0 for strings */
} mls__reading;

/* A new tensor, zero-filled. */
mls_status mls__reading_create(const mls__reading *r, mls_tensor **ret_tensor);

/* A new tensor from the bytes that raw data have. */
mls_status mls__reading_copy(const mls__reading *r, const void *bytes, mls_tensor **ret_tensor);

/* A tensor over a block of the context's allocator, which is the tensor's on success. */
mls_status mls__reading_take(const mls__reading *r, void *block, mls_tensor **ret_tensor);

/* The contents from the list that suits the type: float_data, string_data, ... */
mls_status mls__reading_lists(mls__reading *r, mls_tensor **ret_tensor);

#endif
