/* SPDX-License-Identifier: Apache-2.0 */
/* MaxPool, AveragePool and LpPool. */
#include "backend/cpu/ops/pool.h"

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/pool_plain.h"

#include <math.h>
#include <string.h>

/* Positions of windows that are worth a task of their own. */
#define GRAIN 65536

/* Elements of padded rows that the first cache has room for. */
#define BLOCK 4096

/* Along an outer dimension: the rows of the input that an element of the output takes. */
typedef struct rows_taken {
    int64_t first, count; /* the first row, and how many, `dilation` apart */
    int64_t divisor;      /* how many elements a mean is of */
} rows_taken;

/* A task's memory, and what it has counted so far. */
typedef struct task {
    const mls__pool *k;
    const char *x;
    char *y;
    char *plane, *block, *counts, *divisors, *wide_y;
    char *full;     /* divisors of a block of rows whose windows have all their outer positions */
    int64_t *outer; /* elements of each row's windows in the outer dimensions */
    const void **rows;
    const rows_taken *taken[MLS_MAX_RANK]; /* by each outer dimension's elements */
    mls__pool_op op;
    int64_t outer_count; /* that the divisors are for */
    int64_t full_count;
} task;

static const mls__pool_axis *inner_axis(const mls__pool *k)
{
    return &k->g.axes[k->g.rank - 1];
}

/* --- planes ---------------------------------------------------------------------------------- */

static void widen_bytes(const mls__pool *k, float *wide, const void *x)
{
    const int8_t *i8 = x;
    const uint8_t *u8 = x;
    if (k->dtype == MLS_INT8)
        for (int64_t i = 0; i < k->x_plane; i++)
            wide[i] = (float) i8[i];
    else
        for (int64_t i = 0; i < k->x_plane; i++)
            wide[i] = (float) u8[i];
}

/* Where there was nothing to take the maximum of, it is below every number. */
static void narrow_bytes(const mls__pool *k, void *y, const float *wide, int64_t n)
{
    const float least = k->dtype == MLS_INT8 ? INT8_MIN : 0;
    for (int64_t i = 0; i < n; i++) {
        const float value = wide[i] < least ? least : wide[i];
        if (k->dtype == MLS_INT8)
            ((int8_t *) y)[i] = (int8_t) value;
        else
            ((uint8_t *) y)[i] = (uint8_t) value;
    }
}

static bool is_bytes(const mls__pool *k)
{
    return k->x_size == 1;
}

/* The plane in the type of the work, and for FINISH_POWER |x|^p. */
static const char *stage_plane(const task *t, int64_t plane)
{
    const mls__pool *k = t->k;
    const mls__cpu *cpu = k->base.cpu;
    const char *x = t->x + (size_t) (plane * k->x_plane) * k->x_size;
    if (!k->is_staged)
        return x;
    if (is_bytes(k))
        widen_bytes(k, (float *) (void *) t->plane, x);
    else
        mls__float_convert(cpu, k->work_dtype, t->plane, k->dtype, x, k->x_plane);
    if (k->finish == MLS__POOL_FINISH_POWER) {
        mls__float_unary(cpu, k->work_dtype, MLS__UNARY_ABS, t->plane, t->plane, k->x_plane);
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_POW, t->plane, t->plane, 1, &k->p, 0,
                          k->x_plane);
    }
    return t->plane;
}

/* --- a row of the output --------------------------------------------------------------------- */

/* The next position below `ends`, the last dimension first; false after the last. */
static bool next_position(const int64_t *ends, int rank, int64_t *position)
{
    for (int d = rank - 1; d >= 0; d--) {
        if (++position[d] < ends[d])
            return true;
        position[d] = 0;
    }
    return false;
}

/* The first row for a position in all outer dimensions but the last. */
static int64_t first_row(const task *t, const int64_t *o, const int64_t *position)
{
    const mls__pool *k = t->k;
    const int last = k->g.rank - 2;
    int64_t row = 0;
    for (int d = 0; d < last; d++)
        row = row * k->g.axes[d].input + t->taken[d][o[d]].first +
              position[d] * k->g.axes[d].dilation;
    return row * k->g.axes[last].input + t->taken[last][o[last]].first;
}

