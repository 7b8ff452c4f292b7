/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of the file as tensors. */
#ifndef MLS_ONNX_TENSOR_H
#define MLS_ONNX_TENSOR_H

#include "onnx/external.h"
#include "onnx/proto.h"

#include <mlscale/tensor.h>

/*
 * A contiguous tensor of its own. Large contents are not copied: their block is taken
 * out of `proto`, or they stay in the mapped file.
 * Errors: MLS_EFORMAT (dims, length, contents that do not fit), MLS_EUNSUPPORTED
 * (complex numbers, rank, segments), those of mls__external_find(), MLS_ENOMEM.
 */
mls_status mls__onnx_tensor_read(mls__external *external, mls__tensor_proto *proto,
                                 mls_tensor **ret_tensor);

/* The same of a sparse one, made dense. MLS_EUNSUPPORTED past 256 MiB. */
mls_status mls__onnx_sparse_read(mls__external *external, mls__sparse_proto *proto,
                                 mls_tensor **ret_tensor);

#endif
