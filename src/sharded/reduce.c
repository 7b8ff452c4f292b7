/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions over dimensions. Each rank reduces what it has, each shard of the axes that cut what
 * is reduced by itself; sums are then terms, which the caller adds up when it needs to, and
 * extremes and products are reduced over these axes at once.
 */
#include "sharded/local.h"
#include "sharded/sharded.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

static const struct row {
    uint32_t reduction;
    const char *type;
    bool is_sum, is_extreme;
} rows[] = {
    {MLS_REDUCE_SUM, "ReduceSum", true, false},       {MLS_REDUCE_MEAN, "ReduceSum", true, false},
    {MLS_REDUCE_MIN, "ReduceMin", false, true},       {MLS_REDUCE_MAX, "ReduceMax", false, true},
    {MLS_REDUCE_PRODUCT, "ReduceProd", false, false},
};

typedef struct reduce {
    const struct row *row;
    const mls_sharded *input;
    mls_mesh *mesh;
    bool reduced[MLS_MAX_RANK];
    bool keeps;                        /* reduced dimensions, as 1 */
    int32_t before[MLS_MESH_MAX_AXES]; /* the input's layout, no terms but those that stay */
    int32_t before_reduced[MLS_MESH_MAX_AXES]; /* of what is no sum, when it is joined */
    mls__spread parts;                         /* what ranks give: reduced dimensions are 1 */
} reduce;

static mls_status find_row(uint32_t reduction, const struct row **ret_row)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].reduction == reduction) {
            *ret_row = &rows[i];
            return MLS_OK;
        }
    return mls__error(MLS_EINVAL,
                      "%u is no reduction over dimensions: sum, product, mean, min and max are",
                      reduction);
}

static mls_status read_dims(reduce *r, const int *dims, size_t count)
{
    const int rank = r->input->spread.rank;
    for (int i = 0; i < rank; i++)
        r->reduced[i] = dims == NULL;
    for (size_t i = 0; dims && i < count; i++) {
        int dim;
        if (!mls__shape_axis(dims[i], rank, &dim) || r->reduced[dim])
            return mls__error(MLS_EINVAL,
                              "%d is no dimension of a tensor of rank %d, or is there "
                              "twice",
                              dims[i], rank);
        r->reduced[dim] = true;
    }
    return MLS_OK;
}

static mls_status check(const reduce *r)
{
    const mls__spread *s = &r->input->spread;
    const mls__local_op op = {.type = r->row->type, .input_count = 1};
    if (!mls__can_add(s->dtype) ||
        (r->row->reduction == MLS_REDUCE_MEAN && !mls__reduction_can(MLS_REDUCE_MEAN, s->dtype)))
        return mls__error(MLS_EDTYPE, "a %s of %s is not possible",
                          mls__reduction_name(r->row->reduction),
                          mls_dtype_name((mls_dtype) s->dtype));
    for (int i = 0; i < s->rank && r->row->is_extreme; i++)
        if (r->reduced[i] && !s->dims[i])
            return mls__error(MLS_ESHAPE, "dimension %d is empty: it has no extreme", i);
    const int32_t dtypes[2] = {s->dtype, s->dtype};
    return mls__local_probe(r->mesh->context, &op, dtypes);
}

/*
 * What is reduced: a mean of 16 bits is taken of float32, since its sum may be past what 16 bits
 * have, and so may the number by which it is divided.
 */
static int32_t working_dtype(const reduce *r)
{
    const int32_t dtype = r->input->spread.dtype;
    const bool is_half = dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16;
    return is_half && r->row->reduction == MLS_REDUCE_MEAN ? MLS_FLOAT32 : dtype;
}

/* A sum of terms is the sum of the terms' sums; an extreme is not, nor is a product. */
static mls_status plan(reduce *r)
{
    const mls__spread *s = &r->input->spread;
    int64_t dims[MLS_MAX_RANK];
    int32_t layout[MLS_MESH_MAX_AXES];
    for (int i = 0; i < s->rank; i++)
        dims[i] = r->reduced[i] ? 1 : s->dims[i];
    for (int i = 0; i < r->mesh->axis_count; i++) {
        const int32_t now = s->layout[i];
        r->before[i] = now == MLS_LAYOUT_PARTIAL && !r->row->is_sum ? MLS_LAYOUT_REPLICATED : now;
        layout[i] = now >= 0 && r->reduced[now] ? MLS_LAYOUT_PARTIAL : r->before[i];
        r->before_reduced[i] = layout[i] == MLS_LAYOUT_PARTIAL ? MLS_LAYOUT_REPLICATED : layout[i];
    }
    return mls__spread_make(r->mesh, working_dtype(r), s->rank, dims, layout, &r->parts);
}

