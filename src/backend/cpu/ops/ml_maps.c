/* SPDX-License-Identifier: Apache-2.0 */
/* DictVectorizer and CastMap: values to the places that their keys say. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_lookup.h"

#include "base/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

/* --- DictVectorizer -------------------------------------------------------------------------- */

/* A position of the vocabulary whose word is also at a later one, which look-ups find. */
typedef struct twin {
    size_t position, found;
} twin;

typedef struct vectorizer {
    mls__cpu_kernel base;
    mls__lookup lookup; /* of the vocabulary */
    size_t key_size, value_size;
    twin *twins;
    size_t twin_count;
    int64_t count;
} vectorizer;

/* Keys without a place are left out, places without a key are 0. */
static mls_status vectorize(const mls_kernel *base, const mls_kernel_call *call)
{
    const vectorizer *k = (const vectorizer *) base;
    const char *keys = call->buffers[0], *values = call->buffers[1];
    char *y = call->buffers[2];
    memset(y, 0, k->lookup.count * k->value_size);
    for (size_t i = 0; i < (size_t) k->count; i++) {
        const size_t place = mls__lookup_find(&k->lookup, keys + i * k->key_size);
        if (place != MLS__LOOKUP_NONE)
            memcpy(y + place * k->value_size, values + i * k->value_size, k->value_size);
    }
    for (size_t i = 0; i < k->twin_count; i++)
        memcpy(y + k->twins[i].position * k->value_size, y + k->twins[i].found * k->value_size,
               k->value_size);
    return MLS_OK;
}

static mls_status vectorizer_reshape(mls_kernel *base, const mls_op *op)
{
    ((vectorizer *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static void vectorizer_free(mls_kernel *base)
{
    vectorizer *k = (vectorizer *) base;
    mls__free(k->base.cpu->allocator, k->twins);
    mls__cpu_kernel_free(base);
}

/* Counts the twins, and notes them if there is room. */
static size_t find_twins(const vectorizer *k, twin *ret_twins)
{
    size_t count = 0;
    for (size_t i = 0; i < k->lookup.count; i++) {
        const char *word = (const char *) k->lookup.keys + i * k->key_size;
        const size_t found = mls__lookup_find(&k->lookup, word);
        if (found == i)
            continue;
        if (ret_twins)
            ret_twins[count] = (twin){i, found};
        count++;
    }
    return count;
}

static mls_status prepare_vocabulary(vectorizer *k, const mls_op *op)
{
    size_t count;
    const int32_t dtype = op->inputs[0].dtype;
    const void *words = dtype == MLS_STRING
                            ? (const void *) mls__op_strings(op, "string_vocabulary", &count)
                            : (const void *) mls__op_ints(op, "int64_vocabulary", &count);
    const mls_status status = mls__lookup_init(&k->lookup, op, dtype, words, count);
    if (status)
        return status;
    k->twin_count = find_twins(k, NULL);
    k->twins = mls__alloc_array(k->base.cpu->allocator, k->twin_count, sizeof *k->twins);
    if (!k->twins)
        return mls__error_nomem(k->twin_count * sizeof *k->twins);
    find_twins(k, k->twins);
    return MLS_OK;
}

static mls_status vectorizer_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    vectorizer *k;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "dict_vectorizer", vectorize, &k);
    if (status)
        return status;
    k->base.base.reshape = vectorizer_reshape;
    k->base.base.free = vectorizer_free;
    k->key_size = mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    k->value_size = mls_dtype_size((mls_dtype) op->inputs[1].dtype);
    status = prepare_vocabulary(k, op);
    if (status) {
        vectorizer_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return vectorizer_reshape(*ret_kernel, op);
}

/* --- CastMap --------------------------------------------------------------------------------- */

typedef struct cast_map {
    mls__cpu_kernel base;
    size_t value_size;
    int64_t count;
    int64_t length; /* of a sparse output; 0: dense */
    bool is_text;
} cast_map;

static void sift_down(const int64_t *keys, int64_t *order, int64_t count, int64_t at)
{
    const int64_t moved = order[at];
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && keys[order[child + 1]] > keys[order[child]])
            child++;
        if (keys[moved] >= keys[order[child]])
            break;
        order[at] = order[child];
    }
    order[at] = moved;
}

/* Heap sort: no memory but the positions', and no order of keys makes it slow. */
static void sort_positions(const int64_t *keys, int64_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count / 2; i > 0; i--)
        sift_down(keys, order, count, i - 1);
    for (int64_t end = count; end > 1; end--) {
        const int64_t largest = order[0];
        order[0] = order[end - 1];
        order[end - 1] = largest;
        sift_down(keys, order, end - 1, 0);
    }
}

/* All values, by ascending keys. */
static mls_status pack_dense(const mls_kernel *base, const mls_kernel_call *call)
{
    const cast_map *k = (const cast_map *) base;
    const char *values = call->buffers[1];
    char *y = call->buffers[2];
    int64_t *order = call->workspace;
    sort_positions(call->buffers[0], order, k->count);
    for (int64_t i = 0; i < k->count; i++, y += k->value_size)
        memcpy(y, values + (size_t) order[i] * k->value_size, k->value_size);
    return MLS_OK;
}

/* What ONNX Runtime has in the places that no key says: 0, or this text. */
static void fill_sparse(const cast_map *k, char *y)
{
    static const mls_string blank = {"0.f", 3};
    memset(y, 0, (size_t) k->length * k->value_size);
    for (int64_t i = 0; k->is_text && i < k->length; i++)
        ((mls_string *) (void *) y)[i] = blank;
}

/* Each value at its key; those past the end are left out. */
static mls_status pack_sparse(const mls_kernel *base, const mls_kernel_call *call)
{
    const cast_map *k = (const cast_map *) base;
    const int64_t *keys = call->buffers[0];
    const char *values = call->buffers[1];
    char *y = call->buffers[2];
    fill_sparse(k, y);
    for (int64_t i = 0; i < k->count; i++, values += k->value_size) {
        if (keys[i] < 0)
            return mls__cpu_run_error(base, MLS_ERANGE, "key %" PRId64 " is negative", keys[i]);
        if (keys[i] < k->length)
            memcpy(y + (size_t) keys[i] * k->value_size, values, k->value_size);
    }
    return MLS_OK;
}

static mls_status cast_map_reshape(mls_kernel *base, const mls_op *op)
{
    ((cast_map *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status cast_map_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    cast_map *k;
    const bool is_dense = mls__op_string_is(op, "map_form", "DENSE", "DENSE");
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "cast_map",
                                                     is_dense ? pack_dense : pack_sparse, &k);
    if (status)
        return status;
    k->base.base.reshape = cast_map_reshape;
    k->value_size = mls_dtype_size((mls_dtype) op->inputs[1].dtype);
    k->length = is_dense ? 0 : op->outputs[0].dims[1];
    k->is_text = op->inputs[1].dtype == MLS_STRING;
    if (is_dense)
        k->base.base.workspace_bytes = (size_t) mls__arg_count(&op->inputs[0]) * sizeof(int64_t);
    *ret_kernel = &k->base.base;
    return cast_map_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_ml_maps = {
    {"ai.onnx.ml", "CastMap", cast_map_create, 0},
    {"ai.onnx.ml", "DictVectorizer", vectorizer_create, 0},
    {.type = NULL},
};
