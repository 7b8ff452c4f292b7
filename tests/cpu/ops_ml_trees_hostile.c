/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of ai.onnx.ml whose attributes contradict each other, or are strange and yet right. */
#include "cpu/op_harness.h"
#include "cpu/topics.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* x0 <= 0 ? 1 : 2, with one thing wrong. */
typedef struct stump {
    int64_t tree[3], node[3], feature[3], on_true[3], on_false[3];
    const char *mode[3];
    size_t values;
    int64_t weight_tree[2], weight_node[2], weight_target[2];
    size_t weights, missing;
    int64_t targets;
    const char *aggregate, *transform;
    size_t base;
} stump;

static const stump good_stump = {.tree = {0, 0, 0},
                                 .node = {0, 1, 2},
                                 .on_true = {1, 0, 0},
                                 .on_false = {2, 0, 0},
                                 .mode = {"BRANCH_LEQ", "LEAF", "LEAF"},
                                 .values = 3,
                                 .weight_node = {1, 2},
                                 .weights = 2,
                                 .targets = 1,
                                 .aggregate = "SUM",
                                 .transform = "NONE"};

static op_test *create_stump(const stump *s)
{
    static const float zeros[3], weights[2] = {1.0f, 2.0f}, x = 0.0f;
    op_test *test = op_test_create("ai.onnx.ml", "TreeEnsembleRegressor");
    op_test_ints(test, "nodes_treeids", 3, s->tree);
    op_test_ints(test, "nodes_nodeids", 3, s->node);
    op_test_ints(test, "nodes_featureids", 3, s->feature);
    op_test_ints(test, "nodes_truenodeids", 3, s->on_true);
    op_test_ints(test, "nodes_falsenodeids", 3, s->on_false);
    op_test_strings(test, "nodes_modes", 3, s->mode);
    op_test_floats(test, "nodes_values", s->values, zeros);
    op_test_ints(test, "nodes_missing_value_tracks_true", s->missing, s->node);
    op_test_ints(test, "target_treeids", 2, s->weight_tree);
    op_test_ints(test, "target_nodeids", 2, s->weight_node);
    op_test_ints(test, "target_ids", 2, s->weight_target);
    op_test_floats(test, "target_weights", s->weights, weights);
    op_test_floats(test, "base_values", s->base, weights);
    op_test_int(test, "n_targets", s->targets);
    op_test_string(test, "aggregate_function", s->aggregate);
    op_test_string(test, "post_transform", s->transform);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1), &x);
    return test;
}

static void check_stump(const stump *s, const char *words)
{
    op_test *test = create_stump(s);
    ck_assert_fails(op_test_run(test), MLS_EINVAL, words);
    op_test_free(test);
}

#define STUMP(words, ...)                                                                          \
    do {                                                                                           \
        stump s_ = good_stump;                                                                     \
        __VA_ARGS__;                                                                               \
        check_stump(&s_, words);                                                                   \
    } while (0)

START_TEST(hostile)
{
    STUMP("nodes_values has 2 values, nodes_modes has 3", s_.values = 2);
    STUMP("target_weights has 1 values, target_ids has 2", s_.weights = 1);
    STUMP("nodes_missing_value_tracks_true has 2 values", s_.missing = 2);
    STUMP("tree 0, node 1: is there more than once", s_.node[2] = 1);
    STUMP("tree 0, node 0: feature -1 is outside", s_.feature[0] = -1);
    STUMP("tree 0, node 0: feature 9223372036854775807", s_.feature[0] = INT64_MAX);
    STUMP("tree 0, node 0: the tree has no node 3 to go to", s_.on_false[0] = 3);
    STUMP("tree 0, node 0: the tree has no node -1 to go to", s_.on_true[0] = -1);
    STUMP("tree 0, node 0: the tree has no node 1 to go to",
          s_.tree[1] = s_.tree[2] = s_.weight_tree[0] = s_.weight_tree[1] = 1);
    STUMP("tree 0, node 0: leads back to itself", s_.on_true[0] = 0);
    STUMP("tree 0, node 0: leads back to itself", s_.mode[1] = "BRANCH_LT");
    STUMP("tree 0, node 1: mode 'BRANCH' is none of", s_.mode[1] = "BRANCH");
    STUMP("weight 1 is for tree 5, node 2, which is not there", s_.weight_tree[1] = 5);
    STUMP("weight 0 is for tree 0, node 7, which is not there", s_.weight_node[0] = 7);
    STUMP("tree 0, node 1: a weight is for target or class 1, outside [0, 1)",
          s_.weight_target[0] = 1);
    STUMP("tree 0, node 2: a weight is for target or class -1", s_.weight_target[1] = -1);
    STUMP("n_targets is 0", s_.targets = 0);
    STUMP("n_targets is -5", s_.targets = -5);
    STUMP("70000 targets; expected 1 to 65536", s_.targets = 70000);
    STUMP("aggregate_function is none of", s_.aggregate = "MEAN");
    STUMP("post_transform is none of", s_.transform = "RELU");
    STUMP("base_values has 2 values, expected none or 1", s_.base = 2);
    stump strange = good_stump;
    strange.feature[0] = 1000;
    op_test *test = create_stump(&strange);
    ck_assert_fails(op_test_run(test), MLS_ESHAPE, "the trees test feature 1000");
    op_test_free(test);
}
END_TEST

