/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse constants, made dense: kernels know no others. */
#include "onnx/tensor.h"

#include "base/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

/* A few bytes of file can ask for any size; this much is given to them. */
#define MAX_DENSE_BYTES ((size_t) 256 << 20)

typedef struct scatter {
    const mls_tensor *values, *indices;
    mls_tensor *dense;
    bool is_linear; /* indices are [n], else [n, rank] */
} scatter;

static mls_status check_parts(const scatter *s, size_t rank)
{
    const mls_tensor *values = s->values, *indices = s->indices;
    if (values->rank != 1)
        return mls__error(MLS_EFORMAT, "values have %d dimensions, expected 1", values->rank);
    if (indices->dtype != MLS_INT64)
        return mls__error(MLS_EFORMAT, "indices are %s, expected int64",
                          mls_dtype_name((mls_dtype) indices->dtype));
    const bool is_tuple = indices->rank == 2 && indices->dims[1] == (int64_t) rank;
    if ((indices->rank != 1 && !is_tuple) || indices->dims[0] != values->dims[0])
        return mls__error(MLS_EFORMAT,
                          "indices must be [%" PRId64 "] or [%" PRId64 ",%zu] for as many values",
                          values->dims[0], values->dims[0], rank);
    return MLS_OK;
}

/* Where value `i` goes, as a linear index. */
static mls_status find_place(const scatter *s, int64_t i, int64_t *ret_place)
{
    const int64_t *indices = s->indices->data;
    const mls_tensor *dense = s->dense;
    if (s->is_linear) {
        if (indices[i] < 0 || indices[i] >= dense->count)
            return mls__error(MLS_EFORMAT, "index %" PRId64 " is outside [0, %" PRId64 ")",
                              indices[i], dense->count);
        *ret_place = indices[i];
        return MLS_OK;
    }
    int64_t place = 0;
    for (int d = 0; d < dense->rank; d++) {
        const int64_t index = indices[i * dense->rank + d];
        if (index < 0 || index >= dense->dims[d])
            return mls__error(MLS_EFORMAT,
                              "index %" PRId64 " is outside [0, %" PRId64 ") of dimension %d",
                              index, dense->dims[d], d);
        place += index * dense->strides[d];
    }
    *ret_place = place;
    return MLS_OK;
}

static mls_status fill_dense(const scatter *s)
{
    const size_t size = mls_dtype_size((mls_dtype) s->values->dtype);
    const unsigned char *from = s->values->data;
    unsigned char *to = s->dense->data;
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && i < s->values->count; i++) {
        int64_t place;
        status = find_place(s, i, &place);
        if (!status)
            memcpy(to + (size_t) place * size, from + (size_t) i * size, size);
    }
    return status;
}

static mls_status create_dense(mls_context *context, const mls__sparse_proto *proto, int32_t dtype,
                               mls_tensor **ret_tensor)
{
    size_t bytes;
    if (proto->n_dims > MLS_MAX_RANK)
        return mls__error(MLS_EUNSUPPORTED, "%zu dimensions; at most %d are supported",
                          proto->n_dims, MLS_MAX_RANK);
    const int rank = (int) proto->n_dims;
    if (!mls__shape_bytes(dtype, rank, proto->dims, &bytes))
        return mls__error(MLS_EFORMAT, "a dimension is negative, or memory cannot hold them");
    if (bytes > MAX_DENSE_BYTES)
        return mls__error(MLS_EUNSUPPORTED, "a sparse tensor of %zu bytes when dense", bytes);
    if (dtype == MLS_STRING)
        return mls__error(MLS_EUNSUPPORTED, "a sparse tensor of strings");
    return mls_tensor_create(context, (mls_dtype) dtype, rank, proto->dims, ret_tensor);
}

static mls_status scatter_values(mls_context *context, const mls__sparse_proto *proto,
                                 const mls_tensor *values, const mls_tensor *indices,
                                 mls_tensor **ret_tensor)
{
    scatter s = {.values = values, .indices = indices, .is_linear = indices->rank == 1};
    mls_status status = check_parts(&s, proto->n_dims);
    if (!status)
        status = create_dense(context, proto, values->dtype, &s.dense);
    if (status)
        return status;
    status = fill_dense(&s);
    if (status)
        mls_tensor_free(s.dense);
    else
        *ret_tensor = s.dense;
    return status;
}

mls_status mls__onnx_sparse_read(mls__external *external, mls__sparse_proto *proto,
                                 mls_tensor **ret_tensor)
{
    mls_tensor *values = NULL, *indices = NULL;
    if (!proto->values || !proto->indices)
        return mls__error(MLS_EFORMAT, "a sparse tensor needs values and indices");
    mls_status status = mls__onnx_tensor_read(external, proto->values, &values);
    if (!status)
        status = mls__onnx_tensor_read(external, proto->indices, &indices);
    if (!status)
        status = scatter_values(external->context, proto, values, indices, ret_tensor);
    mls_tensor_free(indices);
    mls_tensor_free(values);
    return status;
}
