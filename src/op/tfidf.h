/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of TfIdfVectorizer, read and checked. Inference and the kernel read them through
 * this, so that they cannot disagree.
 */
#ifndef MLS_OP_TFIDF_H
#define MLS_OP_TFIDF_H

#include "op/op.h"

typedef struct mls__tfidf {
    bool is_idf;          /* counts past 1 are 1 */
    const float *weights; /* of each n-gram, or NULL */
    int64_t least, most;  /* lengths of n-grams that count */
    int64_t skips;        /* items between those of an n-gram, at most */
    /* The pool: n-grams of one item, then of two, ...; exactly one of the two is given. */
    const mls_string *strings;
    const int64_t *numbers;
    size_t items;
    const int64_t *starts; /* where in the pool n-grams of each length begin */
    size_t lengths;
    const int64_t *columns; /* of the output, one an n-gram */
    size_t grams;
    int64_t width; /* of the output */
} mls__tfidf;

/* Where the n-grams of `length` items end in the pool. */
static inline size_t mls__tfidf_end(const mls__tfidf *t, size_t length)
{
    return length < t->lengths ? (size_t) t->starts[length] : t->items;
}

/* Errors: MLS_EINVAL, naming the attribute. */
mls_status mls__op_tfidf(const mls_op *op, mls__tfidf *ret_tfidf);

#endif
