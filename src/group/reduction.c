/* SPDX-License-Identifier: Apache-2.0 */
/* The elementwise part of reductions. */
#include "group/reduction.h"

#include "group/halves.h"
#include "group/stream.h"

#include <string.h>

/* Where an op is a constant, so that each gets loops of its own. */
#define WITH_OP static inline __attribute__((always_inline))

/* A lane's worth of elements at a time, so that compilers use vectors whatever the count. */
#define LANES 16

static const char *const names[] = {
    [MLS_REDUCE_SUM] = "sum", [MLS_REDUCE_PRODUCT] = "product", [MLS_REDUCE_MIN] = "min",
    [MLS_REDUCE_MAX] = "max", [MLS_REDUCE_MEAN] = "mean",       [MLS_REDUCE_USER] = "user's",
};

const char *mls__reduction_name(uint32_t op)
{
    return op >= MLS_REDUCE_SUM && op <= MLS_REDUCE_USER ? names[op] : "?";
}

/*
 * Of two elements. NaN wins: the first of two. Integers wrap, which in C only unsigned ones
 * do.
 */
WITH_OP float join_f32(uint32_t op, float a, float b)
{
    switch (op) {
    case MLS_REDUCE_PRODUCT:
        return a * b;
    case MLS_REDUCE_MIN:
        return a != a || a < b ? a : b != b || b < a ? b : a;
    case MLS_REDUCE_MAX:
        return a != a || a > b ? a : b != b || b > a ? b : a;
    default:
        return a + b;
    }
}

WITH_OP double join_f64(uint32_t op, double a, double b)
{
    switch (op) {
    case MLS_REDUCE_PRODUCT:
        return a * b;
    case MLS_REDUCE_MIN:
        return a != a || a < b ? a : b != b || b < a ? b : a;
    case MLS_REDUCE_MAX:
        return a != a || a > b ? a : b != b || b > a ? b : a;
    default:
        return a + b;
    }
}

WITH_OP int64_t join_i64(uint32_t op, int64_t a, int64_t b)
{
    switch (op) {
    case MLS_REDUCE_PRODUCT:
        return (int64_t) ((uint64_t) a * (uint64_t) b);
    case MLS_REDUCE_MIN:
        return a < b ? a : b;
    case MLS_REDUCE_MAX:
        return a > b ? a : b;
    default:
        return (int64_t) ((uint64_t) a + (uint64_t) b);
    }
}

/* The low half is that of the wider sum or product. */
WITH_OP int32_t join_i32(uint32_t op, int32_t a, int32_t b)
{
    return (int32_t) join_i64(op, a, b);
}

WITH_OP void loop_f32(uint32_t op, const float *a, const float *b, float *r, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float lanes[LANES];
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = join_f32(op, a[i + k], b[i + k]);
        memcpy(r + i, lanes, sizeof lanes);
    }
    for (; i < n; i++)
        r[i] = join_f32(op, a[i], b[i]);
}

WITH_OP void loop_f64(uint32_t op, const double *a, const double *b, double *r, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        double lanes[LANES];
        for (size_t k = 0; k < LANES; k++)
            lanes[k] = join_f64(op, a[i + k], b[i + k]);
        memcpy(r + i, lanes, sizeof lanes);
    }
    for (; i < n; i++)
        r[i] = join_f64(op, a[i], b[i]);
}

WITH_OP void loop_i32(uint32_t op, const int32_t *a, const int32_t *b, int32_t *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r[i] = join_i32(op, a[i], b[i]);
}

WITH_OP void loop_i64(uint32_t op, const int64_t *a, const int64_t *b, int64_t *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r[i] = join_i64(op, a[i], b[i]);
}

WITH_OP void combine_with(uint32_t op, mls_dtype dtype, const void *a, const void *b, void *r,
                          size_t n)
{
    switch ((int) dtype) {
    case MLS_FLOAT64:
        loop_f64(op, a, b, r, n);
        break;
    case MLS_INT32:
        loop_i32(op, a, b, r, n);
        break;
    case MLS_INT64:
        loop_i64(op, a, b, r, n);
        break;
    default:
        loop_f32(op, a, b, r, n);
        break;
    }
}

static void add(void *user, mls_dtype dtype, const void *a, const void *b, void *r, size_t n)
{
    (void) user;
    combine_with(MLS_REDUCE_SUM, dtype, a, b, r, n);
}

static void multiply(void *user, mls_dtype dtype, const void *a, const void *b, void *r, size_t n)
{
    (void) user;
    combine_with(MLS_REDUCE_PRODUCT, dtype, a, b, r, n);
}

static void take_min(void *user, mls_dtype dtype, const void *a, const void *b, void *r, size_t n)
{
    (void) user;
    combine_with(MLS_REDUCE_MIN, dtype, a, b, r, n);
}

static void take_max(void *user, mls_dtype dtype, const void *a, const void *b, void *r, size_t n)
{
    (void) user;
    combine_with(MLS_REDUCE_MAX, dtype, a, b, r, n);
}

static const mls_combine_fn combines[] = {
    [MLS_REDUCE_SUM] = add,      [MLS_REDUCE_PRODUCT] = multiply, [MLS_REDUCE_MIN] = take_min,
    [MLS_REDUCE_MAX] = take_max, [MLS_REDUCE_MEAN] = add,
};

