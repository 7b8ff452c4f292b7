/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of float32, and of 16-bit floats in float32, with one rounding at the end.
 *
 * A constant B was packed when the kernel was made. Another one is used as it lies where that
 * costs little, or packed by each run. Rows of 16-bit floats, and turned rows of a narrow
 * product, go through the workspace a chunk at a time.
 */
#include "backend/cpu/ops/product.h"

#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* More parts than threads, so that a thread that starts late costs little. */
#define PARTS_A_THREAD 3
/* Panels of a part, at least. */
#define PART_PANELS 4

/* Rows of A, C and Y cannot be used as they lie. */
static bool has_chunks(const mls__product *p)
{
    return p->is_half || (p->is_a_turned && p->is_narrow);
}

void mls__product_matrices(const mls__product_shape *shape, int64_t index, int64_t *ret_a,
                           int64_t *ret_b)
{
    *ret_a = *ret_b = 0;
    for (int i = shape->rank - 1; i >= 0; i--) {
        const int64_t at = index % shape->dims[i];
        index /= shape->dims[i];
        *ret_a += at * shape->a_steps[i];
        *ret_b += at * shape->b_steps[i];
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

/* One product of a call. */
typedef struct work {
    const mls__product *p;
    mls__gemm gemm;    /* of all rows; its a, c and y only where they are used as they lie */
    const void *a, *c; /* in the op's dtype */
    void *y;
    mls__pack_source source;
    float *b_memory;
    char *workspace;
    int64_t row_parts, panel_parts;
} work;

static mls__gemm gemm_of(const mls__product *p)
{
    const mls__product_shape *s = &p->shape;
    return (mls__gemm){
        .n = s->n,
        .k = s->k,
        .a_row = p->is_a_turned ? 1 : s->k,
        .a_step = p->is_a_turned ? s->m : 1,
        .c_row = s->c_row,
        .c_step = s->c_step,
        .alpha = p->alpha,
        .beta = p->beta,
        .y_row = s->n,
        .activation = p->activation.run,
        .activation_params = p->activation.params,
    };
}

static void run_rows(const work *w, const mls__gemm *g, int64_t row, int64_t rows, int64_t panel,
                     int64_t panels)
{
    const mls__gemm_kernels *kernels = w->p->base.cpu->kernels->gemm;
    if (w->p->is_narrow)
        kernels->narrow(g, row, rows);
    else
        kernels->wide(g, row, rows, panel, panels);
}

/* --- chunks of rows in the workspace --------------------------------------------------------- */

static void widen(const mls__product *p, const void *x, int64_t index, int64_t count,
                  float *ret_values)
{
    if (p->is_half)
        p->half.to_f32(ret_values, (const uint16_t *) x + index, count);
    else
        memcpy(ret_values, (const float *) x + index, (size_t) count * sizeof *ret_values);
}

static void bring_a(const work *w, int64_t row, int64_t rows, float *ret_a)
{
    const mls__product *p = w->p;
    const int64_t k = p->shape.k;
    if (!p->is_a_turned) {
        widen(p, w->a, row * k, rows * k, ret_a);
        return;
    }
    float column[MLS__PRODUCT_CHUNK_ROWS];
    for (int64_t j = 0; j < k; j++) {
        widen(p, w->a, j * p->shape.m + row, rows, column);
        for (int64_t i = 0; i < rows; i++)
            ret_a[i * k + j] = column[i];
    }
}

/* As many elements of C as these rows need: its strides stay. */
static void bring_c(const work *w, int64_t row, int64_t rows, float *ret_c)
{
    const mls__product_shape *s = &w->p->shape;
    const int64_t count = (rows - 1) * s->c_row + (s->n - 1) * s->c_step + 1;
    widen(w->p, w->c, row * s->c_row, count, ret_c);
}

static void run_chunk(const work *w, char *slot, int64_t row, int64_t rows)
{
    const mls__product *p = w->p;
    const int64_t n = p->shape.n;
    mls__gemm g = w->gemm;
    float *a = (float *) (void *) (slot + p->a_offset);
    float *c = (float *) (void *) (slot + p->c_offset);
    float *y = (float *) (void *) (slot + p->y_offset);
    bring_a(w, row, rows, a);
    g.a = a;
    g.a_row = p->shape.k;
    g.a_step = 1;
    if (!p->is_half) {
        g.y += row * n;
        g.c = g.c ? g.c + row * g.c_row : NULL;
        run_rows(w, &g, 0, rows, 0, mls__gemm_panels(n));
        return;
    }
    if (w->c)
        bring_c(w, row, rows, c);
    g.c = w->c ? c : NULL;
    g.y = y;
    run_rows(w, &g, 0, rows, 0, mls__gemm_panels(n));
    p->half.from_f32((uint16_t *) w->y + row * n, y, rows * n);
}

static void run_chunks(const work *w, char *slot, int64_t row, int64_t rows)
{
    const int64_t end = row + rows;
    for (; row < end; row += MLS__PRODUCT_CHUNK_ROWS)
        run_chunk(w, slot, row,
                  end - row < MLS__PRODUCT_CHUNK_ROWS ? end - row : MLS__PRODUCT_CHUNK_ROWS);
}

/* --- B --------------------------------------------------------------------------------------- */

/*
 * Sets B for the kernels; gives whether `memory` has to be filled first, which holds what was
 * packed of matrix `held`.
 */
static bool set_b(work *w, const void *b, int64_t index, int64_t held)
{
    const mls__product *p = w->p;
    const mls__product_shape *s = &p->shape;
    if (p->packed || !s->k) {
        w->gemm.b = s->k ? p->packed + index * p->packed_floats : w->y;
        return false;
    }
    const size_t bytes = (size_t) (s->k * s->n) * mls_dtype_size((mls_dtype) p->dtype);
    w->source = mls__product_source(p, (const char *) b + (size_t) index * bytes);
    if (!p->is_b_direct) {
        w->gemm.b = w->b_memory;
        return index != held;
    }
    w->gemm.b = w->source.data;
    if (p->is_narrow)
        return false;
    w->gemm.b_row = s->n;
    w->gemm.b_rest = w->b_memory;
    return s->n % MLS__GEMM_PANEL && index != held;
}

static void pack_b(const work *w)
{
    if (w->p->is_b_direct)
        mls__pack_rest(&w->source, w->b_memory);
    else
        mls__pack(&w->source, w->b_memory);
}

static void pack_part(void *arg, size_t index)
{
    const work *w = arg;
    const int64_t panels = mls__gemm_panels(w->p->shape.n);
    const int64_t panel = mls__cpu_part_begin(panels, w->panel_parts, (int64_t) index);
    const int64_t end = mls__cpu_part_begin(panels, w->panel_parts, (int64_t) index + 1);
    mls__pack_panels(&w->source, panel, end - panel, w->b_memory);
}

/* --- one product ----------------------------------------------------------------------------- */

static work work_of(const mls__product *p, const mls_kernel_call *call, char *slot, int64_t index,
                    int64_t held, int64_t *ret_b, bool *ret_needs_b)
{
    const mls__product_shape *s = &p->shape;
    const size_t size = mls_dtype_size((mls_dtype) p->dtype);
    int64_t a_index;
    mls__product_matrices(s, index, &a_index, ret_b);
    work w = {.p = p,
              .gemm = gemm_of(p),
              .workspace = call->workspace,
              .b_memory = (float *) (void *) slot};
    w.y = (char *) call->buffers[p->y_index] + (size_t) (index * s->m * s->n) * size;
    w.a = s->k ? (char *) call->buffers[0] + (size_t) (a_index * s->m * s->k) * size : w.y;
    w.c = p->has_c ? call->buffers[2] : NULL;
    w.gemm.a = w.a;
    w.gemm.c = w.c;
    w.gemm.y = w.y;
    *ret_needs_b = set_b(&w, call->buffers[1], *ret_b, held);
    return w;
}

/* Products first .. last-1, on this thread. */
static void run_products(const mls__product *p, const mls_kernel_call *call, char *slot,
                         int64_t first, int64_t last)
{
    const mls__product_shape *s = &p->shape;
    int64_t held = -1;
    for (int64_t i = first; i < last; i++) {
        bool needs_b;
        const work w = work_of(p, call, slot, i, held, &held, &needs_b);
        if (needs_b)
            pack_b(&w);
        if (has_chunks(p))
            run_chunks(&w, slot, 0, s->m);
        else
            run_rows(&w, &w.gemm, 0, s->m, 0, mls__gemm_panels(s->n));
    }
}

/* --- threads --------------------------------------------------------------------------------- */

typedef struct batch_work {
    const mls__product *p;
    const mls_kernel_call *call;
} batch_work;

static void run_some(void *arg, const mls__cpu_take *take)
{
    const batch_work *w = arg;
    run_products(w->p, w->call, (char *) w->call->workspace + take->slot * w->p->slot_bytes,
                 take->begin, take->end);
}

/* A part of one product: some rows of some panels. */
static void run_part(void *arg, size_t index)
{
    const work *w = arg;
    const mls__product *p = w->p;
    const int64_t at = (int64_t) index / w->panel_parts,
                  panel_at = (int64_t) index % w->panel_parts;
    const int64_t row = mls__cpu_part_begin(p->shape.m, w->row_parts, at);
    const int64_t rows = mls__cpu_part_begin(p->shape.m, w->row_parts, at + 1) - row;
    const int64_t panels = mls__gemm_panels(p->shape.n);
    const int64_t panel = mls__cpu_part_begin(panels, w->panel_parts, panel_at);
    if (has_chunks(p))
        run_chunks(w, w->workspace + index * p->slot_bytes, row, rows);
    else
        run_rows(w, &w->gemm, row, rows, panel,
                 mls__cpu_part_begin(panels, w->panel_parts, panel_at + 1) - panel);
}

/* As many parts as threads can use; chunks have one slot a thread. */
static void cut(work *w)
{
    const mls__product *p = w->p;
    const int64_t parts = (int64_t) p->threads * PARTS_A_THREAD;
    const int64_t blocks = (p->shape.m + MLS__PRODUCT_CHUNK_ROWS - 1) / MLS__PRODUCT_CHUNK_ROWS;
    const int64_t panels = mls__gemm_panels(p->shape.n);
    w->row_parts = mls__at_most(blocks, has_chunks(p) ? p->threads : parts);
    w->panel_parts = 1;
    if (!p->is_narrow && !has_chunks(p) && w->row_parts < parts)
        w->panel_parts = mls__at_most((parts + w->row_parts - 1) / w->row_parts,
                                      (panels + PART_PANELS - 1) / PART_PANELS);
}

static void pack_b_in_parts(work *w, const mls_kernel_call *call)
{
    if (w->p->is_b_direct || w->p->is_narrow) {
        pack_b(w);
        return;
    }
    w->panel_parts =
        mls__at_most((int64_t) w->p->threads * PARTS_A_THREAD, mls__gemm_panels(w->p->shape.n));
    call->parallel_for(call->executor, (size_t) w->panel_parts, pack_part, w);
}

static void run_in_parts(const mls__product *p, const mls_kernel_call *call)
{
    int64_t held = -1;
    for (int64_t i = 0; i < p->shape.count; i++) {
        bool needs_b;
        work w = work_of(p, call, call->workspace, i, held, &held, &needs_b);
        if (needs_b)
            pack_b_in_parts(&w, call);
        cut(&w);
        call->parallel_for(call->executor, (size_t) (w.row_parts * w.panel_parts), run_part, &w);
    }
}

mls_status mls__product_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__product *p = (const mls__product *) kernel;
    const mls__product_shape *s = &p->shape;
    batch_work w = {p, call};
    if (s->m == 0 || s->n == 0)
        return MLS_OK;
    if (p->threads < 2 || !mls__product_is_large(s))
        run_products(p, call, call->workspace, 0, s->count);
    else if (s->count >= p->threads)
        mls__cpu_tasks(call, p->threads, s->count, 1, run_some, &w);
    else
        run_in_parts(p, call);
    return MLS_OK;
}