/* Strange, and fine: far ids, weights on branches, leaves without any, nodes not reached. */
START_TEST(strange)
{
    const float one = 1.0f, zero = 0.0f;
    stump s = good_stump;
    s.tree[0] = s.tree[1] = s.tree[2] = s.weight_tree[0] = s.weight_tree[1] = INT64_MIN;
    s.node[1] = s.weight_node[0] = s.on_true[0] = INT64_MAX;
    op_test *test = create_stump(&s);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1), &one);
    op_test_free(test);
    s = good_stump;
    s.weight_node[0] = 0;
    test = create_stump(&s);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1), &zero);
    op_test_free(test);
    s = good_stump;
    s.on_false[0] = 1;
    test = create_stump(&s);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1), &one);
    op_test_free(test);
}
END_TEST

/*
 * Too many features for compact nodes, and as many steps: node i tests feature i and goes on to
 * i + 1, or to leaf LENGTH + 1 + i, of weight i + 1; leaf LENGTH, of weight 0, is the end.
 */
START_TEST(chain)
{
    enum { LENGTH = 70000, NODES = 2 * LENGTH + 1 };
    int64_t *id = malloc(NODES * sizeof *id), *zero = calloc(NODES, sizeof *zero);
    int64_t *next = malloc(NODES * sizeof *next), *out = malloc(NODES * sizeof *out);
    const char **mode = malloc(NODES * sizeof *mode);
    float *value = calloc(NODES, sizeof *value), *x = calloc(2 * LENGTH, sizeof *x);
    for (int i = 0; i < NODES; i++) {
        id[i] = i;
        next[i] = i + 1;
        out[i] = LENGTH + 1 + i;
        mode[i] = i < LENGTH ? "BRANCH_LEQ" : "LEAF";
        value[i] = (float) i;
    }
    x[LENGTH + 123] = 1000.0f;
    op_test *test = op_test_create("ai.onnx.ml", "TreeEnsembleRegressor");
    op_test_ints(test, "nodes_treeids", NODES, zero);
    op_test_ints(test, "nodes_nodeids", NODES, id);
    op_test_ints(test, "nodes_truenodeids", NODES, next);
    op_test_ints(test, "nodes_falsenodeids", NODES, out);
    op_test_strings(test, "nodes_modes", NODES, mode);
    op_test_floats(test, "nodes_values", NODES, value);
    op_test_ints(test, "target_treeids", LENGTH + 1, zero);
    op_test_ints(test, "target_nodeids", LENGTH + 1, id + LENGTH);
    op_test_ints(test, "target_ids", LENGTH + 1, zero);
    op_test_floats(test, "target_weights", LENGTH + 1, value);
    for (int i = LENGTH; i < NODES; i++)
        id[i] = 0;
    op_test_ints(test, "nodes_featureids", NODES, id);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, LENGTH), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(2, 1), ((float[]){0.0f, 124.0f}));
    op_test_free(test);
    void *const blocks[] = {id, zero, next, out, mode, value, x};
    for (size_t i = 0; i < COUNT(blocks); i++)
        free(blocks[i]);
}
END_TEST

typedef struct ensemble {
    int64_t roots[2], feature[2], on_true[2], on_false[2], true_leaf[2], false_leaf[2];
    int64_t leaf_target[2];
    uint8_t mode[2];
    int64_t splits, leaves, members;
    int64_t targets, aggregate, transform;
    mls_dtype modes_dtype;
} ensemble;

