/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a model's nodes to tests in integers. All orderings become key <= limit: the
 * integer before a key stands for the float before a value, and x > t is the other branch
 * of x <= t. Equality is a range of one. What NaN does is decided by the key that is read:
 * it is above all limits, or 0 and so below all.
 */
#include "backend/cpu/ops/ml_trees.h"

#include "base/error.h"
#include "base/map.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define NOT_VISITED UINT32_MAX
#define VISITING    (UINT32_MAX - 1)

/* Features below this have their keys in a table, others in a map. */
#define MAX_TABLE 65536

typedef struct lowering {
    const mls__tree_source *source;
    mls__tree_plan *plan;
    uint32_t *table; /* [feature * 2 + NaN is low]: the key, or 0 */
    uint32_t table_features;
    mls__map map;
} lowering;

void mls__tree_plan_clear(mls__tree_plan *plan)
{
    if (!plan->source)
        return;
    mls__free(plan->source->allocator, plan->nodes);
    mls__free(plan->source->allocator, plan->key_source);
    mls__free(plan->source->allocator, plan->tree_target);
}

/* --- keys ------------------------------------------------------------------------------------ */

/* What kernels/tree.c makes of a feature of this value, which is not NaN. */
static uint64_t key_of(const mls__tree_source *source, double value)
{
    if (source->is_double) {
        uint64_t bits;
        const double x = value + 0.0;
        memcpy(&bits, &x, sizeof bits);
        return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
    }
    uint32_t bits;
    const float x = (float) value + 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}

static mls_status new_key(lowering *low, uint32_t source, uint32_t *ret_key)
{
    mls__tree_plan *plan = low->plan;
    *ret_key = plan->key_count++;
    plan->key_source[*ret_key] = source;
    if (source / 2 < low->table_features) {
        low->table[source] = *ret_key;
        return MLS_OK;
    }
    return mls__map_set(&low->map, (const char *) &plan->key_source[*ret_key], sizeof source,
                        *ret_key)
               ? MLS_OK
               : mls__error_nomem(sizeof source);
}

static mls_status find_key(lowering *low, uint32_t feature, bool nan_is_low, uint32_t *ret_key)
{
    const uint32_t source = feature * 2 + nan_is_low;
    size_t found;
    if (feature < low->table_features && low->table[source]) {
        *ret_key = low->table[source];
        return MLS_OK;
    }
    if (feature >= low->table_features &&
        mls__map_get(&low->map, (const char *) &source, sizeof source, &found)) {
        *ret_key = (uint32_t) found;
        return MLS_OK;
    }
    return new_key(low, source, ret_key);
}

/* --- tests ----------------------------------------------------------------------------------- */

typedef struct key_range {
    uint64_t low, width;
} key_range;

/* Key 0 is a NaN below all values, and nothing else. */
static const key_range only_nan = {0, 0};

static mls_status set_test(lowering *low, uint32_t at, uint32_t feature, bool nan_is_low,
                           key_range range, uint32_t on_true, uint32_t on_false)
{
    mls__plan_node *node = &low->plan->nodes[at];
    *node = (mls__plan_node){.low = range.low,
                             .width = range.width,
                             .on_true = on_true,
                             .on_false = on_false,
                             .height = NOT_VISITED};
    if (range.low)
        low->plan->has_ranges = true;
    return find_key(low, feature, nan_is_low, &node->key);
}

/* A test that is true only for a NaN that tracks true. */
static mls_status set_never(lowering *low, uint32_t at, const mls__source_node *node)
{
    return set_test(low, at, node->feature, node->missing_is_true, only_nan, node->on_true,
                    node->on_false);
}

static mls_status lower_order(lowering *low, uint32_t at, const mls__source_node *node)
{
    const bool is_strict = node->mode == MLS__TREE_LT || node->mode == MLS__TREE_GTE;
    const bool is_swapped = node->mode == MLS__TREE_GTE || node->mode == MLS__TREE_GT;
    if (isnan(node->value))
        return set_never(low, at, node);
    const key_range below = {0, key_of(low->source, node->value) - is_strict};
    return set_test(low, at, node->feature, node->missing_is_true != is_swapped, below,
                    is_swapped ? node->on_false : node->on_true,
                    is_swapped ? node->on_true : node->on_false);
}

