/* SPDX-License-Identifier: Apache-2.0 */
/* LabelEncoder, CategoryMapper and OneHotEncoder: a look-up for each element. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_lookup.h"
#include "backend/cpu/ops/ranges.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Elements that are worth a thread. */
#define GRAIN 4096

/* --- LabelEncoder, CategoryMapper ------------------------------------------------------------- */

typedef struct label_encoder {
    mls__cpu_kernel base;
    mls__lookup lookup;
    bool has_lookup;    /* else (opset 1) a key is a position itself */
    const void *values; /* of each position; NULL (opset 1): the position */
    size_t key_size, value_size;
    mls_string unknown; /* the value of keys that are not there, in its first bytes */
    int64_t count;
    uint32_t threads;
} label_encoder;

typedef struct label_work {
    const label_encoder *encoder;
    const char *x;
    char *y;
} label_work;

static size_t find_position(const label_encoder *e, const void *key)
{
    if (e->has_lookup)
        return mls__lookup_find(&e->lookup, key);
    const int64_t position = *(const int64_t *) key;
    return position >= 0 && (uint64_t) position < e->lookup.count ? (size_t) position
                                                                  : MLS__LOOKUP_NONE;
}

static mls_status encode_range(void *arg, int64_t begin, int64_t end)
{
    const label_work *work = arg;
    const label_encoder *e = work->encoder;
    for (size_t i = (size_t) begin; i < (size_t) end; i++) {
        const size_t position = find_position(e, work->x + i * e->key_size);
        const int64_t number = (int64_t) position;
        const void *value = &number;
        if (position == MLS__LOOKUP_NONE)
            value = &e->unknown;
        else if (e->values)
            value = (const char *) e->values + position * e->value_size;
        memcpy(work->y + i * e->value_size, value, e->value_size);
    }
    return MLS_OK;
}

static mls_status label_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const label_encoder *e = (const label_encoder *) base;
    label_work work = {e, call->buffers[0], call->buffers[1]};
    return mls__cpu_ranges(call, e->threads, e->count, GRAIN, encode_range, &work);
}

