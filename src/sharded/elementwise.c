/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops element by element. By axis of the mesh: where an operand is cut, all are cut so; terms are
 * added up before, unless the op is one that terms can go through, and all operands are terms.
 */
#include "sharded/local.h"
#include "sharded/sharded.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

/* Of which dtypes an op is. */
typedef enum kind {
    OF_ONE,   /* all tensors, and the result */
    LOGIC,    /* likewise, of bool alone */
    RAISES,   /* likewise, of numbers that can be multiplied */
    COMPARES, /* all tensors; the result is of bool */
    CHOOSES,  /* the first one is of bool, all others of one, which the result is of */
} kind;

static const struct row {
    const char *type;
    size_t inputs;
    kind kind;
    bool adds; /* of sums it is the sum of what it is of their terms */
} rows[] = {
    {"Abs", 1, OF_ONE, false},
    {"Add", 2, OF_ONE, true},
    {"And", 2, LOGIC, false},
    {"Ceil", 1, OF_ONE, false},
    {"Div", 2, OF_ONE, false},
    {"Equal", 2, COMPARES, false},
    {"Erf", 1, OF_ONE, false},
    {"Exp", 1, OF_ONE, false},
    {"Floor", 1, OF_ONE, false},
    {"Greater", 2, COMPARES, false},
    {"GreaterOrEqual", 2, COMPARES, false},
    {"Less", 2, COMPARES, false},
    {"LessOrEqual", 2, COMPARES, false},
    {"Log", 1, OF_ONE, false},
    {"Max", 2, OF_ONE, false},
    {"Min", 2, OF_ONE, false},
    {"Mul", 2, OF_ONE, false},
    {"Neg", 1, OF_ONE, true},
    {"Not", 1, LOGIC, false},
    {"Or", 2, LOGIC, false},
    {"Pow", 2, RAISES, false},
    {"Relu", 1, OF_ONE, false},
    {"Round", 1, OF_ONE, false},
    {"Sigmoid", 1, OF_ONE, false},
    {"Sign", 1, OF_ONE, false},
    {"Sqrt", 1, OF_ONE, false},
    {"Sub", 2, OF_ONE, true},
    {"Tanh", 1, OF_ONE, false},
    {"Where", 3, CHOOSES, false},
    {"Xor", 2, LOGIC, false},
};

typedef struct apply {
    const struct row *row;
    const mls_sharded *const *inputs;
    mls_mesh *mesh;
    mls__spread result;
} apply;

static mls_status find_row(const char *type, size_t count, const struct row **ret_row)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].type, type) != 0)
            continue;
        if (rows[i].inputs != count)
            return mls__error(MLS_EINVAL, "%s takes %zu tensors; it got %zu", type, rows[i].inputs,
                              count);
        *ret_row = &rows[i];
        return MLS_OK;
    }
    return mls__error(MLS_ENOTFOUND,
                      "'%.100s' is no elementwise op of sharded tensors: "
                      "mlscale/sharded.h lists them",
                      type);
}

/* --- layouts --------------------------------------------------------------------------------- */

/* The dimension of the result that dimension `dim` of an input becomes, and back. */
static int32_t result_dim(const apply *a, const mls_sharded *input, int32_t dim)
{
    return dim + a->result.rank - input->spread.rank;
}

/* How an axis cuts the result: as the largest operand that it cuts where it is not repeated. */
static int32_t cut_of(const apply *a, int axis)
{
    int32_t cut = MLS_LAYOUT_REPLICATED;
    double most = -1;
    for (size_t i = 0; i < a->row->inputs; i++) {
        const mls__spread *s = &a->inputs[i]->spread;
        const int32_t dim = s->layout[axis];
        double count = 1;
        for (int d = 0; d < s->rank; d++)
            count *= (double) s->dims[d];
        if (dim < 0 || count <= most)
            continue;
        const int32_t at = result_dim(a, a->inputs[i], dim);
        if (s->dims[dim] != a->result.dims[at])
            continue;
        cut = at;
        most = count;
    }
    return cut;
}

/* Whether all operands are terms along the axis, and stay so. */
static bool keeps_terms(const apply *a, int axis)
{
    for (size_t i = 0; i < a->row->inputs; i++)
        if (a->inputs[i]->spread.layout[axis] != MLS_LAYOUT_PARTIAL)
            return false;
    return a->row->adds;
}

