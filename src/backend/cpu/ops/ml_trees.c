/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of TreeEnsembleRegressor, TreeEnsembleClassifier and TreeEnsemble: rows go
 * block by block through the forest; what is done with a row's totals is in
 * ml_tree_finish.c.
 */
#include "backend/cpu/ops/ml_trees.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_rows.h"
#include "backend/cpu/ops/ml_tree_finish.h"
#include "base/error.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LANES = MLS__TREE_LANES, ROWS = MLS__TREE_ROWS };

/* Lanes of one block of rows stay in the second cache. */
#define LANES_BYTES (256 * 1024)

/* Nanoseconds of a row in a tree, about. */
#define TREE_COST 3.0

/* Where the arrays of one thread's slice of the workspace are. */
typedef struct slice_layout {
    size_t features, keys, scan_keys, lanes, seen, scores, totals, size;
} slice_layout;

typedef struct tree_kernel {
    mls__cpu_kernel base;
    const mls__forest *forest;
    mls__tree_finish finish;
    mls__rows rows;
    int32_t dtype;
    bool has_scores;    /* a second output */
    int64_t block_rows; /* that are walked together */
    uint32_t tree_count;
    slice_layout slice;
    mls__row_tasks tasks;
} tree_kernel;

/* What a task of a run knows. */
typedef struct tree_job {
    const tree_kernel *kernel;
    void *const *buffers;
} tree_job;

static void *at(char *slice, size_t offset)
{
    return slice + offset;
}

/* --- keys ------------------------------------------------------------------------------------ */

static const void *row_at(const tree_kernel *k, const void *x, int64_t row)
{
    const size_t size = mls_dtype_size((mls_dtype) k->dtype);
    return (const char *) x + (size_t) (row * k->rows.columns) * size;
}

/* A row as float32, in place where it is that already. */
static const float *float_row(const tree_kernel *k, const void *row, float *features)
{
    if (k->dtype == MLS_FLOAT32)
        return row;
    if (k->dtype == MLS_FLOAT16)
        k->base.cpu->kernels->elementwise->f16_to_f32(features, row, k->rows.columns);
    else
        mls__to_float(k->dtype, row, k->rows.columns, features);
    return features;
}

static const double *double_row(const tree_kernel *k, const void *row, char *slice)
{
    double *features = at(slice, k->slice.features);
    if (k->dtype == MLS_FLOAT64)
        return row;
    /* The floats lie behind the doubles. */
    const float *floats = float_row(k, row, (float *) (features + k->rows.columns));
    for (int64_t i = 0; i < k->rows.columns; i++)
        features[i] = (double) floats[i];
    return features;
}

static void make_keys(const tree_kernel *k, const void *x, int64_t row, int64_t rows, char *slice)
{
    const mls__tree_kernels *kernels = k->base.cpu->kernels->tree;
    const size_t stride = k->forest->key_count;
    float *features = at(slice, k->slice.features);
    uint32_t *keys = at(slice, k->slice.keys);
    for (int64_t r = 0; r < rows; r++)
        kernels->keys(k->forest, float_row(k, row_at(k, x, row + r), features),
                      keys + (size_t) r * stride);
}

static void make_double_keys(const tree_kernel *k, const void *x, int64_t row, int64_t rows,
                             char *slice)
{
    const mls__tree_kernels *kernels = k->base.cpu->kernels->tree;
    uint64_t *keys = at(slice, k->slice.keys);
    for (int64_t r = 0; r < rows; r++)
        kernels->double_keys(k->forest, double_row(k, row_at(k, x, row + r), slice),
                             keys + (size_t) r * k->forest->key_count);
}

/* --- totals ---------------------------------------------------------------------------------- */

/* Lanes of `rows` rows at the value that any weight beats, and nothing seen. */
static float *clear_lanes(const tree_kernel *k, int64_t rows, char *slice)
{
    static const float neutral[] = {
        [MLS__TREE_SUM] = 0.0f, [MLS__TREE_MIN] = INFINITY, [MLS__TREE_MAX] = -INFINITY};
    const size_t targets = (size_t) rows * k->forest->target_count;
    float *lanes = at(slice, k->slice.lanes);
    if (k->forest->aggregate == MLS__TREE_SUM)
        memset(lanes, 0, targets * LANES * sizeof *lanes);
    else
        for (size_t i = 0; i < targets * LANES; i++)
            lanes[i] = neutral[k->forest->aggregate];
    if (k->forest->leaf_first)
        memset(at(slice, k->slice.seen), 0, targets);
    return lanes;
}

