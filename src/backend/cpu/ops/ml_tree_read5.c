/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of TreeEnsemble (ai.onnx.ml 5): branches and leaves in arrays of their
 * own, linked by position. In the source, leaf i is node nodes_count + i.
 */
#include "backend/cpu/ops/ml_trees.h"

#include "backend/cpu/ops/ml_numbers.h"
#include "base/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_TARGETS  65536
#define MAX_FEATURES (UINT32_C(1) << 30)

typedef struct arrays {
    size_t count, root_count, leaf_count;
    const int64_t *roots, *features;
    const int64_t *next[2], *is_leaf[2]; /* of the true branch, of the false one */
    const int64_t *missing;              /* NULL: none */
    const uint8_t *modes;
    mls__numbers splits, members;
    const int64_t *leaf_targets;
    mls__numbers leaf_weights;
} arrays;

static mls_status expect_count(const mls_op *op, const char *name, size_t count, size_t expected,
                               const char *like)
{
    if (count == expected)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "%s has %zu values, %s has %zu", name, count, like,
                         expected);
}

static mls_status read_modes(const mls_op *op, arrays *a)
{
    const mls_tensor *modes = mls__op_tensor(op, "nodes_modes");
    if (!modes || modes->dtype != MLS_UINT8)
        return mls__op_error(op, MLS_EDTYPE, "nodes_modes must be a tensor of uint8");
    a->modes = modes->data;
    return expect_count(op, "nodes_modes", (size_t) modes->count, a->count, "nodes_featureids");
}

static mls_status read_node_arrays(const mls_op *op, arrays *a)
{
    const struct {
        const char *name;
        const int64_t **values;
        bool is_optional;
    } ints[] = {
        {"nodes_truenodeids", &a->next[0], false},
        {"nodes_falsenodeids", &a->next[1], false},
        {"nodes_trueleafs", &a->is_leaf[0], false},
        {"nodes_falseleafs", &a->is_leaf[1], false},
        {"nodes_missing_value_tracks_true", &a->missing, true},
    };
    a->features = mls__op_ints(op, "nodes_featureids", &a->count);
    if (a->count == 0 || a->count > UINT32_MAX / 8)
        return mls__op_error(op, MLS_EINVAL,
                             "nodes_featureids has %zu values, expected 1 to %" PRIu32, a->count,
                             UINT32_MAX / 8);
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        size_t count;
        *ints[i].values = mls__op_ints(op, ints[i].name, &count);
        const size_t expected = ints[i].is_optional && !count ? 0 : a->count;
        const mls_status status =
            expect_count(op, ints[i].name, count, expected, "nodes_featureids");
        if (status)
            return status;
        if (!count)
            *ints[i].values = NULL;
    }
    mls_status status = mls__numbers_read_tensor(op, "nodes_splits", &a->splits);
    if (!status)
        status = expect_count(op, "nodes_splits", a->splits.count, a->count, "nodes_featureids");
    return status ? status : read_modes(op, a);
}

static mls_status read_leaf_arrays(const mls_op *op, arrays *a)
{
    a->leaf_targets = mls__op_ints(op, "leaf_targetids", &a->leaf_count);
    if (a->leaf_count == 0 || a->leaf_count > UINT32_MAX / 8)
        return mls__op_error(op, MLS_EINVAL,
                             "leaf_targetids has %zu values, expected 1 to %" PRIu32, a->leaf_count,
                             UINT32_MAX / 8);
    mls_status status = mls__numbers_read_tensor(op, "leaf_weights", &a->leaf_weights);
    if (!status)
        status = mls__numbers_read_tensor(op, "membership_values", &a->members);
    if (!status && a->members.count > UINT32_MAX / 8)
        status = mls__op_error(op, MLS_ELIMIT, "membership_values has more than %" PRIu32 " values",
                               UINT32_MAX / 8);
    if (!status)
        status = expect_count(op, "leaf_weights", a->leaf_weights.count, a->leaf_count,
                              "leaf_targetids");
    a->roots = mls__op_ints(op, "tree_roots", &a->root_count);
    if (!status && (a->root_count == 0 || a->root_count > a->count))
        status =
            mls__op_error(op, MLS_EINVAL, "tree_roots has %zu values, expected 1 to the %zu nodes",
                          a->root_count, a->count);
    return status;
}

/* --- nodes ----------------------------------------------------------------------------------- */

static mls_status read_child(const mls__tree_source *source, const arrays *a, uint32_t i,
                             int branch, uint32_t *ret_child)
{
    const int64_t next = a->next[branch][i];
    const bool is_leaf = a->is_leaf[branch][i] != 0;
    const size_t limit = is_leaf ? a->leaf_count : a->count;
    if (next < 0 || (uint64_t) next >= limit)
        return mls__tree_error(source, i, "%s branch goes to %s %" PRId64 ", outside [0, %zu)",
                               branch ? "false" : "true", is_leaf ? "leaf" : "node", next, limit);
    *ret_child = (uint32_t) next + (is_leaf ? (uint32_t) a->count : 0);
    return MLS_OK;
}

/* The next members of membership_values, up to a NaN or the end. */
static mls_status read_members(mls__tree_source *source, const arrays *a, uint32_t i,
                               size_t *position)
{
    mls__source_node *node = &source->nodes[i];
    if (*position >= a->members.count)
        return mls__tree_error(source, i, "membership_values has no set for it");
    node->first = source->member_count;
    for (; *position < a->members.count; (*position)++) {
        const double member = mls__numbers_at(&a->members, *position);
        if (isnan(member))
            break;
        source->members[source->member_count++] = member;
        node->count++;
    }
    (*position)++;
    return MLS_OK;
}