bool mls__reduction_can(uint32_t op, int32_t dtype)
{
    switch (dtype) {
    case MLS_FLOAT32:
    case MLS_FLOAT64:
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        return true;
    case MLS_INT32:
    case MLS_INT64:
        return op != MLS_REDUCE_MEAN;
    default:
        return op == MLS_REDUCE_USER && dtype != MLS_STRING;
    }
}

void mls__reduction_make(uint32_t op, int32_t dtype, mls_combine_fn combine, void *user,
                         uint32_t shards, mls__reduction *ret_reduction)
{
    const bool is_half = dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16;
    const int32_t sum_dtype = is_half && op != MLS_REDUCE_USER ? MLS_FLOAT32 : dtype;
    ret_reduction->op = op;
    ret_reduction->dtype = dtype;
    ret_reduction->sum_dtype = sum_dtype;
    ret_reduction->size = mls_dtype_size((mls_dtype) dtype);
    ret_reduction->sum_size = mls_dtype_size((mls_dtype) sum_dtype);
    ret_reduction->combine = op == MLS_REDUCE_USER ? combine : combines[op];
    ret_reduction->user = user;
    ret_reduction->divisor = op == MLS_REDUCE_MEAN ? shards : 1;
    ret_reduction->streams = false;
}

/* Elements of the dtype as sums: where they lie, or in `place`. */
static const void *as_sums(const mls__reduction *r, mls__leaf leaf, size_t from, size_t count,
                           void *place)
{
    const unsigned char *data = leaf.data + from * (leaf.is_sum ? r->sum_size : r->size);
    if (leaf.is_sum || r->sum_dtype == r->dtype)
        return data;
    if (r->dtype == MLS_FLOAT16)
        mls__halves_from_float16((const void *) data, place, count);
    else
        mls__halves_from_bfloat16((const void *) data, place, count);
    return place;
}

static void divide(const mls__reduction *r, const void *sums, void *to, size_t count)
{
    if (r->sum_dtype == MLS_FLOAT64) {
        const double *from = sums;
        double *result = to;
        for (size_t i = 0; i < count; i++)
            result[i] = from[i] / r->divisor;
        return;
    }
    const float *from = sums;
    float *result = to;
    for (size_t i = 0; i < count; i++)
        result[i] = from[i] / (float) r->divisor;
}

/* `place` is free, or holds the sums. */
static void finish(const mls__reduction *r, const void *sums, bool is_final, void *result,
                   void *place, size_t count)
{
    if (is_final && r->divisor > 1) {
        void *quotients = r->sum_dtype == r->dtype && !r->streams ? result : place;
        divide(r, sums, quotients, count);
        sums = quotients;
    }
    if (is_final && r->sum_dtype != r->dtype && r->dtype == MLS_FLOAT16)
        mls__halves_to_float16(sums, result, count);
    else if (is_final && r->sum_dtype != r->dtype)
        mls__halves_to_bfloat16(sums, result, count);
    else if (sums != result && r->streams)
        mls__stream_copy(result, sums, count * r->sum_size);
    else if (sums != result)
        memcpy(result, sums, count * r->sum_size);
}

static void run_block(const mls__reduction *r, const mls__program *program, const mls__leaf *leaves,
                      size_t from, size_t count, bool is_final, unsigned char *result,
                      unsigned char *stack)
{
    const bool in_place = !r->streams && (!is_final || r->sum_dtype == r->dtype);
    const void *tops[32]; /* deeper than any tree */
    uint32_t height = 0;
    for (uint32_t i = 0; i < program->step_count; i++) {
        const int32_t step = program->steps[i];
        if (step != MLS__STEP_COMBINE) {
            void *place = stack + height * (size_t) MLS__REDUCTION_PLACE;
            tops[height] = as_sums(r, leaves[step], from, count, place);
            height++;
            continue;
        }
        height--;
        void *place = i + 1 == program->step_count && in_place
                          ? (void *) result
                          : stack + (height - 1) * (size_t) MLS__REDUCTION_PLACE;
        r->combine(r->user, (mls_dtype) r->sum_dtype, tops[height - 1], tops[height], place, count);
        tops[height - 1] = place;
    }
    finish(r, tops[0], is_final, result, stack, count);
}

/* Of two parts as they lie, and few elements of them: as much code as a sum of some takes. */
static void run_pair(const mls__reduction *r, const mls__program *program, const mls__leaf *leaves,
                     size_t count, bool is_final, void *result)
{
    r->combine(r->user, (mls_dtype) r->sum_dtype, leaves[program->steps[0]].data,
               leaves[program->steps[1]].data, result, count);
    if (is_final && r->divisor > 1)
        divide(r, result, result, count);
}

void mls__reduction_run(const mls__reduction *reduction, const mls__program *program,
                        const mls__leaf *leaves, size_t count, bool is_final, void *result,
                        unsigned char *stack)
{
    if (program->step_count == 3 && count && count <= MLS__REDUCTION_BLOCK && !reduction->streams &&
        reduction->sum_dtype == reduction->dtype) {
        run_pair(reduction, program, leaves, count, is_final, result);
        return;
    }
    const size_t step = is_final ? reduction->size : reduction->sum_size;
    unsigned char *to = result;
    for (size_t from = 0; from < count; from += MLS__REDUCTION_BLOCK) {
        const size_t left = count - from;
        run_block(reduction, program, leaves, from,
                  left < MLS__REDUCTION_BLOCK ? left : MLS__REDUCTION_BLOCK, is_final,
                  to + from * step, stack);
    }
    if (reduction->streams)
        mls__stream_end();
}
