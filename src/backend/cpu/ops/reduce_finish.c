/* SPDX-License-Identifier: Apache-2.0 */
/* What comes before and after a reduction: other dtypes, means, roots, logarithms. */
#include "backend/cpu/ops/reduce.h"

#include "backend/cpu/math/f64.h"
#include "backend/cpu/ops/convert.h"

#include <math.h>
#include <string.h>

/* --- widening -------------------------------------------------------------------------------- */

/* A block of integers, in the type of the computation. */
static void widen_block(const mls__reduce *r, const void *x, void *ret_wide, int64_t n)
{
    mls__wide wide;
    mls__widen(r->dtype, &wide, x, n);
    if (r->type == MLS__REDUCE_F64) {
        const bool is_unsigned = mls__wide_kind_of(r->dtype) == MLS__WIDE_UINT;
        for (int64_t i = 0; i < n; i++)
            wide.f[i] = is_unsigned ? (double) wide.u[i] : (double) wide.i[i];
    }
    memcpy(ret_wide, &wide, (size_t) n * sizeof wide.f[0]);
}

void mls__reduce_widen(const mls__reduce *r, const void *x, void *wide, int64_t begin, int64_t end)
{
    if (mls__is_half(r->dtype)) {
        r->half.to_f32((float *) wide + begin, (const uint16_t *) x + begin, end - begin);
        return;
    }
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) r->dtype);
    for (int64_t i = begin; i < end; i += MLS__BLOCK)
        widen_block(r, (const char *) x + i * size, (char *) wide + i * 8,
                    end - i < MLS__BLOCK ? end - i : MLS__BLOCK);
}

/* --- finishing ------------------------------------------------------------------------------- */

static void finish_f32(const mls__reduce *r, float *y, int64_t n)
{
    const mls__elementwise_kernels *kernels = r->base.cpu->kernels->elementwise;
    const float count = (float) r->reduced_count;
    if (r->finish == MLS__FINISH_MEAN)
        kernels->binary[MLS__BINARY_DIV](y, y, 1, &count, 0, n);
    else if (r->finish == MLS__FINISH_SQRT)
        kernels->unary[MLS__UNARY_SQRT](y, y, n, NULL);
    else if (r->finish == MLS__FINISH_LOG)
        kernels->unary[MLS__UNARY_LOG](y, y, n, NULL);
}

static double finished(const mls__reduce *r, double y)
{
    if (r->finish == MLS__FINISH_MEAN)
        return y / (double) r->reduced_count;
    if (r->finish == MLS__FINISH_SQRT)
        return sqrt(y);
    return r->finish == MLS__FINISH_LOG ? mls__f64_log(y) : y;
}

static void finish_f64(const mls__reduce *r, double *y, int64_t n)
{
    for (int64_t i = 0; r->finish != MLS__FINISH_NONE && i < n; i++)
        y[i] = finished(r, y[i]);
}

/* Means of integers drop the fraction; of none it is 0. */
static void finish_integers(const mls__reduce *r, void *results, int64_t n)
{
    if (r->finish != MLS__FINISH_MEAN)
        return;
    const int64_t count = r->reduced_count;
    int64_t *y = results;
    uint64_t *u = results;
    for (int64_t i = 0; i < n; i++) {
        if (count == 0)
            y[i] = 0;
        else if (r->type == MLS__REDUCE_U64)
            u[i] /= (uint64_t) count;
        else
            y[i] /= count;
    }
}

/* --- narrowing ------------------------------------------------------------------------------- */

/* The extreme of no elements is the dtype's own. */
static int64_t clamped(int32_t dtype, int64_t value)
{
    static const struct {
        int64_t low, high;
    } ranges[] = {
        [MLS_BOOL] = {0, 1},
        [MLS_INT8] = {INT8_MIN, INT8_MAX},
        [MLS_INT16] = {INT16_MIN, INT16_MAX},
        [MLS_INT32] = {INT32_MIN, INT32_MAX},
        [MLS_UINT8] = {0, UINT8_MAX},
        [MLS_UINT16] = {0, UINT16_MAX},
        [MLS_UINT32] = {0, UINT32_MAX},
    };
    const int64_t low = ranges[dtype].low, high = ranges[dtype].high;
    return value < low ? low : value > high ? high : value;
}

static void narrow_integers(const mls__reduce *r, const void *results, void *y, int64_t n)
{
    static const mls__cast_rules rules = {.saturate = false};
    const bool is_unsigned = r->type == MLS__REDUCE_U64;
    const bool is_extreme = r->op == MLS__REDUCE_MAX || r->op == MLS__REDUCE_MIN;
    const bool is_float = r->finish == MLS__FINISH_SQRT || r->finish == MLS__FINISH_LOG;
    mls__wide wide;
    memcpy(&wide, results, (size_t) n * sizeof wide.i[0]);
    for (int64_t i = 0; is_float && i < n; i++)
        wide.f[i] = finished(r, is_unsigned ? (double) wide.u[i] : (double) wide.i[i]);
    for (int64_t i = 0; is_extreme && i < n; i++)
        wide.i[i] = clamped(r->dtype, wide.i[i]);
    const mls__wide_kind kind = is_float      ? MLS__WIDE_FLOAT
                                : is_unsigned ? MLS__WIDE_UINT
                                              : MLS__WIDE_INT;
    mls__narrow(r->dtype, kind, &wide, y, n, &rules);
}

static void narrow_f64(const mls__reduce *r, const void *results, void *y, int64_t n)
{
    static const mls__cast_rules rules = {.saturate = false};
    mls__wide wide;
    memcpy(&wide, results, (size_t) n * sizeof wide.f[0]);
    mls__narrow(r->dtype, MLS__WIDE_FLOAT, &wide, y, n, &rules);
}

static void narrow(const mls__reduce *r, const void *results, void *y, int64_t begin, int64_t end)
{
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) r->dtype);
    if (r->type == MLS__REDUCE_F32) {
        r->half.from_f32((uint16_t *) y + begin, (const float *) results + begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i += MLS__BLOCK) {
        const int64_t n = end - i < MLS__BLOCK ? end - i : MLS__BLOCK;
        const char *block = (const char *) results + i * 8;
        (r->type == MLS__REDUCE_F64 ? narrow_f64 : narrow_integers)(r, block, (char *) y + i * size,
                                                                    n);
    }
}

void mls__reduce_results(const mls__reduce *r, void *results, void *y, int64_t begin, int64_t end)
{
    char *own = (char *) results + begin * mls__reduce_size(r);
    if (r->type == MLS__REDUCE_F32)
        finish_f32(r, (float *) (void *) own, end - begin);
    else if (r->type == MLS__REDUCE_F64)
        finish_f64(r, (double *) (void *) own, end - begin);
    else
        finish_integers(r, own, end - begin);
    if (r->narrows)
        narrow(r, results, y, begin, end);
}
