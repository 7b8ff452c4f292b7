/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_product.h. */
#include "backend/cpu/ops/ml_product.h"

#include "backend/cpu/ops/pack.h"
#include "base/error.h"

static void fill(void *block, void *arg)
{
    mls__pack(arg, block);
}

static mls_status pack(mls__ml_product *product, const mls__cpu *cpu, const mls_op *op,
                       uint32_t part, const float *matrix)
{
    const mls__gemm *gemm = &product->gemm;
    mls__pack_source source = {.elementwise = cpu->kernels->elementwise,
                               .data = matrix,
                               .dtype = MLS_FLOAT32,
                               .is_transposed = true,
                               .k = gemm->k,
                               .n = gemm->n};
    struct {
        char what[8];
        uint64_t node_id;
        int64_t n, k;
        uint64_t part;
    } key = {"panels", op->node_id, gemm->n, gemm->k, part};
    size_t bytes;
    if (!mls__pack_size(gemm->k, gemm->n, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "the coefficients are more than memory can hold");
    product->gemm.b = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill, &source);
    return product->gemm.b ? MLS_OK : mls__error_nomem(bytes);
}

mls_status mls__ml_product_init(mls__ml_product *product, const mls__cpu *cpu, const mls_op *op,
                                uint32_t part, const float *matrix, int64_t n, int64_t k)
{
    *product = (mls__ml_product){
        .gemm = {.n = n,
                 .k = k,
                 .a_row = k,
                 .a_step = 1,
                 .b = matrix,
                 .c_step = 1,
                 .alpha = 1.0f,
                 .beta = 1.0f,
                 .y_row = n},
        .is_narrow = mls__gemm_is_narrow(n, k),
    };
    return product->is_narrow ? MLS_OK : pack(product, cpu, op, part, matrix);
}

void mls__ml_product_run(const mls__ml_product *product, const mls__cpu *cpu, const float *x,
                         int64_t rows, float *y)
{
    const mls__gemm_kernels *kernels = cpu->kernels->gemm;
    mls__gemm gemm = product->gemm;
    gemm.a = x;
    gemm.y = y;
    if (product->is_narrow)
        kernels->narrow(&gemm, 0, rows);
    else
        kernels->wide(&gemm, 0, rows, 0, mls__gemm_panels(gemm.n));
}
