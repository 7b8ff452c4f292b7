/* SPDX-License-Identifier: Apache-2.0 */
/* What does not follow from the equation alone (sizes, strides) is all that a reshape changes. */
#include "backend/cpu/ops/einsum.h"

#include "base/alloc.h"

#include <inttypes.h>

/* Labels in an order. */
typedef struct labels {
    int count;
    uint8_t list[MLS__EINSUM_LIVE];
} labels;

/*
 * Elements that lie somewhere: along list[i] there are counts[i] of them, which is 1 where an
 * operand is repeated along the label, and then the stride is 0.
 */
typedef struct view {
    labels labels;
    int64_t counts[MLS__EINSUM_LIVE], strides[MLS__EINSUM_LIVE];
} view;

typedef struct planner {
    mls__einsum_kernel *kernel;
    const mls_op *op;
    const mls__einsum *e;
    bool is_first;
} planner;

/* --- sets and lists of labels ----------------------------------------------------------------- */

static uint64_t bit(uint8_t label)
{
    return UINT64_C(1) << label;
}

static uint64_t set_of(const uint8_t *list, int count)
{
    uint64_t set = 0;
    for (int i = 0; i < count; i++)
        set |= bit(list[i]);
    return set;
}

static uint64_t operand_set(const mls__einsum *e, size_t index)
{
    return set_of(e->operands[index].labels, e->operands[index].rank);
}

/* What the output and the operands after `index` have. */
static uint64_t needed_after(const mls__einsum *e, size_t index)
{
    uint64_t set = set_of(e->output.labels, e->output.rank);
    for (size_t i = index + 1; i < e->count; i++)
        set |= operand_set(e, i);
    return set;
}

/* Those of `from` that are in the set, in their order, behind what `to` holds. */
static void append(labels *to, const labels *from, uint64_t set)
{
    for (int i = 0; i < from->count; i++)
        if (set & bit(from->list[i]))
            to->list[to->count++] = from->list[i];
}

static bool equal(const labels *a, const labels *b)
{
    return a->count == b->count && memcmp(a->list, b->list, (size_t) a->count) == 0;
}

/* --- sizes and memory ------------------------------------------------------------------------- */

static mls_status too_large(const planner *p)
{
    return mls__op_error(p->op, MLS_ESHAPE, "a result on the way is larger than memory can be");
}

/* The sizes of all labels, multiplied. */
static mls_status span(const planner *p, const labels *of, int64_t *ret_count)
{
    int64_t count = 1;
    for (int i = 0; i < of->count; i++)
        if (!mls__mul_i64(count, p->e->sizes[of->list[i]], &count))
            return too_large(p);
    *ret_count = count;
    return MLS_OK;
}

static mls_status claim_bytes(const planner *p, size_t bytes, mls__einsum_region *region)
{
    mls__einsum_kernel *kernel = p->kernel;
    size_t end, aligned;
    if (!p->is_first)
        return bytes <= region->bytes
                   ? MLS_OK
                   : mls__op_error(p->op, MLS_ELIMIT, "these dims need another plan");
    if (!mls__align_size(bytes, &aligned) ||
        !mls__add_size((size_t) kernel->workspace_bytes, aligned, &end))
        return too_large(p);
    *region = (mls__einsum_region){kernel->workspace_bytes, bytes};
    kernel->workspace_bytes = end;
    return MLS_OK;
}

static mls_status claim(const planner *p, int64_t count, mls__einsum_region *region)
{
    size_t bytes;
    if (!mls__mul_size((size_t) count, mls_dtype_size((mls_dtype) p->kernel->computed), &bytes))
        return too_large(p);
    return claim_bytes(p, bytes, region);
}

/* --- views and moves -------------------------------------------------------------------------- */

static int position_of(const view *v, uint8_t label)
{
    int i = 0;
    while (v->labels.list[i] != label)
        i++;
    return i;
}

/* As elements lie that have the order of the view's labels. */
static void set_contiguous(view *v)
{
    int64_t stride = 1;
    for (int i = v->labels.count - 1; i >= 0; i--) {
        v->strides[i] = v->counts[i] == 1 ? 0 : stride;
        stride *= v->counts[i];
    }
}