/* The rows of the plane that the windows at `o` have; gives their number. */
static int64_t collect_rows(const task *t, const char *plane, const int64_t *o)
{
    const mls__pool *k = t->k;
    const int last = k->g.rank - 2;
    const size_t bytes = (size_t) inner_axis(k)->input * k->size;
    int64_t position[MLS_MAX_RANK] = {0}, ends[MLS_MAX_RANK], count = 0;
    if (last < 0) {
        t->rows[0] = plane;
        return 1;
    }
    for (int d = 0; d <= last; d++) {
        ends[d] = t->taken[d][o[d]].count;
        if (!ends[d])
            return 0;
    }
    const size_t step = (size_t) k->g.axes[last].dilation * bytes;
    do {
        const char *row = plane + (size_t) first_row(t, o, position) * bytes;
        for (int64_t i = 0; i < ends[last]; i++, row += step)
            t->rows[count++] = row;
    } while (next_position(ends, last, position));
    return count;
}

/* How many elements a mean's window has along one dimension. */
static int64_t window_count(const mls__pool *k, const mls__pool_axis *axis, int64_t o)
{
    if (k->counts_padding)
        return mls__pool_padded_count(axis, o);
    const mls__pool_window window = mls__pool_inside(axis, o);
    return window.last - window.first;
}

static void put_number(const mls__pool *k, char *numbers, int64_t i, int64_t value)
{
    if (k->work_dtype == MLS_FLOAT64)
        ((double *) (void *) numbers)[i] = (double) value;
    else
        ((float *) (void *) numbers)[i] = (float) value;
}

/* How many elements a mean has in the outer dimensions. */
static int64_t outer_count(const task *t, const int64_t *o)
{
    int64_t count = 1;
    for (int d = 0; d < t->k->g.rank - 1; d++)
        count *= t->taken[d][o[d]].divisor;
    return count;
}

/* What sums of windows with so many positions in the outer dimensions are divided by. */
static void put_divisors(const task *t, char *divisors, int64_t outer)
{
    mls__number scale;
    put_number(t->k, (char *) &scale, 0, outer > 1 ? outer : 1);
    mls__float_binary(t->k->base.cpu, t->k->work_dtype, MLS__BINARY_MUL, divisors, t->counts, 1,
                      &scale, 0, inner_axis(t->k)->output);
}

static void divide(const mls__pool *k, char *y, const char *divisors, int64_t n)
{
    mls__float_binary(k->base.cpu, k->work_dtype, MLS__BINARY_DIV, y, y, 1, divisors, 1, n);
}

/* By the elements of each window. An empty one's sum is 0, and so is its mean. */
static void divide_rows(task *t, char *y, int64_t rows)
{
    const mls__pool *k = t->k;
    const int64_t n = inner_axis(k)->output;
    for (int64_t r = 0, next; r < rows; r = next) {
        const int64_t outer = t->outer[r];
        char *row = y + (size_t) (r * n) * k->size;
        next = r + 1;
        while (outer == t->full_count && next < rows && t->outer[next] == outer)
            next++;
        if (outer == t->full_count) {
            divide(k, row, t->full, (next - r) * n);
            continue;
        }
        if (outer != t->outer_count)
            put_divisors(t, t->divisors, outer);
        t->outer_count = outer;
        divide(k, row, t->divisors, n);
    }
}

static void finish_rows(task *t, char *y, int64_t rows)
{
    const mls__pool *k = t->k;
    const int64_t count = rows * inner_axis(k)->output;
    if (k->finish == MLS__POOL_FINISH_MEAN)
        divide_rows(t, y, rows);
    else if (k->finish == MLS__POOL_FINISH_SQRT)
        mls__float_unary(k->base.cpu, k->work_dtype, MLS__UNARY_SQRT, y, y, count);
    else if (k->finish == MLS__POOL_FINISH_POWER)
        mls__float_binary(k->base.cpu, k->work_dtype, MLS__BINARY_POW, y, y, 1, &k->inverse_p, 0,
                          count);
}

