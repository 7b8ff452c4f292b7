/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products. By axis of the mesh, a table says which layouts the operands get, and which one the
 * result has: rows, columns or terms. Where only one sum of products is cut, along one axis, each
 * of the axis' shards is a product of its own, and a term.
 */
#include "sharded/local.h"
#include "sharded/sharded.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

/* As wide as this, or as wide as the whole, a product has the bytes of the whole. */
#define SAME_COLUMNS 16

/* What an axis does to the dimensions M, K of A (M stands for all but the last), K, N of B. */
typedef enum part {
    ALL, /* replicated */
    ROWS,
    DEPTH,
    COLUMNS,
    TERMS,
    PARTS
} part;

typedef struct way {
    uint8_t a, b, c; /* parts that the operands get, and that the result has */
} way;

/* By the parts that A and B have. Where there are two ways, the one that moves less is taken. */
static const struct {
    way first, second;
} ways[PARTS][PARTS] = {
    [ALL] = {[ALL] = {{ALL, ALL, ALL}, {0}},
             [DEPTH] = {{DEPTH, DEPTH, TERMS}, {0}},
             [COLUMNS] = {{ALL, COLUMNS, COLUMNS}, {0}},
             [TERMS] = {{ALL, COLUMNS, COLUMNS}, {0}}},
    [ROWS] = {[ALL] = {{ROWS, ALL, ROWS}, {0}},
              [DEPTH] = {{ROWS, ALL, ROWS}, {0}},
              [COLUMNS] = {{ROWS, ALL, ROWS}, {ALL, COLUMNS, COLUMNS}},
              [TERMS] = {{ROWS, ALL, ROWS}, {ALL, COLUMNS, COLUMNS}}},
    [DEPTH] = {[ALL] = {{DEPTH, DEPTH, TERMS}, {0}},
               [DEPTH] = {{DEPTH, DEPTH, TERMS}, {0}},
               [COLUMNS] = {{ALL, COLUMNS, COLUMNS}, {0}},
               [TERMS] = {{DEPTH, DEPTH, TERMS}, {0}}},
    [TERMS] = {[ALL] = {{ROWS, ALL, ROWS}, {0}},
               [DEPTH] = {{DEPTH, DEPTH, TERMS}, {0}},
               [COLUMNS] = {{ALL, COLUMNS, COLUMNS}, {ROWS, ALL, ROWS}},
               [TERMS] = {{ROWS, ALL, ROWS}, {ALL, COLUMNS, COLUMNS}}},
};

typedef struct product {
    mls_mesh *mesh;
    const mls_sharded *a, *b;
    int32_t a_layout[MLS_MESH_MAX_AXES], b_layout[MLS_MESH_MAX_AXES];
    mls__spread result;
    int64_t n, k; /* of the whole */
} product;

/* --- layouts --------------------------------------------------------------------------------- */

static part part_of_a(const product *p, int axis)
{
    const int32_t dim = p->a->spread.layout[axis];
    if (dim < 0)
        return dim == MLS_LAYOUT_PARTIAL ? TERMS : ALL;
    return dim == p->a->spread.rank - 1 ? DEPTH : ROWS;
}

static part part_of_b(const product *p, int axis)
{
    const int32_t dim = p->b->spread.layout[axis];
    if (dim < 0)
        return dim == MLS_LAYOUT_PARTIAL ? TERMS : ALL;
    return dim == 0 ? DEPTH : COLUMNS;
}

/* Rows that were cut stay cut along the same dimension; others are, along the longest. */
static int32_t row_dim(const product *p, int axis)
{
    int32_t longest = 0;
    if (part_of_a(p, axis) == ROWS)
        return p->a->spread.layout[axis];
    for (int i = 1; i < p->a->spread.rank - 1; i++)
        if (p->a->spread.dims[i] > p->a->spread.dims[longest])
            longest = i;
    return longest;
}