/* An operand as it lies; along a label that it has twice, its diagonal. */
static view view_of(const mls_arg *arg, const mls__einsum_term *term)
{
    view v = {.labels = {.count = 0}};
    for (int i = 0; i < term->rank; i++) {
        const int64_t stride = arg->dims[i] == 1 ? 0 : mls__arg_span(arg, i + 1, arg->rank);
        if (set_of(v.labels.list, v.labels.count) & bit(term->labels[i])) {
            v.strides[position_of(&v, term->labels[i])] += stride;
            continue;
        }
        v.counts[v.labels.count] = arg->dims[i];
        v.strides[v.labels.count] = stride;
        v.labels.list[v.labels.count++] = term->labels[i];
    }
    return v;
}

/* The view's elements in the order of `to`, as many along each label as `counts` says. */
static mls_status plan_move(const planner *p, const view *from, const labels *to,
                            const int64_t *counts, mls__einsum_move *ret_move)
{
    bool is_needed = false;
    int64_t stride = 1, strides[MLS__EINSUM_LIVE];
    for (int i = to->count - 1; i >= 0; i--) {
        strides[i] = stride;
        is_needed |= counts[i] > 1 && from->strides[position_of(from, to->list[i])] != stride;
        if (!mls__mul_i64(stride, counts[i], &stride))
            return too_large(p);
    }
    ret_move->is_needed = is_needed;
    if (!is_needed)
        return MLS_OK;
    mls__copy_begin(&ret_move->copy, mls_dtype_size((mls_dtype) p->kernel->computed));
    for (int i = 0; i < to->count; i++)
        mls__copy_loop(&ret_move->copy, counts[i], strides[i],
                       from->strides[position_of(from, to->list[i])]);
    mls__copy_end(&ret_move->copy, p->kernel->threads);
    return claim(p, stride, &ret_move->region);
}

/* As above; along every label its size. */
static mls_status plan_order(const planner *p, const view *from, const labels *to,
                             mls__einsum_move *ret_move)
{
    int64_t counts[MLS__EINSUM_LIVE];
    for (int i = 0; i < to->count; i++)
        counts[i] = p->e->sizes[to->list[i]];
    return plan_move(p, from, to, counts, ret_move);
}

/* --- operands --------------------------------------------------------------------------------- */

/* Sums what is not in `keep`. */
static mls_status plan_sums(const planner *p, uint64_t keep, view *v, mls__einsum_operand *operand)
{
    view ordered = {.labels = {.count = 0}};
    append(&ordered.labels, &v->labels, keep);
    const int kept = ordered.labels.count;
    append(&ordered.labels, &v->labels, ~keep);
    operand->row_count = operand->row_length = 1;
    for (int i = 0; i < ordered.labels.count; i++) {
        ordered.counts[i] = v->counts[position_of(v, ordered.labels.list[i])];
        *(i < kept ? &operand->row_count : &operand->row_length) *= ordered.counts[i];
    }
    operand->is_summed = kept < ordered.labels.count;
    if (!operand->is_summed)
        return MLS_OK;
    mls_status status = plan_move(p, v, &ordered.labels, ordered.counts, &operand->rows);
    if (!status)
        status = claim(p, operand->row_count, &operand->sums);
    ordered.labels.count = kept;
    set_contiguous(&ordered);
    *v = ordered;
    return status;
}

/* `keep`: the labels that somebody else has. */
static mls_status plan_operand(const planner *p, size_t index, uint64_t keep,
                               mls__einsum_operand *operand, view *ret_view)
{
    const mls__einsum_kernel *kernel = p->kernel;
    const mls_arg *arg = &p->op->inputs[index];
    mls_status status = MLS_OK;
    *ret_view = view_of(arg, &p->e->operands[index]);
    operand->count = mls__arg_count(arg);
    if (kernel->dtype != kernel->computed)
        status = claim(p, operand->count, &operand->wide);
    return status ? status : plan_sums(p, keep, ret_view, operand);
}

