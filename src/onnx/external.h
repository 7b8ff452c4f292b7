/* SPDX-License-Identifier: Apache-2.0 */
/* Files of weights beside a model: each is mapped once and lives as long as a tensor of it. */
#ifndef MLS_ONNX_EXTERNAL_H
#define MLS_ONNX_EXTERNAL_H

#include "base/context.h"
#include "base/vec.h"

#include "onnx/proto.h"

typedef struct mls__weight_file mls__weight_file;

typedef struct mls__external {
    mls_context *context;
    const char *directory; /* NULL: there may be no external data */
    bool is_read_again;    /* what is read now is read once more: take nothing out of it */
    mls__vec files;        /* mls__weight_file *, a reference each */
} mls__external;

void mls__external_init(mls__external *external, mls_context *context, const char *directory);

/* Drops the files that no tensor keeps. */
void mls__external_clear(mls__external *external);

/*
 * Where `size` bytes of a tensor lie. On success the caller owns a reference on the
 * file, to be dropped with mls__weight_file_unref().
 * Errors: MLS_EFORMAT (entries, a path that leads out of the directory, a length that
 * differs from `size`, an end past the file's), those of mls__file_map_open().
 */
mls_status mls__external_find(mls__external *external, const mls__tensor_proto *proto, size_t size,
                              void **ret_data, mls__weight_file **ret_file);

/* Matches mls_deleter_fn, with the file as `user`. */
void mls__weight_file_unref(void *user, void *data);

#endif
