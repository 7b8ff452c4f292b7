/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pow: a base and an exponent that may be of another dtype; the result is of the base's.
 *
 * - A float is raised in float64, whatever the exponent's dtype, and rounded to its own
 *   (a 16-bit float through float32). Floats of one dtype are the binary kernel's.
 * - An integer to an integer is exact and wraps around; a negative power is 0 save of 1
 *   and -1, and an error of 0. To a float it is raised in float64 and converted back as
 *   Cast would.
 * - A cube whose exponent is a constant of the model is two products in float64.
 */
#include "backend/cpu/math/f64.h"
#include "backend/cpu/ops/binary.h"
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 4096

typedef struct pow_kernel {
    mls__cpu_kernel base;
    /* n <= MLS__BLOCK elements of a run. */
    mls_status (*run)(const struct pow_kernel *kernel, void *y, const void *a, const void *b,
                      const int64_t *steps, int64_t n);
    int32_t a_dtype, b_dtype;
    mls__half half; /* where the base is one */
    uint32_t threads;
    uint8_t a_size, b_size; /* bytes of an element */
    mls__broadcast plan;
} pow_kernel;

static const mls__cast_rules no_rules = {false, MLS__POWER_UP};

/* How many elements an input has in a block: all or, of step 0, one. */
static int64_t in_block(int64_t step, int64_t n)
{
    return step ? n : 1;
}

/* --- integers to integers -------------------------------------------------------------------- */

static uint64_t raised(uint64_t base, uint64_t exponent)
{
    uint64_t product = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            product *= base;
        base *= base;
    }
    return product;
}

static int64_t raised_to_negative(int64_t base, int64_t exponent)
{
    if (base == -1)
        return exponent % 2 ? -1 : 1;
    return base == 1;
}

static mls_status run_integers(const pow_kernel *k, void *y, const void *a, const void *b,
                               const int64_t *steps, int64_t n)
{
    mls__wide p, q, result;
    const bool is_signed = mls__wide_kind_of(k->b_dtype) == MLS__WIDE_INT;
    mls__widen(k->a_dtype, &p, a, in_block(steps[0], n));
    mls__widen(k->b_dtype, &q, b, in_block(steps[1], n));
    for (int64_t i = 0; i < n; i++) {
        const int64_t base = p.i[i * steps[0]], exponent = q.i[i * steps[1]];
        const bool is_negative = is_signed && exponent < 0;
        if (is_negative && base == 0)
            return MLS_ERANGE;
        if (is_negative)
            result.i[i] = raised_to_negative(base, exponent);
        else
            result.u[i] = raised((uint64_t) base, (uint64_t) exponent);
    }
    mls__narrow(k->a_dtype, MLS__WIDE_INT, &result, y, n, &no_rules);
    return MLS_OK;
}

/* --- with a float ---------------------------------------------------------------------------- */

static void to_doubles(int32_t dtype, mls__wide *wide, const void *x, int64_t n)
{
    const mls__wide_kind kind = mls__wide_kind_of(dtype);
    mls__widen(dtype, wide, x, n);
    for (int64_t i = 0; kind != MLS__WIDE_FLOAT && i < n; i++)
        wide->f[i] = kind == MLS__WIDE_INT ? (double) wide->i[i] : (double) wide->u[i];
}

static mls_status run_doubles(const pow_kernel *k, void *y, const void *a, const void *b,
                              const int64_t *steps, int64_t n)
{
    mls__wide p, q, result;
    to_doubles(k->a_dtype, &p, a, in_block(steps[0], n));
    to_doubles(k->b_dtype, &q, b, in_block(steps[1], n));
    for (int64_t i = 0; i < n; i++) {
        result.f[i] = mls__f64_pow(p.f[i * steps[0]], q.f[i * steps[1]]);
        if (mls__is_half(k->a_dtype))
            result.f[i] = (double) (float) result.f[i];
    }
    mls__narrow(k->a_dtype, MLS__WIDE_FLOAT, &result, y, n, &no_rules);
    return MLS_OK;
}

static bool as_floats(const mls__wide *wide, float *ret_floats, int64_t n)
{
    bool is_exact = true;
    for (int64_t i = 0; i < n; i++) {
        ret_floats[i] = (float) wide->f[i];
        is_exact &= (double) ret_floats[i] == wide->f[i];
    }
    return is_exact;
}

/*
 * A base of 32 bits or fewer. The vector kernel gives what run_doubles() gives, sooner
 * where the exponent is one that has a shorter way.
 */
