/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_tensor: a typed, strided view of memory.
 *
 * Dimensions are counted from the outermost; strides are in elements and may be
 * zero (broadcast) or negative. The stride of a dimension of length 0 or 1, and any
 * stride of an empty tensor, means nothing. Views share the memory of the tensor
 * they were made from and keep it alive. A tensor may be read from several threads
 * at once; writing is the caller's to order.
 */
#ifndef MLSCALE_TENSOR_H
#define MLSCALE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/context.h>
#include <mlscale/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most dimensions a tensor has. */
#define MLS_MAX_RANK 8

/*
 * Element types. The values are those of ONNX's TensorProto.DataType, so that
 * one table serves both. Types of fewer than 8 bits take one byte an element in
 * memory (sign-extended for the signed ones); only files pack them.
 */
typedef enum mls_dtype {
    MLS_DTYPE_NONE = 0,
    MLS_FLOAT32 = 1,
    MLS_UINT8 = 2,
    MLS_INT8 = 3,
    MLS_UINT16 = 4,
    MLS_INT16 = 5,
    MLS_INT32 = 6,
    MLS_INT64 = 7,
    MLS_STRING = 8, /* an mls_string an element */
    MLS_BOOL = 9,   /* one byte, 0 or 1 */
    MLS_FLOAT16 = 10,
    MLS_FLOAT64 = 11,
    MLS_UINT32 = 12,
    MLS_UINT64 = 13,
    MLS_BFLOAT16 = 16,
    MLS_FLOAT8E4M3FN = 17,
    MLS_FLOAT8E4M3FNUZ = 18,
    MLS_FLOAT8E5M2 = 19,
    MLS_FLOAT8E5M2FNUZ = 20,
    MLS_UINT4 = 21,
    MLS_INT4 = 22,
    MLS_FLOAT4E2M1 = 23,
    MLS_FLOAT8E8M0 = 24,
    MLS_UINT2 = 25,
    MLS_INT2 = 26
} mls_dtype;

/*
 * A string element: bytes borrowed from the caller, a model or a session; not
 * necessarily ended by a NUL.
 */
typedef struct mls_string {
    const char *data;
    size_t size;
} mls_string;

typedef struct mls_tensor mls_tensor;

/* Called once, from any thread, when the last view of foreign memory is freed. */
typedef void (*mls_deleter_fn)(void *user, void *data);

/* Bytes an element takes in memory; 0 for a value that is no dtype. */
MLS_API size_t mls_dtype_size(mls_dtype dtype);

/* "float32", "int64", ...; "?" for a value that is no dtype. Static storage. */
MLS_API const char *mls_dtype_name(mls_dtype dtype);

/*
 * A new contiguous tensor, zero-filled, aligned to 64 bytes. `dims` may be NULL for
 * a scalar (rank 0). A dimension may be 0; the others must then still multiply to a
 * size that memory could hold.
 * Errors: MLS_EINVAL (dtype, rank, negative or overflowing dims), MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_create(mls_context *context, mls_dtype dtype, int rank,
                                     const int64_t *dims, mls_tensor **ret_tensor);

/*
 * A tensor over the caller's memory, which must stay valid until `deleter` is
 * called (NULL: until the last view is freed). `data` is the first element, so that
 * negative strides lead below it; aligned to the element's size (mls_string: to a
 * pointer's). `strides` in elements; NULL means contiguous. Elements that share
 * memory may be read. On failure the deleter is not called.
 * Errors: MLS_EINVAL (dtype, rank, dims; strides that leave the address space; data
 * that is NULL although there are elements, or misaligned), MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_wrap(mls_context *context, mls_dtype dtype, int rank,
                                   const int64_t *dims, const int64_t *strides, void *data,
                                   mls_deleter_fn deleter, void *user, mls_tensor **ret_tensor);

/* Frees the view; the memory goes with its last view. NULL is fine. */
MLS_API void mls_tensor_free(mls_tensor *tensor);

MLS_API mls_dtype mls_tensor_dtype(const mls_tensor *tensor);
MLS_API int mls_tensor_rank(const mls_tensor *tensor);

/* rank entries each; borrowed for the life of the tensor. Strides in elements. */
MLS_API const int64_t *mls_tensor_dims(const mls_tensor *tensor);
MLS_API const int64_t *mls_tensor_strides(const mls_tensor *tensor);

/* The product of the dims; 1 for a scalar. */
MLS_API int64_t mls_tensor_element_count(const mls_tensor *tensor);

/* element_count times the element's size: what a contiguous copy takes. */
MLS_API size_t mls_tensor_size_bytes(const mls_tensor *tensor);

/* The first element (of the view); NULL where there are no elements. */
MLS_API void *mls_tensor_data(const mls_tensor *tensor);

/* 1 if the elements lie one after another in row-major order, else 0. */
MLS_API int mls_tensor_is_contiguous(const mls_tensor *tensor);