/* Rows of the output from those in the block: along them, then finished. */
static void pool_block(task *t, char *y, int64_t rows)
{
    const mls__pool *k = t->k;
    const mls__pool_axis *axis = inner_axis(k);
    const mls__pool_along along = {axis->output, axis->kernel, axis->stride, axis->dilation};
    const int64_t count = rows * axis->output;
    const bool is_direct = k->dtype == k->work_dtype;
    char *work = is_direct ? y : t->wide_y;
    k->fns->along[t->op](work, t->block, rows, k->row_length, &along);
    finish_rows(t, work, rows);
    if (is_bytes(k))
        narrow_bytes(k, y, (const float *) (const void *) work, count);
    else if (!is_direct)
        mls__float_convert(k->base.cpu, k->dtype, y, k->work_dtype, work, count);
}

/* Row r of the block: the sum or maximum of the rows that the windows at `o` have. */
static void reduce_rows(task *t, const char *plane, const int64_t *o, int64_t r)
{
    const mls__pool *k = t->k;
    const mls__pool_axis *axis = inner_axis(k);
    const int64_t count = collect_rows(t, plane, o);
    k->fns->rows[t->op](t->block + (size_t) (r * k->row_length + axis->before) * k->size, t->rows,
                        count, axis->input);
    if (k->finish == MLS__POOL_FINISH_MEAN)
        t->outer[r] = outer_count(t, o);
}

/* --- a run ----------------------------------------------------------------------------------- */

static void find_taken(const mls__pool *k, int d, rows_taken *ret_taken)
{
    const mls__pool_axis *axis = &k->g.axes[d];
    for (int64_t o = 0; o < axis->output; o++) {
        const mls__pool_window window = mls__pool_inside(axis, o);
        ret_taken[o] = (rows_taken){
            .first = o * axis->stride - axis->before + window.first * axis->dilation,
            .count = window.last - window.first,
            .divisor = window_count(k, axis, o),
        };
    }
}

static void fill_divisors(task *t)
{
    const mls__pool *k = t->k;
    const size_t row = (size_t) inner_axis(k)->output * k->size;
    t->full_count = 1;
    for (int d = 0; d < k->g.rank - 1; d++)
        t->full_count *= k->g.axes[d].kernel;
    put_divisors(t, t->full, t->full_count);
    for (int64_t r = 1; r < k->block_rows; r++)
        memcpy(t->full + (size_t) r * row, t->full, row);
}

/* What all rows share: the padding, which is never written again, and how windows lie. */
static void begin_task(task *t, char *memory)
{
    const mls__pool *k = t->k;
    const mls__pool_axis *axis = inner_axis(k);
    const bool is_max = k->op == MLS__POOL_MAX;
    for (int64_t i = 0; i < k->block_rows * k->row_length; i++) {
        if (k->work_dtype == MLS_FLOAT64)
            ((double *) (void *) t->block)[i] = is_max ? -(double) INFINITY : 0;
        else
            ((float *) (void *) t->block)[i] = is_max ? -INFINITY : 0;
    }
    for (int64_t i = 0; k->finish == MLS__POOL_FINISH_MEAN && i < axis->output; i++) {
        const int64_t count = window_count(k, axis, i);
        put_number(k, t->counts, i, count > 1 ? count : 1);
    }
    for (int d = 0; d < k->g.rank - 1; d++) {
        rows_taken *taken = (rows_taken *) (void *) (memory + k->windows_offset[d]);
        find_taken(k, d, taken);
        t->taken[d] = taken;
    }
    if (k->finish == MLS__POOL_FINISH_MEAN)
        fill_divisors(t);
    t->outer_count = -1;
    t->op = k->op;
}

