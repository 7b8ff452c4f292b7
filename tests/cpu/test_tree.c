/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking and scanning give the same bytes on every instruction set, also where the costs
 * of one of them would never choose it. The forests are packed by the library, as for an op.
 */
#include "cpu/cpu_test.h"
#include "cpu/ml_forest.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/ml_trees.h"
#include "base/isa.h"

#include <stdlib.h>

enum { ROWS = MLS__TREE_ROWS, LANES = MLS__TREE_LANES, MAX_ATTRS = 16 };

/* --- an op as packing sees it ---------------------------------------------------------------- */

typedef struct forest_op {
    mls_op op;
    mls_attr attrs[MAX_ATTRS];
    mls_arg input;
    mls_string *modes;
    void *block;
} forest_op;

static const void *get_block(mls_weight_cache *cache, const void *key, size_t key_bytes,
                             size_t size_bytes, void (*fill)(void *block, void *arg), void *arg)
{
    forest_op *f = (forest_op *) cache;
    (void) key, (void) key_bytes;
    f->block = aligned_alloc(64, (size_bytes + 63) / 64 * 64);
    ck_assert_ptr_nonnull(f->block);
    fill(f->block, arg);
    return f->block;
}

static const mls_weight_cache_ops cache_ops = {sizeof(mls_weight_cache_ops), get_block};

static void add_ints(forest_op *f, const char *name, int count, const int64_t *values)
{
    f->attrs[f->op.attr_count++] =
        (mls_attr){.name = name, .type = MLS_ATTR_INTS, .count = (size_t) count, .ints = values};
}

static void add_floats(forest_op *f, const char *name, int count, const float *values)
{
    f->attrs[f->op.attr_count++] = (mls_attr){
        .name = name, .type = MLS_ATTR_FLOATS, .count = (size_t) count, .floats = values};
}

static void describe(forest_op *op, const forest *f)
{
    *op = (forest_op){.input = {.dtype = MLS_FLOAT32, .rank = 2}};
    op->modes = calloc((size_t) f->nodes, sizeof *op->modes);
    ck_assert_ptr_nonnull(op->modes);
    for (int i = 0; i < f->nodes; i++)
        op->modes[i] = (mls_string){f->mode[i], strlen(f->mode[i])};
    op->op = (mls_op){.size = sizeof(mls_op),
                      .domain = "ai.onnx.ml",
                      .node = "tested",
                      .type = "TreeEnsembleRegressor",
                      .node_id = 1,
                      .input_count = 1,
                      .attrs = op->attrs,
                      .inputs = &op->input,
                      .weights = (mls_weight_cache *) op,
                      .weights_ops = &cache_ops};
    add_ints(op, "nodes_treeids", f->nodes, f->tree);
    add_ints(op, "nodes_nodeids", f->nodes, f->node);
    add_ints(op, "nodes_featureids", f->nodes, f->feature);
    add_ints(op, "nodes_truenodeids", f->nodes, f->on_true);
    add_ints(op, "nodes_falsenodeids", f->nodes, f->on_false);
    add_ints(op, "nodes_missing_value_tracks_true", f->nodes, f->missing);
    add_ints(op, "target_treeids", f->weights, f->weight_tree);
    add_ints(op, "target_nodeids", f->weights, f->weight_node);
    add_ints(op, "target_ids", f->weights, f->weight_target);
    add_floats(op, "nodes_values", f->nodes, f->value);
    add_floats(op, "target_weights", f->weights, f->weight);
    op->attrs[op->op.attr_count++] = (mls_attr){.name = "nodes_modes",
                                                .type = MLS_ATTR_STRINGS,
                                                .count = (size_t) f->nodes,
                                                .strings = op->modes};
    op->attrs[op->op.attr_count++] =
        (mls_attr){.name = "n_targets", .type = MLS_ATTR_INT, .i = f->options.targets};
}

/* Packed as if scanning cost nothing. */
static const mls__forest *pack(forest_op *f, const mls__cpu_kernels *kernels)
{
    mls__tree_kernels tree = *kernels->tree;
    mls__cpu_kernels copy = *kernels;
    const mls__cpu cpu = {.allocator = &mls__allocator_default, .kernels = &copy};
    const mls__forest *packed = NULL;
    mls__tree_source source;
    mls__tree_plan plan;
    tree.costs.test = tree.costs.block = tree.costs.key = 0.0f;
    copy.tree = &tree;
    ck_assert_ok(mls__tree_read(&cpu, &f->op, &source));
    ck_assert_ok(mls__tree_lower(&source, &plan));
    ck_assert_ok(mls__tree_pack(&cpu, &f->op, &plan, &packed));
    mls__tree_plan_clear(&plan);
    mls__tree_source_clear(&source);
    return packed;
}

/* --- scores of one block of rows ------------------------------------------------------------- */