/*
 * Views: none of these copies. Each gives a new tensor, to be freed on its own. The
 * memory is that of `tensor`, and may be written through the view all the same.
 *
 * slice: the elements start, start + step, ... of `axis` (a negative one counts from
 * the last), up to and without `stop`, which a negative step comes down to. Nothing
 * is clamped: each element taken must exist. No element between start and stop makes
 * an empty view. To take all in reverse: start dim - 1, stop -1, step -1.
 * Errors: MLS_EINVAL (axis, step 0), MLS_ERANGE, MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_slice(const mls_tensor *tensor, int axis, int64_t start, int64_t stop,
                                    int64_t step, mls_tensor **ret_view);

/*
 * permute: dimension i of the view is dimension axes[i] of the tensor; `axes` has
 * each of 0 to rank - 1 once. Errors: MLS_EINVAL, MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_permute(const mls_tensor *tensor, const int *axes,
                                      mls_tensor **ret_view);

/*
 * reshape: the same elements in row-major order under other dims, one of which may
 * be -1 (derived). A dimension of 0 is 0, unlike in ONNX's Reshape.
 * Errors: MLS_EINVAL (rank, dims), MLS_ESHAPE (counts differ), MLS_EUNSUPPORTED (the
 * strides allow no view: copy first), MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_reshape(const mls_tensor *tensor, int rank, const int64_t *dims,
                                      mls_tensor **ret_view);

/*
 * broadcast: the view has exactly `dims`, to which the tensor's must broadcast by the
 * rules of ONNX and NumPy; repeated dimensions get stride 0.
 * Errors: MLS_EINVAL (rank, dims), MLS_ESHAPE, MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_broadcast(const mls_tensor *tensor, int rank, const int64_t *dims,
                                        mls_tensor **ret_view);

/*
 * A contiguous tensor of its own with the same elements. The bytes of strings
 * are copied too. Errors: MLS_EINVAL (a string with bytes but NULL data), MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_copy(const mls_tensor *tensor, mls_tensor **ret_tensor);

/*
 * Copies elements between tensors of the same dtype and dims, whatever their
 * strides; string elements stay borrowed. The two must not overlap.
 * Errors: MLS_EDTYPE, MLS_ESHAPE, MLS_EINVAL (a broadcast target).
 */
MLS_API mls_status mls_tensor_copy_into(const mls_tensor *source, mls_tensor *target);

/*
 * Files of one tensor.
 *
 * npy: NumPy's format, versions 1 to 3, little-endian. The file is mapped: pages are
 * read when they are touched, and it must not shrink while the tensor lives. A
 * column-major file gives a tensor that is not contiguous. Errors: MLS_ENOTFOUND,
 * MLS_EIO, MLS_EFORMAT (what is wrong with the file), MLS_EUNSUPPORTED (element
 * type), MLS_ENOMEM.
 *
 * onnx: a serialized TensorProto, as in ONNX's test data (.pb). `name` is what the
 * file calls the tensor; NULL for none. Errors: the same.
 *
 * A write that fails leaves no file behind.
 */
MLS_API mls_status mls_tensor_read_npy(mls_context *context, const char *path,
                                       mls_tensor **ret_tensor);
MLS_API mls_status mls_tensor_write_npy(const mls_tensor *tensor, const char *path);
MLS_API mls_status mls_tensor_read_onnx(mls_context *context, const char *path,
                                        mls_tensor **ret_tensor);
MLS_API mls_status mls_tensor_write_onnx(const mls_tensor *tensor, const char *name,
                                         const char *path);

/* What a value of a model is. */
#define MLS_VALUE_TENSOR   0
#define MLS_VALUE_SEQUENCE 1 /* of tensors */
#define MLS_VALUE_OPTIONAL 2 /* a tensor, a sequence or nothing */
#define MLS_VALUE_MAP      3 /* from strings or integers to numbers or strings */

/*
 * Reads a file of ONNX's test data whose value is of `kind` (the file does not say which): a
 * TensorProto, SequenceProto or OptionalProto. Gives what it holds, MLS_VALUE_OPTIONAL for nothing,
 * and its tensors, each to be freed: as many as fit into `capacity`, of *ret_count.
 * Errors: those of reading a tensor; MLS_EUNSUPPORTED (maps, sequences of sequences).
 */
MLS_API mls_status mls_tensor_read_onnx_value(mls_context *context, const char *path, uint32_t kind,
                                              mls_tensor **ret_items, size_t capacity,
                                              size_t *ret_count, uint32_t *ret_kind);

/*
 * DLPack (https://dmlc.github.io/dlpack). `managed` is a DLManagedTensorVersioned *
 * of major version 1.
 *
 * export: a new managed tensor on the CPU that keeps the memory (and the context)
 * alive until its deleter is called, from any thread. Version 1.1, strides always
 * given. Errors: MLS_EUNSUPPORTED (strings, dtypes below 8 bits), MLS_ENOMEM.
 *
 * import: takes the managed tensor over on success and calls its deleter (which may
 * be NULL) when the last view is freed; on failure it stays the caller's, who then
 * calls the deleter. Errors: MLS_EABI (major version), MLS_EUNSUPPORTED (device,
 * dtype, lanes, read-only memory), MLS_EINVAL (as mls_tensor_wrap()), MLS_ENOMEM.
 */
MLS_API mls_status mls_tensor_export_dlpack(const mls_tensor *tensor, void **ret_managed);
MLS_API mls_status mls_tensor_import_dlpack(mls_context *context, void *managed,
                                            mls_tensor **ret_tensor);

#ifdef __cplusplus
}
#endif
#endif