static void pool_plane(task *t, int64_t index)
{
    const mls__pool *k = t->k;
    const char *plane = stage_plane(t, index);
    int64_t o[MLS_MAX_RANK] = {0}, ends[MLS_MAX_RANK];
    char *y = t->y + (size_t) (index * k->y_plane) * k->x_size;
    for (int d = 0; d < k->g.rank - 1; d++)
        ends[d] = k->g.axes[d].output;
    if (k->op == MLS__POOL_MAX)
        t->op = k->fns->may_have_nan(plane, k->x_plane) ? MLS__POOL_MAX : MLS__POOL_MAX_NUMBERS;
    int64_t rows = 0;
    bool has_more;
    do {
        reduce_rows(t, plane, o, rows++);
        has_more = next_position(ends, k->g.rank - 1, o);
        if (has_more && rows < k->block_rows)
            continue;
        pool_block(t, y, rows);
        y += (size_t) (rows * inner_axis(k)->output) * k->x_size;
        rows = 0;
    } while (has_more);
}

typedef struct work {
    const mls__pool *k;
    const mls_kernel_call *call;
    int64_t tasks;
} work;

static void run_task(void *arg, size_t index)
{
    const work *w = arg;
    const mls__pool *k = w->k;
    char *memory = (char *) w->call->workspace + index * k->task_bytes;
    task t = {
        .k = k,
        .x = w->call->buffers[0],
        .y = w->call->buffers[1],
        .plane = memory + k->plane_offset,
        .block = memory + k->row_offset,
        .rows = (const void **) (void *) (memory + k->rows_offset),
        .counts = memory + k->counts_offset,
        .divisors = memory + k->divisors_offset,
        .full = memory + k->full_offset,
        .outer = (int64_t *) (void *) (memory + k->outer_offset),
        .wide_y = memory + k->y_offset,
    };
    const int64_t begin = mls__part_begin(k->g.planes, 1, (int64_t) index, w->tasks);
    const int64_t end = mls__part_begin(k->g.planes, 1, (int64_t) index + 1, w->tasks);
    if (!k->has_indices)
        begin_task(&t, memory);
    for (int64_t p = begin; p < end; p++) {
        if (k->has_indices)
            mls__pool_indexed_plane(k, w->call, p);
        else
            pool_plane(&t, p);
    }
}

static mls_status pool_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__pool *k = (const mls__pool *) kernel;
    const int64_t most = k->x_plane * k->g.planes / GRAIN + 1;
    work w = {k, call, k->tasks < k->g.planes ? k->tasks : k->g.planes};
    if (!k->g.planes || !k->y_plane)
        return MLS_OK;
    w.tasks = w.tasks < most ? w.tasks : most;
    if (w.tasks > 1)
        call->parallel_for(call->executor, (size_t) w.tasks, run_task, &w);
    else
        run_task(&w, 0);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status pool_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__pool *k = (mls__pool *) kernel;
    const mls_status status = mls__op_pooling(op, &k->g);
    if (status)
        return status;
    const mls__pool_axis *axis = inner_axis(k);
    k->x_plane = k->y_rows = 1;
    for (int d = 0; d < k->g.rank; d++)
        k->x_plane *= k->g.axes[d].input;
    for (int d = 0; d < k->g.rank - 1; d++)
        k->y_rows *= k->g.axes[d].output;
    k->y_plane = k->y_rows * axis->output;
    const int64_t reached =
        (axis->output - 1) * axis->stride + (axis->kernel - 1) * axis->dilation + 1;
    const int64_t held = axis->before + axis->input;
    k->row_length = (reached > held ? reached : held) + MLS__POOL_SLACK;
    return MLS_OK;
}

static mls_status too_large(const mls_op *op)
{
    return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
}

