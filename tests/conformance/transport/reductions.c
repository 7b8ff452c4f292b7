/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions against the definition of their order, element by element: the same bytes for
 * any number of ranks, sizes that go with a record and sizes that do not.
 */
#include "conformance/transport/reduced.h"
#include "conformance/transport/suite.h"

#include "group/halves.h"
#include "tensor/float_format.h"

#include <math.h>
#include <string.h>

enum {
    ELEMENTS = REDUCED_ELEMENTS,
    DTYPES = REDUCED_DTYPES,
    MAX_SHARDS = 13,
    OPS = 5,
};

const mls_dtype reduced_dtypes[DTYPES] = {MLS_FLOAT32,  MLS_FLOAT64, MLS_FLOAT16,
                                          MLS_BFLOAT16, MLS_INT32,   MLS_INT64};

/* An element of any dtype. */
typedef struct number {
    double real;
    int64_t whole;
} number;

/* By dtype: what each shard has, and by op - 1 what comes of it. */
static unsigned char shards[DTYPES][MAX_SHARDS][ELEMENTS * 8];
static unsigned char expected[DTYPES][OPS][ELEMENTS * 8];

static bool is_whole(mls_dtype dtype)
{
    return dtype == MLS_INT32 || dtype == MLS_INT64;
}

static number load(mls_dtype dtype, const unsigned char *data, size_t i)
{
    uint16_t half;
    float f;
    double d;
    int32_t whole;
    int64_t wide;
    switch ((int) dtype) {
    case MLS_FLOAT32:
        memcpy(&f, data + i * 4, 4);
        return (number){(double) f, 0};
    case MLS_FLOAT64:
        memcpy(&d, data + i * 8, 8);
        return (number){d, 0};
    case MLS_INT32:
        memcpy(&whole, data + i * 4, 4);
        return (number){0, whole};
    case MLS_INT64:
        memcpy(&wide, data + i * 8, 8);
        return (number){0, wide};
    default:
        memcpy(&half, data + i * 2, 2);
        return (number){mls__float_decode(mls__float_format_of(dtype), half), 0};
    }
}

static void store(mls_dtype dtype, number n, unsigned char *data, size_t i)
{
    const float f = (float) n.real;
    const int32_t whole = (int32_t) n.whole;
    uint16_t half;
    switch ((int) dtype) {
    case MLS_FLOAT32:
        memcpy(data + i * 4, &f, 4);
        break;
    case MLS_FLOAT64:
        memcpy(data + i * 8, &n.real, 8);
        break;
    case MLS_INT32:
        memcpy(data + i * 4, &whole, 4);
        break;
    case MLS_INT64:
        memcpy(data + i * 8, &n.whole, 8);
        break;
    default:
        half = mls__float_encode(mls__float_format_of(dtype), n.real, false);
        memcpy(data + i * 2, &half, 2);
    }
}

static void fill_shards(void)
{
    uint64_t state = mls_test_seed(5);
    for (size_t d = 0; d < DTYPES; d++)
        for (size_t s = 0; s < MAX_SHARDS; s++)
            for (size_t i = 0; i < ELEMENTS; i++) {
                const int64_t whole = (int64_t) mls_test_random(&state);
                const double unit = (double) (whole >> 11) / 0x1p52; /* -1 to 1 */
                const double real = i % 3 ? 1 + unit / 4 : ldexp(unit, (int) (i % 12));
                store(reduced_dtypes[d], (number){real, whole}, shards[d][s], i);
            }
}

static double join_real(uint32_t op, double a, double b)
{
    switch (op) {
    case MLS_REDUCE_PRODUCT:
        return a * b;
    case MLS_REDUCE_MIN:
        return a < b ? a : b;
    case MLS_REDUCE_MAX:
        return a > b ? a : b;
    default:
        return a + b;
    }
}

int64_t conformance_join(uint32_t op, int64_t a, int64_t b)
{
    switch (op) {
    case MLS_REDUCE_PRODUCT:
        return (int64_t) ((uint64_t) a * (uint64_t) b);
    case MLS_REDUCE_MIN:
        return a < b ? a : b;
    case MLS_REDUCE_MAX:
        return a > b ? a : b;
    default:
        return (int64_t) ((uint64_t) a + (uint64_t) b);
    }
}

/* float32 sums are exact in float64 before they are rounded, and so are products. */
static number join(mls_dtype dtype, uint32_t op, number a, number b)
{
    const double real = join_real(op, a.real, b.real);
    int64_t whole = conformance_join(op, a.whole, b.whole);
    if (dtype == MLS_INT32)
        whole = (int32_t) whole;
    return (number){dtype == MLS_FLOAT64 ? real : (double) (float) real, whole};
}