static void choose_layout(apply *a, int32_t *ret_layout)
{
    bool terms = true; /* along all axes or none: slots of the operands must be the same */
    for (int i = 0; i < a->mesh->axis_count; i++)
        for (size_t k = 0; k < a->row->inputs; k++)
            terms = terms &&
                    (a->inputs[k]->spread.layout[i] != MLS_LAYOUT_PARTIAL || keeps_terms(a, i));
    for (int i = 0; i < a->mesh->axis_count; i++)
        ret_layout[i] = terms && keeps_terms(a, i) ? MLS_LAYOUT_PARTIAL : cut_of(a, i);
}

/* What an operand needs to be, so that its part and the result's fit together. */
static void input_layout(const apply *a, const mls_sharded *input, int32_t *ret_layout)
{
    for (int i = 0; i < a->mesh->axis_count; i++) {
        const int32_t cut = a->result.layout[i];
        const int32_t dim = cut < 0 ? cut : cut - (a->result.rank - input->spread.rank);
        const bool is_repeated =
            cut >= 0 && (dim < 0 || input->spread.dims[dim] != a->result.dims[cut]);
        ret_layout[i] = is_repeated ? MLS_LAYOUT_REPLICATED : dim;
    }
}

/* What an input must be of; the input behind the last is the result. */
static int32_t dtype_of(const apply *a, size_t input)
{
    const size_t last = a->row->inputs - 1;
    switch (a->row->kind) {
    case LOGIC:
        return MLS_BOOL;
    case COMPARES:
        return input > last ? MLS_BOOL : a->inputs[last]->spread.dtype;
    case CHOOSES:
        return input == 0 ? MLS_BOOL : a->inputs[last]->spread.dtype;
    default:
        return a->inputs[last]->spread.dtype;
    }
}

static mls_status check_input(const apply *a, size_t input)
{
    const int32_t is = a->inputs[input]->spread.dtype, wanted = dtype_of(a, input);
    const bool is_condition = a->row->kind == CHOOSES && input == 0;
    if (a->inputs[input]->mesh != a->mesh)
        return mls__error(MLS_EINVAL, "%s of tensors of two meshes", a->row->type);
    if (a->row->kind == RAISES && !mls__can_add(is))
        return mls__error(MLS_EUNSUPPORTED,
                          "%s of %s; those of float32, float64, float16, bfloat16, int32 and int64 "
                          "are possible",
                          a->row->type, mls_dtype_name((mls_dtype) is));
    if (is != wanted && (is_condition || a->row->kind == LOGIC))
        return mls__error(MLS_EDTYPE, "tensor %zu of %s is %s; it must be bool", input,
                          a->row->type, mls_dtype_name((mls_dtype) is));
    if (is != wanted)
        return mls__error(MLS_EDTYPE, "%s of %s and %s", a->row->type,
                          mls_dtype_name((mls_dtype) is), mls_dtype_name((mls_dtype) wanted));
    return MLS_OK;
}

/* The shape that all inputs broadcast to, into the result. */
static mls_status broadcast(apply *a)
{
    char x_text[MLS__SHAPE_TEXT], y_text[MLS__SHAPE_TEXT];
    mls__spread *all = &a->result;
    for (size_t i = 0; i < a->row->inputs; i++) {
        const mls__spread *s = &a->inputs[i]->spread;
        if (!mls__shape_broadcast(all->rank, all->dims, s->rank, s->dims, &all->rank, all->dims))
            return mls__error(MLS_ESHAPE, "%s of %s and %s, which do not broadcast", a->row->type,
                              mls__shape_text(all->rank, all->dims, x_text),
                              mls__shape_text(s->rank, s->dims, y_text));
    }
    return MLS_OK;
}

/* Terms that are to be added up must be of a dtype that can be. */
static mls_status check_terms(const apply *a, const int32_t *layout)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < a->row->inputs; i++) {
        const mls__spread *s = &a->inputs[i]->spread;
        int32_t added[MLS_MESH_MAX_AXES];
        for (int k = 0; k < a->mesh->axis_count; k++)
            added[k] = layout[k] == MLS_LAYOUT_PARTIAL ? MLS_LAYOUT_REPLICATED : s->layout[k];
        status = mls__check_terms(a->mesh, s->dtype, added);
    }
    return status;
}

