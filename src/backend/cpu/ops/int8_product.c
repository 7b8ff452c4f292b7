/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs products of 8-bit integers.
 *
 * The kernels multiply unsigned bytes of A with signed ones of B. A byte of the other sign has its
 * top bit flipped, which makes it 128 more or less, and its zero point with it. What zero points
 * are to a sum follows from the sums of A's rows and of B's columns, which are exact, too.
 */
#include "backend/cpu/ops/int8_product.h"

#include "backend/cpu/ops/quantize_dynamic.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* More parts than threads, so that a thread that starts late costs little. */
#define PARTS_A_THREAD 3
/* Rows and panels of a part, at least. */
#define PART_ROWS   24
#define PART_PANELS 4
/* Panels that are packed at a time, and used while they are in the cache. */
#define PACKED_PANELS 8
/* Elements of A that are worth a second thread. */
#define GRAIN 65536

/* --- B --------------------------------------------------------------------------------------- */

/* Four rows of B from k on, which are columns of the data, side by side in `rows`. */
static void turn_group(const mls__int8_product *p, const uint8_t *data, int64_t k, int count,
                       uint8_t *panel_group, int64_t panel_bytes)
{
    const int64_t depth = p->shape.k;
    for (int64_t j = 0; j < p->shape.n; j++) {
        uint8_t *group =
            panel_group + j / MLS__INT8_PANEL * panel_bytes + j % MLS__INT8_PANEL * MLS__INT8_GROUP;
        for (int r = 0; r < count; r++)
            group[r] = (uint8_t) (data[j * depth + k + r] ^ (p->is_b_signed ? 0 : 0x80));
    }
}

/* `panels` from column `column` on, and their sums. */
static void pack_panels(const mls__int8_product *p, const uint8_t *data, int64_t column,
                        int64_t panels, uint8_t *ret_panels, int32_t *ret_sums)
{
    const mls__gemm_int8_kernels *kernels = p->base.cpu->kernels->gemm_int8;
    const int64_t k = p->shape.k, n = p->shape.n;
    const int64_t columns = mls__at_most(n - column, panels * MLS__INT8_PANEL);
    for (int64_t row = 0; row < k; row += MLS__INT8_GROUP)
        kernels->pack_group(
            ret_panels + row * MLS__INT8_PANEL, mls__int8_panel_bytes(k), data + row * n + column,
            n, (int) mls__at_most(k - row, MLS__INT8_GROUP), columns, p->is_b_signed ? 0 : 0x80);
    kernels->panel_sums(ret_sums, ret_panels, k, panels, true);
}

static void turn_and_pack(const mls__int8_product *p, const uint8_t *data, char *ret_packed)
{
    const int64_t k = p->shape.k, panels = mls__int8_panels(p->shape.n);
    const int64_t panel_bytes = mls__int8_panel_bytes(k);
    uint8_t *packed = (uint8_t *) ret_packed;
    memset(packed, 0, (size_t) (panel_bytes * panels));
    for (int64_t row = 0; row < k; row += MLS__INT8_GROUP)
        turn_group(p, data, row, (int) mls__at_most(k - row, MLS__INT8_GROUP),
                   packed + row * MLS__INT8_PANEL, panel_bytes);
    int32_t *sums = (int32_t *) (void *) (ret_packed + p->sums_offset);
    p->base.cpu->kernels->gemm_int8->panel_sums(sums, packed, k, panels, true);
}

void mls__int8_pack(const mls__int8_product *p, const uint8_t *data, char *ret_packed)
{
    if (p->is_b_turned)
        turn_and_pack(p, data, ret_packed);
    else
        pack_panels(p, data, 0, mls__int8_panels(p->shape.n), (uint8_t *) ret_packed,
                    (int32_t *) (void *) (ret_packed + p->sums_offset));
}

/* --- parameters ------------------------------------------------------------------------------ */

/* One product of a call. */
typedef struct work {
    const mls__int8_product *p;
    const mls_kernel_call *call;
    mls__gemm_int8 gemm;
    int64_t a_index, b_index;    /* of its matrices */
    mls__dynamic_params dynamic; /* of a float A */
    const void *a;               /* as the op has it */
    const uint8_t *b;            /* likewise, for each share to pack its panels; NULL: packed */
    char *packed;                /* where they go */
    const int32_t *b_sums;
    int64_t row_parts, panel_parts;
} work;

static char *region(const work *w, uint64_t offset)
{
    return (char *) w->call->workspace + offset;
}

static const void *element(const work *w, const mls__int8_param *param, int64_t index)
{
    const size_t size = mls_dtype_size((mls_dtype) param->dtype);
    return (const char *) w->call->buffers[param->input] + (size_t) (index % param->count) * size;
}

