/* SPDX-License-Identifier: Apache-2.0 */
/* MatMulInteger, QLinearMatMul and their kin as products of 8-bit integers. */
#include "backend/cpu/ops/int8_product.h"

#include "backend/cpu/ops/families.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* --- shapes ---------------------------------------------------------------------------------- */

static void read_gemm(const mls__int8_product *p, const mls_op *op, mls__product_shape *ret_shape)
{
    const mls_arg *a = &op->inputs[p->roles->a], *b = &op->inputs[p->roles->b];
    *ret_shape = (mls__product_shape){.count = 1};
    ret_shape->m = a->dims[p->is_a_turned];
    ret_shape->k = a->dims[!p->is_a_turned];
    ret_shape->n = b->dims[!p->is_b_turned];
}

/* What is added to each column, or broadcasts. */
static void read_added(const mls_arg *c, mls__product_shape *shape)
{
    const int64_t last = c->rank ? c->dims[c->rank - 1] : 1;
    shape->c_step = last == 1 ? 0 : 1;
    shape->c_row = c->rank < 2 || c->dims[0] == 1 ? 0 : last;
}

static int64_t param_count(const mls_op *op, const mls__int8_param *param)
{
    return param->input == MLS__INT8_NONE ? 1 : mls__arg_count(&op->inputs[param->input]);
}

static mls_status product_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__int8_product *p = (mls__int8_product *) kernel;
    const mls__int8_roles *roles = p->roles;
    const mls_arg *a = &op->inputs[roles->a];
    if (strcmp(op->type, "QGemm") == 0)
        read_gemm(p, op, &p->shape);
    else
        mls__product_read_matmul(a, &op->inputs[roles->b], &op->outputs[0], false, &p->shape);
    p->a_count = mls__arg_count(a);
    p->a_scale.count = param_count(op, &p->a_scale);
    p->a_zero.count = param_count(op, &p->a_zero);
    p->b_scale.count = param_count(op, &p->b_scale);
    p->b_zero.count = param_count(op, &p->b_zero);
    p->y_scale.count = p->y_zero.count = 1;
    if (p->has_bias)
        read_added(&op->inputs[roles->bias], &p->shape);
    if (p->has_addend)
        read_added(&op->inputs[roles->addend], &p->shape);
    return MLS_OK;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Room for rows * columns elements, which `ret_offset` is set to; false when it overflows. */
static bool add_region(uint64_t *total, int64_t rows, int64_t columns, size_t size,
                       uint64_t *ret_offset)
{
    size_t count, bytes, sum;
    *ret_offset = *total;
    if (!mls__mul_size((size_t) rows, (size_t) columns, &count) ||
        !mls__mul_size(count, size, &bytes) || !mls__align_size(bytes, &bytes) ||
        !mls__add_size((size_t) *total, bytes, &sum))
        return false;
    *total = sum;
    return true;
}

/* Bytes of a packed matrix; false when it overflows. */
static bool plan_packed(mls__int8_product *p)
{
    const int64_t n = p->shape.n, k = p->shape.k;
    uint64_t offset;
    p->packed_bytes = 0;
    if (n > INT64_MAX - MLS__INT8_PANEL || k > INT64_MAX / MLS__INT8_PANEL - MLS__INT8_GROUP)
        return false;
    const int64_t panels = mls__int8_panels(n);
    return add_region(&p->packed_bytes, panels, mls__int8_panel_bytes(k), 1, &offset) &&
           add_region(&p->packed_bytes, panels, MLS__INT8_PANEL, sizeof(int32_t), &p->sums_offset);
}

static mls_status plan(mls__int8_product *p, const mls_op *op)
{
    const mls__product_shape *s = &p->shape;
    const bool is_a_brought = p->is_a_float || p->is_a_signed || p->is_a_turned;
    const int64_t scale_rows = p->a_scale.count > 1 ? s->m : 1;
    const int64_t scale_columns = p->b_scale.count > 1 ? s->n : 1;
    const size_t word = sizeof(int32_t);
    uint64_t total = 0;
    const bool fits =
        add_region(&total, is_a_brought ? s->m : 0, s->k, 1, &p->a_offset) &&
        add_region(&total, s->m, 1, word, &p->a_sums_offset) &&
        add_region(&total, p->a_zero.count > 1 ? s->m : 1, 1, word, &p->a_zeros_offset) &&
        add_region(&total, p->packed ? 0 : 1, (int64_t) p->packed_bytes, 1, &p->b_offset) &&
        add_region(&total, p->b_zero.count > 1 ? s->n : 1, 1, word, &p->b_zeros_offset) &&
        add_region(&total, s->n, 1, word, &p->b_terms_offset) &&
        add_region(&total, scale_rows, scale_columns, sizeof(float), &p->scales_offset);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    p->base.base.workspace_bytes = total;
    return MLS_OK;
}

