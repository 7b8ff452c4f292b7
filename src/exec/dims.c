/* SPDX-License-Identifier: Apache-2.0 */
/* Which dimensions are dynamic, what they are called, and what they are at present. */
#include "exec/dims.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

mls__dim *mls__dims_at(const mls__dims *dims, size_t index)
{
    return mls__vec_at(&dims->table, index);
}

static mls__dim *find(const mls__dims *dims, const char *name)
{
    for (size_t i = 0; i < dims->table.count; i++)
        if (strcmp(mls__dims_at(dims, i)->name, name) == 0)
            return mls__dims_at(dims, i);
    return NULL;
}

/* A dimension without a name gets one that cannot collide by accident: "x:0". */
static const char *dim_name(mls__dims *dims, const mls__value *value, int axis)
{
    if (value->dim_names && value->dim_names[axis])
        return value->dim_names[axis];
    const size_t size = strlen(value->name) + 16;
    char *name = mls__arena_alloc(&dims->arena, size);
    if (name)
        snprintf(name, size, "%s:%d", value->name, axis);
    return name;
}

static mls_status add_dim(mls__dims *dims, const mls__value *value, int axis, uint32_t *ret_entry)
{
    const char *name = dim_name(dims, value, axis);
    mls__dim *dim = name ? find(dims, name) : NULL;
    if (name && !dim && (dim = mls__vec_push(&dims->table)))
        *dim = (mls__dim){name, MLS__DIM_UNKNOWN, MLS__DIM_UNKNOWN};
    if (!dim)
        return mls__error_nomem(sizeof *dim);
    *ret_entry = (uint32_t) (dim - (const mls__dim *) dims->table.data);
    return MLS_OK;
}

static mls_status collect_input(mls__dims *dims, const mls__value *value,
                                mls__input_shape *ret_shape)
{
    *ret_shape = (mls__input_shape){.rank = value->rank, .fixed = value->dims};
    if (value->rank <= 0)
        return MLS_OK;
    uint32_t *entry = mls__arena_array(&dims->arena, (size_t) value->rank, sizeof *entry);
    if (!entry)
        return mls__error_nomem((size_t) value->rank * sizeof *entry);
    mls_status status = MLS_OK;
    for (int axis = 0; !status && axis < value->rank; axis++) {
        entry[axis] = MLS__DIM_FIXED;
        if (value->dims[axis] < 0)
            status = add_dim(dims, value, axis, &entry[axis]);
    }
    ret_shape->entry = entry;
    return status;
}

mls_status mls__dims_init(mls__dims *dims, const mls__graph *graph)
{
    mls__arena_init(&dims->arena, graph->allocator);
    mls__vec_init(&dims->table, graph->allocator, sizeof(mls__dim));
    dims->inputs = mls__arena_array(&dims->arena, graph->inputs.count, sizeof *dims->inputs);
    mls_status status = dims->inputs ? MLS_OK : mls__error_nomem(graph->inputs.count);
    for (size_t i = 0; !status && i < graph->inputs.count; i++)
        status = collect_input(dims, mls__graph_value(graph, mls__graph_input(graph, i)),
                               &dims->inputs[i]);
    return status;
}

void mls__dims_clear(mls__dims *dims)
{
    mls__vec_clear(&dims->table);
    mls__arena_clear(&dims->arena);
}

mls_status mls__dims_find(const mls__dims *dims, const char *name, mls__dim **ret_dim)
{
    char names[512] = "";
    mls__dim *dim = find(dims, name);
    if (dim) {
        *ret_dim = dim;
        return MLS_OK;
    }
    for (size_t i = 0; i < dims->table.count; i++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s'%s'", used ? ", " : "",
                 mls__dims_at(dims, i)->name);
    }
    return mls__error(MLS_ENOTFOUND, "the model's inputs have no dynamic dimension '%.200s'; %s%s",
                      name, dims->table.count ? "there are: " : "all are fixed", names);
}

static mls_status check_shape(const mls__dims *dims, const mls__graph *graph, size_t index,
                              int rank, const int64_t *shape)
{
    const mls__input_shape *input = &dims->inputs[index];
    const char *name = mls__graph_value(graph, mls__graph_input(graph, index))->name;
    char text[MLS__SHAPE_TEXT], wanted[MLS__SHAPE_TEXT];
    if (input->rank < 0)
        return MLS_OK;
    if (rank != input->rank)
        return mls__error(MLS_ESHAPE,
                          "input '%.200s': %s has %d dimensions; the model wants %d: %s", name,
                          mls__shape_text(rank, shape, text), rank, input->rank,
                          mls__shape_text(input->rank, input->fixed, wanted));
    for (int axis = 0; axis < rank; axis++)
        if (input->entry[axis] == MLS__DIM_FIXED && shape[axis] != input->fixed[axis])
            return mls__error(MLS_ESHAPE,
                              "input '%.200s': dimension %d is %" PRId64
                              "; the model wants %" PRId64 " (%s)",
                              name, axis, shape[axis], input->fixed[axis],
                              mls__shape_text(rank, input->fixed, wanted));
    return MLS_OK;
}

mls_status mls__dims_take(mls__dims *dims, const mls__graph *graph, size_t index, int rank,
                          const int64_t *shape)
{
    const mls_status status = check_shape(dims, graph, index, rank, shape);
    const mls__input_shape *input = &dims->inputs[index];
    if (status || input->rank < 0)
        return status;
    for (int axis = 0; axis < rank; axis++)
        if (input->entry[axis] != MLS__DIM_FIXED)
            mls__dims_at(dims, input->entry[axis])->value = shape[axis];
    return MLS_OK;
}

bool mls__dims_shape(const mls__dims *dims, size_t index, int64_t *ret_dims)
{
    const mls__input_shape *input = &dims->inputs[index];
    bool known = input->rank >= 0;
    for (int axis = 0; axis < input->rank; axis++) {
        ret_dims[axis] = input->entry[axis] == MLS__DIM_FIXED
                             ? input->fixed[axis]
                             : mls__dims_at(dims, input->entry[axis])->value;
        known = known && ret_dims[axis] >= 0;
    }
    return known;
}
