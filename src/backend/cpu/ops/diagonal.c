/* SPDX-License-Identifier: Apache-2.0 */
/* What a diagonal of a matrix decides: Trilu keeps what is on one side of it, EyeLike makes it. */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 65536

typedef struct diagonal_kernel {
    mls__cpu_kernel base;
    bool is_upper, has_offset; /* Trilu: what it keeps, and whether input 1 is given */
    int64_t offset;            /* EyeLike */
    uint64_t one;              /* an element of EyeLike's */
    int64_t size;              /* bytes of an element */
    int64_t rows, columns, matrices;
    uint32_t threads;
} diagonal_kernel;

/* In the matrix or next to it, so that no sum with it overflows. */
static int64_t clamp_offset(const diagonal_kernel *k, int64_t offset)
{
    return offset < -k->rows ? -k->rows : offset > k->columns ? k->columns : offset;
}

static void set_matrices(diagonal_kernel *k, const mls_op *op)
{
    const mls_arg *x = &op->inputs[0];
    k->rows = x->dims[x->rank - 2];
    k->columns = x->dims[x->rank - 1];
    k->matrices = mls__arg_span(x, 0, x->rank - 2);
}

/* --- Trilu ----------------------------------------------------------------------------------- */

typedef struct work {
    const diagonal_kernel *kernel;
    const char *x;
    char *y;
    int64_t offset;
} work;

/* One row: what is kept is [from, to). */
static void keep(const diagonal_kernel *k, char *y, const char *x, int64_t from, int64_t to)
{
    memset(y, 0, (size_t) (from * k->size));
    if (y != x && to > from)
        memcpy(y + from * k->size, x + from * k->size, (size_t) ((to - from) * k->size));
    memset(y + to * k->size, 0, (size_t) ((k->columns - to) * k->size));
}

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const diagonal_kernel *k = w->kernel;
    for (int64_t i = begin; i < end; i++) {
        const int64_t bound = i % k->rows + w->offset + (k->is_upper ? 0 : 1);
        const int64_t cut = bound < 0 ? 0 : bound > k->columns ? k->columns : bound;
        const int64_t at = i * k->columns * k->size;
        keep(k, w->y + at, w->x + at, k->is_upper ? cut : 0, k->is_upper ? k->columns : cut);
    }
    return MLS_OK;
}

static mls_status run_trilu(const mls_kernel *base, const mls_kernel_call *call)
{
    const diagonal_kernel *k = (const diagonal_kernel *) base;
    const int64_t rows = k->matrices * k->rows;
    const int64_t offset = k->has_offset ? *(const int64_t *) call->buffers[1] : 0;
    if (!rows || !k->columns)
        return MLS_OK;
    work w = {k, call->buffers[0], call->buffers[k->has_offset ? 2 : 1], clamp_offset(k, offset)};
    return mls__cpu_row_ranges(call, k->threads, rows, GRAIN / k->columns + 1, run_rows, &w);
}

static mls_status trilu_reshape(mls_kernel *base, const mls_op *op)
{
    set_matrices((diagonal_kernel *) base, op);
    return MLS_OK;
}

static mls_status create_trilu(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    diagonal_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "trilu", run_trilu, &k);
    if (status)
        return status;
    k->base.base.reshape = trilu_reshape;
    k->is_upper = mls__op_int(op, "upper", 1) != 0;
    k->has_offset = mls__op_input(op, 1) != NULL;
    k->size = (int64_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return trilu_reshape(*ret_kernel, op);
}

/* --- EyeLike --------------------------------------------------------------------------------- */

static mls_status run_eye(const mls_kernel *base, const mls_kernel_call *call)
{
    const diagonal_kernel *k = (const diagonal_kernel *) base;
    char *y = call->buffers[1];
    if (!k->rows || !k->columns)
        return MLS_OK;
    memset(y, 0, (size_t) (k->rows * k->columns * k->size));
    for (int64_t i = 0; i < k->rows; i++) {
        const int64_t column = i + k->offset;
        if (column >= 0 && column < k->columns)
            memcpy(y + (i * k->columns + column) * k->size, &k->one, (size_t) k->size);
    }
    return MLS_OK;
}

static mls_status eye_reshape(mls_kernel *base, const mls_op *op)
{
    diagonal_kernel *k = (diagonal_kernel *) base;
    set_matrices(k, op);
    k->offset = clamp_offset(k, mls__op_int(op, "k", 0));
    return MLS_OK;
}

static mls_status create_eye(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    static const mls__cast_rules rules;
    const int32_t dtype = op->outputs[0].dtype;
    const mls__wide one = {.i = {1}};
    diagonal_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "eye_like", run_eye, &k);
    if (status)
        return status;
    mls__narrow(dtype, MLS__WIDE_INT, &one, &k->one, 1, &rules);
    k->base.base.reshape = eye_reshape;
    k->size = (int64_t) mls_dtype_size((mls_dtype) dtype);
    *ret_kernel = &k->base.base;
    return eye_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_diagonal = {
    {"", "Trilu", create_trilu, MLS__CPU_IN_PLACE},
    {"", "EyeLike", create_eye, 0},
    {.type = NULL},
};