static mls_status run_floats(const pow_kernel *k, void *y, const void *a, const void *b,
                             const int64_t *steps, int64_t n)
{
    mls__wide q;
    float base[MLS__BLOCK], exponent[MLS__BLOCK], result[MLS__BLOCK];
    const bool is_half = mls__is_half(k->a_dtype);
    to_doubles(k->b_dtype, &q, b, in_block(steps[1], n));
    if (!as_floats(&q, exponent, in_block(steps[1], n)))
        return run_doubles(k, y, a, b, steps, n);
    if (is_half)
        k->half.to_f32(base, a, in_block(steps[0], n));
    k->base.cpu->kernels->elementwise->binary[MLS__BINARY_POW](
        is_half ? result : y, is_half ? base : a, steps[0], exponent, steps[1], n);
    if (is_half)
        k->half.from_f32(y, result, n);
    return MLS_OK;
}

/* The third power, where the exponent is one constant: the steps are not needed. */
static mls_status run_cube(const pow_kernel *k, void *y, const void *a, const void *b,
                           const int64_t *steps, int64_t n)
{
    mls__wide p;
    (void) b, (void) steps;
    mls__widen(k->a_dtype, &p, a, n);
    for (int64_t i = 0; i < n; i++) {
        p.f[i] = p.f[i] * p.f[i] * p.f[i];
        if (mls__is_half(k->a_dtype))
            p.f[i] = (double) (float) p.f[i];
    }
    mls__narrow(k->a_dtype, MLS__WIDE_FLOAT, &p, y, n, &no_rules);
    return MLS_OK;
}

/* --- the kernel ------------------------------------------------------------------------------ */

typedef struct work {
    const pow_kernel *kernel;
    char *y;
    const char *a, *b;
} work;

static mls_status pow_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                           const int64_t *steps, int64_t n)
{
    const pow_kernel *k = (const pow_kernel *) base;
    char *out = y;
    const char *a = x[0], *b = x[1];
    mls_status status = MLS_OK;
    for (int64_t i = 0; i < n && !status; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        status = k->run(k, out + i * k->a_size, a + i * steps[0] * k->a_size,
                        b + i * steps[1] * k->b_size, steps, m);
    }
    return status;
}

static mls_status run_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    const work *w = arg;
    const pow_kernel *k = w->kernel;
    const void *inputs[] = {w->a + x[0] * k->a_size, w->b + x[1] * k->b_size};
    return pow_tile(&k->base, w->y + y * k->a_size, inputs, k->plan.steps, n);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    return mls__broadcast_walk(&w->kernel->plan, begin, end, run_segment, arg);
}

static mls_status pow_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const pow_kernel *k = (const pow_kernel *) base;
    work w = {k, call->buffers[2], call->buffers[0], call->buffers[1]};
    if (!k->plan.count)
        return MLS_OK;
    const mls_status status =
        mls__cpu_ranges(call, k->threads, k->plan.count, GRAIN, run_range, &w);
    if (status)
        return mls__cpu_run_error(base, status, "%s", k->base.failure);
    return MLS_OK;
}

static mls_status pow_reshape(mls_kernel *base, const mls_op *op)
{
    pow_kernel *k = (pow_kernel *) base;
    mls__broadcast_plan(&k->plan, &op->outputs[0], op->inputs, 2);
    return MLS_OK;
}

static bool is_constant_three(const mls_arg *exponent)
{
    mls__wide wide;
    if (!exponent->weight_id || !exponent->data || mls__arg_count(exponent) != 1)
        return false;
    to_doubles(exponent->dtype, &wide, exponent->data, 1);
    return wide.f[0] == 3;
}

static mls_status pow_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t a = op->inputs[0].dtype, b = op->inputs[1].dtype;
    const bool is_float = mls__wide_kind_of(a) == MLS__WIDE_FLOAT;
    const bool is_cube = is_float && is_constant_three(&op->inputs[1]);
    pow_kernel *k;
    if (is_float && a == b && !is_cube)
        return mls__cpu_binary_create(cpu, op, ret_kernel);
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "pow", pow_run, &k);
    if (status)
        return status;
    if (is_float)
        k->run = is_cube ? run_cube : a == MLS_FLOAT64 ? run_doubles : run_floats;
    else
        k->run = mls__wide_kind_of(b) == MLS__WIDE_FLOAT ? run_doubles : run_integers;
    if (mls__is_half(a))
        k->half = mls__half_of(cpu, a);
    k->base.base.reshape = pow_reshape;
    k->base.tile = pow_tile;
    k->base.failure = "an integer 0 is raised to a negative power";
    k->a_dtype = a;
    k->b_dtype = b;
    k->a_size = (uint8_t) mls_dtype_size((mls_dtype) a);
    k->b_size = (uint8_t) mls_dtype_size((mls_dtype) b);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return pow_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_pow = {
    {"", "Pow", pow_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
