/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clip: min(max(x, low), high), bounds that are known only when it runs. A bound that is
 * left out is the dtype's least or largest finite number, as ONNX has it. A NaN stays
 * NaN; one as a bound bounds nothing.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"

#include <float.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

/* An input, or below opset 11 an attribute. */
typedef struct clip_bound {
    bool is_given, is_input;
    uint64_t attribute; /* the bytes of an element */
} clip_bound;

typedef struct clip_kernel {
    mls__cpu_kernel base;
    /* n elements between *low and *high; a bound of NULL is left out. */
    void (*run)(const struct clip_kernel *kernel, void *y, const void *x, int64_t n,
                const void *low, const void *high);
    mls__half half;
    float half_largest; /* of the 16-bit float */
    int64_t count;
    uint32_t threads;
    uint8_t size;         /* bytes of an element */
    clip_bound bounds[2]; /* low, high */
    float params[2];      /* of float32: the bounds, if they are known now */
    uint8_t output;       /* its buffer */
} clip_kernel;

/* --- runs ------------------------------------------------------------------------------------ */

static void clip_f32(const clip_kernel *k, void *y, const void *x, int64_t n, const void *low,
                     const void *high)
{
    const float params[] = {low ? *(const float *) low : -FLT_MAX,
                            high ? *(const float *) high : FLT_MAX};
    k->base.cpu->kernels->elementwise->unary[MLS__UNARY_CLIP](y, x, n, params);
}

static float half_bound(const clip_kernel *k, const void *bound, float otherwise)
{
    if (bound)
        k->half.to_f32(&otherwise, bound, 1);
    return otherwise;
}

static void clip_half(const clip_kernel *k, void *y, const void *x, int64_t n, const void *low,
                      const void *high)
{
    const float params[] = {half_bound(k, low, -k->half_largest),
                            half_bound(k, high, k->half_largest)};
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        float block[MLS__BLOCK];
        k->half.to_f32(block, (const uint16_t *) x + i, m);
        k->base.cpu->kernels->elementwise->unary[MLS__UNARY_CLIP](block, block, m, params);
        k->half.from_f32((uint16_t *) y + i, block, m);
    }
}

/* Comparisons with a NaN are false: each is so placed that this leaves x as it is. */
#define CLIP_LOOP(name, T, least, largest)                                                         \
    static void name(const clip_kernel *k, void *y, const void *x, int64_t n, const void *low,     \
                     const void *high)                                                             \
    {                                                                                              \
        const T a = low ? *(const T *) low : (least);                                              \
        const T b = high ? *(const T *) high : (largest);                                          \
        const T *p = x;                                                                            \
        T *out = y;                                                                                \
        (void) k;                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T raised = a > p[i] ? a : p[i];                                                  \
            out[i] = b < raised ? b : raised;                                                      \
        }                                                                                          \
    }

CLIP_LOOP(clip_f64, double, -DBL_MAX, DBL_MAX)
CLIP_LOOP(clip_i8, int8_t, INT8_MIN, INT8_MAX)
CLIP_LOOP(clip_i16, int16_t, INT16_MIN, INT16_MAX)
CLIP_LOOP(clip_i32, int32_t, INT32_MIN, INT32_MAX)
CLIP_LOOP(clip_i64, int64_t, INT64_MIN, INT64_MAX)
CLIP_LOOP(clip_u8, uint8_t, 0, UINT8_MAX)
CLIP_LOOP(clip_u16, uint16_t, 0, UINT16_MAX)
CLIP_LOOP(clip_u32, uint32_t, 0, UINT32_MAX)
CLIP_LOOP(clip_u64, uint64_t, 0, UINT64_MAX)

static const struct {
    int32_t dtype;
    void (*run)(const clip_kernel *, void *, const void *, int64_t, const void *, const void *);
} runs[] = {
    {MLS_FLOAT32, clip_f32},   {MLS_FLOAT64, clip_f64}, {MLS_FLOAT16, clip_half},
    {MLS_BFLOAT16, clip_half}, {MLS_INT8, clip_i8},     {MLS_INT16, clip_i16},
    {MLS_INT32, clip_i32},     {MLS_INT64, clip_i64},   {MLS_UINT8, clip_u8},
    {MLS_UINT16, clip_u16},    {MLS_UINT32, clip_u32},  {MLS_UINT64, clip_u64},
};