static mls_status label_reshape(mls_kernel *base, const mls_op *op)
{
    ((label_encoder *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

/* The array of `prefix`_strings, _int64s, _floats or _tensor; inference checked that one is. */
static const void *read_array(const mls_op *op, const char *const names[4], size_t *ret_count)
{
    const void *data = mls__op_strings(op, names[0], ret_count);
    if (!*ret_count)
        data = mls__op_ints(op, names[1], ret_count);
    if (!*ret_count)
        data = mls__op_floats(op, names[2], ret_count);
    const mls_tensor *tensor = mls__op_tensor(op, names[3]);
    if (*ret_count || !tensor)
        return data;
    *ret_count = (size_t) tensor->count;
    return tensor->data;
}

static void read_unknown(const mls_op *op, int32_t dtype, mls_string *ret_unknown)
{
    static const mls_string unused = {"_Unused", 7};
    const mls_tensor *tensor = mls__op_tensor(op, "default_tensor");
    const mls_string string = mls__op_string(op, "default_string");
    const int64_t int64 = mls__op_int(op, "default_int64", -1);
    const float float32 = mls__op_float(op, "default_float", -0.0f);
    const double float64 = -0.0;
    const int32_t int32 = -1;
    const int16_t int16 = -1;
    const void *value = dtype == MLS_INT64     ? (const void *) &int64
                        : dtype == MLS_FLOAT32 ? (const void *) &float32
                        : dtype == MLS_FLOAT64 ? (const void *) &float64
                        : dtype == MLS_INT32   ? (const void *) &int32
                        : dtype == MLS_INT16   ? (const void *) &int16
                                               : (const void *) (string.data ? &string : &unused);
    if (tensor && tensor->dtype == dtype && tensor->count > 0)
        value = tensor->data;
    memcpy(ret_unknown, value, mls_dtype_size((mls_dtype) dtype));
}

/* Opset 1: strings to their positions, or positions to strings. */
static mls_status prepare_classes(label_encoder *e, const mls_op *op)
{
    size_t count;
    const mls_string *classes = mls__op_strings(op, "classes_strings", &count);
    if (op->inputs[0].dtype == MLS_STRING) {
        e->has_lookup = true;
        return mls__lookup_init(&e->lookup, op, MLS_STRING, classes, count);
    }
    e->values = classes;
    e->lookup.count = count;
    return MLS_OK;
}

/* Both sides are there for either way. */
static mls_status prepare_categories(label_encoder *e, const mls_op *op)
{
    size_t count;
    const int32_t dtype = op->inputs[0].dtype;
    const void *strings = mls__op_strings(op, "cats_strings", &count);
    const void *ints = mls__op_ints(op, "cats_int64s", &count);
    e->has_lookup = true;
    e->values = dtype == MLS_STRING ? ints : strings;
    return mls__lookup_init(&e->lookup, op, dtype, dtype == MLS_STRING ? strings : ints, count);
}

static mls_status prepare_labels(label_encoder *e, const mls_op *op)
{
    static const char *const keys[4] = {"keys_strings", "keys_int64s", "keys_floats",
                                        "keys_tensor"};
    static const char *const values[4] = {"values_strings", "values_int64s", "values_floats",
                                          "values_tensor"};
    size_t count;
    e->key_size = mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    e->value_size = mls_dtype_size((mls_dtype) op->outputs[0].dtype);
    e->threads = op->threads;
    read_unknown(op, op->outputs[0].dtype, &e->unknown);
    if (strcmp(op->type, "CategoryMapper") == 0)
        return prepare_categories(e, op);
    if (mls__op_attr(op, "classes_strings"))
        return prepare_classes(e, op);
    e->has_lookup = true;
    e->values = read_array(op, values, &count);
    const void *data = read_array(op, keys, &count);
    return mls__lookup_init(&e->lookup, op, op->inputs[0].dtype, data, count);
}

static mls_status label_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    label_encoder *e;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *e, "label_encoder", label_run, &e);
    if (status)
        return status;
    e->base.base.reshape = label_reshape;
    status = prepare_labels(e, op);
    if (status) {
        mls__cpu_kernel_free(&e->base.base);
        return status;
    }
    *ret_kernel = &e->base.base;
    return label_reshape(*ret_kernel, op);
}

/* --- OneHotEncoder --------------------------------------------------------------------------- */

typedef struct one_hot {
    mls__cpu_kernel base;
    mls__lookup lookup; /* of strings or int64 */
    int32_t dtype;
    bool allows_unknown;
    int64_t count;
} one_hot;

/* Numbers are cut off to integers; those that are none have no category. */
static size_t find_category(const one_hot *k, const void *x, int64_t i)
{
    int64_t number;
    if (k->dtype == MLS_STRING)
        return mls__lookup_find(&k->lookup, (const mls_string *) x + i);
    if (k->dtype == MLS_INT64)
        return mls__lookup_find(&k->lookup, (const int64_t *) x + i);
    if (k->dtype == MLS_INT32) {
        number = ((const int32_t *) x)[i];
    } else {
        const double real =
            k->dtype == MLS_FLOAT64 ? ((const double *) x)[i] : (double) ((const float *) x)[i];
        if (!(fabs(real) < 0x1p63))
            return MLS__LOOKUP_NONE;
        number = (int64_t) real;
    }
    return mls__lookup_find(&k->lookup, &number);
}

static mls_status one_hot_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const one_hot *k = (const one_hot *) base;
    const size_t categories = k->lookup.count;
    float *y = call->buffers[1];
    for (int64_t i = 0; i < k->count; i++, y += categories) {
        const size_t category = find_category(k, call->buffers[0], i);
        memset(y, 0, categories * sizeof *y);
        if (category != MLS__LOOKUP_NONE)
            y[category] = 1.0f;
        else if (!k->allows_unknown)
            return mls__cpu_run_error(base, MLS_ERANGE,
                                      "element %" PRId64 " of input 0 is none of the %zu "
                                      "categories (and zeros = 0 forbids that)",
                                      i, categories);
    }
    return MLS_OK;
}

static mls_status one_hot_reshape(mls_kernel *base, const mls_op *op)
{
    ((one_hot *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status one_hot_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    one_hot *k;
    size_t count;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "one_hot", one_hot_run, &k);
    if (status)
        return status;
    k->base.base.reshape = one_hot_reshape;
    k->dtype = op->inputs[0].dtype;
    k->allows_unknown = mls__op_int(op, "zeros", 1) != 0;
    if (k->dtype == MLS_STRING) {
        const mls_string *strings = mls__op_strings(op, "cats_strings", &count);
        status = mls__lookup_init(&k->lookup, op, MLS_STRING, strings, count);
    } else {
        const int64_t *ints = mls__op_ints(op, "cats_int64s", &count);
        status = mls__lookup_init(&k->lookup, op, MLS_INT64, ints, count);
    }
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return one_hot_reshape(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_ml_encoders[] = {
    {"ai.onnx.ml", "CategoryMapper", label_create, 0},
    {"ai.onnx.ml", "LabelEncoder", label_create, 0},
    {"ai.onnx.ml", "OneHotEncoder", one_hot_create, 0},
    {NULL, NULL, NULL, 0},
};
