/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of float32 in bfloat16, where the session wants fast numerics and they take less time.
 *
 * B is packed once if it is constant, else by each run; rows of A are rounded a chunk at a time.
 */
#include "backend/cpu/ops/product.h"

#include "backend/cpu/ops/fast.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* With fewer rows B, which is not constant, is not worth packing. */
#define FRESH_ROWS 128
/* Panels of a part, at least. */
#define PART_PANELS 4

/* Part `index` of `parts` nearly equal parts of n. */
static int64_t part_begin(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

static int64_t matrix_elements(const mls__product *p)
{
    return mls__bf16_panels(p->shape.n) * mls__bf16_panel(p->shape.k);
}

static void read_rows(const void *source, int64_t k, int64_t count, int64_t column, int64_t columns,
                      float *ret_rows)
{
    mls__pack_rows(source, k, count, column, columns, ret_rows);
}

/* Packs panel `index` of all matrices of B, one after another. */
static void pack_panel(const mls__product *p, const void *b, int64_t index, uint16_t *ret_packed)
{
    const int64_t panels = mls__bf16_panels(p->shape.n), matrix = index / panels;
    const size_t bytes = (size_t) (p->shape.k * p->shape.n) * sizeof(float);
    const mls__pack_source source =
        mls__product_source(p, (const char *) b + (size_t) matrix * bytes);
    mls__fast_pack(p->fast, p->shape.n, p->shape.k, index % panels, 1, read_rows, &source,
                   ret_packed + matrix * matrix_elements(p));
}

/* --- before the run -------------------------------------------------------------------------- */

static bool has_constant_b(const mls_op *op)
{
    return op->inputs[1].data && op->inputs[1].weight_id && op->weights_ops;
}

bool mls__product_is_fast(mls__product *p, const mls_op *op)
{
    const mls__product_shape *s = &p->shape;
    if (p->dtype != MLS_FLOAT32 || p->is_a_turned || (!has_constant_b(op) && s->m < FRESH_ROWS))
        return false;
    p->fast = mls__fast_kernels(p->base.cpu, op, s->m, s->n, s->k);
    return p->fast != NULL;
}

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id;
    int64_t k, n;
    uint64_t is_transposed;
} pack_key;

typedef struct pack_job {
    const mls__product *p;
    const void *b;
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    const int64_t panels = mls__bf16_panels(job->p->shape.n) * job->p->shape.b_count;
    for (int64_t i = 0; i < panels; i++)
        pack_panel(job->p, job->b, i, block);
}

static mls_status pack_constant(mls__product *p, const mls_op *op, size_t bytes)
{
    const mls_arg *b = &op->inputs[1];
    pack_job job = {p, b->data};
    const pack_key key = {"bf16", b->weight_id, p->shape.k, p->shape.n,
                          mls__product_source(p, b->data).is_transposed};
    p->fast_packed = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    return p->fast_packed ? MLS_OK : mls__error_nomem(bytes);
}

mls_status mls__product_prepare_fast(mls__product *p, const mls_op *op)
{
    const mls__product_shape *s = &p->shape;
    const bool is_constant = has_constant_b(op);
    int64_t rows;
    size_t slot, slots, matrix, packed, all;
    if (!mls__fast_packed_size(s->n, s->k, &matrix) ||
        !mls__mul_size(matrix, (size_t) s->b_count, &packed) ||
        !mls__fast_chunk(s->m, s->k, &rows, &slot) || !mls__align_size(slot, &slot) ||
        !mls__mul_size(slot, p->threads, &slots) || !mls__add_size(slots, packed, &all))
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    p->slot_bytes = slot;
    p->base.base.workspace_bytes = is_constant ? slots : all;
    p->base.base.run = mls__product_run_fast;
    p->base.base.name = p->fast->product_name;
    return is_constant ? pack_constant(p, op, packed) : MLS_OK;
}

/* --- a run ----------------------------------------------------------------------------------- */

/* Tasks are chunks of rows of all products, each in parts of panels; threads have shares of them.
 */
typedef struct work {
    const mls__product *p;
    const mls_kernel_call *call;
    const uint16_t *packed;
    int64_t shares, tasks, chunks, chunk_rows, parts;
} work;

static char *slot_of(const work *w, size_t share)
{
    return (char *) w->call->workspace + share * w->p->slot_bytes;
}

/* Rounds rows of A; what is past k has to be 0. */
static void bring_rows(const work *w, int64_t matrix, int64_t row, int64_t rows, uint16_t *ret_a)
{
    const mls__product_shape *s = &w->p->shape;
    const int64_t a_row = mls__fast_row(s->k), padded = mls__bf16_padded(s->k);
    const float *a = (const float *) w->call->buffers[0] + (matrix * s->m + row) * s->k;
    for (int64_t i = 0; s->k < padded && i < rows; i++)
        memset(ret_a + i * a_row + s->k, 0, (size_t) (padded - s->k) * sizeof *ret_a);
    w->p->fast->round(ret_a, a_row, a, s->k, rows, s->k);
}

