/* SPDX-License-Identifier: Apache-2.0 */
/* Products of float64 and integers: everything is taken as it lies. */
#include "backend/cpu/ops/product.h"

#include "backend/cpu/ops/ranges.h"

/* Rows: a block of B is copied for each thread. */
#define GRAIN 64

typedef struct work {
    mls__gemm_plain gemm;
    mls__gemm_plain_fn run;
} work;

static mls__gemm_plain_fn function_of(const mls__product *p)
{
    const mls__gemm_kernels *kernels = p->base.cpu->kernels->gemm;
    if (p->dtype == MLS_FLOAT64)
        return kernels->float64;
    return mls_dtype_size((mls_dtype) p->dtype) == 4 ? kernels->uint32 : kernels->uint64;
}

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    w->run(&w->gemm, begin, end - begin);
    return MLS_OK;
}

static void run_product(const mls__product *p, const mls_kernel_call *call, int64_t index)
{
    const mls__product_shape *s = &p->shape;
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) p->dtype);
    const char *a = call->buffers[0], *b = call->buffers[1];
    char *y = call->buffers[p->y_index];
    int64_t a_index, b_index;
    mls__product_matrices(s, index, &a_index, &b_index);
    work w = {.run = function_of(p)};
    w.gemm = (mls__gemm_plain){
        .n = s->n,
        .k = s->k,
        .a = a ? a + a_index * s->m * s->k * size : y, /* nothing is read where k is 0 */
        .a_row = p->is_a_turned ? 1 : s->k,
        .a_step = p->is_a_turned ? s->m : 1,
        .b = b ? b + b_index * s->k * s->n * size : y,
        .b_row = p->is_b_turned ? 1 : s->n,
        .b_step = p->is_b_turned ? s->k : 1,
        .c = p->has_c ? call->buffers[2] : NULL,
        .c_row = s->c_row,
        .c_step = s->c_step,
        .alpha = (double) p->alpha,
        .beta = (double) p->beta,
        .y = y + index * s->m * s->n * size,
        .y_row = s->n,
    };
    mls__cpu_ranges(call, mls__product_is_large(s) ? p->threads : 1, s->m, GRAIN, run_rows, &w);
}

mls_status mls__product_run_plain(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__product *p = (const mls__product *) kernel;
    for (int64_t i = 0; i < p->shape.count && p->shape.m && p->shape.n; i++)
        run_product(p, call, i);
    return MLS_OK;
}
