/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary layout of DLPack, major version 1 (https://dmlc.github.io/dlpack), as far
 * as a CPU library needs it. Fixed by that standard: nothing here may change.
 */
#ifndef MLS_TENSOR_DLPACK_H
#define MLS_TENSOR_DLPACK_H

#include <stddef.h>
#include <stdint.h>

#define MLS__DLPACK_MAJOR 1
#define MLS__DLPACK_MINOR 1 /* the first with float8 */

#define MLS__DLPACK_CPU 1 /* device_type */

/* The memory must not be written. */
#define MLS__DLPACK_READ_ONLY UINT64_C(1)

/* What `code` says of the `bits` of an element. */
enum {
    MLS__DLPACK_INT = 0,
    MLS__DLPACK_UINT = 1,
    MLS__DLPACK_FLOAT = 2,
    MLS__DLPACK_BFLOAT = 4,
    MLS__DLPACK_BOOL = 6,
    MLS__DLPACK_FLOAT8_E4M3FN = 10,
    MLS__DLPACK_FLOAT8_E4M3FNUZ = 11,
    MLS__DLPACK_FLOAT8_E5M2 = 12,
    MLS__DLPACK_FLOAT8_E5M2FNUZ = 13,
    MLS__DLPACK_FLOAT8_E8M0FNU = 14
};

typedef struct mls__dlpack_tensor {
    void *data;
    struct {
        int32_t type, id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes; /* more than 1: vectors as elements */
    } dtype;
    int64_t *shape;
    int64_t *strides;     /* in elements; before version 1.2 NULL means row-major */
    uint64_t byte_offset; /* from `data` to the first element */
} mls__dlpack_tensor;

/* DLManagedTensorVersioned. Of another major version, only the fields to `flags` hold. */
typedef struct mls__dlpack_managed {
    struct {
        uint32_t major, minor;
    } version;
    void *manager;                                     /* the producer's */
    void (*deleter)(struct mls__dlpack_managed *self); /* may be NULL */
    uint64_t flags;
    mls__dlpack_tensor tensor;
} mls__dlpack_managed;

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(mls__dlpack_tensor) == 48, "the layout is DLPack's");
_Static_assert(offsetof(mls__dlpack_managed, flags) == 24, "the layout is DLPack's");
_Static_assert(sizeof(mls__dlpack_managed) == 80, "the layout is DLPack's");
#endif

#endif