/* Of the shards from `first`, as many as `width`, a power of two, or as there are. */
static number reduce(size_t d, uint32_t op, uint32_t count, uint32_t first, uint32_t width,
                     size_t i)
{
    if (width == 1)
        return load(reduced_dtypes[d], shards[d][first], i);
    const number left = reduce(d, op, count, first, width / 2, i);
    if (first + width / 2 >= count)
        return left;
    return join(reduced_dtypes[d], op, left, reduce(d, op, count, first + width / 2, width / 2, i));
}

static void expect_results(uint32_t count)
{
    uint32_t width = 1;
    while (width < count)
        width *= 2;
    for (size_t d = 0; d < DTYPES; d++)
        for (uint32_t op = 1; op <= OPS; op++)
            for (size_t i = 0; i < ELEMENTS; i++) {
                number n = reduce(d, op, count, 0, width, i);
                if (op == MLS_REDUCE_MEAN)
                    n.real = reduced_dtypes[d] == MLS_FLOAT64
                                 ? n.real / count
                                 : (double) ((float) n.real / (float) count);
                store(reduced_dtypes[d], n, expected[d][op - 1], i);
            }
}

void reduced_prepare(uint32_t count)
{
    fill_shards();
    expect_results(count);
}

const unsigned char *reduced_shard(size_t d, uint32_t shard)
{
    return shards[d][shard];
}

const unsigned char *reduced_result(size_t d, uint32_t op)
{
    return expected[d][op - 1];
}

typedef struct plan {
    uint32_t shards; /* 0: one a rank */
} plan;

/* The rank's shards, `count` elements of each. */
static mls_tensor *source_of(const ranked *r, size_t d, int64_t count)
{
    const size_t bytes = (size_t) count * mls_dtype_size(reduced_dtypes[d]);
    const plan *p = r->arg;
    uint32_t first, own;
    mls_group_shards(r->group, r->rank, &first, &own);
    const int64_t dims[2] = {own, count};
    mls_tensor *source;
    ck_assert_ok(mls_tensor_create(the_context, reduced_dtypes[d], p->shards ? 2 : 1,
                                   p->shards ? dims : dims + 1, &source));
    for (uint32_t s = 0; bytes && s < own; s++)
        memcpy((unsigned char *) mls_tensor_data(source) + s * bytes, shards[d][first + s], bytes);
    return source;
}

static void expect_bytes(const ranked *r, size_t d, uint32_t op, int64_t first,
                         const mls_tensor *target)
{
    const size_t size = mls_dtype_size(reduced_dtypes[d]);
    const size_t bytes = mls_tensor_size_bytes(target);
    mls_test_expect(bytes == 0 || memcmp(mls_tensor_data(target),
                                         expected[d][op - 1] + (size_t) first * size, bytes) == 0,
                    "rank %u of %u, %u shards: op %u of %zu bytes of %s", r->rank, r->size,
                    mls_group_shards(r->group, 0, NULL, NULL), op, bytes,
                    mls_dtype_name(reduced_dtypes[d]));
}

static void check_allreduce(ranked *r, size_t d, uint32_t op, int64_t count)
{
    mls_tensor *source = source_of(r, d, count),
               *target = conformance_tensor(reduced_dtypes[d], count);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, op, NULL, NULL));
    expect_bytes(r, d, op, 0, target);
    if (!((const plan *) r->arg)->shards) {
        ck_assert_ok(mls_group_allreduce(r->group, source, source, op, NULL, NULL));
        expect_bytes(r, d, op, 0, source);
    }
    mls_tensor_free(source);
    mls_tensor_free(target);
}

