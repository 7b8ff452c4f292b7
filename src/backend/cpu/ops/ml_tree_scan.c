/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts trees into blocks. From the leaves up, where the exits of both branches of a node
 * are more than a block may have, the larger branch becomes a block of its own and counts
 * as one exit. All recursion here is no deeper than a tree of MAX_EXITS leaves.
 */
#include "backend/cpu/ops/ml_tree_scan.h"

#include "base/error.h"

/* Of a whole tree. With more, walking is faster on every machine. */
#define MAX_EXITS 256

typedef struct builder {
    const mls__tree_plan *plan;
    mls__tree_scan *scan;
    uint32_t *leaves; /* of the tree below a node; 0: not counted yet */
    uint8_t *exits;   /* of a node in its block */
    uint8_t *cuts;    /* bits 0 and 1: the true and the false branch are blocks of their own */
} builder;

static const mls__plan_node *node_at(const builder *b, uint32_t node)
{
    return &b->plan->nodes[node];
}

static uint32_t child_of(const builder *b, uint32_t node, int branch)
{
    return branch ? node_at(b, node)->on_false : node_at(b, node)->on_true;
}

/* Saturates above MAX_EXITS. Only for nodes whose height is at most MAX_EXITS. */
static uint32_t count_leaves(builder *b, uint32_t node)
{
    if (node_at(b, node)->height == 0)
        return 1;
    if (!b->leaves[node]) {
        const uint32_t sum =
            count_leaves(b, child_of(b, node, 0)) + count_leaves(b, child_of(b, node, 1));
        b->leaves[node] = sum <= MAX_EXITS ? sum : MAX_EXITS + 1;
    }
    return b->leaves[node];
}

static uint8_t cut_below(builder *b, uint32_t node)
{
    uint8_t count[2];
    if (node_at(b, node)->height == 0)
        return 1;
    if (b->exits[node])
        return b->exits[node];
    for (int i = 0; i < 2; i++)
        count[i] = cut_below(b, child_of(b, node, i));
    while (count[0] + count[1] > MLS__TREE_EXITS) {
        const int larger = count[1] > count[0];
        count[larger] = 1;
        b->cuts[node] |= (uint8_t) (1 << larger);
    }
    b->exits[node] = (uint8_t) (count[0] + count[1]);
    return b->exits[node];
}

/* A block's links while its tests are yet to come. */
typedef struct block_links {
    mls__tree_link link[MLS__TREE_EXITS];
    uint32_t count, exit;
} block_links;

static mls_status add_block(builder *b, uint32_t root, uint32_t first_block);

/* Adds the blocks that exits of `node` lead to. */
static mls_status add_inner_blocks(builder *b, uint32_t node, uint32_t first_block,
                                   block_links *links)
{
    mls_status status = MLS_OK;
    if (node_at(b, node)->height == 0) {
        links->exit++;
        return MLS_OK;
    }
    for (int i = 0; !status && i < 2; i++) {
        const uint32_t child = child_of(b, node, i);
        if (!(b->cuts[node] & (1 << i))) {
            status = add_inner_blocks(b, child, first_block, links);
            continue;
        }
        status = add_block(b, child, first_block);
        const uint32_t block = (uint32_t) b->scan->blocks.count - 1 - first_block;
        links->link[links->count++] = (mls__tree_link){links->exit++, block};
    }
    return status;
}

static uint32_t branch_exits(const builder *b, uint32_t node, int branch)
{
    const uint32_t child = child_of(b, node, branch);
    if ((b->cuts[node] & (1 << branch)) || node_at(b, child)->height == 0)
        return 1;
    return b->exits[child];
}

static uint32_t ones(uint32_t count)
{
    return (UINT32_C(1) << count) - 1;
}

/* The tests of `node` and below in this block, whose exits are from `exit` on. */
static mls_status add_tests(builder *b, uint32_t node, uint32_t exit, size_t block)
{
    const mls__plan_node *test = node_at(b, node);
    if (test->height == 0) {
        uint32_t *payload = mls__vec_at(&b->scan->exits, block * MLS__TREE_EXITS + exit);
        *payload = (uint32_t) test->width;
        return MLS_OK;
    }
    mls__tree_test *row = mls__vec_push(&b->scan->tests);
    if (!row)
        return mls__error_nomem(sizeof *row);
    const uint32_t on_true = branch_exits(b, node, 0);
    *row = (mls__tree_test){.limit = (int32_t) ((uint32_t) test->width ^ UINT32_C(0x80000000)),
                            .key = test->key,
                            .clear = ones(on_true) << exit};
    mls_status status = MLS_OK;
    if (!(b->cuts[node] & 1))
        status = add_tests(b, test->on_true, exit, block);
    if (!status && !(b->cuts[node] & 2))
        status = add_tests(b, test->on_false, exit + on_true, block);
    return status;
}