static mls_status plan_workspace(mls__pool *k, const mls_op *op)
{
    const int64_t n = inner_axis(k)->output;
    const bool is_mean = k->finish == MLS__POOL_FINISH_MEAN;
    size_t bytes = 0, block, all;
    int64_t rows = 1; /* of a window, which are also rows of the input */
    for (int d = 0; d < k->g.rank - 1; d++)
        rows *= k->g.axes[d].kernel < k->g.axes[d].input ? k->g.axes[d].kernel : k->g.axes[d].input;
    if (k->has_indices)
        return MLS_OK;
    k->block_rows = BLOCK / k->row_length;
    k->block_rows = k->block_rows < 1 ? 1 : k->block_rows > k->y_rows ? k->y_rows : k->block_rows;
    for (int d = 0; d < k->g.rank - 1; d++)
        if (!mls__work_region(&bytes, k->g.axes[d].output, sizeof(rows_taken),
                              &k->windows_offset[d]))
            return too_large(op);
    if (!mls__work_region(&bytes, k->is_staged ? k->x_plane : 0, k->size, &k->plane_offset) ||
        !mls__mul_size((size_t) k->block_rows, (size_t) k->row_length, &block) ||
        !mls__work_region(&bytes, (int64_t) block, k->size, &k->row_offset) ||
        !mls__work_region(&bytes, rows, sizeof(void *), &k->rows_offset) ||
        !mls__work_region(&bytes, is_mean ? n : 0, k->size, &k->counts_offset) ||
        !mls__work_region(&bytes, is_mean ? n : 0, k->size, &k->divisors_offset) ||
        !mls__work_region(&bytes, is_mean ? k->block_rows * n : 0, k->size, &k->full_offset) ||
        !mls__work_region(&bytes, is_mean ? k->block_rows : 0, sizeof(int64_t), &k->outer_offset) ||
        !mls__work_region(&bytes, k->dtype == k->work_dtype ? 0 : k->block_rows * n, k->size,
                          &k->y_offset) ||
        !mls__mul_size(bytes, (size_t) k->tasks, &all))
        return too_large(op);
    k->task_bytes = bytes;
    k->base.base.workspace_bytes = all;
    return MLS_OK;
}

static void read_power(mls__pool *k, const mls_op *op)
{
    const double p = (double) mls__op_int(op, "p", 2), inverse = 1 / p;
    k->op = p == 1 ? MLS__POOL_SUM_ABS : p == 2 ? MLS__POOL_SUM_SQUARE : MLS__POOL_SUM;
    k->finish = p == 1   ? MLS__POOL_FINISH_NONE
                : p == 2 ? MLS__POOL_FINISH_SQRT
                         : MLS__POOL_FINISH_POWER;
    mls__float_convert(k->base.cpu, k->work_dtype, &k->p, MLS_FLOAT64, &p, 1);
    mls__float_convert(k->base.cpu, k->work_dtype, &k->inverse_p, MLS_FLOAT64, &inverse, 1);
}

static void read_attrs(mls__pool *k, const mls_op *op)
{
    k->op = MLS__POOL_MAX;
    if (strcmp(op->type, "AveragePool") == 0) {
        k->op = MLS__POOL_SUM;
        k->finish = MLS__POOL_FINISH_MEAN;
    } else if (strcmp(op->type, "LpPool") == 0) {
        read_power(k, op);
    }
    k->counts_padding = mls__op_int(op, "count_include_pad", 0) != 0;
    k->is_column_major = mls__op_int(op, "storage_order", 0) != 0;
    k->has_indices = op->output_count > 1;
    k->is_staged = k->dtype != k->work_dtype || k->finish == MLS__POOL_FINISH_POWER;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__pool *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "pool", pool_run, &k);
    if (status)
        return status;
    k->base.base.reshape = pool_reshape;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->fns = k->work_dtype == MLS_FLOAT64 ? &mls__pool_f64 : cpu->kernels->pool;
    k->x_size = mls_dtype_size((mls_dtype) k->dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    read_attrs(k, op);
    status = pool_reshape(&k->base.base, op);
    k->tasks = op->threads > 1 ? 2 * (int64_t) op->threads : 1;
    if (!status)
        status = plan_workspace(k, op);
    if (status) {
        k->base.base.free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_pool = {
    {"", "MaxPool", create, 0},
    {"", "AveragePool", create, 0},
    {"", "LpPool", create, 0},
    {.type = NULL},
};
