/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between any strides: dimensions that lie one after another in both become one. */
#include "tensor/tensor.h"

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* A copy as nested loops, the outermost first. Steps are in bytes. */
typedef struct copy_plan {
    size_t element;
    int rank;
    int64_t dims[MLS_MAX_RANK], from[MLS_MAX_RANK], to[MLS_MAX_RANK];
} copy_plan;

/* Whether a step of the outer loop is as far as all `dim` steps of the inner one. */
static bool continues(int64_t outer, int64_t inner, int64_t dim)
{
    int64_t whole;
    return mls__mul_i64(inner, dim, &whole) && whole == outer;
}

static void plan_copy(const mls_tensor *source, const mls_tensor *target, copy_plan *ret_plan)
{
    copy_plan plan = {.element = mls_dtype_size((mls_dtype) source->dtype)};
    for (int i = 0; i < source->rank; i++) {
        const int64_t dim = source->dims[i];
        const int64_t from = source->strides[i] * (int64_t) plan.element;
        const int64_t to = target->strides[i] * (int64_t) plan.element;
        const int last = plan.rank - 1;
        if (dim == 1)
            continue;
        int at = plan.rank;
        if (last >= 0 && continues(plan.from[last], from, dim) &&
            continues(plan.to[last], to, dim)) {
            at = last;
            plan.dims[at] *= dim;
        } else {
            plan.dims[plan.rank++] = dim;
        }
        plan.from[at] = from;
        plan.to[at] = to;
    }
    *ret_plan = plan;
}

/* `element` is a constant where this is called, so that each copy is one load and store. */
static inline void copy_each(const unsigned char *from, int64_t from_step, unsigned char *to,
                             int64_t to_step, int64_t count, size_t element)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + i * to_step, from + i * from_step, element);
}

static void copy_row(const copy_plan *plan, int axis, const unsigned char *from, unsigned char *to)
{
    const int64_t count = plan->dims[axis], element = (int64_t) plan->element;
    const int64_t from_step = plan->from[axis], to_step = plan->to[axis];
    if (from_step == element && to_step == element)
        memcpy(to, from, (size_t) count * plan->element);
    else if (element == 1)
        copy_each(from, from_step, to, to_step, count, 1);
    else if (element == 2)
        copy_each(from, from_step, to, to_step, count, 2);
    else if (element == 4)
        copy_each(from, from_step, to, to_step, count, 4);
    else if (element == 8)
        copy_each(from, from_step, to, to_step, count, 8);
    else
        copy_each(from, from_step, to, to_step, count, plan->element);
}

static void copy_axis(const copy_plan *plan, int axis, const unsigned char *from, unsigned char *to)
{
    if (axis == plan->rank - 1) {
        copy_row(plan, axis, from, to);
        return;
    }
    for (int64_t i = 0; i < plan->dims[axis]; i++)
        copy_axis(plan, axis + 1, from + i * plan->from[axis], to + i * plan->to[axis]);
}

/* The two have the same dtype and dims. */
static void copy_elements(const mls_tensor *source, mls_tensor *target)
{
    copy_plan plan;
    if (source->count == 0)
        return;
    plan_copy(source, target, &plan);
    if (plan.rank == 0)
        memcpy(target->data, source->data, plan.element);
    else
        copy_axis(&plan, 0, source->data, target->data);
}

static mls_status check_pair(const mls_tensor *source, const mls_tensor *target)
{
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    if (source->dtype != target->dtype)
        return mls__error(MLS_EDTYPE, "cannot copy %s into %s: the dtypes must be the same",
                          mls_dtype_name((mls_dtype) source->dtype),
                          mls_dtype_name((mls_dtype) target->dtype));
    if (!mls__shape_equal(source->rank, source->dims, target->rank, target->dims))
        return mls__error(MLS_ESHAPE, "cannot copy %s into %s: the dims must be the same",
                          mls__shape_text(source->rank, source->dims, from),
                          mls__shape_text(target->rank, target->dims, to));
    for (int i = 0; i < target->rank && target->count; i++)
        if (target->dims[i] > 1 && target->strides[i] == 0)
            return mls__error(MLS_EINVAL,
                              "cannot copy into %s: dimension %d is broadcast (stride 0), so its "
                              "elements are one",
                              mls__shape_text(target->rank, target->dims, to), i);
    return MLS_OK;
}

mls_status mls_tensor_copy_into(const mls_tensor *source, mls_tensor *target)
{
    if (!source || !target)
        return mls__error_null(__func__, "source and target");
    const mls_status status = check_pair(source, target);
    if (!status)
        copy_elements(source, target);
    return status;
}

static void free_block(void *user, void *data)
{
    mls_context *context = user;
    mls__free(&context->allocator, data);
}

/* What the elements and the bytes of all strings take together. */
static mls_status string_bytes(const mls_string *strings, int64_t count, size_t *ret_total)
{
    size_t total = (size_t) count * sizeof *strings;
    for (int64_t i = 0; i < count; i++) {
        if (!strings[i].data && strings[i].size)
            return mls__error(MLS_EINVAL, "string %" PRId64 " has %zu bytes, but its data is NULL",
                              i, strings[i].size);
        if (!mls__add_size(total, strings[i].size, &total))
            return mls__error_nomem(SIZE_MAX);
    }
    *ret_total = total;
    return MLS_OK;
}

/* Moves the strings' bytes into one block behind the elements, so that nothing is borrowed. */
static mls_status own_strings(const mls_tensor *borrowed, mls_tensor **ret_tensor)
{
    mls_context *context = mls__tensor_context(borrowed);
    const mls_string *strings = borrowed->data;
    size_t total;
    mls_status status = string_bytes(strings, borrowed->count, &total);
    if (status)
        return status;
    mls_string *block = mls__alloc(&context->allocator, total);
    if (!block)
        return mls__error_nomem(total);
    char *bytes = (char *) (block + borrowed->count);
    for (int64_t i = 0; i < borrowed->count; i++) {
        block[i] = (mls_string){bytes, strings[i].size};
        if (strings[i].size)
            memcpy(bytes, strings[i].data, strings[i].size);
        bytes += strings[i].size;
    }
    status = mls_tensor_wrap(context, MLS_STRING, borrowed->rank, borrowed->dims, NULL, block,
                             free_block, context, ret_tensor);
    if (status)
        mls__free(&context->allocator, block);
    return status;
}

mls_status mls_tensor_copy(const mls_tensor *tensor, mls_tensor **ret_tensor)
{
    if (!tensor || !ret_tensor)
        return mls__error_null(__func__, "tensor and ret_tensor");
    mls_tensor *copy;
    mls_status status = mls_tensor_create(mls__tensor_context(tensor), (mls_dtype) tensor->dtype,
                                          tensor->rank, tensor->dims, &copy);
    if (status)
        return status;
    copy_elements(tensor, copy);
    if (tensor->dtype != MLS_STRING) {
        *ret_tensor = copy;
        return MLS_OK;
    }
    status = own_strings(copy, ret_tensor);
    mls_tensor_free(copy);
    return status;
}
