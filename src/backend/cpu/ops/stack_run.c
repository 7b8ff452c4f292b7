/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a ConvStack, group by group (stack.h). */
#include "backend/cpu/ops/stack.h"

#include "backend/cpu/ops/ranges.h"

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- a group --------------------------------------------------------------------------------- */

/* Stages first .. last of one image. */
typedef struct group {
    const mls__stack_kernel *k;
    int first, last;
    const float *x;
    float *y;
    const float *z;                         /* of the last stage */
    const float *biases[MLS__STACK_STAGES]; /* of each stage */
    char *slots;
    int64_t shares;
} group;

/* What one thread is at: each stage's next row. */
typedef struct walker {
    const group *g;
    char *slot;
    int64_t next[MLS__STACK_STAGES];
} walker;

static mls__band band_of(const walker *w, int stage, int64_t first, int64_t last)
{
    const group *g = w->g;
    const mls__stack_part *p = &g->k->parts[stage], *before = p - 1;
    const bool is_first = stage == g->first, is_last = stage == g->last;
    const int64_t x_rows = is_first ? p->x_rows : before->ring_rows;
    const int64_t y_rows = is_last ? p->y_rows : p->ring_rows;
    return (mls__band){
        .x = is_first ? g->x : (const float *) (void *) (w->slot + before->ring_offset),
        .x_rows = x_rows,
        .x_block = x_rows * p->x_width * MLS__CONV_BLOCK,
        .y = is_last ? g->y : (float *) (void *) (w->slot + p->ring_offset),
        .y_rows = y_rows,
        .y_block = y_rows * p->y_width * MLS__CONV_BLOCK,
        .z = is_last ? g->z : NULL,
        .bias = g->biases[stage],
        .first = first,
        .last = last,
        .width = p->y_width,
        .slot = w->slot + p->own_offset,
    };
}

static void run_band(const walker *w, int stage, int64_t first, int64_t last)
{
    const mls__stack_part *p = &w->g->k->parts[stage];
    const mls__band band = band_of(w, stage, first, last);
    if (p->is_pool)
        mls__blocked_pool_run_band(p->kernel, &band);
    else
        mls__conv_run_band((const mls__conv_op *) p->kernel, &band);
}

/*
 * Gives the rows of a stage that are still to come before `end`. What they read comes first: a
 * ring holds the rows that one batch needs, so that no more may be made before it.
 */
static void produce(walker *w, int stage, int64_t end)
{
    const mls__stack_part *p = &w->g->k->parts[stage];
    while (w->next[stage] < end) {
        const int64_t first = w->next[stage], last = mls__at_most(first + p->batch, end);
        if (stage > w->g->first) {
            const int64_t begin = first * p->stride - p->before;
            const int64_t needed = (last - 1) * p->stride - p->before + p->extent;
            w->next[stage - 1] = at_least(w->next[stage - 1], begin);
            produce(w, stage - 1, mls__at_most(needed, p->x_rows));
        }
        run_band(w, stage, first, last);
        w->next[stage] = last;
    }
}

static void run_share(void *arg, size_t index)
{
    const group *g = arg;
    walker w = {.g = g, .slot = g->slots + index * g->k->slot_bytes};
    const int64_t rows = g->k->parts[g->last].y_rows, at = (int64_t) index;
    w.next[g->last] = mls__cpu_part_begin(rows, g->shares, at);
    produce(&w, g->last, mls__cpu_part_begin(rows, g->shares, at + 1));
}

/* --- stages ---------------------------------------------------------------------------------- */

/* A run, and where the images before and behind the stages at hand lie. */
typedef struct walk {
    const mls__stack_kernel *k;
    const mls_kernel_call *call;
    void *x, *y;
} walk;

/* The call of a stage's own kernel. */
static mls_kernel_call call_of(const walk *w, int stage, void **buffers)
{
    const mls__stack_part *p = &w->k->parts[stage];
    mls_kernel_call call = *w->call;
    buffers[0] = w->x;
    for (size_t i = 0; i < p->input_count; i++)
        buffers[1 + i] = w->call->buffers[p->input + i];
    buffers[1 + p->input_count] = w->y;
    call.buffers = buffers;
    call.workspace = (char *) w->call->workspace + p->workspace_offset;
    return call;
}

static void run_group(const walk *w, int first, int end)
{
    const mls__stack_kernel *k = w->k;
    const mls__stack_part *head = &k->parts[first], *tail = &k->parts[end - 1];
    const bool has_residual = !tail->is_pool && tail->input_count == 3;
    group g = {.k = k, .first = first, .last = end - 1};
    g.slots = (char *) w->call->workspace + k->slots_offset;
    g.shares = mls__at_most(k->threads, tail->y_rows);
    for (int i = first; i < end; i++) {
        void *buffers[MLS__STAGE_INPUTS + 1];
        const mls_kernel_call call = call_of(w, i, buffers);
        if (!k->parts[i].is_pool)
            g.biases[i] = mls__conv_bias((const mls__conv_op *) k->parts[i].kernel, &call);
    }
    for (int64_t n = 0; n < k->images; n++) {
        g.x = (const float *) w->x + n * head->x_elements;
        g.y = (float *) w->y + n * tail->y_elements;
        if (has_residual)
            g.z = (const float *) w->call->buffers[tail->input + 2] + n * tail->y_elements;
        mls__cpu_shares(w->call, g.shares, run_share, &g);
    }
}

static mls_status run_alone(const walk *w, int stage)
{
    const mls_kernel *kernel = w->k->parts[stage].kernel;
    void *buffers[MLS__STAGE_INPUTS + 1];
    const mls_kernel_call call = call_of(w, stage, buffers);
    return kernel->run(kernel, &call);
}

mls_status mls__stack_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__stack_kernel *k = (const mls__stack_kernel *) kernel;
    const int count = k->stack.count;
    walk w = {k, call, call->buffers[0], NULL};
    mls_status status = MLS_OK;
    for (int i = 0, end; i < count && !k->is_empty && !status; i = end) {
        end = mls__stack_group_end(k, i);
        w.y = end == count ? call->buffers[k->stack.stages[count - 1].input_begin +
                                           k->stack.stages[count - 1].input_count]
                           : (char *) call->workspace + k->parts[end - 1].y_offset;
        if (end - i > 1)
            run_group(&w, i, end);
        else
            status = run_alone(&w, i);
        w.x = w.y;
    }
    return status;
}
