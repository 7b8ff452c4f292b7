/* SPDX-License-Identifier: Apache-2.0 */
/* What prepares features: Scaler, Normalizer, Imputer, Binarizer. */
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_scores.h"
#include "backend/cpu/ops/ranges.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Elements that are worth a thread. */
#define GRAIN 32768

typedef struct feature_kernel feature_kernel;

/* Rows [begin, end) of `columns` elements. */
typedef void (*feature_fn)(const feature_kernel *kernel, const void *x, void *y, int64_t begin,
                           int64_t end);

struct feature_kernel {
    mls__cpu_kernel base;
    feature_fn run;
    int32_t dtype;
    int64_t rows, columns;
    uint32_t threads;
    /* Scaler; Imputer: what replaces. A step is 0 where one value is for all columns. */
    const float *floats[2];
    const int64_t *ints;
    int64_t steps[2];
    /* Imputer: what is replaced; Binarizer: the threshold, and the least integer above it. */
    float number;
    int64_t integer;
    bool has_integer;
    mls__reduce_row_fn reduce; /* Normalizer */
    bool is_euclidean;
};

/* --- Scaler ---------------------------------------------------------------------------------- */

/* (x - offset) * scale: integers as float32, float64 in its own precision. */
#define SCALE(name, type, real)                                                                    \
    static void scale_##name(const feature_kernel *k, const void *x, void *y, int64_t begin,       \
                             int64_t end)                                                          \
    {                                                                                              \
        for (int64_t r = begin; r < end; r++)                                                      \
            for (int64_t j = 0; j < k->columns; j++) {                                             \
                const real value = (real) ((const type *) x)[r * k->columns + j];                  \
                const real centred = value - (real) k->floats[0][j * k->steps[0]];                 \
                ((float *) y)[r * k->columns + j] =                                                \
                    (float) (centred * (real) k->floats[1][j * k->steps[1]]);                      \
            }                                                                                      \
    }

SCALE(float32, float, float)
SCALE(float64, double, double)
SCALE(int32, int32_t, float)
SCALE(int64, int64_t, float)

static feature_fn scale_of(int32_t dtype)
{
    if (dtype == MLS_FLOAT32)
        return scale_float32;
    if (dtype == MLS_FLOAT64)
        return scale_float64;
    return dtype == MLS_INT32 ? scale_int32 : scale_int64;
}

static mls_status prepare_scaler(feature_kernel *k, const mls_op *op)
{
    static const float neutral[2] = {0.0f, 1.0f};
    static const char *const names[2] = {"offset", "scale"};
    for (int i = 0; i < 2; i++) {
        size_t count;
        const float *values = mls__op_floats(op, names[i], &count);
        k->floats[i] = count ? values : &neutral[i];
        k->steps[i] = count > 1;
    }
    k->run = scale_of(k->dtype);
    return MLS_OK;
}

/* --- Normalizer ------------------------------------------------------------------------------ */

static void normalize_row(const feature_kernel *k, float *y)
{
    const float divisor = k->reduce(y, k->columns);
    if (divisor == 0.0f)
        return;
    for (int64_t j = 0; j < k->columns; j++)
        if (k->is_euclidean)
            y[j] = copysignf(sqrtf(y[j] * y[j] / divisor), y[j]);
        else
            y[j] /= divisor;
}

static void normalize(const feature_kernel *k, const void *x, void *y, int64_t begin, int64_t end)
{
    const size_t size = mls_dtype_size((mls_dtype) k->dtype);
    for (int64_t r = begin; r < end; r++) {
        float *row = (float *) y + r * k->columns;
        mls__to_float(k->dtype, (const char *) x + (size_t) (r * k->columns) * size, k->columns,
                      row);
        normalize_row(k, row);
    }
}

static mls_status prepare_normalizer(feature_kernel *k, const mls_op *op)
{
    static const struct {
        const char *name;
        mls__reduce_op op;
    } norms[] = {
        {"MAX", MLS__REDUCE_MAX}, {"L1", MLS__REDUCE_SUM_ABS}, {"L2", MLS__REDUCE_SUM_SQUARE}};
    k->run = normalize;
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++)
        if (mls__op_string_is(op, "norm", norms[i].name, "MAX")) {
            k->reduce = k->base.cpu->kernels->reduce->row[norms[i].op];
            k->is_euclidean = norms[i].op == MLS__REDUCE_SUM_SQUARE;
            return MLS_OK;
        }
    return mls__op_error(op, MLS_EINVAL, "norm is none of MAX, L1 and L2");
}

/* --- Imputer --------------------------------------------------------------------------------- */

#define IMPUTE(name, type, is_replaced, values)                                                    \
    static void impute_##name(const feature_kernel *k, const void *x, void *y, int64_t begin,      \
                              int64_t end)                                                         \
    {                                                                                              \
        for (int64_t r = begin; r < end; r++)                                                      \
            for (int64_t j = 0; j < k->columns; j++) {                                             \
                const type value = ((const type *) x)[r * k->columns + j];                         \
                ((type *) y)[r * k->columns + j] =                                                 \
                    (is_replaced) ? (type) (values)[j * k->steps[0]] : value;                      \
            }                                                                                      \
    }

