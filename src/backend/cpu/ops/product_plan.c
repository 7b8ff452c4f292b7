/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided before a product is run: how B is used, the workspace, constants. */
#include "backend/cpu/ops/product.h"

#include "backend/cpu/ops/pack.h"
#include "base/alloc.h"
#include "base/error.h"

/* Few rows do not pay for packing B. */
#define DIRECT_ROWS 32
/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 21)
/* Fewer take as long: the stream of B keeps them waiting. */
#define STREAM_ROWS 4

bool mls__product_is_large(const mls__product_shape *s)
{
    const double rows = s->m < STREAM_ROWS ? STREAM_ROWS : (double) s->m;
    return rows * (double) s->n * (double) s->k * (double) s->count >= LARGE_WORK;
}

/* --- what follows from dims ------------------------------------------------------------------ */

/* Whether each column of B lies in one piece. */
static bool lies_in_columns(const mls__product *p)
{
    return p->is_b_turned || p->shape.n == 1;
}

void mls__product_follow(mls__product *p)
{
    const mls__product_shape *s = &p->shape;
    p->is_narrow = mls__gemm_is_narrow(s->n, s->k);
    const bool is_direct =
        p->is_narrow ? lies_in_columns(p) : !p->is_b_turned && s->m <= DIRECT_ROWS;
    p->is_b_direct = is_direct && !p->is_half && !p->packed;
}

mls__pack_source mls__product_source(const mls__product *p, const void *b)
{
    return (mls__pack_source){.elementwise = p->base.cpu->kernels->elementwise,
                              .data = b,
                              .dtype = p->dtype,
                              .is_transposed = lies_in_columns(p),
                              .k = p->shape.k,
                              .n = p->shape.n};
}

/* Room for rows * columns floats, which `ret_offset` is set to; false when it overflows. */
static bool add_region(size_t *total, int64_t rows, int64_t columns, uint64_t *ret_offset)
{
    size_t count, bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__mul_size(count, sizeof(float), &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}

/* The columns of B that the workspace must hold, whatever smaller dims make of it. */
static int64_t packed_columns(const mls__product *p)
{
    const mls__product_shape *s = &p->shape;
    if (!p->is_half && !p->is_b_turned && s->m <= DIRECT_ROWS)
        return MLS__GEMM_PANEL;
    return mls__pack_columns(s->n);
}

mls_status mls__product_plan(mls__product *p, const mls_op *op)
{
    const mls__product_shape *s = &p->shape;
    const int64_t rows = s->m < MLS__PRODUCT_CHUNK_ROWS ? s->m : MLS__PRODUCT_CHUNK_ROWS;
    uint64_t b_offset;
    size_t bytes = 0, all;
    const bool fits =
        add_region(&bytes, p->packed ? 0 : s->k, packed_columns(p), &b_offset) &&
        add_region(&bytes, p->is_half || p->is_a_turned ? rows : 0, s->k, &p->a_offset) &&
        add_region(&bytes, p->is_half && p->has_c ? rows : 0, s->n, &p->c_offset) &&
        add_region(&bytes, p->is_half ? rows : 0, s->n, &p->y_offset) &&
        mls__mul_size(bytes, p->threads, &all);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    p->slot_bytes = bytes;
    p->base.base.workspace_bytes = all;
    return MLS_OK;
}

/* --- constants ------------------------------------------------------------------------------- */

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id;
    int64_t k, n;
    uint64_t is_transposed;
} pack_key;

typedef struct pack_job {
    mls__pack_source source;
    int64_t matrices;
    int64_t packed_floats;
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    mls__pack_source source = job->source;
    const size_t bytes = (size_t) (source.k * source.n) * mls_dtype_size((mls_dtype) source.dtype);
    for (int64_t i = 0; i < job->matrices; i++) {
        source.data = (const char *) job->source.data + (size_t) i * bytes;
        mls__pack(&source, (float *) block + i * job->packed_floats);
    }
}

mls_status mls__product_pack(mls__product *p, const mls_op *op)
{
    const mls_arg *b = &op->inputs[1];
    const mls__product_shape *s = &p->shape;
    const bool is_used_as_it_lies = p->is_narrow && p->is_b_direct;
    if (!b->data || !b->weight_id || !op->weights_ops || is_used_as_it_lies)
        return MLS_OK;
    size_t matrix, bytes;
    const int64_t matrices = b->rank > 2 ? mls__arg_span(b, 0, b->rank - 2) : 1;
    if (!mls__pack_size(s->k, s->n, &matrix) || !mls__mul_size(matrix, (size_t) matrices, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "input 1 is larger than memory can be");
    pack_job job = {mls__product_source(p, b->data), matrices, (int64_t) (matrix / sizeof(float))};
    const pack_key key = {"product", b->weight_id, s->k, s->n, job.source.is_transposed};
    p->packed = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    if (!p->packed)
        return mls__error_nomem(bytes);
    p->packed_floats = job.packed_floats;
    mls__product_follow(p);
    return mls__product_plan(p, op);
}
