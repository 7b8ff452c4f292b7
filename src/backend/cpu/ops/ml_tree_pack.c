/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lays a forest out in one block. In the compact form a node's children and their
 * children share a cache line where they can: a walk then takes a line for two steps.
 */
#include "backend/cpu/ops/ml_trees.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/ml_tree_scan.h"
#include "base/error.h"

#include <string.h>

enum { LANES = MLS__TREE_LANES, FIRST_PAIR = LANES + 2 };

/* Slots of a cache line in the compact form; wide ones take a line for two pairs. */
#define LINE        8
#define MAX_COMPACT 65536

/* With more of them, lanes for 32 rows leave the cache. */
#define SCAN_TARGETS 64

/* A part of the block. */
typedef struct part {
    const void *data;
    size_t size, offset;
} part;

enum {
    PART_FOREST,
    PART_KEYS,
    PART_GROUPS,
    PART_NODES,
    PART_TARGETS,
    PART_LEAVES,
    PART_WEIGHT_TARGETS,
    PART_WEIGHTS,
    PART_TESTS,
    PART_LINKS,
    PART_BLOCKS,
    PART_EXITS,
    PART_FIRST_BLOCKS,
    PART_COUNT
};

typedef struct packing {
    const mls__tree_plan *plan;
    const mls__allocator *allocator;
    mls__forest forest;
    uint32_t *stack, *order; /* nodes to place, nodes placed */
    size_t depth, placed;
    size_t slots; /* of the groups so far */
    mls__tree_group *groups;
    size_t *group_end; /* in `order` */
    void *nodes;
    uint32_t *tree_target, *leaf_first, *weight_target;
    void *weights;
    mls__tree_scan scan;
    part parts[PART_COUNT];
    size_t size;
} packing;

/* --- places ---------------------------------------------------------------------------------- */

static bool is_open(const packing *p, uint32_t node)
{
    return p->plan->nodes[node].height > 0 && p->plan->nodes[node].pair == 0;
}

static void place(packing *p, uint32_t node, size_t *next)
{
    p->plan->nodes[node].pair = (uint32_t) *next;
    p->order[p->placed++] = node;
    *next += 2;
}

static void push_children(packing *p, uint32_t node)
{
    const mls__plan_node *test = &p->plan->nodes[node];
    if (is_open(p, test->on_false))
        p->stack[p->depth++] = test->on_false;
    if (is_open(p, test->on_true))
        p->stack[p->depth++] = test->on_true;
}

/* A pair, and in the compact form the pairs below it in the same line. */
static void place_unit(packing *p, uint32_t node, size_t *next)
{
    const mls__plan_node *test = &p->plan->nodes[node];
    const uint32_t children[2] = {test->on_true, test->on_false};
    if (p->forest.form != MLS__TREE_COMPACT) {
        place(p, node, next);
        push_children(p, node);
        return;
    }
    const size_t size =
        2 + 2 * (size_t) is_open(p, children[0]) + 2 * (size_t) is_open(p, children[1]);
    if (*next % LINE + size > LINE)
        *next = (*next + LINE - 1) / LINE * LINE;
    place(p, node, next);
    for (int i = 0; i < 2; i++)
        if (is_open(p, children[i])) {
            place(p, children[i], next);
            push_children(p, children[i]);
        }
}

static void place_group(packing *p, uint32_t g)
{
    const mls__tree_source *source = p->plan->source;
    mls__tree_group *group = &p->groups[g];
    size_t next = FIRST_PAIR;
    *group = (mls__tree_group){.first = p->slots};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t tree = g * LANES + lane;
        if (tree >= source->tree_count)
            break;
        const uint32_t root = source->roots[tree], height = p->plan->nodes[root].height;
        uint32_t *steps = &group->steps[lane / (LANES / 2)];
        *steps = height > *steps ? height : *steps;
        if (is_open(p, root))
            p->stack[p->depth++] = root;
        while (p->depth) {
            const uint32_t node = p->stack[--p->depth];
            if (is_open(p, node))
                place_unit(p, node, &next);
        }
    }
    p->group_end[g] = p->placed;
    p->slots += (next + LINE - 1) / LINE * LINE;
}