static double *clear_double_lanes(const tree_kernel *k, int64_t rows, char *slice)
{
    static const double neutral[] = {
        [MLS__TREE_SUM] = 0.0, [MLS__TREE_MIN] = INFINITY, [MLS__TREE_MAX] = -INFINITY};
    const size_t targets = (size_t) rows * k->forest->target_count;
    double *lanes = at(slice, k->slice.lanes);
    for (size_t i = 0; i < targets * LANES; i++)
        lanes[i] = neutral[k->forest->aggregate];
    memset(at(slice, k->slice.seen), 0, targets);
    return lanes;
}

static void widen_scores(const tree_kernel *k, int64_t rows, char *slice)
{
    const float *scores = at(slice, k->slice.scores);
    double *totals = at(slice, k->slice.totals);
    for (int64_t i = 0; i < rows * k->forest->target_count; i++)
        totals[i] = (double) scores[i];
}

static void walk_block(const tree_kernel *k, const void *x, int64_t row, int64_t rows, char *slice)
{
    const mls__tree_kernels *kernels = k->base.cpu->kernels->tree;
    float *lanes = clear_lanes(k, rows, slice);
    make_keys(k, x, row, rows, slice);
    kernels->walk(k->forest, rows, at(slice, k->slice.keys), lanes, at(slice, k->slice.seen));
    kernels->walk_scores(k->forest, rows, lanes, at(slice, k->slice.scores));
    widen_scores(k, rows, slice);
}

static void walk_double_block(const tree_kernel *k, const void *x, int64_t row, int64_t rows,
                              char *slice)
{
    const mls__tree_kernels *kernels = k->base.cpu->kernels->tree;
    double *lanes = clear_double_lanes(k, rows, slice);
    make_double_keys(k, x, row, rows, slice);
    kernels->walk_double(k->forest, rows, at(slice, k->slice.keys), lanes,
                         at(slice, k->slice.seen));
    kernels->double_scores(k->forest, rows, lanes, at(slice, k->slice.totals));
}

static void scan_block(const tree_kernel *k, const void *x, int64_t row, int64_t rows, char *slice)
{
    const mls__tree_kernels *kernels = k->base.cpu->kernels->tree;
    float *lanes = clear_lanes(k, ROWS, slice);
    int32_t *keys = at(slice, k->slice.scan_keys);
    make_keys(k, x, row, rows, slice);
    kernels->scan_keys(k->forest, rows, at(slice, k->slice.keys), keys);
    kernels->scan(k->forest, keys, lanes, at(slice, k->slice.seen));
    kernels->scan_scores(k->forest, rows, lanes, at(slice, k->slice.scores));
    widen_scores(k, rows, slice);
}

static void run_rows(void *arg, int64_t row, int64_t end, char *slice)
{
    const tree_job *job = arg;
    const tree_kernel *k = job->kernel;
    void *const *buffers = job->buffers;
    void *const outputs[2] = {buffers[1], k->has_scores ? buffers[2] : NULL};
    while (row < end) {
        const uint32_t scan_rows = k->forest->scan_rows;
        const bool scans = scan_rows && end - row >= scan_rows;
        const int64_t most = scans ? ROWS : k->block_rows;
        const int64_t rows = end - row < most ? end - row : most;
        if (scans)
            scan_block(k, buffers[0], row, rows, slice);
        else if (k->forest->form == MLS__TREE_DOUBLE)
            walk_double_block(k, buffers[0], row, rows, slice);
        else
            walk_block(k, buffers[0], row, rows, slice);
        const mls__tree_totals totals = {
            .totals = at(slice, k->slice.totals),
            .scores = at(slice, k->slice.scores),
            .seen = k->forest->leaf_first ? at(slice, k->slice.seen) : NULL,
            .row_stride = scans ? 1 : k->forest->target_count,
            .target_stride = scans ? ROWS : 1,
        };
        mls__tree_finish_rows(&k->finish, &totals, row, rows, outputs);
        row += rows;
    }
}