static mls__gemm_bf16 gemm_of(const mls__product *p, const mls_kernel_call *call)
{
    const mls__product_shape *s = &p->shape;
    return (mls__gemm_bf16){
        .n = s->n,
        .k = s->k,
        .a_row = mls__fast_row(s->k),
        .c_row = s->c_row,
        .c_panel = s->c_step * MLS__BF16_PANEL,
        .c_step = s->c_step,
        .c = p->has_c ? call->buffers[2] : NULL,
        .alpha = p->alpha,
        .beta = p->beta,
        .y_row = s->n,
        .y_panel = MLS__BF16_PANEL,
        .activation = p->activation.run,
        .activation_params = p->activation.params,
    };
}

static void run_share(void *arg, size_t index)
{
    const work *w = arg;
    const mls__product *p = w->p;
    const mls__product_shape *s = &p->shape;
    const int64_t panels = mls__bf16_panels(s->n), end_task = (int64_t) index + 1;
    const int64_t last = part_begin(w->tasks, w->shares, end_task);
    uint16_t *a = (uint16_t *) (void *) slot_of(w, index);
    int64_t held = -1;
    for (int64_t t = part_begin(w->tasks, w->shares, (int64_t) index); t < last; t++) {
        const int64_t chunk = t / w->parts, part = t % w->parts, product = chunk / w->chunks;
        const int64_t row = chunk % w->chunks * w->chunk_rows;
        const int64_t rows = mls__at_most(w->chunk_rows, s->m - row);
        const int64_t panel = part_begin(panels, w->parts, part);
        int64_t a_index, b_index;
        mls__product_matrices(s, product, &a_index, &b_index);
        if (chunk != held)
            bring_rows(w, a_index, row, rows, a);
        held = chunk;
        mls__gemm_bf16 g = gemm_of(p, w->call);
        g.a = a;
        g.b = w->packed + b_index * matrix_elements(p);
        g.c = g.c ? g.c + row * g.c_row : NULL;
        g.y = (float *) w->call->buffers[p->y_index] + (product * s->m + row) * s->n;
        p->fast->run(&g, 0, rows, panel, part_begin(panels, w->parts, part + 1) - panel);
    }
}

static void pack_share(void *arg, size_t index)
{
    const work *w = arg;
    const mls__product *p = w->p;
    const int64_t all = p->shape.b_count * mls__bf16_panels(p->shape.n), at = (int64_t) index;
    uint16_t *packed = (uint16_t *) (void *) slot_of(w, p->threads);
    for (int64_t i = part_begin(all, w->shares, at); i < part_begin(all, w->shares, at + 1); i++)
        pack_panel(p, w->call->buffers[1], i, packed);
}

/* As many parts as keep all threads busy. */
static void cut(work *w)
{
    const mls__product *p = w->p;
    const int64_t panels = mls__bf16_panels(p->shape.n);
    w->chunk_rows = mls__at_most(mls__fast_rows_in(p->slot_bytes, p->shape.k), p->shape.m);
    if (w->shares > 1)
        w->chunk_rows = mls__at_most(w->chunk_rows, MLS__PRODUCT_CHUNK_ROWS);
    w->chunks = (p->shape.m + w->chunk_rows - 1) / w->chunk_rows;
    const int64_t chunks = w->chunks * p->shape.count;
    w->parts = w->shares > 1 ? mls__at_most((2 * w->shares + chunks - 1) / chunks,
                                            (panels + PART_PANELS - 1) / PART_PANELS)
                             : 1;
    w->tasks = chunks * w->parts;
}

static void for_shares(const work *w, mls_task_fn task)
{
    if (w->shares > 1)
        w->call->parallel_for(w->call->executor, (size_t) w->shares, task, (void *) (uintptr_t) w);
    else
        task((void *) (uintptr_t) w, 0);
}

mls_status mls__product_run_fast(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__product *p = (const mls__product *) kernel;
    const mls__product_shape *s = &p->shape;
    if (s->m == 0 || s->n == 0 || s->count == 0)
        return MLS_OK;
    work w = {.p = p, .call = call, .packed = p->fast_packed, .shares = 1};
    if (p->threads > 1 && mls__product_is_large(s))
        w.shares = p->threads;
    if (!w.packed) {
        w.packed = (const uint16_t *) (const void *) slot_of(&w, p->threads);
        for_shares(&w, pack_share);
    }
    cut(&w);
    for_shares(&w, run_share);
    return MLS_OK;
}