static int32_t layout_of(const product *p, part what, int axis, bool is_b)
{
    switch (what) {
    case ROWS:
        return row_dim(p, axis);
    case DEPTH:
        return is_b ? 0 : p->a->spread.rank - 1;
    case COLUMNS: /* of the result the last dimension, as of B */
        return is_b ? 1 : p->a->spread.rank - 1;
    case TERMS:
        return MLS_LAYOUT_PARTIAL;
    default:
        return MLS_LAYOUT_REPLICATED;
    }
}

/* What a rank gets of an operand of p parts: 1 is (p - 1) / p of it. */
static double cost_of(part from, part to)
{
    if (from == to || from == ALL)
        return 0;
    return from == TERMS && to == ALL ? 2 : 1;
}

/* By what the whole tensors have, so that all ranks choose the same. */
static way choose(const product *p, int axis)
{
    const part a = part_of_a(p, axis), b = part_of_b(p, axis);
    const way first = ways[a][b].first, second = ways[a][b].second;
    const bool has_second = second.a || second.b || second.c;
    double m = 1;
    for (int i = 0; i < p->a->spread.rank - 1; i++)
        m *= (double) p->a->spread.dims[i];
    if (!has_second)
        return first;
    const double a_count = m * (double) p->k, b_count = (double) p->k * (double) p->n;
    const double first_cost =
        cost_of(a, (part) first.a) * a_count + cost_of(b, (part) first.b) * b_count;
    const double second_cost =
        cost_of(a, (part) second.a) * a_count + cost_of(b, (part) second.b) * b_count;
    return second_cost < first_cost ? second : first;
}

static mls_status check(const mls_sharded *a, const mls_sharded *b)
{
    char a_text[MLS__SHAPE_TEXT], b_text[MLS__SHAPE_TEXT];
    const mls__spread *x = &a->spread, *y = &b->spread;
    if (a->mesh != b->mesh)
        return mls__error(MLS_EINVAL, "a product of tensors of two meshes");
    if (x->rank < 2 || y->rank != 2 || x->dims[x->rank - 1] != y->dims[0])
        return mls__error(MLS_ESHAPE, "a product of %s and %s; [..., M, K] and [K, N] are possible",
                          mls__shape_text(x->rank, x->dims, a_text),
                          mls__shape_text(y->rank, y->dims, b_text));
    if (x->dtype != y->dtype)
        return mls__error(MLS_EDTYPE, "a product of %s and %s",
                          mls_dtype_name((mls_dtype) x->dtype),
                          mls_dtype_name((mls_dtype) y->dtype));
    if (!mls__can_add(x->dtype))
        return mls__error(MLS_EDTYPE,
                          "a product of %s; those of float32, float64, float16, bfloat16, int32 "
                          "and int64 are possible",
                          mls_dtype_name((mls_dtype) x->dtype));
    return MLS_OK;
}

static mls_status plan(const mls_sharded *a, const mls_sharded *b, product *ret_product)
{
    product p = {.mesh = a->mesh, .a = a, .b = b, .n = b->spread.dims[1], .k = b->spread.dims[0]};
    int64_t dims[MLS_MAX_RANK];
    int32_t layout[MLS_MESH_MAX_AXES];
    for (int i = 0; i < p.mesh->axis_count; i++) {
        const way w = choose(&p, i);
        p.a_layout[i] = layout_of(&p, (part) w.a, i, false);
        p.b_layout[i] = layout_of(&p, (part) w.b, i, true);
        layout[i] = layout_of(&p, (part) w.c, i, false);
    }
    memcpy(dims, a->spread.dims, sizeof dims);
    dims[a->spread.rank - 1] = p.n;
    const mls_status status =
        mls__spread_make(p.mesh, a->spread.dtype, a->spread.rank, dims, layout, &p.result);
    if (!status)
        *ret_product = p;
    return status;
}

/* --- products of what a rank has ------------------------------------------------------------- */

