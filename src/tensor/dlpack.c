/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors to and from other libraries without a copy. What comes in is not trusted. */
#include "tensor/dlpack.h"

#include "base/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>

/* DLPack also has types of fewer than 8 bits, but packs them; ours take a byte each. */
static const struct {
    mls_dtype dtype;
    uint8_t code, bits;
} types[] = {
    {MLS_FLOAT32, MLS__DLPACK_FLOAT, 32},
    {MLS_FLOAT64, MLS__DLPACK_FLOAT, 64},
    {MLS_FLOAT16, MLS__DLPACK_FLOAT, 16},
    {MLS_BFLOAT16, MLS__DLPACK_BFLOAT, 16},
    {MLS_INT8, MLS__DLPACK_INT, 8},
    {MLS_INT16, MLS__DLPACK_INT, 16},
    {MLS_INT32, MLS__DLPACK_INT, 32},
    {MLS_INT64, MLS__DLPACK_INT, 64},
    {MLS_UINT8, MLS__DLPACK_UINT, 8},
    {MLS_UINT16, MLS__DLPACK_UINT, 16},
    {MLS_UINT32, MLS__DLPACK_UINT, 32},
    {MLS_UINT64, MLS__DLPACK_UINT, 64},
    {MLS_BOOL, MLS__DLPACK_BOOL, 8},
    {MLS_FLOAT8E4M3FN, MLS__DLPACK_FLOAT8_E4M3FN, 8},
    {MLS_FLOAT8E4M3FNUZ, MLS__DLPACK_FLOAT8_E4M3FNUZ, 8},
    {MLS_FLOAT8E5M2, MLS__DLPACK_FLOAT8_E5M2, 8},
    {MLS_FLOAT8E5M2FNUZ, MLS__DLPACK_FLOAT8_E5M2FNUZ, 8},
    {MLS_FLOAT8E8M0, MLS__DLPACK_FLOAT8_E8M0FNU, 8},
};

#define TYPE_COUNT (sizeof types / sizeof types[0])

/* Runs on whatever thread the consumer ends on; the view keeps the context until here. */
static void delete_exported(mls__dlpack_managed *self)
{
    mls_tensor *view = self->manager;
    mls__free(&mls__tensor_context(view)->allocator, self);
    mls_tensor_free(view);
}

static void fill_managed(mls_tensor *view, size_t type, mls__dlpack_managed *ret_managed)
{
    *ret_managed = (mls__dlpack_managed){
        .version = {MLS__DLPACK_MAJOR, MLS__DLPACK_MINOR},
        .manager = view,
        .deleter = delete_exported,
        .tensor =
            {
                .data = mls_tensor_data(view),
                .device = {MLS__DLPACK_CPU, 0},
                .ndim = view->rank,
                .dtype = {types[type].code, types[type].bits, 1},
                .shape = view->dims,
                .strides = view->strides,
            },
    };
}

mls_status mls_tensor_export_dlpack(const mls_tensor *tensor, void **ret_managed)
{
    if (!tensor || !ret_managed)
        return mls__error_null(__func__, "tensor and ret_managed");
    size_t type = 0;
    while (type < TYPE_COUNT && types[type].dtype != (mls_dtype) tensor->dtype)
        type++;
    if (type == TYPE_COUNT)
        return mls__error(MLS_EUNSUPPORTED, "DLPack cannot carry elements of type %s",
                          mls_dtype_name((mls_dtype) tensor->dtype));
    mls_tensor *view;
    const mls_status status = mls__tensor_view(tensor, &view);
    if (status)
        return status;
    mls__dlpack_managed *managed =
        mls__alloc(&mls__tensor_context(view)->allocator, sizeof *managed);
    if (!managed) {
        mls_tensor_free(view);
        return mls__error_nomem(sizeof *managed);
    }
    fill_managed(view, type, managed);
    *ret_managed = managed;
    return MLS_OK;
}

static mls_status find_dtype(const mls__dlpack_tensor *tensor, mls_dtype *ret_dtype)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].code != tensor->dtype.code || types[i].bits != tensor->dtype.bits ||
            tensor->dtype.lanes != 1)
            continue;
        *ret_dtype = types[i].dtype;
        return MLS_OK;
    }
    return mls__error(MLS_EUNSUPPORTED,
                      "DLPack type of code %u with %u bits and %u lanes has no dtype here",
                      tensor->dtype.code, tensor->dtype.bits, tensor->dtype.lanes);
}

static mls_status check_managed(const mls__dlpack_managed *managed)
{
    const mls__dlpack_tensor *tensor = &managed->tensor;
    if (managed->version.major != MLS__DLPACK_MAJOR)
        return mls__error(MLS_EABI, "DLPack tensor of version %u.%u; this library reads %d.x",
                          managed->version.major, managed->version.minor, MLS__DLPACK_MAJOR);
    if (managed->flags & MLS__DLPACK_READ_ONLY)
        return mls__error(MLS_EUNSUPPORTED, "the DLPack tensor is read-only: export a copy of it");
    if (tensor->device.type != MLS__DLPACK_CPU)
        return mls__error(MLS_EUNSUPPORTED,
                          "the DLPack tensor is on a device of type %" PRId32
                          ": move it to the CPU (1) first",
                          tensor->device.type);
    if (tensor->ndim < 0 || tensor->ndim > MLS_MAX_RANK)
        return mls__error(MLS_EINVAL, "the DLPack tensor has %" PRId32 " dimensions; at most %d",
                          tensor->ndim, MLS_MAX_RANK);
    if (tensor->ndim && !tensor->shape)
        return mls__error(MLS_EINVAL, "the shape of the DLPack tensor is NULL");
    if (tensor->data && tensor->byte_offset > UINTPTR_MAX - (uintptr_t) tensor->data)
        return mls__error(MLS_EINVAL,
                          "the byte_offset of the DLPack tensor, %" PRIu64
                          ", leads out of the address space",
                          tensor->byte_offset);
    return MLS_OK;
}

/* An mls_deleter_fn over the producer's own. */
static void delete_imported(void *user, void *data)
{
    mls__dlpack_managed *managed = user;
    (void) data;
    if (managed->deleter)
        managed->deleter(managed);
}

mls_status mls_tensor_import_dlpack(mls_context *context, void *managed, mls_tensor **ret_tensor)
{
    if (!context || !managed || !ret_tensor)
        return mls__error_null(__func__, "context, managed and ret_tensor");
    mls_status status = check_managed(managed);
    if (status)
        return status;
    const mls__dlpack_tensor *tensor = &((mls__dlpack_managed *) managed)->tensor;
    mls_dtype dtype;
    status = find_dtype(tensor, &dtype);
    if (status)
        return status;
    unsigned char *data = tensor->data;
    if (data)
        data += tensor->byte_offset;
    return mls_tensor_wrap(context, dtype, tensor->ndim, tensor->shape, tensor->strides, data,
                           delete_imported, managed, ret_tensor);
}
