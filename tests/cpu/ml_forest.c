/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_forest.h. */
#include "cpu/ml_forest.h"

#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16 };

static const char *const modes[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                    "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};

/* In [0, 1): op_random() gives 48 bits. */
static double random_unit(uint64_t *seed)
{
    return (double) op_random(seed) * 0x1p-48;
}

/* A small integer as often as not, so that features meet thresholds; 0 of either sign. */
static double random_value(uint64_t *seed)
{
    const double unit = random_unit(seed);
    if (unit >= 0.5)
        return (unit - 0.75) * 8.0;
    const double integer = floor(unit * 12.0) - 3.0;
    return integer == 0.0 && random_unit(seed) < 0.5 ? -0.0 : integer;
}

/* --- making ---------------------------------------------------------------------------------- */

static void add_weight(forest *f, int at, int target)
{
    const int w = f->weights++;
    mls_test_expect(w < FOREST_NODES, "%d weights", w);
    f->weight_tree[w] = f->tree[at];
    f->weight_node[w] = f->node[at];
    f->weight_target[w] = target;
    f->double_weight[w] = random_unit(&f->seed) - 0.5;
    f->weight[w] = (float) f->double_weight[w];
}

static void add_leaf_weights(forest *f, int at, int tree)
{
    const forest_options *o = &f->options;
    if (!o->has_many_weights) {
        add_weight(f, at, tree % o->targets);
        return;
    }
    for (int target = 0; target < o->targets; target++)
        if (random_unit(&f->seed) < 0.6)
            add_weight(f, at, target);
}

static int add_node(forest *f, int tree, int root, int depth)
{
    const forest_options *o = &f->options;
    const int at = f->nodes++;
    mls_test_expect(at < FOREST_NODES, "%d nodes", at);
    f->tree[at] = o->has_odd_ids ? 1000 - 7 * tree : tree;
    f->node[at] = o->has_odd_ids ? 3 * (at - root) + 5 : at - root;
    if (depth == o->depth || (depth > 0 && random_unit(&f->seed) < o->leaf_chance)) {
        f->mode[at] = "LEAF";
        add_leaf_weights(f, at, tree);
        return at;
    }
    f->mode[at] = modes[o->first_mode + (int) (op_random(&f->seed) % (unsigned) o->modes)];
    f->feature[at] = (int64_t) (op_random(&f->seed) % (unsigned) o->features);
    f->missing[at] = o->has_missing && op_random(&f->seed) % 2;
    f->double_value[at] = random_value(&f->seed);
    f->value[at] = (float) f->double_value[at];
    const int on_true = add_node(f, tree, root, depth + 1);
    const int on_false = add_node(f, tree, root, depth + 1);
    f->on_true[at] = f->node[on_true];
    f->on_false[at] = f->node[on_false];
    return at;
}

forest *forest_create(const forest_options *options, uint64_t seed)
{
    forest *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    f->options = *options;
    f->seed = seed;
    for (int tree = 0; tree < options->trees; tree++)
        f->root[tree] = add_node(f, tree, f->nodes, 0);
    return f;
}

static void add_numbers(const forest *f, op_test *test, const char *name, const char *tensor_name,
                        int count, const float *floats, const double *doubles)
{
    if (f->options.is_double)
        op_test_tensor(test, tensor_name, MLS_FLOAT64, OP_DIMS(count), doubles);
    else
        op_test_floats(test, name, (size_t) count, floats);
}

void forest_attributes(const forest *f, op_test *test, const char *prefix)
{
    const bool is_class = strcmp(prefix, "class") == 0;
    const size_t nodes = (size_t) f->nodes, weights = (size_t) f->weights;
    op_test_ints(test, "nodes_treeids", nodes, f->tree);
    op_test_ints(test, "nodes_nodeids", nodes, f->node);
    op_test_ints(test, "nodes_featureids", nodes, f->feature);
    op_test_ints(test, "nodes_truenodeids", nodes, f->on_true);
    op_test_ints(test, "nodes_falsenodeids", nodes, f->on_false);
    op_test_strings(test, "nodes_modes", nodes, f->mode);
    if (f->options.has_missing)
        op_test_ints(test, "nodes_missing_value_tracks_true", nodes, f->missing);
    op_test_ints(test, is_class ? "class_treeids" : "target_treeids", weights, f->weight_tree);
    op_test_ints(test, is_class ? "class_nodeids" : "target_nodeids", weights, f->weight_node);
    op_test_ints(test, is_class ? "class_ids" : "target_ids", weights, f->weight_target);
    add_numbers(f, test, "nodes_values", "nodes_values_as_tensor", f->nodes, f->value,
                f->double_value);
    add_numbers(f, test, is_class ? "class_weights" : "target_weights",
                is_class ? "class_weights_as_tensor" : "target_weights_as_tensor", f->weights,
                f->weight, f->double_weight);
}

void forest_features(const forest *f, uint64_t seed, int64_t rows, double *ret_x)
{
    static const double special[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 0x1p-149, -0x1p-149};
    for (int64_t i = 0; i < rows * f->options.features; i++) {
        ret_x[i] = random_value(&seed);
        if (op_random(&seed) % 8 == 0)
            ret_x[i] = special[op_random(&seed) % 7];
    }
}

/* --- what it gives --------------------------------------------------------------------------- */

static int find_node(const forest *f, int root, int64_t node)
{
    for (int i = root; i < f->nodes && f->tree[i] == f->tree[root]; i++)
        if (f->node[i] == node)
            return i;
    ck_abort_msg("no node %lld", (long long) node);
}

static bool compare(const char *mode, double x, double value)
{
    if (strcmp(mode, "BRANCH_LEQ") == 0)
        return x <= value;
    if (strcmp(mode, "BRANCH_LT") == 0)
        return x < value;
    if (strcmp(mode, "BRANCH_GTE") == 0)
        return x >= value;
    if (strcmp(mode, "BRANCH_GT") == 0)
        return x > value;
    return (x == value) == (strcmp(mode, "BRANCH_EQ") == 0);
}

static int find_leaf(const forest *f, int tree, const double *x)
{
    int at = f->root[tree];
    while (strcmp(f->mode[at], "LEAF") != 0) {
        const double feature = x[f->feature[at]];
        const double value = f->options.is_double ? f->double_value[at] : (double) f->value[at];
        const bool is_true =
            compare(f->mode[at], feature, value) || (isnan(feature) && f->missing[at]);
        at = find_node(f, f->root[tree], is_true ? f->on_true[at] : f->on_false[at]);
    }
    return at;
}

/* The weights at leaf `at`, from *w on: the next one's number, or -1. */
static int next_weight(const forest *f, int at, int *w)
{
    for (; *w < f->weights; (*w)++)
        if (f->weight_tree[*w] == f->tree[at] && f->weight_node[*w] == f->node[at])
            return (*w)++;
    return -1;
}

/* A sum of two floats is rounded to the same float through double. */
static double aggregate(const forest *f, const char *name, double a, double b)
{
    if (strcmp(name, "MIN") == 0)
        return b < a ? b : a;
    if (strcmp(name, "MAX") == 0)
        return b > a ? b : a;
    return f->options.is_double ? a + b : (double) (float) (a + b);
}

static double neutral(const char *name)
{
    if (strcmp(name, "MIN") == 0)
        return INFINITY;
    return strcmp(name, "MAX") == 0 ? -INFINITY : 0.0;
}

void forest_totals(const forest *f, const double *x, const char *name, double *ret_totals,
                   bool *ret_seen)
{
    double lanes[FOREST_TARGETS][LANES];
    for (int k = 0; k < f->options.targets; k++) {
        ret_seen[k] = false;
        for (int i = 0; i < LANES; i++)
            lanes[k][i] = neutral(name);
    }
    for (int tree = 0; tree < f->options.trees; tree++) {
        const int leaf = find_leaf(f, tree, x);
        int from = 0;
        for (int w = next_weight(f, leaf, &from); w >= 0; w = next_weight(f, leaf, &from)) {
            double *lane = &lanes[f->weight_target[w]][tree % LANES];
            const double weight =
                f->options.is_double ? f->double_weight[w] : (double) f->weight[w];
            *lane = aggregate(f, name, *lane, weight);
            ret_seen[f->weight_target[w]] = true;
        }
    }
    for (int k = 0; k < f->options.targets; k++) {
        for (int half = LANES / 2; half; half /= 2)
            for (int i = 0; i < half; i++)
                lanes[k][i] = aggregate(f, name, lanes[k][i], lanes[k][i + half]);
        ret_totals[k] = lanes[k][0];
    }
}
