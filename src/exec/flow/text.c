/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that make strings: how many bytes, and mostly how many strings, only their contents say, so
 * no plan has room for them.
 */
#include "exec/flow/flow.h"

#include "base/error.h"
#include "base/map.h"
#include "base/utf8.h"
#include "op/op.h"
#include "tensor/shape.h"

#include <string.h>

static mls_status text_input(const mls__flow *flow, const mls__flow_step *step, size_t index,
                             mls__object **ret_tensor)
{
    const mls_status status = mls__flow_tensor(flow, step, index, ret_tensor);
    if (status || (*ret_tensor)->dtype == MLS_STRING)
        return status;
    return mls__op_error(&step->op, MLS_EDTYPE, "input %zu is %s, expected string", index,
                         mls_dtype_name((mls_dtype) (*ret_tensor)->dtype));
}

static const mls__allocator *allocator_of(const mls__flow *flow)
{
    return &flow->host->pool.context->allocator;
}

/* --- StringConcat --- */

/* Where broadcasting finds element `index` of a shape. */
static int64_t broadcast_index(const mls__object *x, int rank, const int64_t *dims, int64_t index)
{
    int64_t at = 0, stride = 1;
    for (int i = rank - 1, own = x->rank - 1; own >= 0; i--, own--) {
        at += x->dims[own] == 1 ? 0 : index % dims[i] * stride;
        stride *= x->dims[own];
        index /= dims[i];
    }
    return at;
}

typedef struct pair {
    const mls_string *a, *b;
} pair;

static pair pair_at(const mls__object *a, const mls__object *b, const mls__object *y, int64_t i)
{
    return (pair){(const mls_string *) a->data + broadcast_index(a, y->rank, y->dims, i),
                  (const mls_string *) b->data + broadcast_index(b, y->rank, y->dims, i)};
}

static char *put(char *to, const mls_string *text)
{
    if (text->size)
        memcpy(to, text->data, text->size);
    return to + text->size;
}

static mls_status fill_concat(const mls__flow *flow, const mls__object *a, const mls__object *b,
                              mls__object *y)
{
    const int64_t count = mls__object_count(y);
    size_t bytes = 1; /* never none */
    for (int64_t i = 0; i < count; i++) {
        const pair p = pair_at(a, b, y, i);
        if (!mls__add_size(bytes, p.a->size, &bytes) || !mls__add_size(bytes, p.b->size, &bytes))
            return mls__error(MLS_ELIMIT, "more bytes of strings than can be addressed");
    }
    const mls_status status = mls__object_make_text(&flow->host->pool, y, bytes);
    if (status)
        return status;
    char *text = y->text;
    for (int64_t i = 0; i < count; i++) {
        const pair p = pair_at(a, b, y, i);
        ((mls_string *) y->data)[i] = (mls_string){text, p.a->size + p.b->size};
        text = put(put(text, p.a), p.b);
    }
    return MLS_OK;
}

static mls_status run_concat(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *a, *b, *y;
    int rank;
    int64_t dims[MLS_MAX_RANK];
    char text_a[MLS__SHAPE_TEXT], text_b[MLS__SHAPE_TEXT];
    mls_status status = text_input(flow, step, 0, &a);
    if (!status)
        status = text_input(flow, step, 1, &b);
    if (status)
        return status;
    if (!mls__shape_broadcast(a->rank, a->dims, b->rank, b->dims, &rank, dims))
        return mls__op_error(&step->op, MLS_ESHAPE, "%s does not broadcast with %s",
                             mls__shape_text(a->rank, a->dims, text_a),
                             mls__shape_text(b->rank, b->dims, text_b));
    status = mls__object_create(&flow->host->pool, MLS_STRING, rank, dims, &y);
    if (status)
        return status;
    status = fill_concat(flow, a, b, y);
    if (status) {
        mls__object_unref(&flow->host->pool, y);
        return status;
    }
    mls__flow_give(flow, step, 0, y);
    return MLS_OK;
}

/* --- StringSplit --- */

typedef struct splitter {
    mls_string delimiter; /* empty: white space, any number of it */
    int64_t most;         /* splits; negative: any number */
} splitter;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What is left of a text, from `at` on. */
typedef struct rest {
    mls_string text;
    size_t at;
    int64_t splits;
    bool is_over;
} rest;

static void skip_spaces(rest *r)
{
    while (r->at < r->text.size && is_space(r->text.data[r->at]))
        r->at++;
}

/* The end of the piece that begins at r->at. */
static size_t piece_end(const splitter *s, const rest *r)
{
    const size_t d = s->delimiter.size;
    size_t i = r->at;
    if (s->most >= 0 && r->splits >= s->most)
        return r->text.size;
    if (!d) {
        while (i < r->text.size && !is_space(r->text.data[i]))
            i++;
        return i;
    }
    for (; r->text.size - i >= d; i++)
        if (memcmp(r->text.data + i, s->delimiter.data, d) == 0)
            return i;
    return r->text.size;
}

