/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dynamic dimensions of a session: for each a name, the maximum it is planned for,
 * and its present value. Also the shapes of the inputs that follow from them.
 */
#ifndef MLS_EXEC_DIMS_H
#define MLS_EXEC_DIMS_H

#include "graph/model.h"

#include <mlscale/session.h>

#define MLS__DIM_UNKNOWN (-1)

typedef struct mls__dim {
    const char *name;
    int64_t planned; /* maximum; MLS__DIM_UNKNOWN before anything said */
    int64_t value;   /* at present, at most `planned` once planned */
} mls__dim;

/* A dimension of an input: fixed, or an entry of the table. */
#define MLS__DIM_FIXED UINT32_MAX

typedef struct mls__input_shape {
    int32_t rank;          /* -1: the model does not say, a bound tensor does */
    const int64_t *fixed;  /* rank entries; -1 where dynamic */
    const uint32_t *entry; /* rank entries: index into the table, or MLS__DIM_FIXED */
} mls__input_shape;

typedef struct mls__dims {
    mls__arena arena;
    mls__vec table;           /* mls__dim */
    mls__input_shape *inputs; /* one an input of the graph */
} mls__dims;

/* Collects the dimensions of the graph's inputs. Errors: MLS_ENOMEM. */
mls_status mls__dims_init(mls__dims *dims, const mls__graph *graph);
void mls__dims_clear(mls__dims *dims);

mls__dim *mls__dims_at(const mls__dims *dims, size_t index);

/* The entry of that name. Errors: MLS_ENOTFOUND, listing the names there are. */
mls_status mls__dims_find(const mls__dims *dims, const char *name, mls__dim **ret_dim);

/*
 * Takes the values of the dynamic dimensions of input `index` from `shape`; nothing is
 * changed on an error. Errors: MLS_ESHAPE: the rank or a fixed dimension differs.
 */
mls_status mls__dims_take(mls__dims *dims, const mls__graph *graph, size_t index, int rank,
                          const int64_t *shape);

/* Present dims of input `index`; false while a dimension is unknown. */
bool mls__dims_shape(const mls__dims *dims, size_t index, int64_t *ret_dims);

#endif
