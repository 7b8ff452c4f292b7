/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forests at the level of kernels: one row after another walked, and rows walked and scanned in
 * blocks of 32, from features to totals.
 *
 *     bench/trees [ISA]
 *
 * The figures are the best of interleaved rounds. Rows differ, so that branches of trees do too.
 * The last column is the number of rows from which on a kernel scans, 0 for never.
 */
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/ml_trees.h"
#include "base/isa.h"

#include <mlscale.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 15, ROWS = 256, BLOCK = MLS__TREE_ROWS, LANES = MLS__TREE_LANES };

/* Complete trees of a depth, or (leaves > 0) trees that grow at random leaves. */
static const struct shape {
    int trees, depth, leaves, features;
} shapes[] = {
    {200, 6, 0, 30}, {1000, 6, 0, 30}, {100, 3, 0, 30},   {100, 8, 0, 30},
    {50, 10, 0, 30}, {200, 0, 31, 30}, {1000, 0, 31, 30}, {200, 6, 0, 500},
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double) t.tv_sec + (double) t.tv_nsec;
}

static uint32_t state = 1;

static uint32_t next_random(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static float random_float(void)
{
    return (float) next_random() * 0x1p-24f;
}

static void *memory(size_t count, size_t size)
{
    void *block = aligned_alloc(64, (count * size + 63) / 64 * 64);
    if (!block) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    return memset(block, 0, count * size);
}

static void check(mls_status status)
{
    if (status) {
        fprintf(stderr, "%s\n", mls_error_message());
        exit(1);
    }
}

/* --- a model --------------------------------------------------------------------------------- */

typedef struct model {
    size_t nodes, leaves;
    int64_t *tree, *node, *feature, *next[2], *leaf_tree, *leaf_node, *leaf_target;
    float *value, *weight;
    mls_string *mode;
} model;

static size_t add_node(model *m, int tree, size_t root)
{
    static const mls_string leaf = {"LEAF", 4};
    const size_t at = m->nodes++;
    m->tree[at] = tree;
    m->node[at] = (int64_t) (at - root);
    m->mode[at] = leaf;
    return at;
}

/* Makes leaf `at` a branch with two leaves, the first of them the result. */
static size_t grow(model *m, size_t at, size_t root, int features)
{
    static const mls_string branch = {"BRANCH_LEQ", 10};
    const size_t child = add_node(m, (int) m->tree[at], root);
    m->mode[at] = branch;
    m->feature[at] = next_random() % (uint32_t) features;
    m->value[at] = random_float();
    m->next[0][at] = m->node[child];
    m->next[1][at] = m->node[add_node(m, (int) m->tree[at], root)];
    return child;
}

static void add_tree(model *m, const struct shape *s, int tree)
{
    const size_t root = add_node(m, tree, m->nodes);
    const int leaves = s->leaves ? s->leaves : 1 << s->depth;
    for (int grown = 1; grown < leaves; grown++) {
        size_t at = root + (size_t) grown - 1; /* the first leaf: level after level */
        while (s->leaves && m->mode[at = root + next_random() % (m->nodes - root)].size != 4)
            continue;
        grow(m, at, root, s->features);
    }
    for (size_t at = root; at < m->nodes; at++) {
        if (m->mode[at].size != 4)
            continue;
        m->leaf_tree[m->leaves] = tree;
        m->leaf_node[m->leaves] = m->node[at];
        m->weight[m->leaves++] = random_float() - 0.5f;
    }
}

static model make_model(const struct shape *s)
{
    const size_t leaves = (size_t) s->trees * (size_t) (s->leaves ? s->leaves : 1 << s->depth);
    model m = {0};
    int64_t **const ints[] = {&m.tree,    &m.node,      &m.feature,   &m.next[0],
                              &m.next[1], &m.leaf_tree, &m.leaf_node, &m.leaf_target};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        *ints[i] = memory(2 * leaves, sizeof(int64_t));
    m.value = memory(2 * leaves, sizeof(float));
    m.weight = memory(leaves, sizeof(float));
    m.mode = memory(2 * leaves, sizeof(mls_string));
    for (int i = 0; i < s->trees; i++)
        add_tree(&m, s, i);
    return m;
}

static void free_model(model *m)
{
    void *const blocks[] = {m->tree,    m->node,      m->feature,   m->next[0],
                            m->next[1], m->leaf_tree, m->leaf_node, m->leaf_target,
                            m->value,   m->weight,    m->mode};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

/* --- a forest -------------------------------------------------------------------------------- */

static const void *get_block(mls_weight_cache *cache, const void *key, size_t key_bytes,
                             size_t size_bytes, void (*fill)(void *block, void *arg), void *arg)
{
    void *block = memory(size_bytes, 1);
    (void) cache, (void) key, (void) key_bytes;
    fill(block, arg);
    return block;
}

static const mls__forest *pack(const mls__cpu_kernels *kernels, const model *m, bool must_scan)
{
    static const mls_weight_cache_ops cache = {sizeof cache, get_block};
    const mls_attr attrs[] = {
        {.name = "nodes_treeids", .type = MLS_ATTR_INTS, .count = m->nodes, .ints = m->tree},
        {.name = "nodes_nodeids", .type = MLS_ATTR_INTS, .count = m->nodes, .ints = m->node},
        {.name = "nodes_featureids", .type = MLS_ATTR_INTS, .count = m->nodes, .ints = m->feature},
        {.name = "nodes_truenodeids", .type = MLS_ATTR_INTS, .count = m->nodes, .ints = m->next[0]},
        {.name = "nodes_falsenodeids",
         .type = MLS_ATTR_INTS,
         .count = m->nodes,
         .ints = m->next[1]},
        {.name = "nodes_modes", .type = MLS_ATTR_STRINGS, .count = m->nodes, .strings = m->mode},
        {.name = "nodes_values", .type = MLS_ATTR_FLOATS, .count = m->nodes, .floats = m->value},
        {.name = "target_treeids", .type = MLS_ATTR_INTS, .count = m->leaves, .ints = m->leaf_tree},
        {.name = "target_nodeids", .type = MLS_ATTR_INTS, .count = m->leaves, .ints = m->leaf_node},
        {.name = "target_ids", .type = MLS_ATTR_INTS, .count = m->leaves, .ints = m->leaf_target},
        {.name = "target_weights",
         .type = MLS_ATTR_FLOATS,
         .count = m->leaves,
         .floats = m->weight},
    };
    const mls_arg input = {.dtype = MLS_FLOAT32, .rank = 2};
    const mls_op op = {.size = sizeof op,
                       .node = "bench",
                       .type = "TreeEnsembleRegressor",
                       .attr_count = sizeof attrs / sizeof attrs[0],
                       .attrs = attrs,
                       .input_count = 1,
                       .inputs = &input,
                       .weights_ops = &cache};
    mls__tree_kernels tree = *kernels->tree;
    mls__cpu_kernels copy = *kernels;
    const mls__cpu cpu = {.allocator = &mls__allocator_default, .kernels = &copy};
    const mls__forest *forest;
    mls__tree_source source;
    mls__tree_plan plan;
    copy.tree = &tree;
    if (must_scan)
        tree.costs.test = tree.costs.block = tree.costs.key = 0.0f;
    check(mls__tree_read(&cpu, &op, &source));
    check(mls__tree_lower(&source, &plan));
    check(mls__tree_pack(&cpu, &op, &plan, &forest));
    mls__tree_plan_clear(&plan);
    mls__tree_source_clear(&source);
    return forest;
}

/* --- measuring ------------------------------------------------------------------------------- */

typedef struct bench {
    const mls__tree_kernels *kernels;
    const mls__forest *forest;
    int features;
    float *x, *lanes, *scores;
    uint32_t *keys;
    int32_t *scan_keys;
} bench;

static void walk(const bench *b, int rows)
{
    for (int row = 0; row < ROWS; row += rows) {
        memset(b->lanes, 0, (size_t) rows * LANES * sizeof *b->lanes);
        for (int r = 0; r < rows; r++)
            b->kernels->keys(b->forest, b->x + (size_t) (row + r) * (size_t) b->features,
                             b->keys + (size_t) r * b->forest->key_count);
        b->kernels->walk(b->forest, rows, b->keys, b->lanes, NULL);
        b->kernels->walk_scores(b->forest, rows, b->lanes, b->scores + row);
    }
}

static void scan(const bench *b)
{
    for (int row = 0; row < ROWS; row += BLOCK) {
        memset(b->lanes, 0, BLOCK * LANES * sizeof *b->lanes);
        for (int r = 0; r < BLOCK; r++)
            b->kernels->keys(b->forest, b->x + (size_t) (row + r) * (size_t) b->features,
                             b->keys + (size_t) r * b->forest->key_count);
        b->kernels->scan_keys(b->forest, BLOCK, b->keys, b->scan_keys);
        b->kernels->scan(b->forest, b->scan_keys, b->lanes, NULL);
        b->kernels->scan_scores(b->forest, BLOCK, b->lanes, b->scores + row);
    }
}

/* The best of the rounds so far, in nanoseconds for all rows. */
static void measure(const bench *b, double best[3])
{
    for (int round = 0; round < ROUNDS; round++)
        for (int way = 0; way < 3; way++) {
            if (way == 2 && !b->forest->scan_rows)
                continue;
            const double start = now_ns();
            if (way == 2)
                scan(b);
            else
                walk(b, way == 0 ? 1 : BLOCK);
            const double took = now_ns() - start;
            if (best[way] == 0 || took < best[way])
                best[way] = took;
        }
}

static void bench_shape(const mls__cpu_kernels *kernels, const struct shape *s)
{
    model m = make_model(s);
    const mls__forest *chosen = pack(kernels, &m, false), *forest = pack(kernels, &m, true);
    const size_t values = (size_t) ROWS * (size_t) s->features;
    bench b = {.kernels = kernels->tree,
               .forest = forest,
               .features = s->features,
               .x = memory(values, sizeof(float)),
               .lanes = memory(BLOCK * LANES, sizeof(float)),
               .scores = memory(ROWS, sizeof(float)),
               .keys = memory((size_t) BLOCK * forest->key_count, sizeof(uint32_t)),
               .scan_keys = memory((size_t) BLOCK * forest->key_count, sizeof(int32_t))};
    double best[3] = {0};
    for (size_t i = 0; i < values; i++)
        b.x[i] = random_float();
    measure(&b, best);
    printf("%5d %5d %6d %8d %12.2f %12.1f %12.1f %10" PRIu32 "\n", s->trees, s->depth,
           s->leaves ? s->leaves : 1 << s->depth, s->features, best[0] / ROWS * 1e-3,
           best[1] * 1e-3, best[2] * 1e-3, chosen->scan_rows);
    void *const blocks[] = {b.x,
                            b.lanes,
                            b.scores,
                            b.keys,
                            b.scan_keys,
                            (void *) (uintptr_t) chosen,
                            (void *) (uintptr_t) forest};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    free_model(&m);
}

int main(int argc, char **argv)
{
    const char *isa;
    check(mls__isa_select(argc > 1 ? argv[1] : NULL, &isa));
    const mls__cpu_kernels *kernels = mls__cpu_kernels_find(isa);
    printf("%s, microseconds\n", isa);
    printf("trees depth leaves features   walk 1 row   walk %d   scan %d  scans from\n", ROWS,
           ROWS);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        bench_shape(kernels, &shapes[i]);
    return 0;
}