/* The next piece, until there is none. */
static bool next_piece(const splitter *s, rest *r, mls_string *ret_piece)
{
    if (!s->delimiter.size)
        skip_spaces(r);
    if (r->is_over || (!s->delimiter.size && r->at == r->text.size))
        return false;
    const size_t end = piece_end(s, r);
    *ret_piece = (mls_string){r->text.size ? r->text.data + r->at : "", end - r->at};
    r->is_over = end == r->text.size;
    r->at = r->is_over ? end : end + s->delimiter.size;
    r->splits++;
    return true;
}

static int64_t count_pieces(const splitter *s, mls_string text)
{
    rest r = {.text = text};
    mls_string piece;
    int64_t count = 0;
    while (next_piece(s, &r, &piece))
        count++;
    return count;
}

static void split_all(const splitter *s, const mls__object *x, mls__object *y, int64_t width)
{
    static const mls_string none = {"", 0};
    mls_string *pieces = y->data;
    for (int64_t i = 0; i < mls__object_count(x); i++, pieces += width) {
        rest r = {.text = ((const mls_string *) x->data)[i]};
        int64_t k = 0;
        while (k < width && next_piece(s, &r, &pieces[k]))
            k++;
        for (; k < width; k++)
            pieces[k] = none;
    }
}

/* How many pieces each text has; the largest number is the width of the output. */
static mls_status count_all(mls__flow *flow, const splitter *s, const mls__object *x,
                            mls__object **ret_counts, int64_t *ret_width)
{
    mls__object *counts;
    const mls_status status =
        mls__object_create(&flow->host->pool, MLS_INT64, x->rank, x->dims, &counts);
    if (status)
        return status;
    *ret_width = 0;
    for (int64_t i = 0; i < mls__object_count(x); i++) {
        const int64_t count = count_pieces(s, ((const mls_string *) x->data)[i]);
        ((int64_t *) counts->data)[i] = count;
        *ret_width = count > *ret_width ? count : *ret_width;
    }
    *ret_counts = counts;
    return MLS_OK;
}

static mls_status create_pieces(mls__flow *flow, const splitter *s, const mls__object *x,
                                int64_t width, mls__object **ret_pieces)
{
    mls__object *pieces;
    int64_t dims[MLS_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank] = width;
    mls_status status =
        mls__object_create(&flow->host->pool, MLS_STRING, x->rank + 1, dims, &pieces);
    if (status)
        return status;
    split_all(s, x, pieces, width);
    status = mls__object_keep_text(&flow->host->pool, pieces);
    if (status)
        mls__object_unref(&flow->host->pool, pieces);
    else
        *ret_pieces = pieces;
    return status;
}

static mls_status run_split(mls__flow *flow, const mls__flow_step *step)
{
    const splitter s = {mls__op_string(&step->op, "delimiter"),
                        mls__op_int(&step->op, "maxsplit", -1)};
    mls__object *x, *counts, *pieces;
    int64_t width;
    mls_status status = text_input(flow, step, 0, &x);
    if (status)
        return status;
    if (x->rank == MLS_MAX_RANK)
        return mls__op_error(&step->op, MLS_ESHAPE,
                             "input 0 has %d dimensions; the output would have one more",
                             MLS_MAX_RANK);
    status = count_all(flow, &s, x, &counts, &width);
    if (status)
        return status;
    status = create_pieces(flow, &s, x, width, &pieces);
    if (status) {
        mls__object_unref(&flow->host->pool, counts);
        return status;
    }
    mls__flow_give(flow, step, 0, pieces);
    mls__flow_give(flow, step, 1, counts);
    return MLS_OK;
}

/* --- StringNormalizer --- */

typedef struct normalizer {
    const mls__flow_step *step;
    const mls__allocator *allocator;
    mls__text_case change;  /* of what is given */
    mls__text_case compare; /* of what stop words are compared in */
    mls__map stops;
    char *memory; /* of the map's keys */
    char *scratch;
} normalizer;

static mls_status read_change(normalizer *n)
{
    static const char *const names[] = {"NONE", "LOWER", "UPPER"};
    const mls_op *op = &n->step->op;
    n->compare = mls__op_int(op, "is_case_sensitive", 0) ? MLS__CASE_AS_IS : MLS__CASE_LOWER;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__op_string_is(op, "case_change_action", names[i], "NONE")) {
            n->change = (mls__text_case) i;
            return MLS_OK;
        }
    const mls_string text = mls__op_string(op, "case_change_action");
    return mls__op_error(op, MLS_EINVAL,
                         "case_change_action '%.*s' is none of NONE, LOWER and UPPER",
                         (int) (text.size < 64 ? text.size : 64), text.data);
}