/* --- the kernel ------------------------------------------------------------------------------ */

typedef struct work {
    const clip_kernel *kernel;
    char *y;
    const char *x;
    const void *low, *high;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const clip_kernel *k = w->kernel;
    k->run(k, w->y + begin * k->size, w->x + begin * k->size, end - begin, w->low, w->high);
    return MLS_OK;
}

/* Copies: with one element, the output may be in a bound's memory. */
static void read_bounds(const clip_kernel *k, const void *const *inputs, uint64_t bounds[2])
{
    for (size_t i = 0; i < 2; i++) {
        bounds[i] = k->bounds[i].attribute;
        if (k->bounds[i].is_input)
            memcpy(&bounds[i], inputs[1 + i], k->size);
    }
}

static mls_status clip_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                            const int64_t *steps, int64_t n)
{
    const clip_kernel *k = (const clip_kernel *) base;
    uint64_t bounds[2];
    (void) steps;
    read_bounds(k, x, bounds);
    k->run(k, y, x[0], n, k->bounds[0].is_given ? &bounds[0] : NULL,
           k->bounds[1].is_given ? &bounds[1] : NULL);
    return MLS_OK;
}

static mls_status clip_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const clip_kernel *k = (const clip_kernel *) base;
    void *const *buffers = call->buffers;
    uint64_t bounds[2];
    if (!k->count)
        return MLS_OK;
    read_bounds(k, (const void *const *) buffers, bounds);
    work w = {k, buffers[k->output], buffers[0], k->bounds[0].is_given ? &bounds[0] : NULL,
              k->bounds[1].is_given ? &bounds[1] : NULL};
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
}

static mls_status clip_reshape(mls_kernel *base, const mls_op *op)
{
    clip_kernel *k = (clip_kernel *) base;
    k->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status read_bound(clip_kernel *k, const mls_op *op, const char *name, size_t input,
                             clip_bound *bound)
{
    const mls_attr *attr = mls__op_attr(op, name);
    bound->is_input = mls__op_input(op, input) != NULL;
    bound->is_given = bound->is_input || attr;
    if (bound->is_input || !attr)
        return MLS_OK;
    if (!mls__float_element(k->base.cpu, op->inputs[0].dtype, attr->f, &bound->attribute))
        return mls__op_error(op, MLS_EDTYPE, "attribute %s bounds %s; only floats can be", name,
                             mls_dtype_name((mls_dtype) op->inputs[0].dtype));
    return MLS_OK;
}

/* With bounds that never change it is the vector kernel and nothing else. */
static void fix_bounds(clip_kernel *k, const mls_op *op)
{
    const float most[] = {-FLT_MAX, FLT_MAX};
    for (size_t i = 0; i < 2; i++) {
        const mls_arg *input = mls__op_input(op, 1 + i);
        if (input && (!input->weight_id || !input->data))
            return;
        const void *bound = input ? input->data : &k->bounds[i].attribute;
        memcpy(&k->params[i], k->bounds[i].is_given ? bound : &most[i], sizeof k->params[i]);
    }
    k->base.unary = k->base.cpu->kernels->elementwise->unary[MLS__UNARY_CLIP];
    k->base.params = k->params;
}

static mls_status clip_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    clip_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "clip", clip_run, &k);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (runs[i].dtype == dtype)
            k->run = runs[i].run;
    status = k->run ? read_bound(k, op, "min", 1, &k->bounds[0]) : mls__cpu_dtype_error(op, 0);
    if (!status)
        status = read_bound(k, op, "max", 2, &k->bounds[1]);
    if (status) {
        k->base.base.free(&k->base.base);
        return status;
    }
    if (dtype == MLS_FLOAT32)
        fix_bounds(k, op);
    k->half = mls__half_of(cpu, dtype);
    k->half_largest = dtype == MLS_FLOAT16 ? 65504.0f : 0x1.fep127f;
    k->base.base.reshape = clip_reshape;
    k->base.tile = clip_tile;
    k->size = (uint8_t) mls_dtype_size((mls_dtype) dtype);
    k->threads = op->threads;
    k->output = (uint8_t) op->input_count;
    *ret_kernel = &k->base.base;
    return clip_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_clip = {
    {"", "Clip", clip_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