/* The matrices of a rank, and where the product goes. */
typedef struct matrices {
    mls_context *context;
    int32_t dtype;
    int64_t m, n, k;
    int64_t a_row;  /* elements from one row of A to the next */
    int64_t padded; /* columns that the kernel gets */
    const unsigned char *a, *b;
    unsigned char *c;
    size_t size;
} matrices;

static mls_status wrap(const matrices *m, int64_t rows, int64_t columns, int64_t row,
                       const void *data, mls_tensor **ret_tensor)
{
    const int64_t dims[2] = {rows, columns}, strides[2] = {row, 1};
    return mls_tensor_wrap(m->context, (mls_dtype) m->dtype, 2, dims, strides,
                           (void *) (uintptr_t) data, NULL, NULL, ret_tensor);
}

/* Contiguous, with columns of zeros behind its own. */
static mls_status widen(const matrices *m, const mls_tensor *tensor, int64_t columns,
                        mls_tensor **ret_tensor)
{
    const int64_t dims[2] = {tensor->dims[0], columns};
    mls_tensor *wide, *left = NULL;
    mls_status status = mls_tensor_create(m->context, (mls_dtype) m->dtype, 2, dims, &wide);
    if (status)
        return status;
    status = mls_tensor_slice(wide, 1, 0, tensor->dims[1], 1, &left);
    if (!status)
        status = mls_tensor_copy_into(tensor, left);
    mls_tensor_free(left);
    if (status) {
        mls_tensor_free(wide);
        return status;
    }
    *ret_tensor = wide;
    return MLS_OK;
}

/* A tensor that a kernel can take: as it is, or else a copy. Takes `*tensor` over. */
static mls_status prepare(const matrices *m, int64_t columns, mls_tensor **tensor)
{
    mls_tensor *made;
    if ((*tensor)->dims[1] == columns && mls_tensor_is_contiguous(*tensor))
        return MLS_OK;
    const mls_status status = widen(m, *tensor, columns, &made);
    if (status)
        return status;
    mls_tensor_free(*tensor);
    *tensor = made;
    return MLS_OK;
}

static mls_status multiply_tensors(const matrices *m, mls_tensor **a, mls_tensor **b, mls_tensor *c)
{
    static const mls__local_op matmul = {.type = "MatMul", .input_count = 2};
    mls_tensor *wide = NULL, *left = NULL;
    mls_status status = prepare(m, m->k, a);
    if (!status)
        status = prepare(m, m->padded, b);
    if (status)
        return status;
    const mls_tensor *inputs[2] = {*a, *b};
    if (m->padded == m->n)
        return mls__local_run(m->context, &matmul, inputs, c);
    status = widen(m, c, m->padded, &wide);
    if (!status)
        status = mls__local_run(m->context, &matmul, inputs, wide);
    if (!status)
        status = mls_tensor_slice(wide, 1, 0, m->n, 1, &left);
    if (!status)
        status = mls_tensor_copy_into(left, c);
    mls_tensor_free(left);
    mls_tensor_free(wide);
    return status;
}

/* The target is zeros before: what a sum of no products is. */
static mls_status multiply(const matrices *m)
{
    mls_tensor *a = NULL, *b = NULL, *c = NULL;
    if (!m->m || !m->n || !m->k)
        return MLS_OK;
    mls_status status = wrap(m, m->m, m->k, m->a_row, m->a, &a);
    if (!status)
        status = wrap(m, m->k, m->n, m->n, m->b, &b);
    if (!status)
        status = wrap(m, m->m, m->n, m->n, m->c, &c);
    if (!status)
        status = multiply_tensors(m, &a, &b, c);
    mls_tensor_free(c);
    mls_tensor_free(b);
    mls_tensor_free(a);
    return status;
}

/* The one axis along which sums are cut, if there is just one; else -1. */
static int cut_axis(const product *p)
{
    int axis = -1;
    for (int i = 0; i < p->mesh->axis_count; i++) {
        if (p->result.layout[i] != MLS_LAYOUT_PARTIAL)
            continue;
        if (axis >= 0)
            return -1;
        axis = i;
    }
    return axis;
}