typedef struct block {
    int64_t rows;
    uint32_t *keys;
    float *walked, *scanned;
    uint8_t *walk_seen, *scan_seen; /* [row][target] and [target][row] */
} block;

static void run_block(const mls__tree_kernels *kernels, const mls__forest *packed, const float *x,
                      int features, block *b)
{
    const size_t targets = packed->target_count;
    float *lanes = calloc(targets * LANES * ROWS, sizeof *lanes);
    int32_t *scan_keys = malloc((size_t) packed->key_count * ROWS * sizeof *scan_keys);
    for (int64_t r = 0; r < b->rows; r++)
        kernels->keys(packed, x + r * features, b->keys + (size_t) r * packed->key_count);
    kernels->walk(packed, b->rows, b->keys, lanes, b->walk_seen);
    kernels->walk_scores(packed, b->rows, lanes, b->walked);
    memset(lanes, 0, targets * LANES * ROWS * sizeof *lanes);
    kernels->scan_keys(packed, b->rows, b->keys, scan_keys);
    kernels->scan(packed, scan_keys, lanes, b->scan_seen);
    kernels->scan_scores(packed, b->rows, lanes, b->scanned);
    free(scan_keys);
    free(lanes);
}

static void check_block(const forest *f, const mls__forest *packed, const block *b, const double *x)
{
    const int targets = f->options.targets;
    for (int64_t r = 0; r < b->rows; r++) {
        double totals[FOREST_TARGETS];
        bool seen[FOREST_TARGETS];
        forest_totals(f, x + r * f->options.features, "SUM", totals, seen);
        for (int k = 0; k < targets; k++) {
            EXPECT(same(b->walked[r * targets + k], (float) totals[k]));
            EXPECT(same(b->scanned[r * targets + k], (float) totals[k]));
            EXPECT(!packed->leaf_first || b->walk_seen[r * targets + k] == seen[k]);
            EXPECT(!packed->leaf_first || b->scan_seen[k * ROWS + r] == seen[k]);
        }
    }
}

static void check_rows(const forest *f, const mls__forest *packed, const mls__tree_kernels *kernels,
                       int64_t rows)
{
    const size_t values = (size_t) (rows * f->options.features);
    const size_t scores = (size_t) ROWS * packed->target_count;
    double *x = malloc(values * sizeof *x);
    float *features = malloc(values * sizeof *features);
    block b = {.rows = rows,
               .keys = malloc((size_t) rows * packed->key_count * sizeof(uint32_t)),
               .walked = malloc(scores * sizeof(float)),
               .scanned = malloc(scores * sizeof(float)),
               .walk_seen = calloc(scores, 1),
               .scan_seen = calloc(scores, 1)};
    forest_features(f, (uint64_t) rows, rows, x);
    for (size_t i = 0; i < values; i++) {
        features[i] = (float) x[i];
        x[i] = (double) features[i];
    }
    run_block(kernels, packed, features, f->options.features, &b);
    check_block(f, packed, &b, x);
    void *const blocks[] = {x, features, b.keys, b.walked, b.scanned, b.walk_seen, b.scan_seen};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

/* One exit; fewer than 32; two and more blocks; blocks cut off in a row; lists of weights. */
static const forest_options forests[] = {
    {.trees = 3, .depth = 0, .features = 1, .targets = 1, .modes = 1},
    {.trees = 37, .depth = 4, .features = 5, .targets = 1, .modes = 4, .leaf_chance = 0.3},
    {.trees = 20, .depth = 5, .features = 9, .targets = 3, .modes = 4, .has_missing = true},
    {.trees = 18, .depth = 6, .features = 9, .targets = 1, .modes = 4, .has_missing = true},
    {.trees = 5, .depth = 8, .features = 9, .targets = 1, .modes = 1},
    {.trees = 33, .depth = 40, .features = 9, .targets = 1, .modes = 2, .leaf_chance = 0.54},
    {.trees = 20, .depth = 6, .features = 9, .targets = 5, .modes = 1, .has_many_weights = true},
};

START_TEST(scans_and_walks)
{
    forest *f = forest_create(&forests[_i], (uint64_t) _i + 1);
    const mls__cpu_kernels *kernels;
    for (int set = 0; (kernels = mls__cpu_kernels_at(set)) != NULL; set++) {
        forest_op op;
        if (!mls__isa_is_supported(kernels->isa))
            continue;
        describe(&op, f);
        const mls__forest *packed = pack(&op, kernels);
        ck_assert_uint_gt(packed->scan_rows, 0);
        check_rows(f, packed, kernels->tree, 1);
        check_rows(f, packed, kernels->tree, 17);
        check_rows(f, packed, kernels->tree, ROWS);
        free(op.block);
        free(op.modes);
    }
    free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/tree");
    TCase *tests = tcase_create("tree");
    tcase_add_loop_test(tests, scans_and_walks, 0, sizeof forests / sizeof forests[0]);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
