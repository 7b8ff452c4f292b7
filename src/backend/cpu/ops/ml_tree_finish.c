/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_tree_finish.h. Totals stay float64 up to the transform, which is in float32. */
#include "backend/cpu/ops/ml_tree_finish.h"

#include "backend/cpu/kernels/kernels.h"

#include <string.h>

/* --- making ---------------------------------------------------------------------------------- */

static bool is_average(const mls_op *op)
{
    const mls_attr *attr = mls__op_attr(op, "aggregate_function");
    if (attr && attr->type == MLS_ATTR_INT)
        return attr->i == 0;
    return mls__op_string_is(op, "aggregate_function", "AVERAGE", "SUM");
}

static mls_status check_base(const mls__tree_finish *finish, const mls_op *op)
{
    const size_t classes = finish->labels.count;
    const size_t count = finish->base.count;
    const size_t expected = finish->is_classifier ? classes : finish->target_count;
    if (count == 0 || count == expected || (finish->is_classifier && classes == 2 && count == 1))
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "base_values has %zu values, expected none or %zu", count,
                         expected);
}

static bool is_probability(const mls__tree_source *source)
{
    for (uint32_t w = 0; w < source->weight_count; w++)
        if (source->weights[w].value < 0)
            return false;
    return true;
}

mls_status mls__tree_finish_init(mls__tree_finish *finish, const mls__cpu *cpu, const mls_op *op,
                                 const mls__tree_source *source)
{
    *finish = (mls__tree_finish){
        .cpu = cpu,
        .is_classifier = strcmp(op->type, "TreeEnsembleClassifier") == 0,
        .target_count = source->target_count,
        .divisor = 1.0,
        .only_class = source->only_class,
        .is_probability = is_probability(source),
    };
    mls_status status = mls__transform_read(op, &finish->transform);
    if (!status)
        status = mls__numbers_read(op, "base_values", &finish->base);
    if (!status && finish->is_classifier)
        status = mls__labels_read(op, "classlabels_int64s", &finish->labels);
    if (status)
        return status;
    if (!finish->is_classifier) {
        finish->dtype = op->outputs[0].dtype;
        if (is_average(op))
            finish->divisor = source->tree_count;
        if (finish->target_count == 1 && finish->transform != MLS__TRANSFORM_PROBIT)
            finish->transform = MLS__TRANSFORM_NONE;
    }
    return check_base(finish, op);
}

/* --- rows ------------------------------------------------------------------------------------ */

static double base_of(const mls__tree_finish *f, size_t index)
{
    return index < f->base.count ? mls__numbers_at(&f->base, index) : 0.0;
}

static bool is_seen(const mls__tree_totals *t, int64_t row, size_t target)
{
    return !t->seen || t->seen[(size_t) row * t->row_stride + target * t->target_stride];
}

static double total_of(const mls__tree_finish *f, const mls__tree_totals *t, int64_t row,
                       size_t target)
{
    if (!is_seen(t, row, target))
        return base_of(f, target);
    return t->totals[(size_t) row * f->target_count + target] / f->divisor + base_of(f, target);
}

/* --- regression ------------------------------------------------------------------------------ */

static void write_doubles(const mls__tree_finish *f, const mls__tree_totals *t, int64_t first,
                          int64_t rows, double *out)
{
    const size_t targets = f->target_count;
    for (int64_t r = 0; r < rows; r++)
        for (size_t k = 0; k < targets; k++)
            out[(size_t) (first + r) * targets + k] = total_of(f, t, r, k);
}

static void write_scores(const mls__tree_finish *f, const float *scores, int64_t first,
                         int64_t rows, void *out)
{
    const size_t count = (size_t) rows * f->target_count;
    const size_t at = (size_t) first * f->target_count;
    if (f->dtype == MLS_FLOAT32)
        memcpy((float *) out + at, scores, count * sizeof *scores);
    else if (f->dtype == MLS_FLOAT16)
        f->cpu->kernels->elementwise->f32_to_f16((uint16_t *) out + at, scores, (int64_t) count);
    else
        for (size_t i = 0; i < count; i++)
            ((double *) out)[at + i] = (double) scores[i];
}

