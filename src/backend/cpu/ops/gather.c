/* SPDX-License-Identifier: Apache-2.0 */
/* Gather: rows picked by index. Indices are data, so every one is checked in every run. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/indices.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

struct gather;
typedef void (*rows_fn)(const struct gather *kernel, const void *indices, char *target,
                        const char *source, int64_t begin, int64_t end);

/* The output is `outer` times `count` rows of `row` bytes. */
typedef struct gather {
    mls__cpu_kernel base;
    int64_t outer, count, row;
    int64_t bound; /* of the indices */
    int axis;
    int64_t parts; /* that the rows are cut into for threads; 0: there are none */
    bool is_wide;  /* the indices are int64 */
    rows_fn rows;
} gather;

/* Rows [begin, end) of all. */
INLINE void rows(const gather *kernel, const void *indices, char *target, const char *source,
                 int64_t begin, int64_t end, size_t row, bool is_wide)
{
    const int64_t count = kernel->count, bound = kernel->bound;
    const char *slab = source + begin / count * bound * (int64_t) row;
    int64_t position = begin % count;
    for (int64_t i = begin; i < end; i++) {
        const int64_t asked =
            is_wide ? ((const int64_t *) indices)[position] : ((const int32_t *) indices)[position];
        const int64_t index = mls__index_from_start(asked, bound);
        memcpy(target + i * (int64_t) row, slab + index * (int64_t) row, row);
        if (++position == count) {
            position = 0;
            slab += bound * (int64_t) row;
        }
    }
}

#define ROWS(name, row)                                                                            \
    static void name##_int32(const gather *kernel, const void *indices, char *target,              \
                             const char *source, int64_t begin, int64_t end)                       \
    {                                                                                              \
        rows(kernel, indices, target, source, begin, end, (size_t) (row), false);                  \
    }                                                                                              \
    static void name##_int64(const gather *kernel, const void *indices, char *target,              \
                             const char *source, int64_t begin, int64_t end)                       \
    {                                                                                              \
        rows(kernel, indices, target, source, begin, end, (size_t) (row), true);                   \
    }
ROWS(rows_1, 1)
ROWS(rows_2, 2)
ROWS(rows_4, 4)
ROWS(rows_8, 8)
ROWS(rows_16, 16)
ROWS(rows_any, kernel->row)

/* The last fits every row. */
static const struct {
    int64_t row;
    rows_fn narrow, wide;
} row_table[] = {
    {1, rows_1_int32, rows_1_int64},    {2, rows_2_int32, rows_2_int64},
    {4, rows_4_int32, rows_4_int64},    {8, rows_8_int32, rows_8_int64},
    {16, rows_16_int32, rows_16_int64}, {0, rows_any_int32, rows_any_int64},
};

typedef struct part_call {
    const gather *kernel;
    const void *source, *indices;
    void *target;
} part_call;

static void run_part(void *arg, size_t index)
{
    const part_call *call = arg;
    const gather *kernel = call->kernel;
    const int64_t total = kernel->outer * kernel->count, part = (int64_t) index;
    const int64_t begin = mls__part_begin(total, 64, part, kernel->parts);
    const int64_t end = mls__part_begin(total, 64, part + 1, kernel->parts);
    kernel->rows(kernel, call->indices, call->target, call->source, begin, end);
}

static mls_status run_gather(const mls_kernel *base, const mls_kernel_call *call)
{
    const gather *kernel = (const gather *) base;
    const mls__indices indices = {call->buffers[1], kernel->is_wide, kernel->count};
    const mls_status status = mls__indices_check(base, 1, &indices, &kernel->bound, 1);
    if (status)
        return status;
    part_call part = {kernel, call->buffers[0], indices.data, call->buffers[2]};
    if (kernel->parts == 1)
        run_part(&part, 0);
    else if (kernel->parts > 1)
        call->parallel_for(call->executor, (size_t) kernel->parts, run_part, &part);
    return MLS_OK;
}

static mls_status plan_gather(mls_kernel *base, const mls_op *op)
{
    gather *kernel = (gather *) base;
    const mls_arg *data = &op->inputs[0];
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) data->dtype);
    kernel->outer = mls__arg_span(data, 0, kernel->axis);
    kernel->bound = data->dims[kernel->axis];
    kernel->row = mls__arg_span(data, kernel->axis + 1, data->rank) * size;
    kernel->count = mls__arg_count(&op->inputs[1]);

    size_t i = 0;
    while (row_table[i].row && row_table[i].row != kernel->row)
        i++;
    kernel->rows = kernel->is_wide ? row_table[i].wide : row_table[i].narrow;

    /* 0 parts: an output without elements. */
    const int64_t rows = kernel->outer * kernel->count;
    const int64_t parts = mls__copy_parts(op->threads, rows * kernel->row);
    kernel->parts = rows * kernel->row == 0 ? 0 : parts < rows ? parts : rows;
    return MLS_OK;
}

static mls_status create_gather(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[0].rank, &axis);
    if (status)
        return status;
    gather *kernel;
    status = mls__cpu_kernel_create(cpu, op, sizeof *kernel, "gather", run_gather, &kernel);
    if (status)
        return status;
    kernel->axis = axis;
    kernel->is_wide = op->inputs[1].dtype == MLS_INT64;
    kernel->base.base.reshape = plan_gather;
    *ret_kernel = &kernel->base.base;
    return plan_gather(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_gather[] = {
    {"", "Gather", create_gather, 0},
    {0},
};