IMPUTE(float32, float, value == k->number || (isnan(value) && isnan(k->number)), k->floats[0])
IMPUTE(float64, double, value == (double) k->number || (isnan(value) && isnan(k->number)),
       k->floats[0])
IMPUTE(int32, int32_t, value == k->integer, k->ints)
IMPUTE(int64, int64_t, value == k->integer, k->ints)

static mls_status prepare_imputer(feature_kernel *k, const mls_op *op)
{
    size_t count;
    if (k->dtype == MLS_FLOAT32 || k->dtype == MLS_FLOAT64) {
        k->floats[0] = mls__op_floats(op, "imputed_value_floats", &count);
        k->number = mls__op_float(op, "replaced_value_float", 0.0f);
        k->run = k->dtype == MLS_FLOAT32 ? impute_float32 : impute_float64;
    } else {
        k->ints = mls__op_ints(op, "imputed_value_int64s", &count);
        k->integer = mls__op_int(op, "replaced_value_int64", 0);
        k->run = k->dtype == MLS_INT32 ? impute_int32 : impute_int64;
    }
    k->steps[0] = count > 1;
    return MLS_OK;
}

/* --- Binarizer ------------------------------------------------------------------------------- */

#define BINARIZE(name, type, is_above)                                                             \
    static void binarize_##name(const feature_kernel *k, const void *x, void *y, int64_t begin,    \
                                int64_t end)                                                       \
    {                                                                                              \
        for (int64_t i = begin * k->columns; i < end * k->columns; i++) {                          \
            const type value = ((const type *) x)[i];                                              \
            ((type *) y)[i] = (type) (is_above);                                                   \
        }                                                                                          \
    }

BINARIZE(float32, float, value > k->number)
BINARIZE(float64, double, value > (double) k->number)
BINARIZE(int32, int32_t, k->has_integer &&value >= k->integer)
BINARIZE(int64, int64_t, k->has_integer &&value >= k->integer)

/* The least int64 above the threshold; false when there is none. */
static bool integer_above(float threshold, int64_t *ret_integer)
{
    if (!(threshold < 0x1p63f))
        return false;
    *ret_integer = threshold < -0x1p63f ? INT64_MIN : (int64_t) floorf(threshold) + 1;
    return true;
}

static mls_status prepare_binarizer(feature_kernel *k, const mls_op *op)
{
    k->number = mls__op_float(op, "threshold", 0.0f);
    k->has_integer = integer_above(k->number, &k->integer);
    if (k->dtype == MLS_FLOAT32)
        k->run = binarize_float32;
    else if (k->dtype == MLS_FLOAT64)
        k->run = binarize_float64;
    else
        k->run = k->dtype == MLS_INT32 ? binarize_int32 : binarize_int64;
    return MLS_OK;
}

/* --- the kernel ------------------------------------------------------------------------------ */

typedef struct feature_work {
    const feature_kernel *kernel;
    const void *x;
    void *y;
} feature_work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const feature_work *work = arg;
    work->kernel->run(work->kernel, work->x, work->y, begin, end);
    return MLS_OK;
}

static mls_status feature_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const feature_kernel *k = (const feature_kernel *) base;
    feature_work work = {k, call->buffers[0], call->buffers[1]};
    const int64_t grain = GRAIN / (k->columns ? k->columns : 1) + 1;
    return mls__cpu_ranges(call, k->threads, k->rows, grain, run_range, &work);
}

static mls_status feature_reshape(mls_kernel *base, const mls_op *op)
{
    feature_kernel *k = (feature_kernel *) base;
    const mls_arg *x = &op->inputs[0];
    k->columns = x->rank ? x->dims[x->rank - 1] : 1;
    k->rows = x->rank ? mls__arg_span(x, 0, x->rank - 1) : 1;
    return MLS_OK;
}

static const struct {
    const char *type;
    mls_status (*prepare)(feature_kernel *kernel, const mls_op *op);
} feature_rows[] = {
    {"Scaler", prepare_scaler},
    {"Normalizer", prepare_normalizer},
    {"Imputer", prepare_imputer},
    {"Binarizer", prepare_binarizer},
};

static mls_status feature_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    feature_kernel *k;
    size_t row = 0;
    while (strcmp(feature_rows[row].type, op->type) != 0)
        row++;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "features", feature_run, &k);
    if (status)
        return status;
    k->base.base.reshape = feature_reshape;
    k->dtype = op->inputs[0].dtype;
    k->threads = op->threads;
    status = feature_rows[row].prepare(k, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return feature_reshape(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_ml_features[] = {
    {"ai.onnx.ml", "Scaler", feature_create, 0},
    {"ai.onnx.ml", "Normalizer", feature_create, 0},
    {"ai.onnx.ml", "Imputer", feature_create, MLS__CPU_IN_PLACE},
    {"ai.onnx.ml", "Binarizer", feature_create, MLS__CPU_IN_PLACE},
    {NULL, NULL, NULL, 0},
};
