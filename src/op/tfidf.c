/* SPDX-License-Identifier: Apache-2.0 */
#include "op/tfidf.h"

#include <inttypes.h>

static mls_status read_mode(const mls_op *op, mls__tfidf *t)
{
    const mls_string mode = mls__op_string(op, "mode");
    size_t count;
    const float *weights = mls__op_floats(op, "weights", &count);
    t->is_idf = mls__op_string_is(op, "mode", "IDF", "");
    if (mls__op_string_is(op, "mode", "TF", ""))
        return MLS_OK;
    if (!t->is_idf && !mls__op_string_is(op, "mode", "TFIDF", ""))
        return mls__op_error(op, MLS_EINVAL, "mode '%.*s' is none of TF, IDF and TFIDF",
                             (int) (mode.size < 64 ? mode.size : 64), mode.data ? mode.data : "");
    if (count && count != t->grams)
        return mls__op_error(op, MLS_EINVAL, "%zu weights for %zu n-grams", count, t->grams);
    t->weights = count ? weights : NULL;
    return MLS_OK;
}

static mls_status read_range(const mls_op *op, mls__tfidf *t)
{
    t->least = mls__op_int(op, "min_gram_length", 1);
    t->most = mls__op_int(op, "max_gram_length", 1);
    t->skips = mls__op_int(op, "max_skip_count", 0);
    if (t->least < 1 || t->most < t->least || t->skips < 0)
        return mls__op_error(op, MLS_EINVAL,
                             "n-grams of %" PRId64 " to %" PRId64 " items with up to %" PRId64
                             " skipped",
                             t->least, t->most, t->skips);
    return MLS_OK;
}

static mls_status read_pool(const mls_op *op, mls__tfidf *t)
{
    size_t strings, numbers;
    t->strings = mls__op_strings(op, "pool_strings", &strings);
    t->numbers = mls__op_ints(op, "pool_int64s", &numbers);
    if ((t->strings != NULL) == (t->numbers != NULL))
        return mls__op_error(op, MLS_EINVAL, "one of pool_strings and pool_int64s must be given");
    t->items = t->strings ? strings : numbers;
    return MLS_OK;
}

/* As many n-grams as there are columns, of whole lengths. */
static mls_status check_starts(const mls_op *op, const mls__tfidf *t)
{
    size_t grams = 0;
    for (size_t i = 0; i < t->lengths; i++) {
        const int64_t end = i + 1 < t->lengths ? t->starts[i + 1] : (int64_t) t->items;
        const int64_t start = t->starts[i];
        if (start < 0 || start > end || end > (int64_t) t->items ||
            (end - start) % ((int64_t) i + 1))
            return mls__op_error(op, MLS_EINVAL,
                                 "ngram_counts: n-grams of length %zu take items %" PRId64
                                 " to %" PRId64 " of a pool of %zu",
                                 i + 1, start, end, t->items);
        grams += (size_t) (end - start) / (i + 1);
    }
    if (grams != t->grams)
        return mls__op_error(op, MLS_EINVAL, "%zu ngram_indexes for %zu n-grams", t->grams, grams);
    return MLS_OK;
}

mls_status mls__op_tfidf(const mls_op *op, mls__tfidf *ret_tfidf)
{
    mls__tfidf t = {.width = 0};
    t.starts = mls__op_ints(op, "ngram_counts", &t.lengths);
    t.columns = mls__op_ints(op, "ngram_indexes", &t.grams);
    mls_status status = read_pool(op, &t);
    if (!status)
        status = read_range(op, &t);
    if (!status)
        status = read_mode(op, &t);
    if (!status)
        status = check_starts(op, &t);
    for (size_t i = 0; !status && i < t.grams; i++) {
        if (t.columns[i] < 0 || t.columns[i] >= INT32_MAX)
            return mls__op_error(op, MLS_EINVAL, "ngram_indexes: entry %zu is %" PRId64, i,
                                 t.columns[i]);
        if (t.columns[i] >= t.width)
            t.width = t.columns[i] + 1;
    }
    if (!status)
        *ret_tfidf = t;
    return status;
}
