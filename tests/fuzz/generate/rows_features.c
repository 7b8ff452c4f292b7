/* SPDX-License-Identifier: Apache-2.0 */
/* Models of tables of features, and texts. */
#include "fuzz/generate/pattern.h"

#include <stdio.h>

#define ML "ai.onnx.ml:"

static const int64_t labels[] = {3, 1, 4, 15, 9, 2, 6};
static const char *const words[] = {"a", "b", "cat", "dog"};

static void floats(gen *g, onnx_node *node, const char *name, size_t count, float least, float most)
{
    float *values = onnx_build_alloc(gen_build(g), (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = gen_float(g, least, most);
    onnx_node_floats(node, name, count, values);
}

static size_t features(const gen *g)
{
    return (size_t) gen_letter(g, 'C');
}

static void scaler(gen *g, onnx_node *node)
{
    floats(g, node, "offset", gen_chance(g, 2) ? 1 : features(g), -1, 1);
    floats(g, node, "scale", gen_chance(g, 2) ? 1 : features(g), 0.5f, 2);
}

static void imputer(gen *g, onnx_node *node)
{
    floats(g, node, "imputed_value_floats", gen_chance(g, 2) ? 1 : features(g), -1, 1);
    onnx_node_float(node, "replaced_value_float", 0);
}

static void vectorizer(gen *g, onnx_node *node)
{
    const int64_t sizes[] = {gen_letter(g, 'C'), gen_letter(g, 'D')};
    onnx_node_ints(node, "inputdimensions", 2, sizes);
}

static void one_hot(gen *g, onnx_node *node)
{
    (void) g;
    onnx_node_ints(node, "cats_int64s", 7, labels);
}

static void category_mapper(gen *g, onnx_node *node)
{
    static const int64_t ids[] = {7, 8, 9, 10};
    (void) g;
    onnx_node_ints(node, "cats_int64s", 4, ids);
    onnx_node_strings(node, "cats_strings", 4, words);
    onnx_node_int(node, "default_int64", -1);
}

static void label_encoder(gen *g, onnx_node *node)
{
    onnx_node_ints(node, "keys_int64s", 7, labels);
    floats(g, node, "values_floats", 7, -1, 1);
}

static void linear_regressor(gen *g, onnx_node *node)
{
    const int64_t targets = gen_between(g, 1, 3);
    onnx_node_int(node, "targets", targets);
    floats(g, node, "coefficients", features(g) * (size_t) targets, -1, 1);
    floats(g, node, "intercepts", (size_t) targets, -1, 1);
}

static void linear_classifier(gen *g, onnx_node *node)
{
    const size_t classes = 2 + gen_below(g, 3);
    onnx_node_ints(node, "classlabels_ints", classes, labels);
    floats(g, node, "coefficients", features(g) * classes, -1, 1);
    floats(g, node, "intercepts", classes, -1, 1);
}

static void svm_regressor(gen *g, onnx_node *node)
{
    const size_t vectors = 1 + gen_below(g, 4);
    onnx_node_int(node, "n_supports", (int64_t) vectors);
    floats(g, node, "support_vectors", vectors * features(g), -1, 1);
    floats(g, node, "coefficients", vectors, -1, 1);
    onnx_node_floats(node, "kernel_params", 3, (const float[]){0.5f, 0.1f, 2});
    floats(g, node, "rho", 1, -1, 1);
}

static void svm_classifier(gen *g, onnx_node *node)
{
    static const int64_t each[] = {2, 1};
    onnx_node_ints(node, "classlabels_ints", 2, labels);
    onnx_node_ints(node, "vectors_per_class", 2, each);
    floats(g, node, "support_vectors", 3 * features(g), -1, 1);
    floats(g, node, "coefficients", 3, -1, 1);
    onnx_node_floats(node, "kernel_params", 3, (const float[]){0.5f, 0.1f, 2});
    floats(g, node, "rho", 1, -1, 1);
}

/* Full trees of depth 2: nodes 0 to 2 decide, 3 to 6 are leaves. */
enum { TREE_NODES = 7, TREE_LEAVES = 4, MAX_TREES = 20 };

static size_t add_trees(gen *g, onnx_node *node)
{
    static const char *const tests[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT"};
    const char *test = tests[gen_below(g, 3)], *modes[TREE_NODES * MAX_TREES];
    int64_t tree[TREE_NODES * MAX_TREES], id[TREE_NODES * MAX_TREES],
        feature[TREE_NODES * MAX_TREES], yes[TREE_NODES * MAX_TREES], no[TREE_NODES * MAX_TREES];
    const size_t trees = 1 + gen_below(g, MAX_TREES), count = trees * TREE_NODES;
    for (size_t i = 0; i < count; i++) {
        const int64_t k = (int64_t) (i % TREE_NODES);
        const bool is_leaf = k >= TREE_NODES - TREE_LEAVES;
        tree[i] = (int64_t) (i / TREE_NODES);
        id[i] = k;
        feature[i] = is_leaf ? 0 : (int64_t) gen_below(g, features(g));
        modes[i] = is_leaf ? "LEAF" : test;
        yes[i] = is_leaf ? 0 : 2 * k + 1;
        no[i] = is_leaf ? 0 : 2 * k + 2;
    }
    onnx_node_ints(node, "nodes_treeids", count, tree);
    onnx_node_ints(node, "nodes_nodeids", count, id);
    onnx_node_ints(node, "nodes_featureids", count, feature);
    onnx_node_ints(node, "nodes_truenodeids", count, yes);
    onnx_node_ints(node, "nodes_falsenodeids", count, no);
    onnx_node_strings(node, "nodes_modes", count, modes);
    floats(g, node, "nodes_values", count, -1, 1);
    return trees;
}

static void add_leaves(gen *g, onnx_node *node, size_t trees, const char *kind, size_t targets)
{
    char name[32];
    int64_t tree[TREE_LEAVES * MAX_TREES], id[TREE_LEAVES * MAX_TREES],
        target[TREE_LEAVES * MAX_TREES];
    const size_t count = trees * TREE_LEAVES;
    for (size_t i = 0; i < count; i++) {
        tree[i] = (int64_t) (i / TREE_LEAVES);
        id[i] = (int64_t) (TREE_NODES - TREE_LEAVES + i % TREE_LEAVES);
        target[i] = (int64_t) gen_below(g, targets);
    }
    snprintf(name, sizeof name, "%s_treeids", kind);
    onnx_node_ints(node, name, count, tree);
    snprintf(name, sizeof name, "%s_nodeids", kind);
    onnx_node_ints(node, name, count, id);
    snprintf(name, sizeof name, "%s_ids", kind);
    onnx_node_ints(node, name, count, target);
    snprintf(name, sizeof name, "%s_weights", kind);
    floats(g, node, name, count, -1, 1);
}

static void tree_regressor(gen *g, onnx_node *node)
{
    const size_t targets = 1 + gen_below(g, 3);
    onnx_node_int(node, "n_targets", (int64_t) targets);
    add_leaves(g, node, add_trees(g, node), "target", targets);
    gen_attrs(g, node, "?aggregate_function:SUM|AVERAGE|MIN|MAX");
}

static void tree_classifier(gen *g, onnx_node *node)
{
    const size_t classes = 3 + gen_below(g, 3);
    onnx_node_ints(node, "classlabels_int64s", classes, labels);
    add_leaves(g, node, add_trees(g, node), "class", classes);
    gen_attrs(g, node, "?post_transform:NONE|SOFTMAX|LOGISTIC");
}

/* The newest form: one tree, node 0 with two leaves. */
static void tree_ensemble(gen *g, onnx_node *node)
{
    static const uint8_t mode = 0;
    static const int64_t zero = 0, first = 1;
    const float split = gen_float(g, -1, 1), weights[] = {gen_float(g, -1, 1), 2};
    onnx_build *build = gen_build(g);
    onnx_node_int(node, "n_targets", 1);
    onnx_node_ints(node, "tree_roots", 1, &zero);
    onnx_node_tensor(node, "nodes_modes", onnx_build_tensor(build, "", MLS_UINT8, "1", &mode, 1));
    onnx_node_ints(node, "nodes_featureids", 1, &zero);
    onnx_node_tensor(node, "nodes_splits",
                     onnx_build_tensor(build, "", MLS_FLOAT32, "1", &split, sizeof split));
    onnx_node_ints(node, "nodes_truenodeids", 1, &zero);
    onnx_node_ints(node, "nodes_trueleafs", 1, &first);
    onnx_node_ints(node, "nodes_falsenodeids", 1, &first);
    onnx_node_ints(node, "nodes_falseleafs", 1, &first);
    onnx_node_ints(node, "leaf_targetids", 2, (const int64_t[]){0, 0});
    onnx_node_tensor(node, "leaf_weights",
                     onnx_build_tensor(build, "", MLS_FLOAT32, "2", weights, sizeof weights));
}

static void tfidf(gen *g, onnx_node *node)
{
    static const int64_t counts[] = {0, 3}, indexes[] = {0, 1, 2, 3, 4},
                         pool[] = {1, 2, 3, 1, 2, 3, -1};
    (void) g;
    onnx_node_int(node, "max_gram_length", 2);
    onnx_node_int(node, "min_gram_length", 1);
    onnx_node_int(node, "max_skip_count", 1);
    onnx_node_string(node, "mode", "TF");
    onnx_node_ints(node, "ngram_counts", 2, counts);
    onnx_node_ints(node, "ngram_indexes", 5, indexes);
    onnx_node_ints(node, "pool_int64s", 7, pool);
}

static void normalizer(gen *g, onnx_node *node)
{
    onnx_node_strings(node, "stopwords", 2, words);
    gen_attrs(g, node, "?case_change_action:LOWER|UPPER|NONE ?is_case_sensitive:0,1");
}

/* Maps of numbers to probabilities, which no op here reads. */
static void zip_map(gen *g, const gen_row *row)
{
    gen_take_patterns(g, "F[N,C]", NULL);
    const gen_value *first = gen_first(g);
    onnx_node *node = gen_node(g, row->op, 0, 1, (const int32_t[]){MLS_FLOAT32});
    int64_t *keys = onnx_build_alloc(gen_build(g), (size_t) first->dims[1] * sizeof *keys);
    for (int64_t i = 0; i < first->dims[1]; i++)
        keys[i] = i;
    onnx_node_ints(node, "classlabels_int64s", (size_t) first->dims[1], keys);
    gen_hide(g, 0);
}

const gen_row gen_rows_features[] = {
    {.op = ML "Scaler", .inputs = "F[N,C]", .outputs = "F", .finish = scaler},
    {.op = ML "Normalizer",
     .inputs = "F[N,C]",
     .outputs = "F",
     .attrs = "norm:MAX|L1|L2",
     .flags = GEN_JUMPS},
    {.op = ML "Imputer", .inputs = "F[N,C]", .outputs = "F", .flags = GEN_JUMPS, .finish = imputer},
    {.op = ML "Binarizer",
     .inputs = "F[N,C]",
     .outputs = "F",
     .attrs = "?threshold:-1.0,1.0",
     .flags = GEN_JUMPS},
    {.op = ML "ArrayFeatureExtractor", .inputs = "F[N,C] I<C[D]", .outputs = "F"},
    {.op = ML "FeatureVectorizer", .inputs = "F[N,C] F[N,D]", .outputs = "F", .finish = vectorizer},
    {.op = ML "OneHotEncoder", .inputs = "I[N]", .outputs = "F", .finish = one_hot},
    {.op = ML "CategoryMapper", .inputs = "S[N]", .outputs = "I", .finish = category_mapper},
    {.op = ML "LabelEncoder", .inputs = "I[*]", .outputs = "F", .finish = label_encoder},
    {.op = ML "LinearRegressor",
     .inputs = "F[N,C]",
     .outputs = "F",
     .flags = GEN_ROUNDS,
     .finish = linear_regressor},
    {.op = ML "LinearClassifier",
     .inputs = "F[N,C]",
     .outputs = "IF",
     .attrs = "?post_transform:NONE|SOFTMAX|LOGISTIC",
     .flags = GEN_JUMPS,
     .finish = linear_classifier},
    {.op = ML "SVMRegressor",
     .inputs = "F[N,C]",
     .outputs = "F",
     .attrs = "kernel_type:LINEAR|RBF|POLY|SIGMOID",
     .flags = GEN_JUMPS,
     .finish = svm_regressor},
    {.op = ML "SVMClassifier",
     .inputs = "F[N,C]",
     .outputs = "IF",
     .attrs = "kernel_type:LINEAR|RBF|POLY|SIGMOID",
     .flags = GEN_JUMPS,
     .finish = svm_classifier},
    {.op = ML "TreeEnsembleRegressor",
     .inputs = "F[N,C]",
     .outputs = "F",
     .flags = GEN_JUMPS,
     .finish = tree_regressor},
    {.op = ML "TreeEnsembleClassifier",
     .inputs = "F[N,C]",
     .outputs = "IF",
     .flags = GEN_JUMPS,
     .finish = tree_classifier},
    {.op = ML "TreeEnsemble",
     .inputs = "F[N,C]",
     .outputs = "F",
     .flags = GEN_JUMPS,
     .finish = tree_ensemble},
    {.op = ML "ZipMap", .make = zip_map},
    {.op = "TfIdfVectorizer", .inputs = "I[N,C]", .outputs = "F", .finish = tfidf},
    {.op = "StringConcat", .inputs = "S[*] S[^]", .outputs = "S"},
    {.op = "StringNormalizer", .inputs = "S[C]", .outputs = "S", .finish = normalizer},
    {.op = "StringSplit", .inputs = "S[N]", .outputs = "SI", .attrs = "?maxsplit:1,2"},
    {.op = NULL},
};