static int32_t zero_at(const work *w, const mls__int8_param *param, int64_t index)
{
    if (param->input == MLS__INT8_NONE)
        return 0;
    const void *at = element(w, param, index);
    return param->dtype == MLS_INT8 ? *(const int8_t *) at : *(const uint8_t *) at;
}

static float scale_at(const work *w, const mls__int8_param *param, int64_t index)
{
    float scale = 1;
    if (param->input == MLS__INT8_NONE)
        return scale;
    const void *at = element(w, param, index);
    if (mls__is_half(param->dtype))
        mls__half_of(w->p->base.cpu, param->dtype).to_f32(&scale, at, 1);
    else
        memcpy(&scale, at, sizeof scale);
    return scale;
}

/* Where scales are 16-bit floats, so is what is made of them. */
static float rounded(const work *w, float value)
{
    uint16_t bits;
    if (!mls__is_half(w->p->b_scale.dtype))
        return value;
    const mls__half half = mls__half_of(w->p->base.cpu, w->p->b_scale.dtype);
    half.from_f32(&bits, &value, 1);
    half.to_f32(&value, &bits, 1);
    return value;
}

static float multiplier_at(const work *w, int64_t i, int64_t j)
{
    const mls__int8_product *p = w->p;
    const mls__product_shape *s = &p->shape;
    const float a = p->is_a_float ? w->dynamic.scale
                                  : p->alpha * scale_at(w, &p->a_scale, w->a_index * s->m + i);
    const float product = rounded(w, a * scale_at(w, &p->b_scale, w->b_index * s->n + j));
    return rounded(w, product / scale_at(w, &p->y_scale, 0));
}

/* As few as there are: one, one for each row or column, or all. */
static void set_scales(work *w)
{
    const mls__int8_product *p = w->p;
    const bool has_rows = p->a_scale.count > 1, has_columns = p->b_scale.count > 1;
    const int64_t rows = has_rows ? p->shape.m : 1, columns = has_columns ? p->shape.n : 1;
    float *scales = (float *) (void *) region(w, p->scales_offset);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            scales[i * columns + j] = multiplier_at(w, i, j);
    w->gemm.scale = (mls__int8_floats){scales, has_rows ? columns : 0, has_columns};
}

/* `count` zero points from element `first` on, moved with their bytes; NULL data if all are 0. */
static mls__int8_ints read_zeros(const work *w, const mls__int8_param *param, int64_t first,
                                 int64_t count, int32_t moved, uint64_t offset, bool is_of_rows)
{
    int32_t *zeros = (int32_t *) (void *) region(w, offset);
    const int64_t given = param->count > 1 ? count : 1;
    int32_t any = 0;
    for (int64_t i = 0; i < given; i++) {
        zeros[i] = zero_at(w, param, first + i) + moved;
        any |= zeros[i];
    }
    if (!any)
        return (mls__int8_ints){NULL, 0, 0};
    return (mls__int8_ints){zeros, is_of_rows && given > 1, !is_of_rows && given > 1};
}

/* What a's zero points are multiplied with, for columns first .. first+count-1. */
static void set_terms(const work *w, int64_t first, int64_t count)
{
    const mls__int8_ints *zeros = &w->gemm.b_zeros;
    int32_t *terms = (int32_t *) (void *) region(w, w->p->b_terms_offset);
    for (int64_t j = first; w->gemm.a_zeros.data && j < first + count; j++) {
        const int32_t zero = zeros->data ? zeros->data[j * zeros->step] : 0;
        terms[j] = (int32_t) ((uint32_t) w->b_sums[j] - (uint32_t) w->p->shape.k * (uint32_t) zero);
    }
}

static void set_zeros(work *w)
{
    const mls__int8_product *p = w->p;
    const mls__product_shape *s = &p->shape;
    mls__gemm_int8 *g = &w->gemm;
    g->a_zeros = read_zeros(w, &p->a_zero, w->a_index * s->m, s->m, p->is_a_signed ? 128 : 0,
                            p->a_zeros_offset, true);
    g->b_zeros = read_zeros(w, &p->b_zero, w->b_index * s->n, s->n, p->is_b_signed ? 0 : -128,
                            p->b_zeros_offset, false);
    if (p->is_a_float) {
        int32_t *zero = (int32_t *) (void *) region(w, p->a_zeros_offset);
        *zero = w->dynamic.zero;
        g->a_zeros = (mls__int8_ints){*zero ? zero : NULL, 0, 0};
    }
    g->b_terms = (const int32_t *) (const void *) region(w, p->b_terms_offset);
    if (!w->b)
        set_terms(w, 0, s->n);
}

/* --- A --------------------------------------------------------------------------------------- */

static bool is_a_direct(const mls__int8_product *p)
{
    return !p->is_a_float && !p->is_a_signed && !p->is_a_turned;
}