static void check_reduce(ranked *r, size_t d, uint32_t op, int64_t count)
{
    const uint32_t root = r->size - 1;
    mls_tensor *source = source_of(r, d, count),
               *target = conformance_tensor(reduced_dtypes[d], count);
    ck_assert_ok(
        mls_group_reduce(r->group, source, r->rank == root ? target : NULL, op, root, NULL, NULL));
    if (r->rank == root)
        expect_bytes(r, d, op, 0, target);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

static void check_reduce_scatter(ranked *r, size_t d, uint32_t op, int64_t count)
{
    const int64_t piece = count / r->size;
    mls_tensor *source = source_of(r, d, piece * r->size);
    mls_tensor *target = conformance_tensor(reduced_dtypes[d], piece);
    ck_assert_ok(mls_group_reduce_scatter(r->group, source, target, op, NULL, NULL));
    expect_bytes(r, d, op, r->rank * piece, target);
    mls_tensor_free(target);
    if (!((const plan *) r->arg)->shards) {
        ck_assert_ok(
            mls_tensor_slice(source, 0, r->rank * piece, (r->rank + 1) * piece, 1, &target));
        ck_assert_ok(mls_group_reduce_scatter(r->group, source, target, op, NULL, NULL));
        expect_bytes(r, d, op, r->rank * piece, target);
        mls_tensor_free(target);
    }
    mls_tensor_free(source);
}

static void check_all(ranked *r)
{
    static const int64_t counts[] = {0, 1, 17, ELEMENTS};
    for (size_t d = 0; d < DTYPES; d += mls_test_is_quick() ? 2 : 1)
        for (uint32_t op = 1; op <= OPS; op++)
            for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
                if (is_whole(reduced_dtypes[d]) && op == MLS_REDUCE_MEAN)
                    continue;
                check_allreduce(r, d, op, counts[c]);
                if ((d + op + c) % 3 == 0)
                    check_reduce(r, d, op, counts[c]);
                if ((d + op + c) % 3 == 1)
                    check_reduce_scatter(r, d, op, counts[c]);
            }
}

static void check_shards(uint32_t ranks, uint32_t shard_count)
{
    const plan p = {shard_count};
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = shard_count;
    conformance_ranks(ranks, &options, check_all, &p);
}

START_TEST(reductions_follow_the_tree)
{
    static const uint32_t ranks[] = {1, 2, 3, 4, 5, 6, 7, 8};
    fill_shards();
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        if (the_place && ranks[i] > the_place->size)
            break;
        expect_results(ranks[i]);
        check_shards(ranks[i], 0);
    }
    expect_results(MAX_SHARDS);
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        check_shards(ranks[i], MAX_SHARDS);
    expect_results(3); /* fewer shards than ranks */
    check_shards(4, 3);
    check_shards(8, 3);
}
END_TEST

/* --- others ----------------------------------------------------------------------------------- */

static void expect_halves(const mls__float_format *format,
                          void (*widen)(const uint16_t *, float *, size_t),
                          void (*narrow)(const float *, uint16_t *, size_t))
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const uint16_t half = (uint16_t) bits;
        float wide;
        widen(&half, &wide, 1);
        const double value = mls__float_decode(format, half);
        mls_test_expect(isnan(value) ? isnan(wide) : (double) wide == value, "%04x", half);
        /* The number itself, and on both sides of the middle to the next one. */
        const float middle =
            (float) (value + (mls__float_decode(format, (uint16_t) (bits + 1)) - value) / 2);
        const float tries[] = {wide, middle, nextafterf(middle, INFINITY),
                               nextafterf(middle, -INFINITY)};
        for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
            uint16_t narrowed;
            narrow(&tries[i], &narrowed, 1);
            const uint16_t right = mls__float_encode(format, (double) tries[i], false);
            mls_test_expect(isnan(tries[i]) ? isnan(mls__float_decode(format, narrowed))
                                            : narrowed == right,
                            "%a is %04x, not %04x", (double) tries[i], narrowed, right);
        }
    }
}

START_TEST(halves_are_rounded_right)
{
    expect_halves(mls__float_format_of(MLS_FLOAT16), mls__halves_from_float16,
                  mls__halves_to_float16);
    expect_halves(mls__float_format_of(MLS_BFLOAT16), mls__halves_from_bfloat16,
                  mls__halves_to_bfloat16);
}
END_TEST

/* A sum in another order has other bytes, so the test above sees the order. */
START_TEST(order_shows_in_bytes)
{
    static unsigned char by_tree[ELEMENTS * 8];
    size_t differing = 0;
    fill_shards();
    expect_results(MAX_SHARDS);
    memcpy(by_tree, expected[0][0], sizeof by_tree);
    for (size_t i = 0; i < ELEMENTS; i++) {
        number chain = load(MLS_FLOAT32, shards[0][0], i);
        for (size_t s = 1; s < MAX_SHARDS; s++)
            chain = join(MLS_FLOAT32, MLS_REDUCE_SUM, chain, load(MLS_FLOAT32, shards[0][s], i));
        differing += chain.real != load(MLS_FLOAT32, by_tree, i).real;
    }
    ck_assert_uint_gt(differing, ELEMENTS / 10);
}
END_TEST

static int fold_user;

static const mls_dtype folded_dtypes[] = {MLS_UINT8, MLS_UINT16, MLS_INT32, MLS_UINT64};
enum { FOLDED = sizeof folded_dtypes / sizeof folded_dtypes[0] };

