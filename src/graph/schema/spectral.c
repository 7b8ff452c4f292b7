/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of signals: Fourier transforms, windows, mel filters. */
#include "graph/schema/families.h"

#include "op/spectral.h"

#include <inttypes.h>
#include <string.h>

#define FLOATS                                                                                     \
    (MLS__DTYPE_BIT(MLS_FLOAT32) | MLS__DTYPE_BIT(MLS_FLOAT64) | MLS__DTYPE_BIT(MLS_FLOAT16) |     \
     MLS__DTYPE_BIT(MLS_BFLOAT16))
#define WIDE_INTS (MLS__DTYPE_BIT(MLS_INT32) | MLS__DTYPE_BIT(MLS_INT64))
#define NUMBERS                                                                                    \
    (FLOATS | WIDE_INTS | MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_INT16) |                   \
     MLS__DTYPE_BIT(MLS_UINT8) | MLS__DTYPE_BIT(MLS_UINT16) | MLS__DTYPE_BIT(MLS_UINT32) |         \
     MLS__DTYPE_BIT(MLS_UINT64))

static mls_status infer_dft(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    mls__dft dft;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float");
    if (!status)
        status = mls__op_dft(op, &dft);
    if (status)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    dims[dft.axis] = dft.kept;
    dims[x->rank - 1] = dft.output;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

static mls_status infer_stft(const mls_op *op, mls_arg *ret_outputs)
{
    mls__stft stft;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float");
    if (!status)
        status = mls__infer_same_dtype(op, 2, 0);
    if (!status)
        status = mls__op_stft(op, &stft);
    if (status)
        return status;
    const int64_t dims[] = {stft.batch, stft.frames, stft.dft.kept, 2};
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, 4, dims);
}

static mls_status output_dtype(const mls_op *op, int32_t *ret_dtype)
{
    const int64_t dtype = mls__op_int(op, "output_datatype", MLS_FLOAT32);
    if (dtype < 0 || dtype >= 32 || !(NUMBERS & MLS__DTYPE_BIT(dtype)))
        return mls__op_error(op, MLS_EDTYPE, "output_datatype is %" PRId64 ", which is no number's",
                             dtype);
    *ret_dtype = (int32_t) dtype;
    return MLS_OK;
}

static mls_status infer_window(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t size;
    int32_t dtype;
    mls_status status = output_dtype(op, &dtype);
    if (!status)
        status = mls__op_known_scalar(op, 0, 0, MLS__DFT_LONGEST, &size);
    return status ? status : mls__infer_set(op, &ret_outputs[0], dtype, 1, &size);
}

static mls_status infer_mel(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t bins, length;
    int32_t dtype;
    mls_status status = output_dtype(op, &dtype);
    if (!status)
        status = mls__op_known_scalar(op, 0, 0, MLS__DFT_LONGEST, &bins);
    if (!status)
        status = mls__op_known_scalar(op, 1, 0, MLS__DFT_LONGEST, &length);
    if (!status)
        status = mls__infer_dtype(op, 2, WIDE_INTS, "int32 or int64");
    for (size_t i = 3; !status && i < 5; i++)
        status = mls__infer_dtype(op, i, FLOATS, "a float");
    for (size_t i = 2; !status && i < 5; i++)
        if (mls__arg_count(&op->inputs[i]) != 1)
            status = mls__op_error(op, MLS_ESHAPE, "input %zu is not a scalar", i);
    if (status)
        return status;
    const int64_t dims[] = {length / 2 + 1, bins};
    return mls__infer_set(op, &ret_outputs[0], dtype, 2, dims);
}

mls__op_schema_table mls__schemas_spectral = {
    {"", "DFT", 1, 3, 1, 1, 0, 1u << 1 | 1u << 2, infer_dft, "inverse:int onesided:int"},
    {"", "STFT", 2, 4, 1, 1, 0, 1u << 1 | 1u << 3, infer_stft, "onesided:int"},
    {"", "HannWindow", 1, 1, 1, 1, 0, 1u << 0, infer_window, "output_datatype:int periodic:int"},
    {"", "HammingWindow", 1, 1, 1, 1, 0, 1u << 0, infer_window, "output_datatype:int periodic:int"},
    {"", "BlackmanWindow", 1, 1, 1, 1, 0, 1u << 0, infer_window,
     "output_datatype:int periodic:int"},
    {"", "MelWeightMatrix", 5, 5, 1, 1, 0, 1u << 0 | 1u << 1, infer_mel, "output_datatype:int"},
    {.type = NULL},
};