static void finish_regression(const mls__tree_finish *f, const mls__tree_totals *t, int64_t first,
                              int64_t rows, void *out)
{
    const size_t targets = f->target_count;
    if (f->dtype == MLS_FLOAT64 && f->transform == MLS__TRANSFORM_NONE) {
        write_doubles(f, t, first, rows, out);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        for (size_t k = 0; k < targets; k++)
            t->scores[(size_t) r * targets + k] = (float) total_of(f, t, r, k);
    mls__transform_rows(f->cpu, f->transform, t->scores, rows, (int64_t) targets);
    write_scores(f, t->scores, first, rows, out);
}

/* --- classification -------------------------------------------------------------------------- */

/* The greatest of the scores that some leaf or base value gave; the first one of equals. */
static size_t greatest(const mls__tree_finish *f, const mls__tree_totals *t, int64_t row)
{
    size_t best = 0;
    bool has_best = false;
    for (size_t k = 0; k < f->target_count; k++) {
        if (!f->base.count && !is_seen(t, row, k))
            continue;
        if (!has_best || total_of(f, t, row, k) > total_of(f, t, row, best))
            best = k;
        has_best = true;
    }
    return best;
}

static void classify_many(const mls__tree_finish *f, const mls__tree_totals *t, int64_t row,
                          void *labels, int64_t at, float *scores)
{
    mls__label_set(&f->labels, labels, at, greatest(f, t, row));
    for (size_t k = 0; k < f->target_count; k++)
        scores[k] = (float) total_of(f, t, row, k);
    mls__transform_rows(f->cpu, f->transform, scores, 1, f->target_count);
}

/* Two classes, weights for one of them. */
static void classify_pair(const mls__tree_finish *f, const mls__tree_totals *t, int64_t row,
                          void *labels, int64_t at, float *scores)
{
    const bool has_columns = f->base.count == 2 || f->only_class == 1;
    const bool has_base = f->base.count == 2 || (f->base.count == 1 && f->only_class == 0);
    const size_t column = (size_t) f->only_class;
    double score = is_seen(t, row, 0) ? t->totals[row] : 0.0;
    if (has_base)
        score += base_of(f, f->base.count == 2 ? column : 0);
    mls__label_set(&f->labels, labels, at, score > (f->is_probability ? 0.5 : 0.0));
    if (!has_columns) {
        mls__transform_pair(f->cpu, f->transform, f->is_probability, (float) score, scores);
        return;
    }
    scores[column] = (float) score;
    scores[1 - column] = column == 1 ? (float) base_of(f, f->base.count == 2 ? 0 : 2) : 0.0f;
    mls__transform_rows(f->cpu, f->transform, scores, 1, 2);
}

/* One class: ONNX Runtime's labels are 1 and 0. */
static void classify_one(const mls__tree_finish *f, const mls__tree_totals *t, int64_t row,
                         void *labels, int64_t at, float *scores)
{
    const double score = total_of(f, t, row, 0);
    if (f->labels.strings)
        mls__label_set(&f->labels, labels, at, 0);
    else if (labels)
        ((int64_t *) labels)[at] = score > 0.0;
    *scores = (float) score;
    if (f->transform == MLS__TRANSFORM_PROBIT)
        mls__transform_rows(f->cpu, f->transform, scores, 1, 1);
}

static void finish_classes(const mls__tree_finish *f, const mls__tree_totals *t, int64_t first,
                           int64_t rows, void *const outputs[2])
{
    const size_t classes = f->labels.count;
    float pair[2];
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = first + r;
        float *scores = classes > 2 ? t->scores : pair;
        if (classes == 1)
            classify_one(f, t, r, outputs[0], at, scores);
        else if (classes == 2 && f->only_class >= 0)
            classify_pair(f, t, r, outputs[0], at, scores);
        else
            classify_many(f, t, r, outputs[0], at, scores);
        if (outputs[1])
            memcpy((float *) outputs[1] + (size_t) at * classes, scores, classes * sizeof *scores);
    }
}

void mls__tree_finish_rows(const mls__tree_finish *finish, const mls__tree_totals *totals,
                           int64_t first, int64_t rows, void *const outputs[2])
{
    if (finish->is_classifier)
        finish_classes(finish, totals, first, rows, outputs);
    else if (outputs[0])
        finish_regression(finish, totals, first, rows, outputs[0]);
}
