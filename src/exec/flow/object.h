/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes between the steps of a flow: a tensor, a sequence or a map. Objects are counted and,
 * once given, never change; all that they consist of is the pool's, but for views of the caller's
 * tensors.
 */
#ifndef MLS_EXEC_FLOW_OBJECT_H
#define MLS_EXEC_FLOW_OBJECT_H

#include "exec/flow/pool.h"
#include "tensor/tensor.h"

typedef struct mls__object mls__object;
struct mls__object {
    uint32_t refs;
    uint8_t kind; /* MLS_VALUE_TENSOR, MLS_VALUE_SEQUENCE or MLS_VALUE_MAP */
    int32_t
        dtype; /* of a sequence: that of its tensors, or MLS_DTYPE_NONE; of a map: its values' */
    /* A tensor: contiguous; never NULL, also when it is empty. */
    int32_t rank;
    int64_t dims[MLS_MAX_RANK];
    void *data;
    void *block; /* the object's own memory, or NULL */
    size_t block_bytes;
    mls__object *parent; /* whose memory `data` is, or NULL */
    mls_tensor *view;    /* likewise, of the caller's tensor */
    char *text;          /* the bytes of its strings, or NULL */
    size_t text_bytes;
    /* A sequence; a map is its keys and its values, two tensors. */
    mls__object **items;
    size_t count, capacity;
};

/* A tensor with memory for `dims`, not cleared. Errors: MLS_ELIMIT, MLS_ENOMEM. */
mls_status mls__object_create(mls__pool *pool, int32_t dtype, int32_t rank, const int64_t *dims,
                              mls__object **ret_object);

/* A tensor over memory of the caller's or the model's, kept alive by a view of its own. */
mls_status mls__object_wrap(mls__pool *pool, const mls_tensor *tensor, mls__object **ret_object);

/* A tensor over memory that outlives it. */
mls_status mls__object_borrow(mls__pool *pool, int32_t dtype, int32_t rank, const int64_t *dims,
                              void *data, mls__object **ret_object);

/* Element `index` along the first axis, in the memory of `tensor`. */
mls_status mls__object_slice(mls__pool *pool, mls__object *tensor, int64_t index,
                             mls__object **ret_object);

/* An empty sequence with room for `capacity` items. */
mls_status mls__object_sequence(mls__pool *pool, int32_t dtype, size_t capacity,
                                mls__object **ret_object);

/* A map of tensors of one dimension, equally long; takes references of its own. */
mls_status mls__object_map(mls__pool *pool, mls__object *keys, mls__object *values,
                           mls__object **ret_object);

/* What it is, for messages: "a tensor"; of NULL "empty". */
const char *mls__object_kind(const mls__object *object);

/* Appends to a sequence that nobody else holds yet; takes a reference of its own. */
mls_status mls__object_append(mls__pool *pool, mls__object *sequence, mls__object *item);

/* Memory for the bytes of a tensor's strings, which has none yet. */
mls_status mls__object_make_text(mls__pool *pool, mls__object *tensor, size_t bytes);

/* Gives the strings of a tensor bytes of its own. */
mls_status mls__object_keep_text(mls__pool *pool, mls__object *tensor);

mls__object *mls__object_ref(mls__object *object);
void mls__object_unref(mls__pool *pool, mls__object *object); /* NULL is fine */

int64_t mls__object_count(const mls__object *tensor);
size_t mls__object_bytes(const mls__object *tensor);

#endif
