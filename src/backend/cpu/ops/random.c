/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RandomUniform, RandomNormal, Bernoulli and TrainingDropout: a number of the sequence makes an
 * element. All is computed in float64 and rounded once, so that the elements of one dtype are
 * those of another but for rounding.
 */
#include "backend/cpu/ops/random.h"

#include "backend/cpu/math/f64.h"
#include "backend/cpu/math/turn.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"
#include "base/hash.h"

#include <math.h>

/* Elements that are worth a second thread. */
#define GRAIN 4096

mls__rng mls__op_rng(const mls_op *op)
{
    static const uint64_t no_seed[2] = {0, 0};
    mls__rng rng = {{0, 0}};
    const mls_attr *seed = mls__op_attr(op, "seed");
    if (seed && seed->type == MLS_ATTR_FLOAT) {
        memcpy(&rng.key[0], &seed->f, sizeof seed->f);
        return rng;
    }
    if (seed) { /* that of Dropout is an int */
        memcpy(rng.key, &seed->i, sizeof rng.key);
        return rng;
    }
    const uint64_t hash = mls__hash_bytes(no_seed, op->node, strlen(op->node));
    return (mls__rng){{(uint32_t) hash, (uint32_t) (hash >> 32) | 1}};
}

typedef struct random_kernel random_kernel;

/* Elements [begin, begin + n) of the output, n <= MLS__BLOCK and `begin` a multiple of it. */
typedef void (*draw_fn)(const random_kernel *kernel, const mls_kernel_call *call, int64_t begin,
                        int64_t n, mls__wide *ret_numbers);

struct random_kernel {
    mls__cpu_kernel base;
    mls__rng rng;
    draw_fn draw;
    int32_t input_dtype, dtype, ratio_dtype;
    mls__wide_kind kind; /* of what draw() leaves */
    int64_t size;        /* bytes of an element of the output */
    int64_t count;
    double first, second; /* low and high, or mean and scale */
    uint32_t threads;
    size_t output; /* its position among the buffers */
    bool has_mask;
};

typedef struct work {
    const random_kernel *kernel;
    const mls_kernel_call *call;
} work;

/* --- what is drawn ---------------------------------------------------------------------------- */

static void draw_uniform(const random_kernel *kernel, const mls_kernel_call *call, int64_t begin,
                         int64_t n, mls__wide *ret_numbers)
{
    (void) call;
    const double low = kernel->first, span = kernel->second - kernel->first;
    mls__rng_uniform(kernel->rng, (uint64_t) begin, ret_numbers->f, n);
    for (int64_t i = 0; i < n; i++)
        ret_numbers->f[i] = low + ret_numbers->f[i] * span;
}

/*
 * The pairs of Box and Muller ("A note on the generation of random normal deviates", 1958): two
 * numbers make a radius and an angle, of which one element has the cosine and the next the sine.
 * The last element may lack its partner, whose number is drawn too.
 */
static void draw_normal(const random_kernel *kernel, const mls_kernel_call *call, int64_t begin,
                        int64_t n, mls__wide *ret_numbers)
{
    (void) call;
    double *numbers = ret_numbers->f;
    mls__rng_uniform(kernel->rng, (uint64_t) begin, numbers, n + n % 2);
    for (int64_t i = 0; i < n; i += 2) {
        double x, y;
        const double radius = sqrt(-2.0 * mls__f64_log(1.0 - numbers[i]));
        mls__f64_turn((uint64_t) (numbers[i + 1] * 0x1p53), UINT64_C(1) << 53, &x, &y);
        numbers[i] = kernel->first + kernel->second * (radius * x);
        numbers[i + 1] = kernel->first + kernel->second * (radius * y);
    }
}

static void draw_bernoulli(const random_kernel *kernel, const mls_kernel_call *call, int64_t begin,
                           int64_t n, mls__wide *ret_numbers)
{
    double numbers[MLS__BLOCK];
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) kernel->input_dtype);
    mls__wide chances;
    mls__widen(kernel->input_dtype, &chances, (const char *) call->buffers[0] + begin * size, n);
    mls__rng_uniform(kernel->rng, (uint64_t) begin, numbers, n);
    for (int64_t i = 0; i < n; i++)
        ret_numbers->i[i] = numbers[i] < chances.f[i];
}

/* Whether elements may be dropped, and how many of them. */
static double ratio_of(const random_kernel *kernel, const mls_kernel_call *call)
{
    mls__wide ratio = {.f = {0.5}};
    if (!*(const uint8_t *) call->buffers[2])
        return 0;
    if (kernel->ratio_dtype != MLS_DTYPE_NONE)
        mls__widen(kernel->ratio_dtype, &ratio, call->buffers[1], 1);
    return ratio.f[0];
}