/* --- products --------------------------------------------------------------------------------- */

/* Batch, rows, columns and sum of a product, and both sides as it takes them. */
typedef struct pairing {
    labels batch, rows, columns, sum;
    labels sides[2], result;
    bool is_turned[2];
} pairing;

static labels join(const labels *a, const labels *b, const labels *c)
{
    labels all = *a;
    append(&all, b, ~UINT64_C(0));
    if (c)
        append(&all, c, ~UINT64_C(0));
    return all;
}

/* The last of the output's labels that only one side has had better be a column. */
static bool should_swap(const mls__einsum *e, uint64_t so_far, uint64_t next)
{
    for (int i = e->output.rank - 1; i >= 0; i--)
        if ((so_far ^ next) & bit(e->output.labels[i]))
            return (so_far & bit(e->output.labels[i])) != 0;
    return false;
}

/* A side is turned where it lies so: that costs a product less than a copy. */
static void choose_side(pairing *pair, int side, const view *v, const labels *straight,
                        const labels *turned)
{
    pair->is_turned[side] = !equal(&v->labels, straight) && equal(&v->labels, turned);
    pair->sides[side] = pair->is_turned[side] ? *turned : *straight;
}

static mls_status pair_up(const planner *p, const view *a, const view *b, uint64_t needed,
                          pairing *ret_pair)
{
    const uint64_t in_a = set_of(a->labels.list, a->labels.count);
    const uint64_t in_b = set_of(b->labels.list, b->labels.count);
    pairing pair = {.batch = {.count = 0}};
    append(&pair.batch, &a->labels, in_b & needed);
    append(&pair.sum, &a->labels, in_b & ~needed);
    append(&pair.rows, &a->labels, ~in_b);
    append(&pair.columns, &b->labels, ~in_a);
    if (pair.batch.count + pair.rows.count + pair.columns.count > MLS__EINSUM_LIVE)
        return mls__op_error(p->op, MLS_EUNSUPPORTED,
                             "a result on the way would have %d dimensions; at most %d are had",
                             pair.batch.count + pair.rows.count + pair.columns.count,
                             MLS__EINSUM_LIVE);
    const labels straight[] = {join(&pair.batch, &pair.rows, &pair.sum),
                               join(&pair.batch, &pair.sum, &pair.columns)};
    const labels turned[] = {join(&pair.batch, &pair.sum, &pair.rows),
                             join(&pair.batch, &pair.columns, &pair.sum)};
    choose_side(&pair, 0, a, &straight[0], &turned[0]);
    choose_side(&pair, 1, b, &straight[1], &turned[1]);
    pair.result = join(&pair.batch, &pair.rows, &pair.columns);
    *ret_pair = pair;
    return MLS_OK;
}

static void begin_product(const planner *p, const pairing *pair, mls__product *product)
{
    const mls__einsum_kernel *kernel = p->kernel;
    product->base = kernel->base;
    product->y_index = 2;
    product->dtype = kernel->computed;
    product->threads = kernel->threads;
    product->alpha = product->beta = 1;
    product->is_a_turned = pair->is_turned[0];
    product->is_b_turned = pair->is_turned[1];
}

/* A constant that is the product's B as it lies is packed once for all runs. */
static mls_status pack_constant(const planner *p, size_t index, mls__einsum_step *step)
{
    const mls__product_shape *shape = &step->product.shape;
    mls_arg inputs[2] = {p->op->inputs[index], p->op->inputs[index]};
    mls_op op = *p->op;
    if (step->is_swapped || step->operand.is_summed || step->sides[1].is_needed ||
        step->is_elementwise || p->kernel->dtype != MLS_FLOAT32)
        return MLS_OK;
    inputs[1].rank = 3;
    inputs[1].dims[0] = shape->count;
    inputs[1].dims[1] = shape->k;
    inputs[1].dims[2] = shape->n;
    op.inputs = inputs;
    return mls__product_pack(&step->product, &op);
}

