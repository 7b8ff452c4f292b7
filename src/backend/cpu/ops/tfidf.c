/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TfIdfVectorizer: counts the n-grams of a pool in rows of items.
 *
 * The pool is a tree: an edge leads from the node of an n-gram to that of one with an item more.
 * Items are known by their position in the pool, the last one of equal ones.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_lookup.h"
#include "backend/cpu/ops/ranges.h"
#include "base/error.h"
#include "base/map.h"
#include "op/tfidf.h"

#include <string.h>

#define NO_GRAM (-1)

/* No padding: keys are compared byte by byte. */
typedef struct edge {
    uint64_t node, item;
} edge;

typedef struct vectorizer {
    mls__cpu_kernel base;
    mls__tfidf t;
    mls__lookup items;
    mls__map children; /* by edge */
    edge *edges;       /* the keys of `children`; edge i leads to node i + 1 */
    int64_t *columns;  /* of the node's n-gram, or NO_GRAM; node 0 is the root */
    float *weights;    /* of each column, or NULL */
    size_t nodes;
    bool is_narrow; /* items are int32 */
    int64_t rows, length;
    uint32_t threads;
} vectorizer;

/* --- counting --------------------------------------------------------------------------------- */

static size_t item_at(const vectorizer *v, const void *x, int64_t i)
{
    if (v->t.strings)
        return mls__lookup_find(&v->items, (const mls_string *) x + i);
    const int64_t number = v->is_narrow ? ((const int32_t *) x)[i] : ((const int64_t *) x)[i];
    return mls__lookup_find(&v->items, &number);
}

/* The node after `node`, or 0: nothing leads to the root. */
static size_t next_node(const vectorizer *v, size_t node, size_t item)
{
    const edge key = {node, item};
    size_t next;
    if (item == MLS__LOOKUP_NONE ||
        !mls__map_get(&v->children, (const char *) &key, sizeof key, &next))
        return 0;
    return next;
}

/* All n-grams of `least` items and more that begin at item `i`, every `step`th item. */
static void count_from(const vectorizer *v, const void *x, int64_t i, int64_t step, int64_t least,
                       float *counts)
{
    size_t node = 0;
    for (int64_t length = 1; length <= v->t.most; length++) {
        node = next_node(v, node, item_at(v, x, i));
        if (!node)
            return;
        if (length >= least && v->columns[node] != NO_GRAM)
            counts[v->columns[node]] += 1;
        if (step >= v->length - i)
            return;
        i += step;
    }
}

/* Single items are the same however many are skipped, so they count only once. */
static void count_row(const vectorizer *v, const void *x, float *counts)
{
    int64_t least = v->t.least;
    for (int64_t step = 1; step - 1 <= v->t.skips && step <= v->length; step++) {
        for (int64_t i = 0; i < v->length; i++)
            count_from(v, x, i, step, least, counts);
        if (least == 1 && ++least > v->t.most)
            return;
    }
}

static void weigh(const vectorizer *v, float *counts)
{
    for (int64_t i = 0; i < v->t.width; i++) {
        if (v->t.is_idf && counts[i] > 1)
            counts[i] = 1;
        if (v->weights)
            counts[i] *= v->weights[i];
    }
}

typedef struct work {
    const vectorizer *v;
    const char *x;
    float *y;
} work;

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const vectorizer *v = w->v;
    const int64_t size = v->t.strings   ? (int64_t) sizeof(mls_string)
                         : v->is_narrow ? (int64_t) sizeof(int32_t)
                                        : (int64_t) sizeof(int64_t);
    for (int64_t row = begin; row < end; row++) {
        float *counts = w->y + row * v->t.width;
        memset(counts, 0, (size_t) v->t.width * sizeof *counts);
        count_row(v, w->x + row * v->length * size, counts);
        weigh(v, counts);
    }
    return MLS_OK;
}

static mls_status run_vectorizer(const mls_kernel *base, const mls_kernel_call *call)
{
    const vectorizer *v = (const vectorizer *) base;
    work w = {v, call->buffers[0], call->buffers[1]};
    return mls__cpu_ranges(call, v->threads, v->rows, 16, run_rows, &w);
}

/* --- the tree --------------------------------------------------------------------------------- */

