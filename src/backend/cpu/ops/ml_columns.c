/* SPDX-License-Identifier: Apache-2.0 */
/* ArrayFeatureExtractor and FeatureVectorizer: columns taken out and put together. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_scores.h"

#include <inttypes.h>
#include <string.h>

/* --- ArrayFeatureExtractor ------------------------------------------------------------------- */

typedef struct extractor {
    mls__cpu_kernel base;
    size_t size; /* of an element */
    int64_t rows, columns, count;
} extractor;

#define EXTRACT(name, type)                                                                        \
    static void extract_##name(const void *x, const int64_t *index, int64_t count, void *y)        \
    {                                                                                              \
        for (int64_t i = 0; i < count; i++)                                                        \
            ((type *) y)[i] = ((const type *) x)[index[i]];                                        \
    }

EXTRACT(4, uint32_t)
EXTRACT(8, uint64_t)
EXTRACT(string, mls_string)

static mls_status check_indices(const mls_kernel *base, const int64_t *index)
{
    const extractor *k = (const extractor *) base;
    for (int64_t i = 0; i < k->count; i++)
        if (index[i] < 0 || index[i] >= k->columns)
            return mls__cpu_run_error(base, MLS_ERANGE,
                                      "input 1 has index %" PRId64 ", outside [0, %" PRId64 ")",
                                      index[i], k->columns);
    return MLS_OK;
}

static mls_status extractor_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const extractor *k = (const extractor *) base;
    const char *x = call->buffers[0];
    const int64_t *index = call->buffers[1];
    char *y = call->buffers[2];
    const mls_status status = check_indices(base, index);
    for (int64_t r = 0; !status && r < k->rows; r++) {
        if (k->size == sizeof(uint32_t))
            extract_4(x, index, k->count, y);
        else if (k->size == sizeof(uint64_t))
            extract_8(x, index, k->count, y);
        else
            extract_string(x, index, k->count, y);
        x += (size_t) k->columns * k->size;
        y += (size_t) k->count * k->size;
    }
    return status;
}

static mls_status extractor_reshape(mls_kernel *base, const mls_op *op)
{
    extractor *k = (extractor *) base;
    const mls_arg *x = &op->inputs[0];
    k->columns = x->dims[x->rank - 1];
    k->rows = mls__arg_span(x, 0, x->rank - 1);
    k->count = mls__arg_count(&op->inputs[1]);
    return MLS_OK;
}

static mls_status extractor_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    extractor *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "extract", extractor_run, &k);
    if (status)
        return status;
    k->base.base.reshape = extractor_reshape;
    k->size = mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    *ret_kernel = &k->base.base;
    return extractor_reshape(*ret_kernel, op);
}

/* --- FeatureVectorizer ----------------------------------------------------------------------- */

typedef struct vectorizer_part {
    int64_t columns; /* of the input */
    int64_t width;   /* of it in the output: cut off, or filled up with zeros */
} vectorizer_part;

typedef struct vectorizer {
    mls__cpu_kernel base;
    int32_t dtype;
    int64_t rows, width;
    size_t part_count;
    vectorizer_part parts[];
} vectorizer;

static mls_status vectorizer_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const vectorizer *k = (const vectorizer *) base;
    const size_t size = mls_dtype_size((mls_dtype) k->dtype);
    float *y = call->buffers[k->part_count];
    for (int64_t r = 0; r < k->rows; r++)
        for (size_t i = 0; i < k->part_count; i++) {
            const vectorizer_part *part = &k->parts[i];
            const int64_t taken = part->columns < part->width ? part->columns : part->width;
            const char *x = call->buffers[i];
            if (taken)
                mls__to_float(k->dtype, x + (size_t) (r * part->columns) * size, taken, y);
            for (int64_t j = taken; j < part->width; j++)
                y[j] = 0.0f;
            y += part->width;
        }
    return MLS_OK;
}

static mls_status vectorizer_reshape(mls_kernel *base, const mls_op *op)
{
    vectorizer *k = (vectorizer *) base;
    size_t count;
    const int64_t *widths = mls__op_ints(op, "inputdimensions", &count);
    for (size_t i = 0; i < k->part_count; i++) {
        const mls__rows rows = mls__rows_of(&op->inputs[i]);
        k->parts[i] = (vectorizer_part){rows.columns, count ? widths[i] : rows.columns};
        k->rows = rows.count;
    }
    return MLS_OK;
}

static mls_status vectorizer_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    vectorizer *k;
    const size_t size = sizeof *k + op->input_count * sizeof k->parts[0];
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, size, "vectorize", vectorizer_run, &k);
    if (status)
        return status;
    k->base.base.reshape = vectorizer_reshape;
    k->dtype = op->inputs[0].dtype;
    k->part_count = op->input_count;
    *ret_kernel = &k->base.base;
    return vectorizer_reshape(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_ml_columns[] = {
    {"ai.onnx.ml", "ArrayFeatureExtractor", extractor_create, 0},
    {"ai.onnx.ml", "FeatureVectorizer", vectorizer_create, 0},
    {NULL, NULL, NULL, 0},
};