/* --- constants ------------------------------------------------------------------------------- */

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t weight_id;
    int64_t k, n;
    uint64_t is_turned;
} pack_key;

typedef struct pack_job {
    const mls__int8_product *product;
    const uint8_t *data;
    int64_t matrices;
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    const mls__int8_product *p = job->product;
    for (int64_t i = 0; i < job->matrices; i++)
        mls__int8_pack(p, job->data + i * p->shape.k * p->shape.n,
                       (char *) block + (uint64_t) i * p->packed_bytes);
}

/* Packs a constant B, once for all sessions of the model. */
static mls_status pack(mls__int8_product *p, const mls_op *op)
{
    const mls_arg *b = &op->inputs[p->roles->b];
    size_t bytes;
    if (!plan_packed(p))
        return mls__op_error(op, MLS_ESHAPE, "input %d is larger than memory can be", p->roles->b);
    if (!b->data || !b->weight_id || !op->weights_ops)
        return MLS_OK;
    pack_job job = {p, b->data, b->rank > 2 ? mls__arg_span(b, 0, b->rank - 2) : 1};
    if (!mls__mul_size((size_t) p->packed_bytes, (size_t) job.matrices, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "input %d is larger than memory can be", p->roles->b);
    const pack_key key = {"int8mul", b->weight_id, p->shape.k, p->shape.n, p->is_b_turned};
    p->packed = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    return p->packed ? MLS_OK : mls__error_nomem(bytes);
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls__int8_param param_of(const mls_op *op, int input)
{
    const mls_arg *arg = mls__op_role(op, input);
    return (mls__int8_param){arg ? input : MLS__INT8_NONE, arg ? arg->dtype : MLS_DTYPE_NONE, 1};
}

static mls__gemm_int8_form form_of(int32_t dtype)
{
    if (dtype == MLS_INT32)
        return MLS__INT8_SUM;
    if (dtype == MLS_FLOAT32)
        return MLS__INT8_FLOAT;
    return dtype == MLS_INT8 ? MLS__INT8_SIGNED : MLS__INT8_UNSIGNED;
}

static void read_op(mls__int8_product *p, const mls_op *op)
{
    const mls__int8_roles *roles = mls__op_int8_roles(op);
    p->roles = roles;
    p->threads = op->threads;
    p->y_index = op->input_count;
    p->form = form_of(op->outputs[0].dtype);
    p->a_scale = param_of(op, roles->a_scale);
    p->a_zero = param_of(op, roles->a_zero);
    p->b_scale = param_of(op, roles->b_scale);
    p->b_zero = param_of(op, roles->b_zero);
    p->y_scale = param_of(op, roles->y_scale);
    p->y_zero = param_of(op, roles->y_zero);
    p->has_bias = mls__op_role(op, roles->bias) != NULL;
    p->has_addend = mls__op_role(op, roles->addend) != NULL;
    p->is_a_float = op->inputs[roles->a].dtype == MLS_FLOAT32;
    p->is_a_signed = op->inputs[roles->a].dtype == MLS_INT8;
    p->is_b_signed = op->inputs[roles->b].dtype == MLS_INT8;
    p->is_a_turned = mls__op_int(op, "transA", 0) != 0;
    p->is_b_turned = mls__op_int(op, "transB", 0) != 0;
    p->alpha = mls__op_float(op, "alpha", 1);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__int8_product *p;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *p, "int8_product", mls__int8_product_run, &p);
    if (status)
        return status;
    mls_kernel *kernel = &p->base.base;
    kernel->reshape = product_reshape;
    read_op(p, op);
    status = product_reshape(kernel, op);
    if (!status)
        status = pack(p, op);
    if (!status)
        status = plan(p, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_int8_product = {
    {"", "MatMulInteger", create, 0},
    {"", "QLinearMatMul", create, 0},
    {"com.microsoft", "MatMulIntegerToFloat", create, 0},
    {"com.microsoft", "DynamicQuantizeMatMul", create, 0},
    {"com.microsoft", "QGemm", create, 0},
    {.type = NULL},
};
