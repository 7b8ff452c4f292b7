/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unique: a stable sort of the items, which are elements or slices along an axis, brings equal
 * ones together, the first to occur in front. Zeros of both signs are equal, and so are all NaN,
 * which come last.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/order_key.h"

#include <string.h>

typedef struct unique_kernel {
    mls__cpu_kernel base;
    mls__order_keys_fn keys; /* NULL: strings */
    bool is_sorted, has_axis;
    int axis, rank;
    int64_t dims[MLS_MAX_RANK]; /* of output 0, but for the axis */
    int64_t size;               /* bytes of an element */
    int64_t outer, n, inner;    /* item i is x[o, i, j] for all o and j */
    size_t outputs;
    uint64_t key_offset, order_offset, spare_offset, first_offset; /* in the workspace */
} unique_kernel;

typedef struct work {
    const unique_kernel *kernel;
    const mls_string *strings;
    const uint64_t *keys; /* of all elements, where they are no strings */
    int64_t *order, *spare, *first;
} work;

/* --- order ----------------------------------------------------------------------------------- */

static int compare_strings(mls_string a, mls_string b)
{
    const size_t shorter = a.size < b.size ? a.size : b.size;
    const int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_elements(const work *w, int64_t a, int64_t b)
{
    if (w->strings)
        return compare_strings(w->strings[a], w->strings[b]);
    return (w->keys[a] > w->keys[b]) - (w->keys[a] < w->keys[b]);
}

/* By the first elements that differ. */
static int compare_items(const work *w, int64_t a, int64_t b)
{
    const unique_kernel *k = w->kernel;
    for (int64_t o = 0; o < k->outer; o++)
        for (int64_t j = 0; j < k->inner; j++) {
            const int64_t slab = o * k->n;
            const int order =
                compare_elements(w, (slab + a) * k->inner + j, (slab + b) * k->inner + j);
            if (order)
                return order;
        }
    return 0;
}

/* Merges [begin, middle) and [middle, end); of equal items those of the first half come first. */
static void merge(const work *w, const int64_t *from, int64_t *to, int64_t begin, int64_t middle,
                  int64_t end)
{
    int64_t left = begin, right = middle;
    for (int64_t i = begin; i < end; i++) {
        const bool takes_left =
            left < middle && (right >= end || compare_items(w, from[left], from[right]) <= 0);
        to[i] = takes_left ? from[left++] : from[right++];
    }
}

/* The items in order, in w->order or w->spare, which trade places. */
static void sort_items(work *w)
{
    const int64_t n = w->kernel->n;
    for (int64_t i = 0; i < n; i++)
        w->order[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * width) {
            const int64_t middle = begin + width < n ? begin + width : n;
            merge(w, w->order, w->spare, begin, middle, middle + width < n ? middle + width : n);
        }
        int64_t *sorted = w->spare;
        w->spare = w->order;
        w->order = sorted;
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

/* For each item the first one that is equal to it. */
static void find_firsts(const work *w)
{
    for (int64_t i = 0; i < w->kernel->n; i++) {
        const int64_t item = w->order[i];
        const bool is_new = i == 0 || compare_items(w, w->order[i - 1], item) != 0;
        w->first[item] = is_new ? item : w->first[w->order[i - 1]];
    }
}

/* The items that are first of their kind, in the order of the output, to the front of order. */
static int64_t list_unique(const work *w)
{
    const unique_kernel *k = w->kernel;
    int64_t count = 0;
    for (int64_t i = 0; i < k->n; i++) {
        const int64_t item = k->is_sorted ? w->order[i] : i;
        if (w->first[item] == item)
            w->order[count++] = item;
    }
    return count;
}

static void copy_items(const work *w, char *y, const char *x, int64_t count)
{
    const unique_kernel *k = w->kernel;
    const size_t row = (size_t) (k->inner * k->size);
    for (int64_t o = 0; row && o < k->outer; o++)
        for (int64_t i = 0; i < count; i++, y += row)
            memcpy(y, x + (size_t) (o * k->n + w->order[i]) * row, row);
}

/* Output 2 says where in the output each item is, and output 3 how many are equal to it. */
static void number_items(const work *w, int64_t count, int64_t *inverse, int64_t *counts)
{
    const unique_kernel *k = w->kernel;
    for (int64_t i = 0; i < count; i++)
        w->spare[w->order[i]] = i;
    for (int64_t i = 0; counts && i < count; i++)
        counts[i] = 0;
    for (int64_t i = 0; i < k->n; i++) {
        const int64_t place = w->spare[w->first[i]];
        if (inverse)
            inverse[i] = place;
        if (counts)
            counts[place]++;
    }
}

static void set_dims(const unique_kernel *k, const mls_kernel_call *call, int64_t count)
{
    memcpy(call->output_dims[0], k->dims, (size_t) k->rank * sizeof *k->dims);
    call->output_dims[0][k->axis] = count;
    for (size_t i = 1; i < k->outputs; i++)
        call->output_dims[i][0] = i == 2 ? k->n : count;
}

static mls_status unique_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const unique_kernel *k = (const unique_kernel *) base;
    void *const *outputs = call->buffers + 1;
    char *workspace = call->workspace;
    uint64_t *keys = (uint64_t *) (void *) (workspace + k->key_offset);
    work w = {k,
              k->keys ? NULL : call->buffers[0],
              keys,
              (int64_t *) (void *) (workspace + k->order_offset),
              (int64_t *) (void *) (workspace + k->spare_offset),
              (int64_t *) (void *) (workspace + k->first_offset)};
    if (k->keys)
        k->keys(keys, call->buffers[0], 1, k->outer * k->n * k->inner);
    sort_items(&w);
    find_firsts(&w);
    const int64_t count = list_unique(&w);
    copy_items(&w, outputs[0], call->buffers[0], count);
    if (k->outputs > 1 && outputs[1] && count)
        memcpy(outputs[1], w.order, (size_t) count * sizeof *w.order);
    number_items(&w, count, k->outputs > 2 ? outputs[2] : NULL, k->outputs > 3 ? outputs[3] : NULL);
    set_dims(k, call, count);
    return MLS_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status plan_memory(unique_kernel *k, const mls_op *op)
{
    size_t bytes = 0;
    if (!mls__work_region(&bytes, k->keys ? k->outer * k->n * k->inner : 0, sizeof(uint64_t),
                          &k->key_offset) ||
        !mls__work_region(&bytes, k->n, sizeof(int64_t), &k->order_offset) ||
        !mls__work_region(&bytes, k->n, sizeof(int64_t), &k->spare_offset) ||
        !mls__work_region(&bytes, k->n, sizeof(int64_t), &k->first_offset))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    if (!k->base.base.workspace_bytes)
        k->base.base.workspace_bytes = bytes;
    return bytes <= k->base.base.workspace_bytes
               ? MLS_OK
               : mls__op_error(op, MLS_ELIMIT, "more items than planned");
}

static mls_status unique_reshape(mls_kernel *base, const mls_op *op)
{
    unique_kernel *k = (unique_kernel *) base;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    k->axis = 0;
    if (k->has_axis) {
        const mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), x->rank, &k->axis);
        if (status)
            return status;
    }
    k->rank = y->rank;
    memcpy(k->dims, y->dims, sizeof k->dims);
    k->outer = k->has_axis ? mls__arg_span(x, 0, k->axis) : 1;
    k->n = k->has_axis ? x->dims[k->axis] : mls__arg_count(x);
    k->inner = k->has_axis ? mls__arg_span(x, k->axis + 1, x->rank) : 1;
    return plan_memory(k, op);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    unique_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "unique", unique_run, &k);
    if (status)
        return status;
    k->base.base.reshape = unique_reshape;
    if (dtype != MLS_STRING)
        k->keys = mls__order_keys(dtype == MLS_BOOL ? MLS_UINT8 : dtype);
    k->is_sorted = mls__op_int(op, "sorted", 1) != 0;
    k->has_axis = mls__op_attr(op, "axis") != NULL;
    k->size = (int64_t) mls_dtype_size((mls_dtype) dtype);
    k->outputs = op->output_count;
    status = unique_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *ret_kernel = &k->base.base;
    return status;
}

mls__cpu_op_table mls__cpu_ops_unique = {
    {"", "Unique", create, 0},
    {.type = NULL},
};