/*
 * Puts before what follows a test that sends NaN to the true branch; what follows is the new
 * node *at.
 */
static mls_status split_nan(lowering *low, uint32_t *at, const mls__source_node *node)
{
    const uint32_t next = low->plan->node_count++;
    const mls_status status =
        set_test(low, *at, node->feature, true, only_nan, node->on_true, next);
    *at = next;
    return status;
}

static mls_status lower_equal(lowering *low, uint32_t at, const mls__source_node *node)
{
    mls_status status = MLS_OK;
    if (isnan(node->value))
        return set_never(low, at, node);
    if (node->missing_is_true)
        status = split_nan(low, &at, node);
    const key_range one = {key_of(low->source, node->value), 0};
    return status ? status
                  : set_test(low, at, node->feature, false, one, node->on_true, node->on_false);
}

/* x != t is the other branch of x == t, to which NaN goes of itself. */
static mls_status lower_not_equal(lowering *low, uint32_t at, const mls__source_node *node)
{
    const key_range one = {isnan(node->value) ? 0 : key_of(low->source, node->value), 0};
    return set_test(low, at, node->feature, false, one, node->on_false, node->on_true);
}

/* --- membership ------------------------------------------------------------------------------ */

static void sift_down(double *heap, uint32_t at, uint32_t count)
{
    const double value = heap[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

/* Heap sort: no memory, and no order of members makes it slow. */
static void sort_members(double *members, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        sift_down(members, i - 1, count);
    for (uint32_t end = count; end > 1; end--) {
        const double last = members[end - 1];
        members[end - 1] = members[0];
        members[0] = last;
        sift_down(members, 0, end - 1);
    }
}

/* A search tree over the sorted members, with a test of equality at the end; depth log2(count). */
static mls_status lower_search(lowering *low, uint32_t at, const mls__source_node *node,
                               const double *members, uint32_t count)
{
    mls__tree_plan *plan = low->plan;
    if (count == 1) {
        const key_range one = {key_of(low->source, members[0]), 0};
        return set_test(low, at, node->feature, false, one, node->on_true, node->on_false);
    }
    const uint32_t half = count / 2, left = plan->node_count, right = left + 1;
    const key_range below = {0, key_of(low->source, members[half - 1])};
    plan->node_count += 2;
    mls_status status = set_test(low, at, node->feature, false, below, left, right);
    if (!status)
        status = lower_search(low, left, node, members, half);
    return status ? status : lower_search(low, right, node, members + half, count - half);
}

static mls_status lower_member(lowering *low, uint32_t at, const mls__source_node *node)
{
    double *members = low->source->members + node->first;
    if (node->count == 0)
        return set_never(low, at, node);
    sort_members(members, node->count);
    const mls_status status = node->missing_is_true ? split_nan(low, &at, node) : MLS_OK;
    return status ? status : lower_search(low, at, node, members, node->count);
}

static mls_status lower_leaf(lowering *low, uint32_t at, const mls__source_node *node)
{
    (void) node;
    low->plan->nodes[at] = (mls__plan_node){.height = NOT_VISITED};
    return MLS_OK;
}

static mls_status lower_node(lowering *low, uint32_t at)
{
    static mls_status (*const lower[])(lowering *, uint32_t, const mls__source_node *) = {
        [MLS__TREE_LEQ] = lower_order,     [MLS__TREE_LT] = lower_order,
        [MLS__TREE_GTE] = lower_order,     [MLS__TREE_GT] = lower_order,
        [MLS__TREE_EQ] = lower_equal,      [MLS__TREE_NEQ] = lower_not_equal,
        [MLS__TREE_MEMBER] = lower_member, [MLS__TREE_LEAF] = lower_leaf,
    };
    const mls__source_node *node = &low->source->nodes[at];
    return lower[node->mode](low, at, node);
}

/* --- the shape of the trees ------------------------------------------------------------------ */

static bool is_leaf(const mls__tree_source *source, uint32_t node)
{
    return node < source->node_count && source->nodes[node].mode == MLS__TREE_LEAF;
}

/* Whether a leaf's payload can be its only weight, and that of the tree's only target. */
static void note_leaf(mls__tree_plan *plan, uint32_t tree, uint32_t leaf)
{
    const mls__source_node *node = &plan->source->nodes[leaf];
    if (node->count != 1 || plan->source->is_double) {
        plan->has_leaf_lists = true;
        return;
    }
    const uint32_t target = plan->source->weights[node->first].target;
    if (plan->tree_target[tree] == MLS__TREE_NONE)
        plan->tree_target[tree] = target;
    if (plan->tree_target[tree] != target)
        plan->has_leaf_lists = true;
}

/*
 * Whether `node`, which tree `tree` leads to, is yet to be visited. Errors: a cycle, and a
 * branch that is part of two trees.
 */
static mls_status enter(mls__tree_plan *plan, uint32_t tree, uint32_t node, bool *ret_is_new)
{
    const mls__tree_source *source = plan->source;
    mls__plan_node *test = &plan->nodes[node];
    *ret_is_new = test->height == NOT_VISITED;
    if (test->height == VISITING)
        return mls__tree_error(source, node, "leads back to itself");
    if (is_leaf(source, node)) {
        test->height = 0;
        *ret_is_new = false;
        note_leaf(plan, tree, node);
        return MLS_OK;
    }
    if (node >= source->node_count)
        return MLS_OK;
    if (source->nodes[node].tree == MLS__TREE_NONE)
        source->nodes[node].tree = tree;
    if (source->nodes[node].tree != tree)
        return mls__tree_error(source, node, "is part of tree %" PRIu32 " and of tree %" PRIu32,
                               source->nodes[node].tree, tree);
    return MLS_OK;
}

/* Depth first, each node once; `stack` has room for all nodes. */
static mls_status measure_tree(mls__tree_plan *plan, uint32_t tree, uint32_t *stack)
{
    uint32_t depth = 0;
    bool is_new;
    mls_status status = enter(plan, tree, plan->source->roots[tree], &is_new);
    if (status || !is_new)
        return status;
    stack[depth++] = plan->source->roots[tree];
    while (depth) {
        mls__plan_node *node = &plan->nodes[stack[depth - 1]];
        const uint32_t children[2] = {node->on_true, node->on_false};
        uint32_t height = 0;
        node->height = VISITING;
        for (int i = 0; i < 2; i++) {
            status = enter(plan, tree, children[i], &is_new);
            if (status)
                return status;
            if (is_new) {
                stack[depth++] = children[i];
                break;
            }
            if (plan->nodes[children[i]].height > height)
                height = plan->nodes[children[i]].height;
        }
        if (!is_new) {
            node->height = height + 1;
            depth--;
        }
    }
    return MLS_OK;
}

static mls_status measure(mls__tree_plan *plan)
{
    const mls__tree_source *source = plan->source;
    mls_status status = MLS_OK;
    uint32_t *stack = mls__alloc_array(source->allocator, plan->node_count, sizeof *stack);
    if (!stack)
        return mls__error_nomem(plan->node_count * sizeof *stack);
    for (uint32_t t = 0; !status && t < source->tree_count; t++) {
        plan->tree_target[t] = MLS__TREE_NONE;
        status = measure_tree(plan, t, stack);
    }
    mls__free(source->allocator, stack);
    return status;
}

/*
 * Of several targets, one to which no tree gives anything has no score, or, as a minimum, an
 * infinite one: that takes lists, which note what was seen.
 */
static mls_status check_targets(mls__tree_plan *plan)
{
    const mls__tree_source *source = plan->source;
    uint32_t given = 0;
    if (plan->has_leaf_lists || source->target_count == 1)
        return MLS_OK;
    bool *is_given = mls__alloc_array(source->allocator, source->target_count, sizeof *is_given);
    if (!is_given)
        return mls__error_nomem(source->target_count * sizeof *is_given);
    for (uint32_t t = 0; t < source->tree_count; t++) {
        given += !is_given[plan->tree_target[t]];
        is_given[plan->tree_target[t]] = true;
    }
    plan->has_leaf_lists = given < source->target_count;
    mls__free(source->allocator, is_given);
    return MLS_OK;
}

/* One pattern for all NaNs: a leaf's payload must not be the greatest integer. */
static uint32_t weight_payload(double value)
{
    const float weight = (float) value;
    uint32_t bits;
    memcpy(&bits, &weight, sizeof bits);
    return isnan(weight) ? UINT32_C(0x7fc00000) : bits;
}

static void set_payloads(mls__tree_plan *plan)
{
    const mls__tree_source *source = plan->source;
    for (uint32_t i = 0; i < source->node_count; i++) {
        if (source->nodes[i].mode != MLS__TREE_LEAF)
            continue;
        if (plan->has_leaf_lists)
            plan->nodes[i].width = plan->leaf_count;
        else if (source->nodes[i].count)
            plan->nodes[i].width = weight_payload(source->weights[source->nodes[i].first].value);
        plan->leaf_count++;
    }
    plan->leaf_count++;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* The features, and the nodes that lowering can give at most. */
static mls_status count_nodes(const mls__tree_source *source, mls__tree_plan *plan,
                              size_t *ret_count)
{
    uint64_t count = source->node_count;
    for (uint32_t i = 0; i < source->node_count; i++) {
        const mls__source_node *node = &source->nodes[i];
        if (node->mode != MLS__TREE_LEAF && node->feature >= plan->feature_count)
            plan->feature_count = node->feature + 1;
        if (node->mode == MLS__TREE_EQ)
            count++;
        else if (node->mode == MLS__TREE_MEMBER)
            count += 1 + 2 * (uint64_t) node->count;
    }
    if (count > UINT32_MAX / 4)
        return mls__op_error(source->op, MLS_ELIMIT, "the nodes take %" PRIu64 " tests", count);
    *ret_count = (size_t) count;
    return MLS_OK;
}

static mls_status allocate(lowering *low, size_t node_count)
{
    const mls__allocator *allocator = low->source->allocator;
    mls__tree_plan *plan = low->plan;
    low->table_features = plan->feature_count < MAX_TABLE ? plan->feature_count : MAX_TABLE;
    plan->nodes = mls__alloc_array(allocator, node_count, sizeof *plan->nodes);
    plan->key_source = mls__alloc_array(allocator, node_count + 1, sizeof *plan->key_source);
    plan->tree_target =
        mls__alloc_array(allocator, low->source->tree_count, sizeof *plan->tree_target);
    low->table = mls__alloc_array(allocator, 2 * (size_t) low->table_features, sizeof *low->table);
    if (!plan->nodes || !plan->key_source || !plan->tree_target || !low->table)
        return mls__error_nomem(node_count * sizeof *plan->nodes);
    return MLS_OK;
}

mls_status mls__tree_lower(const mls__tree_source *source, mls__tree_plan *plan)
{
    lowering low = {.source = source, .plan = plan};
    size_t node_count = 0;
    *plan = (mls__tree_plan){.source = source, .node_count = source->node_count, .key_count = 1};
    mls__map_init(&low.map, source->allocator);
    mls_status status = count_nodes(source, plan, &node_count);
    if (!status)
        status = allocate(&low, node_count);
    for (uint32_t i = 0; !status && i < source->node_count; i++)
        status = lower_node(&low, i);
    if (!status)
        status = measure(plan);
    if (!status)
        status = check_targets(plan);
    if (!status)
        set_payloads(plan);
    mls__map_clear(&low.map);
    mls__free(source->allocator, low.table);
    return status;
}
