/* SPDX-License-Identifier: Apache-2.0 */
/* The first way is what the others are compared with, output by output. */
#include "fuzz/generate/compare.h"

#include "support/bits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OUTPUTS 640

static const struct way {
    const char *isa; /* NULL: the machine's best */
    uint32_t threads;
    uint64_t flags;
} ways[] = {
    {"portable", 1, 0},
    {"portable", 3, MLS_SESSION_NO_REUSE},
    {"avx2", 1, 0},
    {"avx2", 3, 0},
    {NULL, 1, 0},
    {NULL, 3, 0},
    {NULL, 1, MLS_SESSION_NO_REUSE},
    {NULL, 1, MLS_SESSION_NO_OPTIMIZE},
};

/* One for each instruction set, for the whole process; NULL where the machine has none. */
static mls_context *context_of(const char *isa)
{
    static struct {
        const char *isa;
        mls_context *context;
        bool is_known;
    } known[4];
    size_t i = 0;
    while (known[i].is_known && known[i].isa != isa)
        i++;
    if (!known[i].is_known) {
        mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
        options.isa = known[i].isa = isa;
        known[i].is_known = true;
        if (mls_context_create(&options, &known[i].context) != MLS_OK)
            known[i].context = NULL;
    }
    return known[i].context;
}

/* The tensors of all outputs, one behind the other. */
typedef struct results {
    mls_tensor *items[MAX_OUTPUTS];
    size_t output[MAX_OUTPUTS];
    size_t count;
    mls_model *model;
    mls_session *session;
} results;

static void results_free(results *r)
{
    while (r->count)
        mls_tensor_free(r->items[--r->count]);
    mls_session_free(r->session);
    mls_model_free(r->model);
}

static bool collect(results *r)
{
    size_t count;
    while (r->count)
        mls_tensor_free(r->items[--r->count]);
    for (size_t i = 0; mls_session_output_count(r->session, i, &count) == MLS_OK; i++)
        for (size_t k = 0; k < count && r->count < MAX_OUTPUTS; k++) {
            if (mls_session_output_item(r->session, i, k, &r->items[r->count]) != MLS_OK)
                return false;
            r->output[r->count++] = i;
        }
    return true;
}

static bool open_way(gen *g, const struct way *way, mls_context *context, results *r)
{
    size_t size;
    const uint8_t *bytes = gen_model(g, &size);
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.threads = way->threads;
    options.flags = way->flags;
    return mls_model_load_memory(context, bytes, size, NULL, &r->model) == MLS_OK &&
           mls_session_create(r->model, &options, &r->session) == MLS_OK &&
           gen_fill(g, r->session) == MLS_OK;
}

static bool is_number(int32_t dtype, const void *element, double *ret_number)
{
    uint16_t half;
    uint32_t bits;
    float number;
    switch (dtype) {
    case MLS_FLOAT32:
        memcpy(&number, element, sizeof number);
        break;
    case MLS_BFLOAT16:
        memcpy(&half, element, sizeof half);
        bits = (uint32_t) half << 16;
        memcpy(&number, &bits, sizeof number);
        break;
    case MLS_FLOAT16:
        memcpy(&half, element, sizeof half);
        number = ldexpf((float) (half & 1023) + (half >> 10 & 31 ? 1024 : 0),
                        (half >> 10 & 31 ? (half >> 10 & 31) : 1) - 25);
        number = (half >> 10 & 31) == 31 ? NAN : half >> 15 ? -number : number;
        break;
    case MLS_FLOAT64:
        memcpy(ret_number, element, sizeof *ret_number);
        return isfinite(*ret_number);
    default:
        return false;
    }
    *ret_number = (double) number;
    return isfinite(number);
}

/* How far elements may be apart, as a part of the largest there is. */
static double bound_of(int32_t dtype)
{
    return dtype == MLS_BFLOAT16 ? 0.06 : dtype == MLS_FLOAT16 ? 0.01 : 2e-4;
}