/* All groups; false when one is too large for the form. */
static bool place_groups(packing *p, mls__tree_form form)
{
    p->forest.form = form;
    p->placed = p->slots = p->depth = 0;
    for (uint32_t i = 0; i < p->plan->node_count; i++)
        p->plan->nodes[i].pair = 0;
    for (uint32_t g = 0; g < p->forest.group_count; g++) {
        place_group(p, g);
        if (form == MLS__TREE_COMPACT && p->slots - p->groups[g].first > MAX_COMPACT)
            return false;
    }
    return true;
}

static void choose_form(packing *p)
{
    const mls__tree_plan *plan = p->plan;
    if (plan->source->is_double)
        (void) place_groups(p, MLS__TREE_DOUBLE);
    else if (plan->has_ranges || plan->key_count > MAX_COMPACT ||
             !place_groups(p, MLS__TREE_COMPACT))
        (void) place_groups(p, MLS__TREE_WIDE);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static size_t node_size(mls__tree_form form)
{
    static const size_t sizes[] = {[MLS__TREE_COMPACT] = sizeof(mls__tree_node),
                                   [MLS__TREE_WIDE] = sizeof(mls__tree_wide_node),
                                   [MLS__TREE_DOUBLE] = sizeof(mls__tree_double_node)};
    return sizes[form];
}

/* `slot` counts from the start of the group, as the links do. */
static void write_node(packing *p, const mls__tree_group *group, size_t slot,
                       const mls__plan_node *test)
{
    const size_t at = group->first + slot;
    const uint32_t child = test->height ? test->pair : (uint32_t) slot - 1;
    const uint32_t width = (uint32_t) test->width, low = (uint32_t) test->low;
    if (p->forest.form == MLS__TREE_COMPACT)
        ((mls__tree_node *) p->nodes)[at] =
            (mls__tree_node){width, (uint16_t) test->key, (uint16_t) child};
    else if (p->forest.form == MLS__TREE_WIDE)
        ((mls__tree_wide_node *) p->nodes)[at] =
            (mls__tree_wide_node){low, width, test->key, child};
    else
        ((mls__tree_double_node *) p->nodes)[at] =
            (mls__tree_double_node){test->low, test->width, test->key, child};
}

/* The leaf of a tree that is not there: it changes no aggregate. */
static mls__plan_node missing_leaf(const packing *p)
{
    static const uint32_t neutral[] = {
        [MLS__TREE_SUM] = 0, [MLS__TREE_MIN] = 0x7f800000, [MLS__TREE_MAX] = 0xff800000};
    const uint32_t payload =
        p->plan->has_leaf_lists ? p->plan->leaf_count - 1 : neutral[p->forest.aggregate];
    return (mls__plan_node){.width = payload};
}

static void write_group(packing *p, uint32_t g)
{
    const mls__tree_source *source = p->plan->source;
    const mls__plan_node *nodes = p->plan->nodes;
    const mls__tree_group *group = &p->groups[g];
    const mls__plan_node missing = missing_leaf(p);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t tree = g * LANES + lane;
        write_node(p, group, 1 + lane,
                   tree < source->tree_count ? &nodes[source->roots[tree]] : &missing);
    }
    for (size_t i = g ? p->group_end[g - 1] : 0; i < p->group_end[g]; i++) {
        const mls__plan_node *test = &nodes[p->order[i]];
        write_node(p, group, test->pair, &nodes[test->on_true]);
        write_node(p, group, test->pair + 1, &nodes[test->on_false]);
    }
}

static mls_status make_nodes(packing *p)
{
    const size_t node_count = p->plan->node_count, groups = p->forest.group_count;
    p->stack = mls__alloc_array(p->allocator, 2 * node_count + 2, sizeof *p->stack);
    p->order = mls__alloc_array(p->allocator, node_count, sizeof *p->order);
    p->groups = mls__alloc_array(p->allocator, groups, sizeof *p->groups);
    p->group_end = mls__alloc_array(p->allocator, groups, sizeof *p->group_end);
    if (!p->stack || !p->order || !p->groups || !p->group_end)
        return mls__error_nomem(node_count * sizeof *p->stack);
    choose_form(p);
    p->nodes = mls__alloc_array(p->allocator, p->slots, node_size(p->forest.form));
    if (!p->nodes)
        return mls__error_nomem(p->slots * node_size(p->forest.form));
    for (uint32_t g = 0; g < groups; g++)
        write_group(p, g);
    return MLS_OK;
}