/* --- parts ----------------------------------------------------------------------------------- */

/* Reduces what lies in `box`, a part of the rank's slot, to one element of each kept index. */
static mls_status reduce_box(const reduce *r, const unsigned char *slot, const mls__box *own,
                             const mls__box *box, unsigned char *result)
{
    const int rank = r->input->spread.rank;
    const mls_dtype dtype = (mls_dtype) r->parts.dtype;
    const size_t size = mls_dtype_size(dtype);
    int64_t axes[MLS_MAX_RANK], dims[MLS_MAX_RANK], count = 0, noop = 1;
    mls_tensor *part = NULL, *known = NULL, *output = NULL;
    mls_attr attrs[] = {{.name = "noop_with_empty_axes", .type = MLS_ATTR_INT, .count = 1},
                        {.name = "keepdims", .type = MLS_ATTR_INT, .i = 1, .count = 1}};
    attrs[0].i = noop;
    const mls__local_op op = {r->row->type, 2, 2, attrs, 2};
    for (int i = 0; i < rank; i++) {
        dims[i] = r->reduced[i] ? 1 : box->count[i];
        if (r->reduced[i])
            axes[count++] = i;
    }
    mls_context *context = r->mesh->context;
    mls_status status = mls_tensor_create(context, dtype, rank, box->count, &part);
    if (!status)
        status = mls_tensor_create(context, MLS_INT64, 1, &count, &known);
    if (!status)
        status = mls_tensor_wrap(context, dtype, rank, dims, NULL, result, NULL, NULL, &output);
    if (!status) {
        if (part->count)
            mls__box_copy(rank, size, box, own, slot, box, mls_tensor_data(part));
        if (count)
            memcpy(mls_tensor_data(known), axes, (size_t) count * sizeof *axes);
        const mls_tensor *const inputs[2] = {part, known};
        status = mls__local_run(context, &op, inputs, output);
    }
    mls_tensor_free(output);
    mls_tensor_free(known);
    mls_tensor_free(part);
    return status;
}

/* The dimensions that are reduced, cut to shard `slot` of those of the axes that cut them. */
static mls__box shard_box(const reduce *r, const mls__spread *input, const mls__box *own,
                          int64_t slot)
{
    mls__box box = *own;
    for (int i = r->mesh->axis_count - 1; i >= 0; i--) {
        const mls__range range = mls__mesh_shards(r->mesh, i, r->mesh->rank);
        const int64_t count = range.end - range.first;
        const int32_t dim = input->layout[i];
        if (r->parts.layout[i] != MLS_LAYOUT_PARTIAL || count == 0)
            continue;
        const uint32_t shard = (uint32_t) (slot % count);
        slot /= count;
        if (dim < 0)
            continue;
        /* Of a dimension that one axis cuts, the shards of its definition; else one has all. */
        bool is_alone = true;
        for (int k = 0; k < r->mesh->axis_count; k++)
            is_alone = is_alone && (k == i || input->layout[k] != dim);
        if (!is_alone) {
            box.count[dim] = shard == 0 ? box.count[dim] : 0;
            continue;
        }
        const uint32_t shards = r->mesh->axes[i].shards;
        box.first[dim] = mls__shard_first(input->dims[dim], range.first + shard, shards);
        box.count[dim] =
            mls__shard_first(input->dims[dim], range.first + shard + 1, shards) - box.first[dim];
    }
    return box;
}