/* Finds or adds; false: no memory. */
static bool add_edge(vectorizer *v, size_t *node, size_t item)
{
    const size_t known = next_node(v, *node, item);
    if (known) {
        *node = known;
        return true;
    }
    edge *key = &v->edges[v->nodes - 1];
    *key = (edge){*node, item};
    v->columns[v->nodes] = NO_GRAM;
    *node = v->nodes++;
    return mls__map_set(&v->children, (const char *) key, sizeof *key, *node);
}

static const void *pool_item(const mls__tfidf *t, size_t i)
{
    return t->strings ? (const void *) &t->strings[i] : &t->numbers[i];
}

static bool add_gram(vectorizer *v, size_t first, size_t length, size_t gram)
{
    size_t node = 0;
    for (size_t i = first; i < first + length; i++)
        if (!add_edge(v, &node, mls__lookup_find(&v->items, pool_item(&v->t, i))))
            return false;
    v->columns[node] = v->t.columns[gram];
    return true;
}

/* Of all lengths, so that n-grams keep their numbers; only those that count are looked for. */
static bool add_grams(vectorizer *v)
{
    size_t gram = 0;
    for (size_t length = 1; length <= v->t.lengths; length++) {
        const bool counts = (int64_t) length >= v->t.least && (int64_t) length <= v->t.most;
        const size_t end = mls__tfidf_end(&v->t, length);
        for (size_t i = (size_t) v->t.starts[length - 1]; i < end; i += length, gram++)
            if (counts && !add_gram(v, i, length, gram))
                return false;
    }
    return true;
}

static void free_vectorizer(mls_kernel *base)
{
    vectorizer *v = (vectorizer *) base;
    const mls__allocator *allocator = v->base.cpu->allocator;
    mls__map_clear(&v->children);
    mls__free(allocator, v->edges);
    mls__free(allocator, v->columns);
    mls__free(allocator, v->weights);
    mls__cpu_kernel_free(base);
}

static mls_status build(vectorizer *v, const mls_op *op)
{
    const mls__allocator *allocator = v->base.cpu->allocator;
    const mls__tfidf *t = &v->t;
    mls_status status =
        mls__lookup_init(&v->items, op, t->strings ? MLS_STRING : MLS_INT64,
                         t->strings ? (const void *) t->strings : t->numbers, t->items);
    if (status)
        return status;
    v->edges = mls__alloc_array(allocator, t->items + 1, sizeof *v->edges);
    v->columns = mls__alloc_array(allocator, t->items + 1, sizeof *v->columns);
    if (t->weights)
        v->weights = mls__alloc_array(allocator, (size_t) t->width + 1, sizeof *v->weights);
    if (!v->edges || !v->columns || (t->weights && !v->weights))
        return mls__error_nomem((t->items + 1) * sizeof *v->edges);
    v->nodes = 1;
    v->columns[0] = NO_GRAM;
    for (size_t i = 0; t->weights && i < t->grams; i++)
        v->weights[t->columns[i]] = t->weights[i];
    return add_grams(v) ? MLS_OK : mls__error_nomem(t->items * sizeof(edge));
}

static mls_status plan_vectorizer(mls_kernel *base, const mls_op *op)
{
    vectorizer *v = (vectorizer *) base;
    const mls_arg *x = &op->inputs[0];
    v->rows = x->rank == 2 ? x->dims[0] : 1;
    v->length = x->rank ? x->dims[x->rank - 1] : 1;
    return MLS_OK;
}

static mls_status create_vectorizer(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__tfidf t;
    mls_status status = mls__op_tfidf(op, &t);
    if (status)
        return status;
    vectorizer *v;
    status = mls__cpu_kernel_create(cpu, op, sizeof *v, "tfidf", run_vectorizer, &v);
    if (status)
        return status;
    mls__map_init(&v->children, cpu->allocator);
    v->t = t;
    v->is_narrow = op->inputs[0].dtype == MLS_INT32;
    v->threads = op->threads;
    v->base.base.free = free_vectorizer;
    v->base.base.reshape = plan_vectorizer;
    status = build(v, op);
    if (status) {
        free_vectorizer(&v->base.base);
        return status;
    }
    *ret_kernel = &v->base.base;
    return plan_vectorizer(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_tfidf = {
    {"", "TfIdfVectorizer", create_vectorizer, 0},
    {.type = NULL},
};