static mls_status add_exits(builder *b)
{
    for (int i = 0; i < MLS__TREE_EXITS; i++)
        if (!mls__vec_push(&b->scan->exits))
            return mls__error_nomem(MLS__TREE_EXITS * sizeof(uint32_t));
    return MLS_OK;
}

static mls_status add_block(builder *b, uint32_t root, uint32_t first_block)
{
    mls__tree_scan *scan = b->scan;
    block_links links = {.count = 0};
    mls_status status = add_inner_blocks(b, root, first_block, &links);
    if (status)
        return status;
    const size_t at = scan->blocks.count;
    const uint32_t first_test = (uint32_t) scan->tests.count;
    mls__tree_block *block = mls__vec_push(&scan->blocks);
    if (!block)
        return mls__error_nomem(sizeof *block);
    block->first_test = first_test;
    block->first_link = (uint32_t) scan->links.count;
    block->link_count = links.count;
    for (uint32_t i = 0; i < links.count; i++) {
        mls__tree_link *link = mls__vec_push(&scan->links);
        if (!link)
            return mls__error_nomem(sizeof *link);
        *link = links.link[i];
    }
    status = add_exits(b);
    if (!status)
        status = add_tests(b, root, 0, at);
    block->test_count = (uint32_t) scan->tests.count - first_test;
    return status;
}

static bool can_scan(builder *b)
{
    const mls__tree_plan *plan = b->plan;
    if (plan->has_ranges || plan->source->is_double)
        return false;
    for (uint32_t t = 0; t < plan->source->tree_count; t++) {
        const uint32_t root = plan->source->roots[t];
        if (plan->nodes[root].height > MAX_EXITS || count_leaves(b, root) > MAX_EXITS)
            return false;
    }
    return true;
}

static mls_status add_trees(builder *b, uint32_t group_count)
{
    mls__tree_scan *scan = b->scan;
    const uint32_t tree_count = b->plan->source->tree_count;
    mls_status status = MLS_OK;
    for (uint32_t t = 0; !status && t < group_count * MLS__TREE_LANES; t++) {
        scan->first_block[t] = (uint32_t) scan->blocks.count;
        if (t >= tree_count)
            continue;
        const uint32_t root = b->plan->source->roots[t];
        (void) cut_below(b, root);
        status = add_block(b, root, scan->first_block[t]);
    }
    scan->first_block[group_count * MLS__TREE_LANES] = (uint32_t) scan->blocks.count;
    return status;
}

mls_status mls__tree_scan_build(const mls__tree_plan *plan, uint32_t group_count,
                                mls__tree_scan *scan)
{
    const mls__allocator *allocator = plan->source->allocator;
    const size_t trees = (size_t) group_count * MLS__TREE_LANES;
    builder b = {.plan = plan, .scan = scan};
    *scan = (mls__tree_scan){.is_possible = false};
    mls__vec_init(&scan->tests, allocator, sizeof(mls__tree_test));
    mls__vec_init(&scan->links, allocator, sizeof(mls__tree_link));
    mls__vec_init(&scan->blocks, allocator, sizeof(mls__tree_block));
    mls__vec_init(&scan->exits, allocator, sizeof(uint32_t));
    scan->first_block = mls__alloc_array(allocator, trees + 1, sizeof(uint32_t));
    b.leaves = mls__alloc_array(allocator, plan->node_count, sizeof *b.leaves);
    b.exits = mls__alloc_array(allocator, plan->node_count, sizeof *b.exits);
    b.cuts = mls__alloc_array(allocator, plan->node_count, sizeof *b.cuts);
    mls_status status = MLS_OK;
    if (!scan->first_block || !b.leaves || !b.exits || !b.cuts)
        status = mls__error_nomem(plan->node_count * sizeof *b.leaves);
    else if (can_scan(&b)) {
        scan->is_possible = true;
        status = add_trees(&b, group_count);
    }
    mls__free(allocator, b.leaves);
    mls__free(allocator, b.exits);
    mls__free(allocator, b.cuts);
    return status;
}

void mls__tree_scan_clear(const mls__allocator *allocator, mls__tree_scan *scan)
{
    mls__vec_clear(&scan->tests);
    mls__vec_clear(&scan->links);
    mls__vec_clear(&scan->blocks);
    mls__vec_clear(&scan->exits);
    mls__free(allocator, scan->first_block);
}