/* Which of the input's slots a slot of the result is of. */
static int64_t input_slot(const reduce *r, const mls__spread *input, int64_t slot)
{
    int64_t at = 0, stride = 1;
    for (int i = r->mesh->axis_count - 1; i >= 0; i--) {
        const mls__range range = mls__mesh_shards(r->mesh, i, r->mesh->rank);
        const int64_t count = range.end - range.first;
        if (r->parts.layout[i] != MLS_LAYOUT_PARTIAL || count == 0)
            continue;
        if (input->layout[i] == MLS_LAYOUT_PARTIAL) {
            at += slot % count * stride;
            stride *= count;
        }
        slot /= count;
    }
    return at;
}

static mls_status reduce_slots(const reduce *r, const mls_sharded *input, mls_sharded *parts)
{
    const int rank = input->spread.rank;
    const size_t size = mls__spread_size(&input->spread);
    const mls__box own = mls__box_of(r->mesh, &input->spread, r->mesh->rank);
    const mls__box to = mls__box_of(r->mesh, &parts->spread, r->mesh->rank);
    const size_t from_bytes = (size_t) mls__box_count(rank, &own) * size;
    const size_t to_bytes = (size_t) mls__box_count(rank, &to) * size;
    const int64_t slots = mls__slots_of(r->mesh, parts->spread.layout, r->mesh->rank);
    const unsigned char *from = mls_tensor_data(input->local);
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && to_bytes && i < slots; i++) {
        const mls__box box = shard_box(r, &input->spread, &own, i);
        status = reduce_box(
            r, from ? from + (size_t) input_slot(r, &input->spread, i) * from_bytes : NULL, &own,
            &box, (unsigned char *) mls_tensor_data(parts->local) + (size_t) i * to_bytes);
    }
    return status;
}

/* --- what becomes of the parts --------------------------------------------------------------- */

static mls_status cast(mls_context *context, const mls_tensor *from, mls_tensor *to)
{
    const mls_attr attr = {.name = "to", .type = MLS_ATTR_INT, .i = to->dtype, .count = 1};
    const mls__local_op op = {"Cast", 1, 0, &attr, 1};
    return mls__local_run(context, &op, &from, to);
}

/* The same elements in another dtype, in place of `*sharded`. */
static mls_status convert(mls_sharded **sharded, int32_t dtype)
{
    const mls_sharded *from = *sharded;
    mls__spread spread = from->spread;
    mls_sharded *made;
    if (dtype == spread.dtype)
        return MLS_OK;
    spread.dtype = dtype;
    mls_status status = mls__sharded_make(from->mesh, &spread, &made);
    if (status)
        return status;
    status = cast(from->mesh->context, from->local, made->local);
    if (status) {
        mls_sharded_free(made);
        return status;
    }
    mls_sharded_free(*sharded);
    *sharded = made;
    return MLS_OK;
}

/* How many elements each mean is of. */
static mls_status create_divisor(const reduce *r, mls_tensor **ret_divisor)
{
    double count = 1;
    mls_tensor *number, *divisor = NULL;
    mls_context *context = r->mesh->context;
    for (int i = 0; i < r->input->spread.rank; i++)
        if (r->reduced[i])
            count *= (double) r->input->spread.dims[i];
    mls_status status = mls_tensor_create(context, MLS_FLOAT64, 0, NULL, &number);
    if (status)
        return status;
    memcpy(mls_tensor_data(number), &count, sizeof count);
    status = mls_tensor_create(context, (mls_dtype) r->parts.dtype, 0, NULL, &divisor);
    if (!status)
        status = cast(context, number, divisor);
    mls_tensor_free(number);
    if (status) {
        mls_tensor_free(divisor);
        return status;
    }
    *ret_divisor = divisor;
    return MLS_OK;
}

/* Without terms: a mean is the whole sum, divided once. */
static mls_status divide(const reduce *r, mls__steps *steps, mls_sharded **parts)
{
    static const mls__local_op div = {.type = "Div", .input_count = 2};
    int32_t layout[MLS_MESH_MAX_AXES];
    mls_sharded *sum = NULL, *mean = NULL;
    mls_tensor *divisor = NULL;
    for (int i = 0; i < r->mesh->axis_count; i++)
        layout[i] = (*parts)->spread.layout[i] == MLS_LAYOUT_PARTIAL ? MLS_LAYOUT_REPLICATED
                                                                     : (*parts)->spread.layout[i];
    mls_status status = mls__redistribute(*parts, layout, steps, &sum);
    if (!status)
        status = mls__sharded_make(r->mesh, &sum->spread, &mean);
    if (!status)
        status = create_divisor(r, &divisor);
    if (!status) {
        const mls_tensor *const inputs[2] = {sum->local, divisor};
        status = mls__local_run(r->mesh->context, &div, inputs, mean->local);
    }
    mls_tensor_free(divisor);
    mls_sharded_free(sum);
    if (status) {
        mls_sharded_free(mean);
        return status;
    }
    mls_sharded_free(*parts);
    *parts = mean;
    return MLS_OK;
}

