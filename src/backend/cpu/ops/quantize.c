/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QuantizeLinear and DequantizeLinear.
 *
 * Runs of float32 to and from integers of 8 and 16 bits have vector kernels. All other pairs go
 * through the wide numbers of convert.h, in which every step is exact, and are rounded where ONNX
 * says: a quotient to the precision of the division, a product to float32 and then to the output's
 * dtype.
 */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/quantize_dynamic.h"
#include "backend/cpu/ops/ranges.h"

#include "op/quantize.h"
#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

typedef struct quant_kernel {
    mls__cpu_kernel base;
    mls__quant_grid grid;
    uint32_t threads;
    size_t output; /* its buffer */
    bool has_zero;
    int32_t x_dtype, scale_dtype, zero_dtype, y_dtype;
    int32_t precision;      /* of the division */
    double lowest, highest; /* that y holds; equal for floats */
    mls__cast_rules rules;  /* of floats of 8 bits */
    mls__quantize_fn quantize;
    mls__dequantize_fn dequantize;
    int64_t longest; /* elements of a run */
    void (*run)(const struct quant_kernel *k, void *y, const void *x, const void *scale,
                const void *zero, const mls__quant_run *run);
} quant_kernel;

/* --- one element at a time ------------------------------------------------------------------- */

/* As float64; all dtypes but int32 and floats have at most 16 bits. */
static void read_numbers(int32_t dtype, const void *elements, int64_t n, mls__wide *ret_wide)
{
    mls__widen(dtype, ret_wide, elements, n);
    if (mls__wide_kind_of(dtype) == MLS__WIDE_INT)
        for (int64_t i = 0; i < n; i++)
            ret_wide->f[i] = (double) ret_wide->i[i];
}

static double round_to(int32_t dtype, double value)
{
    const mls__float_format *format = mls__float_format_of(dtype);
    if (format)
        return mls__float_decode(format, mls__float_encode(format, value, false));
    return dtype == MLS_FLOAT32 ? (double) (float) value : value;
}

/* The scales and zero points of a run, one for each element or one for all. */
static void read_params(const quant_kernel *k, const void *scale, const void *zero,
                        const mls__quant_run *run, mls__wide *ret_scales, mls__wide *ret_zeros)
{
    const int64_t n = run->scale_step ? run->count : 1;
    read_numbers(k->scale_dtype, scale, n, ret_scales);
    if (zero)
        read_numbers(k->zero_dtype, zero, n, ret_zeros);
    for (int64_t i = 0; !zero && i < n; i++)
        ret_zeros->f[i] = 0;
}

static int64_t quantized(const quant_kernel *k, double quotient, double zero)
{
    const double value = rint(quotient) + zero;
    if (!(value > k->lowest)) /* or NaN */
        return (int64_t) k->lowest;
    return (int64_t) (value < k->highest ? value : k->highest);
}

static void quantize_any(const quant_kernel *k, void *y, const void *x, const void *scale,
                         const void *zero, const mls__quant_run *run)
{
    mls__wide numbers, scales, zeros, results;
    const bool is_integer = k->lowest < k->highest;
    const int64_t n = run->count;
    read_numbers(k->x_dtype, x, n, &numbers);
    read_params(k, scale, zero, run, &scales, &zeros);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = run->scale_step ? i : 0;
        const double divisor = round_to(k->precision, scales.f[at]);
        const double number = round_to(k->precision, numbers.f[i]);
        const double quotient = round_to(k->precision, number / divisor);
        if (is_integer)
            results.i[i] = quantized(k, quotient, zeros.f[at]);
        else if (zero)
            results.f[i] = round_to(k->precision, quotient + zeros.f[at]);
        else
            results.f[i] = quotient;
    }
    mls__narrow(k->y_dtype, is_integer ? MLS__WIDE_INT : MLS__WIDE_FLOAT, &results, y, n,
                &k->rules);
}

static void dequantize_any(const quant_kernel *k, void *y, const void *x, const void *scale,
                           const void *zero, const mls__quant_run *run)
{
    mls__wide numbers, scales, zeros;
    read_numbers(k->x_dtype, x, run->count, &numbers);
    read_params(k, scale, zero, run, &scales, &zeros);
    for (int64_t i = 0; i < run->count; i++) {
        const int64_t at = run->scale_step ? i : 0;
        const float difference = (float) (numbers.f[i] - zeros.f[at]);
        numbers.f[i] = (double) (difference * (float) scales.f[at]);
    }
    mls__narrow(k->y_dtype, MLS__WIDE_FLOAT, &numbers, y, run->count, &k->rules);
}

/* --- vectors --------------------------------------------------------------------------------- */

static void quantize_fast(const quant_kernel *k, void *y, const void *x, const void *scale,
                          const void *zero, const mls__quant_run *run)
{
    k->quantize(y, x, run->count, &(mls__quant_params){scale, zero, run->scale_step});
}

static void dequantize_fast(const quant_kernel *k, void *y, const void *x, const void *scale,
                            const void *zero, const mls__quant_run *run)
{
    k->dequantize(y, x, run->count, &(mls__quant_params){scale, zero, run->scale_step});
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const quant_kernel *kernel;
    const char *x, *scale, *zero;
    char *y;
    size_t x_size, scale_size, zero_size, y_size;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const quant_kernel *k = w->kernel;
    while (begin < end) {
        mls__quant_run run = mls__quant_run_at(&k->grid, begin, end);
        if (run.count > k->longest)
            run.count = k->longest;
        const size_t at = (size_t) begin, scale = (size_t) run.scale;
        k->run(k, w->y + at * w->y_size, w->x + at * w->x_size, w->scale + scale * w->scale_size,
               w->zero ? w->zero + scale * w->zero_size : NULL, &run);
        begin += run.count;
    }
    return MLS_OK;
}