static mls_status tree_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const tree_kernel *k = (const tree_kernel *) base;
    tree_job job = {k, call->buffers};
    mls__row_tasks_run(&k->tasks, call, k->rows.count, run_rows, &job);
    return MLS_OK;
}

/* --- making ---------------------------------------------------------------------------------- */

static mls_status follow_dims(tree_kernel *k, const mls_op *op)
{
    k->rows = mls__rows_of(&op->inputs[0]);
    if (k->forest->feature_count > k->rows.columns)
        return mls__op_error(op, MLS_ESHAPE,
                             "the trees test feature %" PRIu32 ", input 0 has %" PRId64 " columns",
                             k->forest->feature_count - 1, k->rows.columns);
    return MLS_OK;
}

static mls_status tree_reshape(mls_kernel *base, const mls_op *op)
{
    return follow_dims((tree_kernel *) base, op);
}

static bool lay_out(tree_kernel *k)
{
    const mls__forest *forest = k->forest;
    const bool is_double = forest->form == MLS__TREE_DOUBLE;
    const bool scans = forest->scan_rows && k->rows.count >= forest->scan_rows;
    const size_t rows = scans ? ROWS : (size_t) k->block_rows;
    const size_t columns = (size_t) k->rows.columns, real = is_double ? 8 : 4;
    const size_t targets = rows * forest->target_count;
    slice_layout *slice = &k->slice;
    size_t *size = &slice->size;
    *size = 0;
    return mls__slice_add(size, columns, is_double ? 12 : 4, &slice->features) &&
           mls__slice_add(size, rows * forest->key_count, real, &slice->keys) &&
           mls__slice_add(size, scans ? rows * forest->key_count : 0, 4, &slice->scan_keys) &&
           mls__slice_add(size, targets * LANES, real, &slice->lanes) &&
           mls__slice_add(size, targets, 1, &slice->seen) &&
           mls__slice_add(size, targets, 4, &slice->scores) &&
           mls__slice_add(size, targets, 8, &slice->totals);
}

static mls_status plan_memory(tree_kernel *k, const mls_op *op)
{
    const size_t lane_bytes = (size_t) k->forest->target_count * LANES * sizeof(double);
    const int64_t fits = (int64_t) (LANES_BYTES / lane_bytes);
    k->block_rows = fits < 1 ? 1 : fits < ROWS ? fits : ROWS;
    if (k->block_rows > k->rows.count)
        k->block_rows = k->rows.count ? k->rows.count : 1;
    if (!lay_out(k))
        return mls__op_error(op, MLS_ELIMIT, "the rows' scratch memory is more than can be");
    return mls__row_tasks_init(&k->tasks, &k->base, op, k->rows.count, TREE_COST * k->tree_count,
                               k->slice.size);
}

static mls_status make_forest(const mls__cpu *cpu, const mls_op *op, tree_kernel *k)
{
    const bool is_v5 = strcmp(op->type, "TreeEnsemble") == 0;
    mls__tree_source source;
    mls__tree_plan plan = {0};
    mls_status status = (is_v5 ? mls__tree_read5 : mls__tree_read)(cpu, op, &source);
    if (!status)
        status = mls__tree_lower(&source, &plan);
    if (!status)
        status = mls__tree_pack(cpu, op, &plan, &k->forest);
    if (!status)
        status = mls__tree_finish_init(&k->finish, cpu, op, &source);
    k->tree_count = source.tree_count;
    mls__tree_plan_clear(&plan);
    mls__tree_source_clear(&source);
    return status;
}

static mls_status tree_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    tree_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "tree", tree_run, &k);
    if (status)
        return status;
    k->base.base.reshape = tree_reshape;
    k->dtype = op->inputs[0].dtype;
    k->has_scores = op->output_count > 1;
    status = make_forest(cpu, op, k);
    if (!status)
        status = follow_dims(k, op);
    if (!status)
        status = plan_memory(k, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

const mls__cpu_op mls__cpu_ops_ml_trees[] = {
    {"ai.onnx.ml", "TreeEnsembleRegressor", tree_create, 0},
    {"ai.onnx.ml", "TreeEnsembleClassifier", tree_create, 0},
    {"ai.onnx.ml", "TreeEnsemble", tree_create, 0},
    {NULL, NULL, NULL, 0},
};