static const ensemble good_ensemble = {.roots = {0, 1},
                                       .on_false = {1, 1},
                                       .true_leaf = {1, 1},
                                       .false_leaf = {1, 1},
                                       .splits = 2,
                                       .leaves = 2,
                                       .members = 1,
                                       .targets = 1,
                                       .aggregate = 1,
                                       .modes_dtype = MLS_UINT8};

static void check_ensemble_fails(const ensemble *e, const char *words)
{
    static const float numbers[2] = {1.0f, 2.0f}, x = 0.0f;
    op_test *test = op_test_create("ai.onnx.ml", "TreeEnsemble");
    op_test_ints(test, "tree_roots", 2, e->roots);
    op_test_ints(test, "nodes_featureids", 2, e->feature);
    op_test_ints(test, "nodes_truenodeids", 2, e->on_true);
    op_test_ints(test, "nodes_falsenodeids", 2, e->on_false);
    op_test_ints(test, "nodes_trueleafs", 2, e->true_leaf);
    op_test_ints(test, "nodes_falseleafs", 2, e->false_leaf);
    op_test_ints(test, "leaf_targetids", 2, e->leaf_target);
    op_test_int(test, "n_targets", e->targets);
    op_test_int(test, "aggregate_function", e->aggregate);
    op_test_int(test, "post_transform", e->transform);
    op_test_tensor(test, "nodes_modes", e->modes_dtype, OP_DIMS(2), e->mode);
    op_test_tensor(test, "nodes_splits", MLS_FLOAT32, OP_DIMS(e->splits), numbers);
    op_test_tensor(test, "leaf_weights", MLS_FLOAT32, OP_DIMS(e->leaves), numbers);
    op_test_tensor(test, "membership_values", MLS_FLOAT32, OP_DIMS(e->members), numbers);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1), &x);
    const mls_status status = op_test_run(test);
    ck_assert_msg(status != MLS_OK && strstr(mls_error_message(), words), "%s: %s lacks '%s'",
                  mls_status_name(status), mls_error_message(), words);
    op_test_free(test);
}

#define ENSEMBLE(words, ...)                                                                       \
    do {                                                                                           \
        ensemble e_ = good_ensemble;                                                               \
        __VA_ARGS__;                                                                               \
        check_ensemble_fails(&e_, words);                                                          \
    } while (0)

START_TEST(hostile_ensembles)
{
    ENSEMBLE("the root of tree 1 is node 2, outside [0, 2)", e_.roots[1] = 2);
    ENSEMBLE("node 0: feature -3", e_.feature[0] = -3);
    ENSEMBLE("node 1: true branch goes to leaf 2, outside [0, 2)", e_.on_true[1] = 2);
    ENSEMBLE("node 1: false branch goes to node -1", e_.on_false[1] = -1, e_.false_leaf[1] = 0);
    ENSEMBLE("node 0: leads back to itself", e_.on_true[0] = 0, e_.true_leaf[0] = 0);
    ENSEMBLE("node 1: is part of tree 0 and of tree 1", e_.on_true[0] = 1, e_.true_leaf[0] = 0);
    ENSEMBLE("node 1: mode 7 is outside [0, 6]", e_.mode[1] = 7);
    ENSEMBLE("node 1: membership_values has no set for it", e_.mode[0] = e_.mode[1] = 6);
    ENSEMBLE("leaf 1 is for target 1, outside [0, 1)", e_.leaf_target[1] = 1);
    ENSEMBLE("nodes_splits has 1 values", e_.splits = 1);
    ENSEMBLE("leaf_weights has 1 values", e_.leaves = 1);
    ENSEMBLE("nodes_modes must be a tensor of uint8", e_.modes_dtype = MLS_INT8);
    ENSEMBLE("n_targets is 0", e_.targets = 0);
    ENSEMBLE("n_targets is 65537", e_.targets = 65537);
    ENSEMBLE("aggregate_function is 4, outside [0, 3]", e_.aggregate = 4);
    ENSEMBLE("post_transform is 5, outside [0, 4]", e_.transform = 5);
}
END_TEST

void add_hostile_trees(TCase *tests)
{
    tcase_add_test(tests, hostile);
    tcase_add_test(tests, strange);
    tcase_add_test(tests, chain);
    tcase_add_test(tests, hostile_ensembles);
}