static mls_status quant_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const quant_kernel *k = (const quant_kernel *) base;
    work w = {.kernel = k,
              .x = call->buffers[0],
              .scale = call->buffers[1],
              .zero = k->has_zero ? call->buffers[2] : NULL,
              .y = call->buffers[k->output],
              .x_size = mls_dtype_size((mls_dtype) k->x_dtype),
              .scale_size = mls_dtype_size((mls_dtype) k->scale_dtype),
              .zero_size = mls_dtype_size((mls_dtype) k->zero_dtype),
              .y_size = mls_dtype_size((mls_dtype) k->y_dtype)};
    return mls__cpu_ranges(call, k->threads, k->grid.count, GRAIN, run_range, &w);
}

/* --- the kernels ----------------------------------------------------------------------------- */

static mls_status quant_reshape(mls_kernel *base, const mls_op *op)
{
    return mls__op_quant_grid(op, &((quant_kernel *) base)->grid);
}

static int32_t division_precision(const mls_op *op)
{
    const int64_t asked = mls__op_int(op, "precision", 0);
    const int32_t scale = op->inputs[1].dtype;
    if (asked)
        return (int32_t) asked;
    if (scale == MLS_INT32) /* the quotient of integers, which float32 may not hold */
        return MLS_FLOAT64;
    return scale == MLS_FLOAT8E8M0 ? MLS_FLOAT32 : scale;
}

static void read_range(quant_kernel *k)
{
    const mls__dtype_info *info = mls__dtype_info_get(k->y_dtype);
    const double values = ldexp(1.0, info->bits);
    if (info->class == MLS__CLASS_SIGNED)
        k->lowest = -values / 2;
    if (info->class == MLS__CLASS_SIGNED || info->class == MLS__CLASS_UNSIGNED)
        k->highest = k->lowest + values - 1;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name,
                         quant_kernel **ret_kernel)
{
    quant_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, name, quant_run, &k);
    if (status)
        return status;
    k->base.base.reshape = quant_reshape;
    k->threads = op->threads;
    k->longest = MLS__BLOCK;
    k->output = op->input_count;
    k->has_zero = mls__op_input(op, 2) != NULL;
    k->x_dtype = op->inputs[0].dtype;
    k->scale_dtype = op->inputs[1].dtype;
    k->y_dtype = op->outputs[0].dtype;
    k->rules.saturate = mls__op_int(op, "saturate", 1) != 0;
    status = quant_reshape(&k->base.base, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = k;
    return MLS_OK;
}

/* NULL: no kernel for the dtype. */
static mls__quantize_fn find_quantize(const mls__quantize_kernels *kernels, int32_t dtype)
{
    switch (dtype) {
    case MLS_INT8:
        return kernels->to_int8;
    case MLS_UINT8:
        return kernels->to_uint8;
    case MLS_INT16:
        return kernels->to_int16;
    case MLS_UINT16:
        return kernels->to_uint16;
    default:
        return NULL;
    }
}

static mls__dequantize_fn find_dequantize(const mls__quantize_kernels *kernels, int32_t dtype)
{
    switch (dtype) {
    case MLS_INT8:
        return kernels->of_int8;
    case MLS_UINT8:
        return kernels->of_uint8;
    case MLS_INT16:
        return kernels->of_int16;
    case MLS_UINT16:
        return kernels->of_uint16;
    default:
        return NULL;
    }
}

static mls_status quantize_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    quant_kernel *k;
    mls_status status = create(cpu, op, "quantize", &k);
    if (status)
        return status;
    k->precision = division_precision(op);
    k->run = quantize_any;
    k->zero_dtype = k->y_dtype;
    read_range(k);
    if (k->x_dtype == MLS_FLOAT32 && k->scale_dtype == MLS_FLOAT32 && k->precision == MLS_FLOAT32)
        k->quantize = find_quantize(cpu->kernels->quantize, k->y_dtype);
    if (k->quantize) {
        k->run = quantize_fast;
        k->longest = INT64_MAX;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

static mls_status dequantize_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    quant_kernel *k;
    mls_status status = create(cpu, op, "dequantize", &k);
    if (status)
        return status;
    k->run = dequantize_any;
    k->zero_dtype = k->x_dtype;
    if (k->scale_dtype == MLS_FLOAT32 && k->y_dtype == MLS_FLOAT32)
        k->dequantize = find_dequantize(cpu->kernels->quantize, k->x_dtype);
    if (k->dequantize) {
        k->run = dequantize_fast;
        k->longest = INT64_MAX;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_quantize = {
    {"", "QuantizeLinear", quantize_create, 0},
    {"", "DequantizeLinear", dequantize_create, 0},
    {"", "DynamicQuantizeLinear", mls__dynamic_quantize_create, 0},
    {"com.microsoft", "QuantizeLinear", quantize_create, 0},
    {"com.microsoft", "DequantizeLinear", dequantize_create, 0},
    {.type = NULL},
};