static bool are_close(int32_t dtype, const unsigned char *a, const unsigned char *b, size_t count)
{
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    double scale = 1e-3, x, y;
    for (size_t i = 0; i < count; i++)
        if (is_number(dtype, a + i * size, &x) && fabs(x) > scale)
            scale = fabs(x);
    for (size_t i = 0; i < count; i++)
        if (is_number(dtype, a + i * size, &x) && is_number(dtype, b + i * size, &y) &&
            fabs(x - y) > scale * bound_of(dtype))
            return false;
    return true;
}

/* A step of a quantized type. */
static bool are_near(int32_t dtype, const unsigned char *a, const unsigned char *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int step = dtype == MLS_INT8 ? (int8_t) a[i] - (int8_t) b[i] : a[i] - b[i];
        if (step < -1 || step > 1)
            return false;
    }
    return true;
}

static bool are_same(int32_t dtype, const unsigned char *a, const unsigned char *b, size_t count)
{
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    uint64_t x = MLS_TEST_HASH, y = MLS_TEST_HASH;
    for (size_t i = 0; i < count; i++) {
        x = mls_test_hash_element(x, dtype, a + i * size);
        y = mls_test_hash_element(y, dtype, b + i * size);
    }
    return x == y;
}

static bool agree(const mls_tensor *a, const mls_tensor *b, int accuracy)
{
    const int32_t dtype = (int32_t) mls_tensor_dtype(a);
    const int rank = mls_tensor_rank(a);
    const unsigned char *x = mls_tensor_data(a), *y = mls_tensor_data(b);
    const size_t count = (size_t) mls_tensor_element_count(a);
    if (accuracy == GEN_FREE)
        return true;
    if (rank != mls_tensor_rank(b) ||
        memcmp(mls_tensor_dims(a), mls_tensor_dims(b), (size_t) rank * sizeof(int64_t)) != 0)
        return false;
    if (accuracy == GEN_EXACT)
        return are_same(dtype, x, y, count);
    if (dtype == MLS_INT8 || dtype == MLS_UINT8)
        return are_near(dtype, x, y, count);
    return are_close(dtype, x, y, count);
}

static bool compare(const gen *g, const results *first, const results *other, const struct way *way)
{
    const bool is_whole = way->flags & MLS_SESSION_NO_OPTIMIZE;
    if (is_whole && gen_is_wild(g))
        return true;
    for (size_t i = 0; i < first->count && i < other->count; i++) {
        const gen_value *value = gen_output(g, first->output[i]);
        if (agree(first->items[i], other->items[i], is_whole ? value->accuracy : GEN_EXACT))
            continue;
        fprintf(stderr, "%s differs on %s, %u threads, flags %llu\n", value->name,
                way->isa ? way->isa : "the best", way->threads, (unsigned long long) way->flags);
        return false;
    }
    return first->count == other->count || is_whole;
}

static bool run_twice(gen *g, const struct way *way, mls_context *context, const results *first,
                      results *r)
{
    bool is_same = open_way(g, way, context, r);
    for (int i = 0; is_same && i < 2; i++) {
        /* Outputs may share memory with inputs that a run overwrites. */
        is_same = gen_fill(g, r->session) == MLS_OK && mls_session_run(r->session) == MLS_OK &&
                  collect(r);
        if (!is_same)
            break;
        if (first && !compare(g, first, r, way))
            return false;
    }
    if (!is_same)
        fprintf(stderr, "it does not run on %s, %u threads, flags %llu: %s\n",
                way->isa ? way->isa : "the best", way->threads, (unsigned long long) way->flags,
                mls_error_message());
    return is_same;
}

bool gen_compare(gen *g)
{
    results first = {.count = 0};
    bool is_same = run_twice(g, &ways[0], context_of(ways[0].isa), NULL, &first);
    for (size_t i = 1; is_same && i < sizeof ways / sizeof ways[0]; i++) {
        mls_context *context = context_of(ways[i].isa);
        results r = {.count = 0};
        if (!context)
            continue;
        is_same = run_twice(g, &ways[i], context, &first, &r);
        results_free(&r);
    }
    results_free(&first);
    if (!is_same)
        gen_print(g);
    return is_same;
}