static mls_status read_node(mls__tree_source *source, const arrays *a, uint32_t i, size_t *position)
{
    mls__source_node *node = &source->nodes[i];
    if (a->modes[i] > MLS__TREE_MEMBER)
        return mls__tree_error(source, i, "mode %d is outside [0, %d]", a->modes[i],
                               MLS__TREE_MEMBER);
    if (a->features[i] < 0 || a->features[i] >= MAX_FEATURES)
        return mls__tree_error(source, i, "feature %" PRId64 " is outside [0, %" PRIu32 ")",
                               a->features[i], MAX_FEATURES);
    *node = (mls__source_node){.mode = a->modes[i],
                               .missing_is_true = a->missing && a->missing[i] == 1,
                               .tree = MLS__TREE_NONE,
                               .feature = (uint32_t) a->features[i],
                               .value = mls__numbers_at(&a->splits, i)};
    mls_status status = read_child(source, a, i, 0, &node->on_true);
    if (!status)
        status = read_child(source, a, i, 1, &node->on_false);
    if (!status && node->mode == MLS__TREE_MEMBER)
        status = read_members(source, a, i, position);
    return status;
}

static mls_status read_leaves(mls__tree_source *source, const arrays *a)
{
    for (size_t i = 0; i < a->leaf_count; i++) {
        const int64_t target = a->leaf_targets[i];
        if (target < 0 || target >= source->target_count)
            return mls__op_error(source->op, MLS_EINVAL,
                                 "leaf %zu is for target %" PRId64 ", outside [0, %" PRIu32 ")", i,
                                 target, source->target_count);
        source->weights[i] =
            (mls__source_weight){(uint32_t) target, mls__numbers_at(&a->leaf_weights, i)};
        source->nodes[a->count + i] = (mls__source_node){
            .mode = MLS__TREE_LEAF, .tree = MLS__TREE_NONE, .first = (uint32_t) i, .count = 1};
    }
    source->weight_count = (uint32_t) a->leaf_count;
    return MLS_OK;
}

static mls_status read_roots(mls__tree_source *source, const arrays *a)
{
    for (size_t i = 0; i < a->root_count; i++) {
        if (a->roots[i] < 0 || (uint64_t) a->roots[i] >= a->count)
            return mls__op_error(source->op, MLS_EINVAL,
                                 "the root of tree %zu is node %" PRId64 ", outside [0, %zu)", i,
                                 a->roots[i], a->count);
        source->roots[i] = (uint32_t) a->roots[i];
    }
    source->tree_count = (uint32_t) a->root_count;
    return MLS_OK;
}

static mls_status allocate(mls__tree_source *source, const arrays *a)
{
    const mls__allocator *allocator = source->allocator;
    source->node_count = (uint32_t) (a->count + a->leaf_count);
    source->nodes = mls__alloc_array(allocator, source->node_count, sizeof *source->nodes);
    source->roots = mls__alloc_array(allocator, a->root_count, sizeof *source->roots);
    source->weights = mls__alloc_array(allocator, a->leaf_count, sizeof *source->weights);
    source->members = mls__alloc_array(allocator, a->members.count, sizeof *source->members);
    if (!source->nodes || !source->roots || !source->weights || !source->members)
        return mls__error_nomem(source->node_count * sizeof *source->nodes);
    return MLS_OK;
}

static mls_status read_all(mls__tree_source *source, const arrays *a)
{
    size_t position = 0;
    mls_status status = allocate(source, a);
    if (!status)
        status = read_roots(source, a);
    if (!status)
        status = read_leaves(source, a);
    for (uint32_t i = 0; !status && i < a->count; i++)
        status = read_node(source, a, i, &position);
    return status;
}

mls_status mls__tree_read5(const mls__cpu *cpu, const mls_op *op, mls__tree_source *source)
{
    static const mls__tree_aggregate aggregates[] = {MLS__TREE_SUM, MLS__TREE_SUM, MLS__TREE_MIN,
                                                     MLS__TREE_MAX};
    const int64_t targets = mls__op_int(op, "n_targets", 1);
    const int64_t aggregate = mls__op_int(op, "aggregate_function", 1);
    arrays a = {0};
    *source = (mls__tree_source){.op = op, .allocator = cpu->allocator, .only_class = -1};
    if (targets < 1 || targets > MAX_TARGETS)
        return mls__op_error(op, MLS_EINVAL, "n_targets is %" PRId64 ", expected 1 to %d", targets,
                             MAX_TARGETS);
    if (aggregate < 0 || aggregate > 3)
        return mls__op_error(op, MLS_EINVAL, "aggregate_function is %" PRId64 ", outside [0, 3]",
                             aggregate);
    source->target_count = (uint32_t) targets;
    source->aggregate = aggregates[aggregate];
    mls_status status = read_node_arrays(op, &a);
    if (!status)
        status = read_leaf_arrays(op, &a);
    if (status)
        return status;
    source->is_double = op->inputs[0].dtype == MLS_FLOAT64 || a.splits.dtype == MLS_FLOAT64 ||
                        a.leaf_weights.dtype == MLS_FLOAT64 || a.members.dtype == MLS_FLOAT64;
    return read_all(source, &a);
}