static void turn_rows(const work *w, int64_t begin, int64_t end, uint8_t *ret_rows)
{
    const mls__product_shape *s = &w->p->shape;
    const uint8_t *a = w->a;
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t i = begin; i < end; i++)
            ret_rows[(i - begin) * s->k + k] = a[k * s->m + i];
}

/* Rows begin .. end-1 as unsigned bytes, and their sums if they are asked for. */
static mls_status bring_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const mls__int8_product *p = w->p;
    const mls__cpu_kernels *kernels = p->base.cpu->kernels;
    const int64_t k = p->shape.k, bytes = (end - begin) * k;
    const mls__quant_params params = {&w->dynamic.scale, &w->dynamic.zero, 0};
    uint8_t *rows = (uint8_t *) region(w, p->a_offset) + begin * k;
    if (p->is_a_turned)
        turn_rows(w, begin, end, rows);
    if (p->is_a_float)
        kernels->quantize->to_uint8(rows, (const float *) w->a + begin * k, bytes, &params);
    else if (p->is_a_signed)
        kernels->gemm_int8->flip(rows, p->is_a_turned ? rows : (const uint8_t *) w->a + begin * k,
                                 bytes);
    int32_t *sums = (int32_t *) (void *) region(w, p->a_sums_offset);
    for (int64_t i = begin; w->gemm.b_zeros.data && i < end; i++)
        sums[i] = kernels->gemm_int8->row_sum(w->gemm.a + i * k, k, false);
    return MLS_OK;
}

static void set_a(work *w)
{
    const mls__int8_product *p = w->p;
    const int64_t m = p->shape.m, k = p->shape.k;
    w->gemm.a = is_a_direct(p) ? w->a : (const void *) region(w, p->a_offset);
    w->gemm.a_row = k;
    w->gemm.a_sums = (const int32_t *) (const void *) region(w, p->a_sums_offset);
    if (!is_a_direct(p) || w->gemm.b_zeros.data)
        mls__cpu_row_ranges(w->call, p->threads, m, GRAIN / (k + 1) + 1, bring_rows, w);
}

/* --- one product ----------------------------------------------------------------------------- */