static void draw_dropout(const random_kernel *kernel, const mls_kernel_call *call, int64_t begin,
                         int64_t n, mls__wide *ret_numbers)
{
    double numbers[MLS__BLOCK];
    const double ratio = ratio_of(kernel, call), scale = 1 / (1 - ratio);
    const char *x = (const char *) call->buffers[0] + begin * kernel->size;
    uint8_t *mask = kernel->has_mask ? call->buffers[kernel->output + 1] : NULL;
    mls__widen(kernel->dtype, ret_numbers, x, n);
    mls__rng_uniform(kernel->rng, (uint64_t) begin, numbers, n);
    for (int64_t i = 0; i < n; i++) {
        const bool is_kept = numbers[i] >= ratio;
        ret_numbers->f[i] = is_kept ? ret_numbers->f[i] * scale : 0.0;
        if (mask)
            mask[begin + i] = is_kept;
    }
}

/* --- kernels ---------------------------------------------------------------------------------- */

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    static const mls__cast_rules rules = {.saturate = true};
    const work *w = arg;
    const random_kernel *kernel = w->kernel;
    char *y = w->call->buffers[kernel->output];
    mls__wide numbers;
    for (int64_t i = begin; i < end; i += MLS__BLOCK) {
        const int64_t n = end - i < MLS__BLOCK ? end - i : MLS__BLOCK;
        kernel->draw(kernel, w->call, i, n, &numbers);
        mls__narrow(kernel->dtype, kernel->kind, &numbers, y + i * kernel->size, n, &rules);
    }
    return MLS_OK;
}

static mls_status run_random(const mls_kernel *base, const mls_kernel_call *call)
{
    const random_kernel *kernel = (const random_kernel *) base;
    work w = {kernel, call};
    return mls__cpu_ranges(call, kernel->threads, kernel->count, GRAIN, run_range, &w);
}

static mls_status run_dropout(const mls_kernel *base, const mls_kernel_call *call)
{
    const double ratio = ratio_of((const random_kernel *) base, call);
    if (!(ratio >= 0 && ratio < 1))
        return mls__cpu_run_error(base, MLS_ERANGE,
                                  "input 1, the ratio, is %g; it must be in [0, 1)", ratio);
    return run_random(base, call);
}

static mls_status plan_random(mls_kernel *base, const mls_op *op)
{
    ((random_kernel *) base)->count = mls__arg_count(&op->outputs[0]);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name, draw_fn draw,
                         random_kernel **ret_kernel)
{
    random_kernel *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, name, run_random, &kernel);
    if (status)
        return status;
    kernel->base.base.reshape = plan_random;
    kernel->rng = mls__op_rng(op);
    kernel->draw = draw;
    kernel->kind = MLS__WIDE_FLOAT;
    kernel->dtype = op->outputs[0].dtype;
    kernel->input_dtype = op->input_count ? op->inputs[0].dtype : MLS_DTYPE_NONE;
    kernel->size = (int64_t) mls_dtype_size((mls_dtype) kernel->dtype);
    kernel->threads = op->threads;
    kernel->output = op->input_count;
    *ret_kernel = kernel;
    return plan_random(&kernel->base.base, op);
}

/* A distribution of two parameters, which are 0 and 1 where they are not given. */
static mls_status create_of_two(const mls__cpu *cpu, const mls_op *op, const char *name,
                                draw_fn draw, const char *first, const char *second,
                                mls_kernel **ret_kernel)
{
    random_kernel *kernel;
    const mls_status status = create(cpu, op, name, draw, &kernel);
    if (status)
        return status;
    kernel->first = (double) mls__op_float(op, first, 0);
    kernel->second = (double) mls__op_float(op, second, 1);
    *ret_kernel = &kernel->base.base;
    return MLS_OK;
}

static mls_status create_uniform(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create_of_two(cpu, op, "random_uniform", draw_uniform, "low", "high", ret_kernel);
}

static mls_status create_normal(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create_of_two(cpu, op, "random_normal", draw_normal, "mean", "scale", ret_kernel);
}

static mls_status create_bernoulli(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    random_kernel *kernel;
    const mls_status status = create(cpu, op, "bernoulli", draw_bernoulli, &kernel);
    if (status)
        return status;
    kernel->kind = MLS__WIDE_INT;
    *ret_kernel = &kernel->base.base;
    return MLS_OK;
}

static mls_status create_dropout(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    random_kernel *kernel;
    const mls_status status = create(cpu, op, "training_dropout", draw_dropout, &kernel);
    if (status)
        return status;
    kernel->base.base.run = run_dropout;
    kernel->ratio_dtype = op->inputs[1].dtype;
    kernel->has_mask = op->output_count > 1;
    *ret_kernel = &kernel->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_random = {
    {"", "RandomNormal", create_normal, 0},
    {"", "RandomNormalLike", create_normal, 0},
    {"", "RandomUniform", create_uniform, 0},
    {"", "RandomUniformLike", create_uniform, 0},
    {"", "Bernoulli", create_bernoulli, 0},
    {"mlscale", "TrainingDropout", create_dropout, MLS__CPU_IN_PLACE_OF_FIRST},
    {.type = NULL},
};
