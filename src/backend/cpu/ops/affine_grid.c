/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AffineGrid: evenly spaced places from -1 to 1, taken elsewhere by a matrix. In float64, rounded
 * once.
 */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

/* Fewer places are not worth a second thread. */
#define GRAIN 4096

typedef struct affine_kernel {
    mls__cpu_kernel base;
    int32_t dtype;
    int64_t size; /* bytes of an element */
    bool aligns_corners;
    uint32_t threads;
    int rank;                 /* 2 or 3 */
    int64_t batches, dims[3]; /* the outermost first */
} affine_kernel;

static double place_of(const affine_kernel *k, int64_t i, int64_t count)
{
    if (k->aligns_corners)
        return count > 1 ? -1 + (double) i * (2.0 / (double) (count - 1)) : -1;
    const double step = 2.0 / (double) count;
    return -1 + step / 2 + (double) i * step;
}

typedef struct work {
    const affine_kernel *kernel;
    const char *matrices;
    char *y;
} work;

/* The innermost dimension is the first coordinate. */
static void make_point(const affine_kernel *k, const double *matrix, int64_t point, char *y)
{
    static const mls__cast_rules rules;
    double place[3];
    mls__wide results;
    for (int i = 0; i < k->rank; i++) {
        const int64_t count = k->dims[k->rank - 1 - i];
        place[i] = place_of(k, point % count, count);
        point /= count;
    }
    for (int row = 0; row < k->rank; row++) {
        const double *factors = matrix + row * (k->rank + 1);
        double sum = factors[0] * place[0];
        for (int i = 1; i < k->rank; i++)
            sum += factors[i] * place[i];
        results.f[row] = sum + factors[k->rank];
    }
    mls__narrow(k->dtype, MLS__WIDE_FLOAT, &results, y, k->rank, &rules);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const affine_kernel *k = w->kernel;
    const int64_t points = k->dims[0] * k->dims[1] * k->dims[2];
    const int64_t elements = k->rank * (k->rank + 1);
    mls__wide matrix;
    for (int64_t i = begin; i < end; i++) {
        if (i == begin || i % points == 0)
            mls__widen(k->dtype, &matrix, w->matrices + i / points * elements * k->size, elements);
        make_point(k, matrix.f, i % points, w->y + i * k->rank * k->size);
    }
    return MLS_OK;
}

static mls_status affine_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const affine_kernel *k = (const affine_kernel *) base;
    const int64_t count = k->batches * k->dims[0] * k->dims[1] * k->dims[2];
    work w = {k, call->buffers[0], call->buffers[2]};
    return count ? mls__cpu_ranges(call, k->threads, count, GRAIN, run_range, &w) : MLS_OK;
}

static mls_status affine_reshape(mls_kernel *base, const mls_op *op)
{
    affine_kernel *k = (affine_kernel *) base;
    const mls_arg *y = &op->outputs[0];
    k->rank = y->rank - 2;
    k->batches = y->dims[0];
    k->dims[2] = 1;
    for (int i = 0; i < k->rank; i++)
        k->dims[i] = y->dims[1 + i];
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    affine_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "affine_grid", affine_run, &k);
    if (status)
        return status;
    k->base.base.reshape = affine_reshape;
    k->dtype = op->inputs[0].dtype;
    k->size = (int64_t) mls_dtype_size((mls_dtype) k->dtype);
    k->aligns_corners = mls__op_int(op, "align_corners", 0) != 0;
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return affine_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_affine_grid = {
    {"", "AffineGrid", create, 0},
    {.type = NULL},
};