static mls_status plan_product(const planner *p, const pairing *pair, size_t index,
                               mls__einsum_step *step)
{
    mls__product *product = &step->product;
    mls__product_shape *shape = &product->shape;
    mls_status status = span(p, &pair->batch, &shape->count);
    if (!status)
        status = span(p, &pair->rows, &shape->m);
    if (!status)
        status = span(p, &pair->columns, &shape->n);
    if (!status)
        status = span(p, &pair->sum, &shape->k);
    if (status)
        return status;
    shape->rank = 1;
    shape->dims[0] = shape->count;
    shape->a_steps[0] = shape->b_steps[0] = 1;
    step->is_elementwise = !pair->rows.count && !pair->columns.count && !pair->sum.count;
    if (p->is_first)
        begin_product(p, pair, product);
    if (product->dtype != MLS_FLOAT32)
        return MLS_OK;
    mls__product_follow(product);
    if (!p->is_first)
        return MLS_OK;
    status = mls__product_plan(product, p->op);
    if (!status)
        status = pack_constant(p, index, step);
    return status ? status
                  : claim_bytes(p, (size_t) product->base.base.workspace_bytes, &step->workspace);
}

static labels output_order(const planner *p)
{
    labels order = {.count = p->e->output.rank};
    memcpy(order.list, p->e->output.labels, (size_t) order.count);
    return order;
}

static mls_status plan_result(const planner *p, const pairing *pair, mls__einsum_step *step,
                              view *ret_view)
{
    const mls__einsum_kernel *kernel = p->kernel;
    const labels order = output_order(p);
    ret_view->labels = pair->result;
    step->gives_output = step == &kernel->steps[kernel->operands - 2] &&
                         kernel->dtype == kernel->computed && equal(&pair->result, &order);
    for (int i = 0; i < pair->result.count; i++)
        ret_view->counts[i] = p->e->sizes[pair->result.list[i]];
    const mls_status status = span(p, &pair->result, &step->result_count);
    set_contiguous(ret_view);
    return status || step->gives_output ? status : claim(p, step->result_count, &step->result);
}

/* `v` is what there is so far, and then what there is after the step. */
static mls_status plan_step(const planner *p, size_t index, view *v)
{
    const mls__einsum *e = p->e;
    mls__einsum_step *step = &p->kernel->steps[index - 1];
    const uint64_t so_far = set_of(v->labels.list, v->labels.count);
    const uint64_t needed = needed_after(e, index);
    view next;
    pairing pair;
    mls_status status = plan_operand(p, index, so_far | needed, &step->operand, &next);
    if (status)
        return status;
    step->is_swapped = should_swap(e, so_far, set_of(next.labels.list, next.labels.count));
    const view *a = step->is_swapped ? &next : v, *b = step->is_swapped ? v : &next;
    status = pair_up(p, a, b, needed, &pair);
    if (!status)
        status = plan_order(p, a, &pair.sides[0], &step->sides[0]);
    if (!status)
        status = plan_order(p, b, &pair.sides[1], &step->sides[1]);
    if (!status)
        status = plan_product(p, &pair, index, step);
    return status ? status : plan_result(p, &pair, step, v);
}

static mls_status plan_output(const planner *p, const view *v)
{
    const labels order = output_order(p);
    return plan_order(p, v, &order, &p->kernel->last);
}

mls_status mls__einsum_plan(mls__einsum_kernel *kernel, const mls_op *op, bool is_first)
{
    mls__einsum e;
    view v;
    const planner p = {kernel, op, &e, is_first};
    mls_status status = mls__op_einsum(op, &e);
    kernel->output_count = mls__arg_count(&op->outputs[0]);
    if (!status)
        status = plan_operand(&p, 0, needed_after(&e, 0), &kernel->first, &v);
    for (size_t i = 1; !status && i < e.count; i++)
        status = plan_step(&p, i, &v);
    if (!status)
        status = plan_output(&p, &v);
    if (!status && is_first)
        kernel->base.base.workspace_bytes = kernel->workspace_bytes;
    return status;
}