static matrices matrices_of(const product *p, const mls_sharded *a, const mls_sharded *b,
                            const mls_sharded *c)
{
    const mls__box a_box = mls__box_of(p->mesh, &a->spread, p->mesh->rank);
    const mls__box b_box = mls__box_of(p->mesh, &b->spread, p->mesh->rank);
    matrices m = {
        .context = p->mesh->context,
        .dtype = p->result.dtype,
        .m = 1,
        .k = b_box.count[0],
        .n = b_box.count[1],
        .a_row = b_box.count[0],
        .a = mls_tensor_data(a->local),
        .b = mls_tensor_data(b->local),
        .c = mls_tensor_data(c->local),
        .size = mls__spread_size(&p->result),
    };
    for (int i = 0; i < a->spread.rank - 1; i++)
        m.m *= a_box.count[i];
    const int64_t least = p->n < SAME_COLUMNS ? p->n : SAME_COLUMNS;
    m.padded = m.n < least ? least : m.n;
    return m;
}

/* Each of the axis' shards that this rank has is a term. */
static mls_status multiply_shards(const product *p, int axis, const matrices *all)
{
    const mls__range own = mls__mesh_shards(p->mesh, axis, p->mesh->rank);
    const uint32_t shards = p->mesh->axes[axis].shards;
    const int64_t origin = mls__shard_first(p->k, own.first, shards);
    mls_status status = MLS_OK;
    for (uint32_t i = own.first; !status && i < own.end; i++) {
        const int64_t first = mls__shard_first(p->k, i, shards);
        matrices m = *all;
        m.k = mls__shard_first(p->k, i + 1, shards) - first;
        if (!m.m || !m.n || !m.k) /* nor is there memory */
            continue;
        m.a += (size_t) (first - origin) * m.size;
        m.b += (size_t) ((first - origin) * m.n) * m.size;
        m.c += (size_t) ((int64_t) (i - own.first) * m.m * m.n) * m.size;
        status = multiply(&m);
    }
    return status;
}

/* The first of this rank's terms, and zeros. */
static mls_status multiply_once(const product *p, const matrices *m)
{
    const int64_t slots = mls__slots_of(p->mesh, p->result.layout, p->mesh->rank);
    const int64_t count = m->m * m->n;
    if (!slots)
        return MLS_OK;
    if (slots > 1 && count)
        mls__fill_neutral(m->dtype, m->c + (size_t) count * m->size, (slots - 1) * count);
    return multiply(m);
}

static mls_status run(const product *p, mls__steps *steps, mls_sharded **ret_product)
{
    mls_sharded *a = NULL, *b = NULL, *c = NULL;
    mls_status status = mls__redistribute(p->a, p->a_layout, steps, &a);
    if (!status)
        status = mls__redistribute(p->b, p->b_layout, steps, &b);
    if (!status)
        status = mls__sharded_make(p->mesh, &p->result, &c);
    if (!status) {
        const matrices m = matrices_of(p, a, b, c);
        const int axis = cut_axis(p);
        status = axis < 0 ? multiply_once(p, &m) : multiply_shards(p, axis, &m);
    }
    mls_sharded_free(b);
    mls_sharded_free(a);
    if (status) {
        mls_sharded_free(c);
        return status;
    }
    *ret_product = c;
    return MLS_OK;
}

mls_status mls_sharded_matmul(const mls_sharded *a, const mls_sharded *b,
                              const mls_group_call *call, mls_sharded **ret_product)
{
    mls__steps steps;
    product p;
    if (!a || !b || !ret_product)
        return mls__error_null(__func__, "a, b and ret_product");
    mls_status status = check(a, b);
    if (!status)
        status = plan(a, b, &p);
    if (!status)
        status = mls__steps_begin(p.mesh, call, &steps);
    if (status)
        return status;
    return mls__steps_end(&steps, run(&p, &steps, ret_product));
}