/* Reduced dimensions of 1, which are the last step's to drop. */
static mls_status drop_dims(const reduce *r, mls_sharded **result)
{
    const mls__spread *s = &(*result)->spread;
    const int extra = mls__slots_counted(r->mesh, s->layout);
    int64_t dims[MLS_MAX_RANK], local_dims[MLS_MAX_RANK];
    int32_t layout[MLS_MESH_MAX_AXES], became[MLS_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < extra; i++)
        local_dims[i] = (*result)->local->dims[i];
    for (int i = 0; i < s->rank; i++) {
        became[i] = rank;
        if (r->reduced[i])
            continue;
        dims[rank] = s->dims[i];
        local_dims[extra + rank++] = (*result)->local->dims[extra + i];
    }
    for (int i = 0; i < r->mesh->axis_count; i++)
        layout[i] = s->layout[i] >= 0 ? became[s->layout[i]] : s->layout[i];
    mls__spread spread;
    mls_tensor *local;
    mls_sharded *made;
    mls_status status = mls__spread_make(r->mesh, s->dtype, rank, dims, layout, &spread);
    if (!status)
        status = mls_tensor_reshape((*result)->local, extra + rank, local_dims, &local);
    if (!status)
        status = mls__sharded_take(r->mesh, &spread, local, &made);
    if (status)
        return status;
    mls_sharded_free(*result);
    *result = made;
    return MLS_OK;
}

/* The extremes or products of all ranks that have a part of what is reduced. */
static mls_status join(const reduce *r, mls__steps *steps, mls_sharded **parts)
{
    mls_sharded *all;
    const mls_status status =
        mls__redistribute_by(*parts, r->before_reduced, r->row->reduction, steps, &all);
    if (status)
        return status;
    mls_sharded_free(*parts);
    *parts = all;
    return MLS_OK;
}

static mls_status run(reduce *r, mls__steps *steps, mls_sharded **ret_result)
{
    mls_sharded *input = NULL, *parts = NULL;
    mls_status status = mls__redistribute(r->input, r->before, steps, &input);
    if (!status)
        status = convert(&input, r->parts.dtype);
    if (!status)
        status = mls__sharded_make(r->mesh, &r->parts, &parts);
    if (!status)
        status = reduce_slots(r, input, parts);
    if (!status && !r->row->is_sum)
        status = join(r, steps, &parts);
    if (!status && r->row->reduction == MLS_REDUCE_MEAN)
        status = divide(r, steps, &parts);
    if (!status)
        status = convert(&parts, r->input->spread.dtype);
    if (!status && !r->keeps)
        status = drop_dims(r, &parts);
    mls_sharded_free(input);
    if (status) {
        mls_sharded_free(parts);
        return status;
    }
    *ret_result = parts;
    return MLS_OK;
}

mls_status mls_sharded_reduce(const mls_sharded *sharded, uint32_t reduction, const int *dims,
                              size_t dim_count, int keep_dims, const mls_group_call *call,
                              mls_sharded **ret_result)
{
    mls__steps steps;
    if (!sharded || !ret_result || (!dims && dim_count))
        return mls__error_null(__func__, "sharded, dims and ret_result");
    reduce r = {.input = sharded, .mesh = sharded->mesh, .keeps = keep_dims != 0};
    mls_status status = find_row(reduction, &r.row);
    if (!status)
        status = read_dims(&r, dims, dim_count);
    if (!status)
        status = check(&r);
    if (!status)
        status = plan(&r);
    if (!status)
        status = mls__steps_begin(r.mesh, call, &steps);
    if (status)
        return status;
    return mls__steps_end(&steps, run(&r, &steps, ret_result));
}