/* Not commutative: left * 2 + right tells the order of operands, too. */
static void fold(void *user, mls_dtype dtype, const void *left, const void *right, void *ret_result,
                 size_t count)
{
    const size_t size = mls_dtype_size(dtype);
    mls_test_expect(user == &fold_user, "the caller's own");
    for (size_t i = 0; i < count; i++) {
        uint64_t a = 0, b = 0;
        memcpy(&a, (const unsigned char *) left + i * size, size);
        memcpy(&b, (const unsigned char *) right + i * size, size);
        a = 2 * a + b;
        memcpy((unsigned char *) ret_result + i * size, &a, size);
    }
}

/* Of the ranks from `first`, as many as `width`, a power of two, or as there are of `count`. */
static uint64_t folded(uint32_t count, uint32_t first, uint32_t width, uint64_t i)
{
    if (width == 1)
        return first + i;
    const uint64_t left = folded(count, first, width / 2, i);
    if (first + width / 2 >= count)
        return left;
    return 2 * left + folded(count, first + width / 2, width / 2, i);
}

static void check_fold_of(ranked *r, mls_dtype dtype, int64_t count)
{
    const size_t size = mls_dtype_size(dtype);
    mls_tensor *tensor = conformance_tensor(dtype, count);
    mls_group_call call = conformance_call("fold", 0);
    call.combine = fold;
    call.combine_user = &fold_user;
    unsigned char *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t own = r->rank + (uint64_t) i;
        memcpy(data + (size_t) i * size, &own, size);
    }
    ck_assert_ok(mls_group_allreduce(r->group, tensor, tensor, MLS_REDUCE_USER, &call, NULL));
    for (int64_t i = 0; i < count; i++) {
        const uint64_t result = folded(r->size, 0, 8, (uint64_t) i);
        mls_test_expect(memcmp(data + (size_t) i * size, &result, size) == 0,
                        "element %lld of %s, of %u ranks", (long long) i, mls_dtype_name(dtype),
                        r->size);
    }
    mls_tensor_free(tensor);
}

static void check_fold(ranked *r)
{
    for (size_t d = 0; d < FOLDED; d++) {
        check_fold_of(r, folded_dtypes[d], 7);
        check_fold_of(r, folded_dtypes[d], 9007);
    }
    check_fold_of(r, folded_dtypes[r->size % FOLDED], 70001);
}

START_TEST(callers_reduce)
{
    for (uint32_t ranks = 1; ranks <= 8; ranks++)
        conformance_ranks(ranks, NULL, check_fold, NULL);
}
END_TEST

static void check_nan(ranked *r)
{
    float data[3] = {r->rank == 1 ? NAN : 1.0f, r->rank == 0 ? NAN : 2.0f, (float) r->rank};
    mls_tensor *tensor = conformance_view(MLS_FLOAT32, 3, data);
    for (uint32_t op = MLS_REDUCE_MIN; op <= MLS_REDUCE_MAX; op++) {
        ck_assert_ok(mls_group_allreduce(r->group, tensor, tensor, op, NULL, NULL));
        ck_assert(isnan(data[0]) && isnan(data[1]) && !isnan(data[2]));
    }
    mls_tensor_free(tensor);
}

START_TEST(nan_stays)
{
    conformance_ranks(3, NULL, check_nan, NULL);
}
END_TEST

/* Columns of a matrix, in place. */
static void check_strides(ranked *r)
{
    enum { ROWS = 1500 };
    static float memory[4][ROWS][3];
    const int64_t dims[] = {ROWS}, strides[] = {3};
    mls_tensor *column;
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < 3; k++)
            memory[r->rank][i][k] = (float) (i + k);
    ck_assert_ok(mls_tensor_wrap(the_context, MLS_FLOAT32, 1, dims, strides, &memory[r->rank][0][1],
                                 NULL, NULL, &column));
    ck_assert_ok(mls_group_allreduce(r->group, column, column, MLS_REDUCE_SUM, NULL, NULL));
    for (int i = 0; i < ROWS; i++)
        mls_test_expect(memory[r->rank][i][0] == (float) i &&
                            memory[r->rank][i][1] == (float) (4 * (i + 1)) &&
                            memory[r->rank][i][2] == (float) (i + 2),
                        "row %d", i);
    mls_tensor_free(column);
}

START_TEST(views_are_reduced)
{
    conformance_ranks(4, NULL, check_strides, NULL);
}
END_TEST

void conformance_add_reductions(TCase *tests)
{
    tcase_add_test(tests, reductions_follow_the_tree);
    if (!the_place) { /* these have no ranks */
        tcase_add_test(tests, halves_are_rounded_right);
        tcase_add_test(tests, order_shows_in_bytes);
    }
    tcase_add_test(tests, callers_reduce);
    tcase_add_test(tests, nan_stays);
    tcase_add_test(tests, views_are_reduced);
}