/* Part `index` of `parts` nearly equal parts of n. */
static int64_t part_begin(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

static void run_part(void *arg, size_t index)
{
    const work *w = arg;
    const int64_t at = (int64_t) index / w->panel_parts,
                  panel_at = (int64_t) index % w->panel_parts;
    const int64_t m = w->p->shape.m, panels = mls__int8_panels(w->p->shape.n);
    const int64_t row = part_begin(m, w->row_parts, at);
    const int64_t panel = part_begin(panels, w->panel_parts, panel_at);
    w->p->base.cpu->kernels->gemm_int8->run(
        &w->gemm, row, part_begin(m, w->row_parts, at + 1) - row, panel,
        part_begin(panels, w->panel_parts, panel_at + 1) - panel);
}

/* The product of columns from `column` on, whose panels are at `panels`. */
static mls__gemm_int8 columns_from(const mls__gemm_int8 *whole, int64_t column,
                                   const uint8_t *panels)
{
    const size_t y_size =
        whole->form == MLS__INT8_SUM || whole->form == MLS__INT8_FLOAT ? sizeof(int32_t) : 1;
    mls__gemm_int8 g = *whole;
    g.n -= column;
    g.b = panels;
    g.y = (char *) g.y + (size_t) column * y_size;
    g.b_terms = g.b_terms ? g.b_terms + column : NULL;
    g.b_zeros.data = g.b_zeros.data ? g.b_zeros.data + column * g.b_zeros.step : NULL;
    g.bias.data = g.bias.data ? g.bias.data + column * g.bias.step : NULL;
    g.scale.data = g.scale.data ? g.scale.data + column * g.scale.step : NULL;
    g.addend.data = g.addend.data ? g.addend.data + column * g.addend.step : NULL;
    return g;
}

/* A share of the columns, a few panels at a time: packed, and used while they are in the cache. */
static void pack_and_run_share(void *arg, size_t index)
{
    const work *w = arg;
    const mls__int8_product *p = w->p;
    const int64_t n = p->shape.n, panels = mls__int8_panels(n), share = (int64_t) index;
    const int64_t begin = part_begin(panels, w->panel_parts, share);
    const int64_t end = part_begin(panels, w->panel_parts, share + 1);
    uint8_t *packed = (uint8_t *) w->packed + begin * mls__int8_panel_bytes(p->shape.k);
    for (int64_t panel = begin; panel < end; panel += PACKED_PANELS) {
        const int64_t taken = mls__at_most(end - panel, PACKED_PANELS);
        const int64_t column = panel * MLS__INT8_PANEL;
        int32_t *sums = (int32_t *) (void *) (w->packed + p->sums_offset) + column;
        pack_panels(p, w->b, column, taken, packed, sums);
        set_terms(w, column, mls__at_most(n - column, taken * MLS__INT8_PANEL));
        const mls__gemm_int8 g = columns_from(&w->gemm, column, packed);
        p->base.cpu->kernels->gemm_int8->run(&g, 0, p->shape.m, 0, taken);
    }
}

static void pack_and_run(work *w)
{
    const mls__int8_product *p = w->p;
    const bool is_parallel = p->threads > 1 && mls__product_is_large(&p->shape);
    w->panel_parts = mls__at_most(is_parallel ? p->threads : 1, mls__int8_panels(p->shape.n));
    if (w->panel_parts < 2)
        pack_and_run_share(w, 0);
    else
        w->call->parallel_for(w->call->executor, (size_t) w->panel_parts, pack_and_run_share, w);
}

static void run_parts(work *w)
{
    const mls__int8_product *p = w->p;
    const int64_t parts = (int64_t) p->threads * PARTS_A_THREAD;
    if (w->b) {
        pack_and_run(w);
        return;
    }
    w->row_parts = w->panel_parts = 1;
    if (p->threads < 2 || !mls__product_is_large(&p->shape)) {
        run_part(w, 0);
        return;
    }
    w->row_parts = mls__at_most((p->shape.m + PART_ROWS - 1) / PART_ROWS, parts);
    if (w->row_parts < parts)
        w->panel_parts =
            mls__at_most((parts + w->row_parts - 1) / w->row_parts,
                         (mls__int8_panels(p->shape.n) + PART_PANELS - 1) / PART_PANELS);
    w->call->parallel_for(w->call->executor, (size_t) (w->row_parts * w->panel_parts), run_part, w);
}

static mls__gemm_int8 gemm_of(const mls__int8_product *p, const mls_kernel_call *call)
{
    const mls__int8_roles *roles = p->roles;
    mls__gemm_int8 g = {.n = p->shape.n, .k = p->shape.k, .y_row = p->shape.n, .form = p->form};
    if (p->has_bias)
        g.bias = (mls__int8_ints){call->buffers[roles->bias], p->shape.c_row, p->shape.c_step};
    if (p->has_addend)
        g.addend =
            (mls__int8_floats){call->buffers[roles->addend], p->shape.c_row, p->shape.c_step};
    return g;
}

/* B's matrix; `held` is the one that the workspace holds. One that is read once is not kept. */
static void bring_b(work *w, int64_t held)
{
    const mls__int8_product *p = w->p;
    const uint8_t *b =
        (const uint8_t *) w->call->buffers[p->roles->b] + w->b_index * p->shape.k * p->shape.n;
    const char *packed =
        p->packed ? p->packed + (uint64_t) w->b_index * p->packed_bytes : region(w, p->b_offset);
    if (!p->packed && w->b_index != held) {
        w->packed = region(w, p->b_offset);
        if (p->is_b_turned || p->shape.count > 1)
            mls__int8_pack(p, b, w->packed);
        else
            w->b = b;
    }
    w->gemm.b = (const uint8_t *) packed;
    w->b_sums = (const int32_t *) (const void *) (packed + p->sums_offset);
}

static void run_product(const mls__int8_product *p, const mls_kernel_call *call, int64_t index,
                        mls__dynamic_params dynamic, int64_t *held)
{
    const mls__product_shape *s = &p->shape;
    work w = {.p = p, .call = call, .gemm = gemm_of(p, call), .dynamic = dynamic};
    mls__product_matrices(s, index, &w.a_index, &w.b_index);
    const size_t a_size = p->is_a_float ? sizeof(float) : 1;
    const size_t y_size = p->form == MLS__INT8_SUM || p->form == MLS__INT8_FLOAT ? 4 : 1;
    w.a = (const char *) call->buffers[p->roles->a] + (size_t) (w.a_index * s->m * s->k) * a_size;
    w.gemm.y = (char *) call->buffers[p->y_index] + (size_t) (index * s->m * s->n) * y_size;
    w.gemm.y_zero = zero_at(&w, &p->y_zero, 0);
    bring_b(&w, *held);
    *held = w.b_index;
    set_zeros(&w);
    if (p->form != MLS__INT8_SUM)
        set_scales(&w);
    set_a(&w);
    run_parts(&w);
}

mls_status mls__int8_product_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_product *p = (const mls__int8_product *) kernel;
    const mls__product_shape *s = &p->shape;
    mls__dynamic_params dynamic = {1, 0};
    int64_t held = -1;
    if (s->m == 0 || s->n == 0)
        return MLS_OK;
    if (p->is_a_float)
        dynamic = mls__dynamic_params_of(p->base.cpu, call->buffers[p->roles->a], p->a_count);
    for (int64_t i = 0; i < s->count; i++)
        run_product(p, call, i, dynamic, &held);
    return MLS_OK;
}