/* What all of these need in another case; at least a byte. */
static mls_status room_for(const mls_string *texts, int64_t count, size_t *ret_bytes)
{
    size_t bytes = 1;
    for (int64_t i = 0; i < count; i++)
        if (texts[i].size > SIZE_MAX / 4 ||
            !mls__add_size(bytes, MLS__CASE_ROOM(texts[i].size), &bytes))
            return mls__error(MLS_ELIMIT, "more bytes of strings than can be addressed");
    *ret_bytes = bytes;
    return MLS_OK;
}

static mls_status alloc_room(const normalizer *n, const mls_string *texts, int64_t count,
                             char **ret_memory)
{
    size_t bytes;
    const mls_status status = room_for(texts, count, &bytes);
    if (status)
        return status;
    *ret_memory = mls__alloc(n->allocator, bytes);
    return *ret_memory ? MLS_OK : mls__error_nomem(bytes);
}

static mls_status read_stops(normalizer *n)
{
    size_t count;
    const mls_string *stops = mls__op_strings(&n->step->op, "stopwords", &count);
    const mls_status status = alloc_room(n, stops, (int64_t) count, &n->memory);
    char *to = n->memory;
    for (size_t i = 0; !status && i < count; i++) {
        const size_t size = mls__text_to_case(n->compare, stops[i].data, stops[i].size, to);
        if (!mls__map_set(&n->stops, to, size, i))
            return mls__error_nomem(size);
        to += size;
    }
    return status;
}

/* The texts that are no stop words, at the front of `ret_texts`. */
static int64_t drop_stops(const normalizer *n, const mls__object *x, mls_string *ret_texts)
{
    const mls_string *texts = x->data;
    int64_t kept = 0;
    for (int64_t i = 0; i < mls__object_count(x); i++) {
        const size_t size = mls__text_to_case(n->compare, texts[i].data, texts[i].size, n->scratch);
        if (!mls__map_get(&n->stops, n->scratch, size, NULL))
            ret_texts[kept++] = texts[i];
    }
    return kept;
}

static mls_status change_texts(const normalizer *n, mls__pool *pool, mls__object *y)
{
    mls_string *texts = y->data;
    size_t bytes;
    const int64_t count = mls__object_count(y);
    mls_status status = room_for(texts, count, &bytes);
    if (!status)
        status = mls__object_make_text(pool, y, bytes);
    if (status)
        return status;
    char *to = y->text;
    for (int64_t i = 0; i < count; i++) {
        const size_t size = mls__text_to_case(n->change, texts[i].data, texts[i].size, to);
        texts[i] = (mls_string){to, size};
        to += size;
    }
    return MLS_OK;
}

/* Of [C] or [1, C]; where nothing is kept, one empty text is given. */
static mls_status give_texts(const normalizer *n, mls__flow *flow, const mls__object *x)
{
    mls__object *y;
    const int64_t count = mls__object_count(x);
    const int64_t most[] = {count ? count : 1};
    mls_status status = mls__object_create(&flow->host->pool, MLS_STRING, 1, most, &y);
    if (status)
        return status;
    mls_string *texts = y->data;
    int64_t kept = drop_stops(n, x, texts);
    if (!kept)
        texts[kept++] = (mls_string){"", 0};
    y->rank = x->rank;
    y->dims[0] = 1;
    y->dims[x->rank - 1] = kept;
    status = change_texts(n, &flow->host->pool, y);
    if (status)
        mls__object_unref(&flow->host->pool, y);
    else
        mls__flow_give(flow, n->step, 0, y);
    return status;
}

static mls_status run_normalizer(mls__flow *flow, const mls__flow_step *step)
{
    normalizer n = {.step = step, .allocator = allocator_of(flow)};
    mls__object *x;
    mls_status status = text_input(flow, step, 0, &x);
    if (!status)
        status = read_change(&n);
    if (status)
        return status;
    if (x->rank != 1 && (x->rank != 2 || x->dims[0] != 1))
        return mls__op_error(&step->op, MLS_ESHAPE, "input 0 is neither [C] nor [1, C]");
    mls__map_init(&n.stops, n.allocator);
    status = read_stops(&n);
    if (!status)
        status = alloc_room(&n, x->data, mls__object_count(x), &n.scratch);
    if (!status)
        status = give_texts(&n, flow, x);
    mls__map_clear(&n.stops);
    mls__free(n.allocator, n.memory);
    mls__free(n.allocator, n.scratch);
    return status;
}

const mls__host_op mls__host_ops_text[] = {
    {"", "StringConcat", run_concat, MLS_VALUE_TENSOR, false},
    {"", "StringNormalizer", run_normalizer, MLS_VALUE_TENSOR, true},
    {"", "StringSplit", run_split, MLS_VALUE_TENSOR, false},
    {NULL, NULL, NULL, 0, false},
};