/* --- weights --------------------------------------------------------------------------------- */

static mls_status make_lists(packing *p)
{
    const mls__tree_source *source = p->plan->source;
    const size_t size = source->is_double ? sizeof(double) : sizeof(float);
    size_t leaf = 0;
    p->leaf_first =
        mls__alloc_array(p->allocator, (size_t) p->plan->leaf_count + 1, sizeof(uint32_t));
    p->weight_target = mls__alloc_array(p->allocator, source->weight_count, sizeof(uint32_t));
    p->weights = mls__alloc_array(p->allocator, source->weight_count, size);
    if (!p->leaf_first || !p->weight_target || !p->weights)
        return mls__error_nomem(source->weight_count * size);
    for (uint32_t i = 0; i < source->node_count; i++)
        if (source->nodes[i].mode == MLS__TREE_LEAF)
            p->leaf_first[leaf++] = source->nodes[i].first;
    for (; leaf <= p->plan->leaf_count; leaf++)
        p->leaf_first[leaf] = source->weight_count;
    for (uint32_t w = 0; w < source->weight_count; w++) {
        p->weight_target[w] = source->weights[w].target;
        if (source->is_double)
            ((double *) p->weights)[w] = source->weights[w].value;
        else
            ((float *) p->weights)[w] = (float) source->weights[w].value;
    }
    return MLS_OK;
}

static mls_status make_weights(packing *p)
{
    const mls__tree_source *source = p->plan->source;
    const size_t trees = (size_t) p->forest.group_count * LANES;
    if (p->plan->has_leaf_lists)
        return make_lists(p);
    p->tree_target = mls__alloc_array(p->allocator, trees, sizeof *p->tree_target);
    if (!p->tree_target)
        return mls__error_nomem(trees * sizeof *p->tree_target);
    memcpy(p->tree_target, p->plan->tree_target, source->tree_count * sizeof *p->tree_target);
    return MLS_OK;
}

/* --- scanning -------------------------------------------------------------------------------- */

/* From how many rows on a scan of 32 is faster than that many walks; 0: never. */
static uint32_t scan_rows(const packing *p, const mls__tree_costs *costs)
{
    const mls__tree_scan *scan = &p->scan;
    const double scan_cost = (double) scan->tests.count * costs->test +
                             (double) scan->blocks.count * costs->block +
                             (double) p->plan->key_count * costs->key;
    double walk_cost = 0;
    for (uint32_t g = 0; g < p->forest.group_count; g++)
        walk_cost += costs->group + costs->step * (double) (LANES / 2) *
                                        ((double) p->groups[g].steps[0] + p->groups[g].steps[1]);
    const double rows = scan_cost / walk_cost;
    return rows < MLS__TREE_ROWS ? (uint32_t) rows + 1 : 0;
}

static mls_status make_scan(packing *p, const mls__cpu *cpu)
{
    const mls__tree_costs *costs = &cpu->kernels->tree->costs;
    if (p->forest.target_count > SCAN_TARGETS)
        return MLS_OK;
    const mls_status status = mls__tree_scan_build(p->plan, p->forest.group_count, &p->scan);
    if (!status && p->scan.is_possible && p->forest.form == MLS__TREE_COMPACT)
        p->forest.scan_rows = scan_rows(p, costs);
    return status;
}

/* --- the block ------------------------------------------------------------------------------- */

static void add_part(packing *p, int index, const void *data, size_t count, size_t size)
{
    if (!data)
        return;
    p->parts[index] = (part){data, count * size, p->size};
    p->size = (p->size + count * size + MLS__ALIGN - 1) / MLS__ALIGN * MLS__ALIGN;
}

