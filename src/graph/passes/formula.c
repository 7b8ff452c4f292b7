/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken apart is small: products deeper than their factors allow are given up. */
#include "graph/passes/formula.h"

#include "base/error.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

#define TOLERANCE 2e-5

/* --- numbers --------------------------------------------------------------------------------- */

bool mls__formula_number(const mls__graph *graph, uint32_t value, double *ret_number)
{
    const mls_tensor *tensor =
        value == MLS__NO_VALUE ? NULL : mls__graph_value(graph, value)->constant;
    if (!tensor || tensor->rank > 1 || tensor->count != 1)
        return false;
    const void *data = mls_tensor_data(tensor);
    if (tensor->dtype == MLS_FLOAT32)
        *ret_number = (double) *(const float *) data;
    else if (tensor->dtype == MLS_FLOAT64)
        *ret_number = *(const double *) data;
    else
        return false;
    return true;
}

bool mls__formula_is_near(double a, double b)
{
    return fabs(a - b) <= TOLERANCE * fabs(b);
}

bool mls__formula_is_number(const mls__graph *graph, uint32_t value, double number)
{
    double found;
    return mls__formula_number(graph, value, &found) && mls__formula_is_near(found, number);
}

bool mls__formula_operand(const mls__graph *graph, const mls__node *node, uint32_t *ret_value,
                          double *ret_number)
{
    for (size_t k = 0; k < 2 && node->input_count == 2; k++)
        if (mls__formula_number(graph, node->inputs[k], ret_number)) {
            *ret_value = node->inputs[1 - k];
            return true;
        }
    return false;
}

/* --- products -------------------------------------------------------------------------------- */

/* `power` times a value that is not taken apart. */
static bool add_factor(mls__product *p, const mls__graph *graph, uint32_t value, int power)
{
    double number;
    if (mls__formula_number(graph, value, &number)) {
        for (int i = 0; i < power; i++)
            p->number *= number;
        return true;
    }
    if (p->count + power > MLS__MAX_FACTORS)
        return false;
    for (int i = 0; i < power; i++)
        p->factors[p->count++] = value;
    return true;
}

/* A value that is left to be taken apart, and how often it counts. */
typedef struct pending {
    uint32_t value;
    int power;
} pending;

/* Puts what the value is made of in its place; 0: it is a factor itself. */
static int take_apart(const mls__links *links, pending whole, mls__product *p, pending parts[2])
{
    const mls__graph *graph = links->graph;
    const mls__node *node = mls__giver(links, whole.value);
    double number;
    if (!node || node->input_count != 2)
        return 0;
    parts[0] = (pending){node->inputs[0], whole.power};
    parts[1] = (pending){node->inputs[1], whole.power};
    if (mls__node_is(node, "Mul"))
        return 2;
    if (!mls__formula_number(graph, node->inputs[1], &number))
        return 0;
    if (mls__node_is(node, "Div")) {
        for (int i = 0; i < whole.power; i++)
            p->number /= number;
        return 1;
    }
    if (!mls__node_is(node, "Pow") || (number != 2 && number != 3))
        return 0;
    parts[0].power *= (int) number;
    return 1;
}

bool mls__formula_product(const mls__links *links, uint32_t value, uint32_t atom,
                          mls__product *ret_product)
{
    mls__product p = {.number = 1};
    pending stack[2 * MLS__MAX_FACTORS] = {{value, 1}};
    int depth = 1;
    while (depth) {
        pending parts[2];
        const pending whole = stack[--depth];
        const int count = whole.value == atom ? 0 : take_apart(links, whole, &p, parts);
        if (!count && !add_factor(&p, links->graph, whole.value, whole.power))
            return false;
        if (depth + count > 2 * MLS__MAX_FACTORS || whole.power > MLS__MAX_FACTORS)
            return false;
        for (int i = 0; i < count; i++)
            stack[depth++] = parts[i];
    }
    *ret_product = p;
    return true;
}

int mls__formula_times(const mls__product *product, uint32_t value)
{
    int times = 0;
    for (int i = 0; i < product->count; i++)
        times += product->factors[i] == value;
    return times;
}

uint32_t mls__formula_cofactor(const mls__product *product, uint32_t value)
{
    if (product->count != 2 || mls__formula_times(product, value) != 1)
        return MLS__NO_VALUE;
    return product->factors[product->factors[0] == value];
}

int mls__formula_candidates(const mls__links *links, const mls__node *node, uint32_t *ret_values)
{
    int count = 0;
    for (size_t k = 0; k < 2; k++) {
        const mls__node *inner = mls__giver(links, node->inputs[k]);
        ret_values[count++] = node->inputs[k];
        for (size_t i = 0; inner && inner->input_count == 2 && i < 2; i++)
            ret_values[count++] = inner->inputs[i];
    }
    return count;
}

/* --- results --------------------------------------------------------------------------------- */

mls_status mls__formula_replace(mls__graph *graph, mls__node *last, const char *type,
                                size_t input_count, const uint32_t *inputs, size_t attr_count,
                                mls_attr **ret_attrs)
{
    const char *name = last->name; /* the nodes move when one is added */
    const uint32_t output = last->outputs[0];
    mls_attr *attrs = mls__arena_array(&graph->arena, attr_count + 1, sizeof *attrs);
    mls__node *node;
    if (!attrs)
        return mls__error_nomem((attr_count + 1) * sizeof *attrs);
    last->is_dead = true;
    const mls_status status = mls__graph_add_node(graph, "", type, input_count, 1, &node);
    if (status)
        return status;
    node->name = name;
    memcpy(node->inputs, inputs, input_count * sizeof *inputs);
    node->outputs[0] = output;
    node->attrs = attrs;
    node->attr_count = attr_count;
    *ret_attrs = attrs;
    return MLS_OK;
}
