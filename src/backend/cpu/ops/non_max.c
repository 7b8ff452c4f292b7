/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NonMaxSuppression: for each image and class, boxes from the highest score down, but none that
 * overlaps too much with one that was taken. Of equal scores the first box comes first. In
 * float32, operation by operation as the specification has them, so that a box that lies just
 * at the threshold is on the same side of it everywhere. A score that is NaN is none.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"

#include <string.h>

typedef struct non_max_kernel {
    mls__cpu_kernel base;
    bool is_centered; /* boxes are a center and lengths, not two corners */
    bool has_threshold, has_score_threshold;
    size_t output; /* its position among a call's buffers */
    int64_t batches, classes, boxes;
    int64_t limit;                      /* boxes taken in a class, at most */
    uint64_t heap_offset, taken_offset; /* in the workspace */
} non_max_kernel;

typedef struct box {
    float top, left, bottom, right, area;
} box;

/* --- boxes ----------------------------------------------------------------------------------- */

static void order(float *low, float *high)
{
    if (*low >= *high) {
        const float kept = *low;
        *low = *high;
        *high = kept;
    }
}

static box box_of(const non_max_kernel *k, const float *v)
{
    box b = {v[0], v[1], v[2], v[3], 0};
    if (k->is_centered) { /* x, y, width, height */
        b = (box){v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2, 0};
    } else {
        order(&b.top, &b.bottom);
        order(&b.left, &b.right);
    }
    b.area = (b.right - b.left) * (b.bottom - b.top);
    return b;
}

/* Whether the part that two boxes share, of what they cover, is above the threshold. */
static bool overlap(const box *a, const box *b, float threshold)
{
    const float left = a->left > b->left ? a->left : b->left;
    const float right = a->right < b->right ? a->right : b->right;
    const float top = a->top > b->top ? a->top : b->top;
    const float bottom = a->bottom < b->bottom ? a->bottom : b->bottom;
    if (right <= left || bottom <= top)
        return false;
    const float shared = (right - left) * (bottom - top);
    const float covered = a->area + b->area - shared;
    if (shared <= 0 || a->area <= 0 || b->area <= 0 || covered <= 0)
        return false;
    return shared / covered > threshold;
}

/* --- candidates ------------------------------------------------------------------------------ */

/* Orders as the boxes are to be taken: the score's bits upside down, then the box. */
static uint64_t candidate(float score, int64_t index)
{
    uint32_t bits;
    score += 0.0f; /* zeros of both signs are one */
    memcpy(&bits, &score, sizeof bits);
    const uint32_t key = bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
    return (uint64_t) key << 32 | (uint32_t) index;
}

static void sift_down(uint64_t *heap, int64_t count, int64_t at)
{
    const uint64_t moved = heap[at];
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (moved <= heap[child])
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static int64_t gather_candidates(uint64_t *heap, const float *scores, int64_t n,
                                 const float *threshold)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (threshold ? scores[i] > *threshold : scores[i] == scores[i])
            heap[count++] = candidate(scores[i], i);
    for (int64_t i = count / 2 - 1; i >= 0; i--)
        sift_down(heap, count, i);
    return count;
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const non_max_kernel *kernel;
    const float *boxes, *scores;
    const float *score_threshold; /* NULL: none */
    float threshold;
    uint64_t *heap;
    box *taken;
} work;

static bool is_free(const work *w, const box *b, int64_t taken)
{
    for (int64_t i = 0; i < taken; i++)
        if (overlap(b, &w->taken[i], w->threshold))
            return false;
    return true;
}

/* One class of one image: writes rows and returns how many. */
static int64_t take_boxes(const work *w, int64_t batch, int64_t class, int64_t *rows)
{
    const non_max_kernel *k = w->kernel;
    const float *boxes = w->boxes + batch * k->boxes * 4;
    const float *scores = w->scores + (batch * k->classes + class) * k->boxes;
    int64_t left = gather_candidates(w->heap, scores, k->boxes, w->score_threshold), taken = 0;
    while (left && taken < k->limit) {
        const int64_t index = (int64_t) (w->heap[0] & UINT32_MAX);
        const box b = box_of(k, boxes + index * 4);
        w->heap[0] = w->heap[--left];
        if (left)
            sift_down(w->heap, left, 0);
        if (!is_free(w, &b, taken))
            continue;
        w->taken[taken] = b;
        rows[3 * taken] = batch;
        rows[3 * taken + 1] = class;
        rows[3 * taken + 2] = index;
        taken++;
    }
    return taken;
}

static mls_status non_max_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const non_max_kernel *k = (const non_max_kernel *) base;
    void *const *inputs = call->buffers;
    char *workspace = call->workspace;
    int64_t *rows = call->buffers[k->output], count = 0;
    work w = {.kernel = k,
              .boxes = inputs[0],
              .scores = inputs[1],
              .heap = (uint64_t *) (void *) (workspace + k->heap_offset),
              .taken = (box *) (void *) (workspace + k->taken_offset)};
    w.threshold = k->has_threshold ? *(const float *) inputs[3] : 0;
    w.score_threshold = k->has_score_threshold ? inputs[4] : NULL;
    for (int64_t i = 0; k->limit && i < k->batches * k->classes; i++)
        count += take_boxes(&w, i / k->classes, i % k->classes, rows + 3 * count);
    call->output_dims[0][0] = count;
    call->output_dims[0][1] = 3;
    return MLS_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status non_max_reshape(mls_kernel *base, const mls_op *op)
{
    non_max_kernel *k = (non_max_kernel *) base;
    const mls_arg *scores = &op->inputs[1];
    size_t bytes = 0;
    k->batches = scores->dims[0];
    k->classes = scores->dims[1];
    k->boxes = scores->dims[2];
    const int64_t classes = k->batches * k->classes;
    k->limit = classes ? op->outputs[0].dims[0] / classes : 0;
    if (!mls__work_region(&bytes, k->boxes, sizeof(uint64_t), &k->heap_offset) ||
        !mls__work_region(&bytes, k->limit, sizeof(box), &k->taken_offset))
        return mls__op_error(op, MLS_ESHAPE, "the boxes are more than memory can hold");
    if (!base->workspace_bytes)
        base->workspace_bytes = bytes;
    return bytes <= base->workspace_bytes
               ? MLS_OK
               : mls__op_error(op, MLS_ELIMIT, "more boxes than planned");
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    non_max_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "non_max", non_max_run, &k);
    if (status)
        return status;
    k->base.base.reshape = non_max_reshape;
    k->is_centered = mls__op_int(op, "center_point_box", 0) == 1;
    k->has_threshold = mls__op_input(op, 3) != NULL;
    k->has_score_threshold = mls__op_input(op, 4) != NULL;
    k->output = op->input_count;
    status = non_max_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *ret_kernel = &k->base.base;
    return status;
}

mls__cpu_op_table mls__cpu_ops_non_max = {
    {"", "NonMaxSuppression", create, 0},
    {.type = NULL},
};