/* Every array is in memory, so that the sum of their sizes does not overflow. */
static void add_parts(packing *p)
{
    const size_t trees = (size_t) p->forest.group_count * LANES;
    const size_t weights = p->plan->source->weight_count;
    const mls__tree_scan *scan = &p->scan;
    add_part(p, PART_FOREST, &p->forest, 1, sizeof p->forest);
    add_part(p, PART_NODES, p->nodes, p->slots, node_size(p->forest.form));
    add_part(p, PART_KEYS, p->plan->key_source, p->plan->key_count, sizeof(uint32_t));
    add_part(p, PART_GROUPS, p->groups, p->forest.group_count, sizeof *p->groups);
    add_part(p, PART_TARGETS, p->tree_target, trees, sizeof(uint32_t));
    add_part(p, PART_LEAVES, p->leaf_first, (size_t) p->plan->leaf_count + 1, sizeof(uint32_t));
    add_part(p, PART_WEIGHT_TARGETS, p->weight_target, weights, sizeof(uint32_t));
    add_part(p, PART_WEIGHTS, p->weights, weights,
             p->plan->source->is_double ? sizeof(double) : sizeof(float));
    if (!p->forest.scan_rows)
        return;
    add_part(p, PART_TESTS, scan->tests.data, scan->tests.count, sizeof(mls__tree_test));
    add_part(p, PART_LINKS, scan->links.data, scan->links.count, sizeof(mls__tree_link));
    add_part(p, PART_BLOCKS, scan->blocks.data, scan->blocks.count, sizeof(mls__tree_block));
    add_part(p, PART_EXITS, scan->exits.data, scan->exits.count, sizeof(uint32_t));
    add_part(p, PART_FIRST_BLOCKS, scan->first_block, trees + 1, sizeof(uint32_t));
}

static const void *part_at(const packing *p, const void *block, int index)
{
    return p->parts[index].data ? (const char *) block + p->parts[index].offset : NULL;
}

static void fill(void *block, void *arg)
{
    const packing *p = arg;
    mls__forest *forest = block;
    for (int i = 0; i < PART_COUNT; i++)
        if (p->parts[i].size)
            memcpy((char *) block + p->parts[i].offset, p->parts[i].data, p->parts[i].size);
    forest->key_source = part_at(p, block, PART_KEYS);
    forest->groups = part_at(p, block, PART_GROUPS);
    forest->nodes = part_at(p, block, PART_NODES);
    forest->tree_target = part_at(p, block, PART_TARGETS);
    forest->leaf_first = part_at(p, block, PART_LEAVES);
    forest->weight_target = part_at(p, block, PART_WEIGHT_TARGETS);
    forest->weights = part_at(p, block, PART_WEIGHTS);
    forest->tests = part_at(p, block, PART_TESTS);
    forest->links = part_at(p, block, PART_LINKS);
    forest->blocks = part_at(p, block, PART_BLOCKS);
    forest->exits = part_at(p, block, PART_EXITS);
    forest->tree_first_block = part_at(p, block, PART_FIRST_BLOCKS);
}

static mls_status store(packing *p, const mls_op *op, const mls__forest **ret_forest)
{
    struct {
        char what[8];
        uint64_t node_id;
        uint32_t form, kernels;
    } key = {"forest", op->node_id, p->forest.form, p->forest.scan_rows};
    add_parts(p);
    const void *block = op->weights_ops->get(op->weights, &key, sizeof key, p->size, fill, p);
    if (!block)
        return mls__error_nomem(p->size);
    *ret_forest = block;
    return MLS_OK;
}

static void clear(packing *p)
{
    void *const blocks[] = {p->stack,       p->order,      p->groups,        p->group_end, p->nodes,
                            p->tree_target, p->leaf_first, p->weight_target, p->weights};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        mls__free(p->allocator, blocks[i]);
    mls__tree_scan_clear(p->allocator, &p->scan);
}

mls_status mls__tree_pack(const mls__cpu *cpu, const mls_op *op, mls__tree_plan *plan,
                          const mls__forest **ret_forest)
{
    const uint32_t trees = plan->source->tree_count;
    packing p = {.plan = plan, .allocator = cpu->allocator};
    p.forest = (mls__forest){.aggregate = plan->source->aggregate,
                             .group_count = (trees + LANES - 1) / LANES,
                             .target_count = plan->source->target_count,
                             .key_count = plan->key_count,
                             .feature_count = plan->feature_count};
    mls_status status = make_nodes(&p);
    if (!status)
        status = make_weights(&p);
    if (!status)
        status = make_scan(&p, cpu);
    if (!status)
        status = store(&p, op, ret_forest);
    clear(&p);
    return status;
}