static mls_status plan(apply *a)
{
    int32_t layout[MLS_MESH_MAX_AXES], dtypes[MLS__LOCAL_INPUTS + 1];
    mls_status status = MLS_OK;
    a->mesh = a->inputs[0]->mesh;
    for (size_t i = 0; !status && i < a->row->inputs; i++)
        status = check_input(a, i);
    if (!status)
        status = broadcast(a);
    if (status)
        return status;
    for (size_t i = 0; i <= a->row->inputs; i++)
        dtypes[i] = dtype_of(a, i);
    choose_layout(a, layout);
    status = check_terms(a, layout);
    if (status)
        return status;
    const mls__local_op op = {.type = a->row->type, .input_count = a->row->inputs};
    const mls__spread all = a->result;
    status =
        mls__spread_make(a->mesh, dtypes[a->row->inputs], all.rank, all.dims, layout, &a->result);
    return status ? status : mls__local_probe(a->mesh->context, &op, dtypes);
}

/* --- parts ----------------------------------------------------------------------------------- */

/*
 * A part with dimensions of 1 in front, so that its slots, which lie before all others, meet those
 * of the result.
 */
static mls_status align(const apply *a, const mls_sharded *input, mls_tensor **ret_tensor)
{
    int64_t dims[MLS_MAX_RANK];
    const int extra = mls__slots_counted(a->mesh, a->result.layout);
    const int missing = a->result.rank - input->spread.rank;
    const mls_tensor *local = input->local;
    for (int i = 0; i < extra; i++)
        dims[i] = local->dims[i];
    for (int i = 0; i < missing; i++)
        dims[extra + i] = 1;
    for (int i = extra; i < local->rank; i++)
        dims[missing + i] = local->dims[i];
    return mls_tensor_reshape(local, local->rank + missing, dims, ret_tensor);
}

static mls_status compute(const apply *a, mls_sharded *const *inputs, mls_sharded *result)
{
    const mls__local_op op = {.type = a->row->type, .input_count = a->row->inputs};
    mls_tensor *parts[MLS__LOCAL_INPUTS] = {NULL};
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < a->row->inputs; i++)
        status = align(a, inputs[i], &parts[i]);
    const mls_tensor *const read[MLS__LOCAL_INPUTS] = {parts[0], parts[1], parts[2]};
    if (!status)
        status = mls__local_run(a->mesh->context, &op, read, result->local);
    for (size_t i = 0; i < a->row->inputs; i++)
        mls_tensor_free(parts[i]);
    return status;
}

static mls_status run(const apply *a, mls__steps *steps, mls_sharded **ret_result)
{
    mls_sharded *inputs[MLS__LOCAL_INPUTS] = {NULL}, *result = NULL;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < a->row->inputs; i++) {
        int32_t layout[MLS_MESH_MAX_AXES];
        input_layout(a, a->inputs[i], layout);
        status = mls__redistribute(a->inputs[i], layout, steps, &inputs[i]);
    }
    if (!status)
        status = mls__sharded_make(a->mesh, &a->result, &result);
    if (!status)
        status = compute(a, inputs, result);
    for (size_t i = 0; i < a->row->inputs; i++)
        mls_sharded_free(inputs[i]);
    if (status) {
        mls_sharded_free(result);
        return status;
    }
    *ret_result = result;
    return MLS_OK;
}

mls_status mls_sharded_apply(const char *op, const mls_sharded *const *inputs, size_t count,
                             const mls_group_call *call, mls_sharded **ret_result)
{
    mls__steps steps;
    apply a = {.inputs = inputs};
    if (!op || !inputs || !ret_result)
        return mls__error_null(__func__, "op, inputs and ret_result");
    for (size_t i = 0; i < count; i++)
        if (!inputs[i])
            return mls__error_null(__func__, "each of inputs");
    mls_status status = find_row(op, count, &a.row);
    if (!status)
        status = plan(&a);
    if (!status)
        status = mls__steps_begin(a.mesh, call, &steps);
    if (status)
        return status;
    return mls__steps_end(&steps, run(&a, &steps, ret_result));
}
