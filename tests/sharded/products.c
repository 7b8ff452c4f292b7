/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products over random meshes and every pair of layouts against sums of whole numbers, and the
 * bytes of float32 products against those of one rank and against the order of their sums.
 */
#include "sharded/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct operands {
    whole a, b;
    int32_t a_layout[MLS_MESH_MAX_AXES], b_layout[MLS_MESH_MAX_AXES];
} operands;

/* --- exact products -------------------------------------------------------------------------- */

static void check_product(ranked *r, const operands *o)
{
    mls_sharded *a = make(r, &o->a, o->a_layout), *b = make(r, &o->b, o->b_layout), *c;
    mls_tensor *all = NULL;
    const int64_t k = o->b.dims[0], n = o->b.dims[1];
    ck_assert_ok(mls_sharded_matmul(a, b, NULL, &c));
    ck_assert_ok(mls_sharded_gather(c, 0, NULL, &all));
    for (int64_t i = 0; all && i < mls_tensor_element_count(all); i++) {
        int64_t sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += value_of(r->on, &o->a, o->a_layout, i / n * k + j) *
                   value_of(r->on, &o->b, o->b_layout, j * n + i % n);
        mls_test_expect(element(all, i) == (double) sum, "%s: element %lld is %g, not %lld",
                        text(r->on, o->a_layout, o->b_layout), (long long) i, element(all, i),
                        (long long) sum);
    }
    mls_tensor_free(all);
    mls_sharded_free(c);
    mls_sharded_free(b);
    mls_sharded_free(a);
}

static void check_products(ranked *r)
{
    const operands *o = r->arg;
    for (; o->a.rank; o++)
        check_product(r, o);
}

static operands random_operands(uint64_t *state, const arrangement *on)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT64, MLS_INT32, MLS_INT64};
    operands o = {.a.rank = 2 + (int) mls_test_random_below(state, 2), .b.rank = 2};
    o.a.dtype = o.b.dtype = dtypes[mls_test_random_below(state, 3)];
    o.a.seed = mls_test_random(state);
    o.b.seed = mls_test_random(state);
    for (int i = 0; i < o.a.rank; i++)
        o.a.dims[i] = (int64_t) mls_test_random_below(state, 9);
    o.b.dims[0] = o.a.dims[o.a.rank - 1];
    o.b.dims[1] = (int64_t) mls_test_random_below(state, 20);
    random_layout(state, on->axis_count, o.a.rank, true, o.a_layout);
    random_layout(state, on->axis_count, o.b.rank, true, o.b_layout);
    return o;
}

void check_random_product(ranked *r, uint64_t *state)
{
    const operands o = random_operands(state, r->on);
    check_product(r, &o);
}

START_TEST(products)
{
    uint64_t state = mls_test_seed(21);
    for (int i = 0; i < 50; i++) {
        operands o[5] = {{.a.rank = 0}};
        const arrangement on = random_arrangement(&state);
        for (int k = 0; k < 4; k++)
            o[k] = random_operands(&state, &on);
        on_mesh(&on, check_products, o);
    }
}
END_TEST

START_TEST(every_pair_of_layouts)
{
    static const int32_t layouts[] = {-2, -1, 0, 1};
    operands o[17] = {{.a.rank = 0}};
    for (int i = 0; i < 16; i++)
        o[i] = (operands){.a = {MLS_FLOAT64, 2, {5, 7}, 1},
                          .b = {MLS_FLOAT64, 2, {7, 4}, 2},
                          .a_layout = {layouts[i / 4]},
                          .b_layout = {layouts[i % 4]}};
    for (uint32_t ranks = 1; ranks <= 8; ranks++) {
        const arrangement on = one_axis(ranks, 0), shared = one_axis(ranks, 5);
        on_mesh(&on, check_products, o);
        on_mesh(&shared, check_products, o);
    }
}
END_TEST

/* Shapes that axes do not divide, that have fewer rows than ranks, or none, and nothing to add. */
START_TEST(every_pair_on_two_axes)
{
    static const uint32_t meshes[][2] = {{2, 2}, {3, 2}, {2, 4}};
    static const int64_t shapes[][3] = {{5, 7, 4}, {1, 3, 2}, {0, 3, 4}, {4, 0, 3}, {8, 8, 17}};
    for (int mesh = 0; mesh < 3; mesh++) {
        arrangement on = {.axis_count = 2, .ranks = meshes[mesh][0] * meshes[mesh][1]};
        operands o[257] = {{.a.rank = 0}};
        memcpy(on.axes, meshes[mesh], sizeof meshes[mesh]);
        on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
        on.options.shards[1] = mesh == 1 ? 5 : 0;
        for (int i = 0; i < 256; i++) {
            const int64_t *shape = shapes[(i + mesh) % 5];
            o[i] = (operands){.a = {MLS_INT32, 2, {shape[0], shape[1]}, (uint64_t) i + 1},
                              .b = {MLS_INT32, 2, {shape[1], shape[2]}, (uint64_t) i + 2},
                              .a_layout = {i % 4 - 2, i / 4 % 4 - 2},
                              .b_layout = {i / 16 % 4 - 2, i / 64 - 2}};
        }
        on_mesh(&on, check_products, o);
    }
}
END_TEST

/* --- the same bytes -------------------------------------------------------------------------- */

enum { M = 5, K = 211, MAX_N = 40 };

static float a_values[M * K], b_values[K * MAX_N];

typedef struct bits {
    int64_t n;
    int32_t a_layout, b_layout;
    float result[M * MAX_N];
} bits;

static void fill(float *values, size_t count, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++)
        values[i] = (float) ((double) mls_test_random(&state) / 0x1p63 - 1.0);
}

static mls_tensor *view(int64_t rows, int64_t columns, float *values)
{
    const int64_t dims[2] = {rows, columns};
    mls_tensor *tensor;
    ck_assert_ok(
        mls_tensor_wrap(the_context, MLS_FLOAT32, 2, dims, NULL, values, NULL, NULL, &tensor));
    return tensor;
}

static mls_sharded *scatter(const ranked *r, int64_t rows, int64_t columns, float *values,
                            int32_t layout)
{
    const int64_t dims[2] = {rows, columns};
    mls_tensor *all = view(rows, columns, values);
    mls_sharded *x;
    ck_assert_ok(mls_sharded_scatter(r->mesh, MLS_FLOAT32, 2, dims, &layout, 0, all, NULL, &x));
    mls_tensor_free(all);
    return x;
}

static void multiply(ranked *r)
{
    bits *b = (bits *) (uintptr_t) r->arg;
    mls_sharded *x = scatter(r, M, K, a_values, b->a_layout), *c;
    mls_sharded *y = scatter(r, K, b->n, b_values, b->b_layout);
    mls_tensor *all = NULL;
    ck_assert_ok(mls_sharded_matmul(x, y, NULL, &c));
    ck_assert_ok(mls_sharded_gather(c, 0, NULL, &all));
    if (all)
        memcpy(b->result, mls_tensor_data(all), mls_tensor_size_bytes(all));
    mls_tensor_free(all);
    mls_sharded_free(c);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

/* Rows and columns: as one rank has them, narrow products too. */
START_TEST(sums_of_one_rank)
{
    static const int64_t widths[] = {1, 4, 6, 10, 13, 17, 40};
    fill(a_values, M * K, 1);
    fill(b_values, K * MAX_N, 2);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        bits one = {widths[i], MLS_LAYOUT_REPLICATED, MLS_LAYOUT_REPLICATED, {0}};
        const arrangement alone = one_axis(1, 0);
        on_mesh(&alone, multiply, &one);
        for (uint32_t ranks = 2; ranks <= 8; ranks += 3)
            for (int32_t cut = 0; cut < 2; cut++) {
                bits many = {widths[i],
                             cut == 0 ? 0 : MLS_LAYOUT_REPLICATED,
                             cut == 0 ? MLS_LAYOUT_REPLICATED : 1,
                             {0}};
                const arrangement on = one_axis(ranks, 0);
                on_mesh(&on, multiply, &many);
                mls_test_expect(memcmp(many.result, one.result, sizeof one.result) == 0,
                                "%lld columns, cut %d, on %u ranks", (long long) widths[i], cut,
                                ranks);
            }
    }
}
END_TEST

/* Node `first` of `level`, as docs/numerics.md defines the tree. */
static float tree(const float *terms, uint32_t shards, uint32_t level, uint32_t first)
{
    if (level == 0)
        return terms[first];
    const uint32_t middle = first + (1u << level) / 2;
    const float left = tree(terms, shards, level - 1, first);
    return middle < shards ? left + tree(terms, shards, level - 1, middle) : left;
}

/* A wide product whose sums are cut: a chain of fused steps a shard, and the tree of these. */
START_TEST(sums_over_shards)
{
    enum { SHARDS = 11 };
    static const uint32_t counts[] = {1, 2, 3, 4, 7, 8};
    fill(a_values, M * K, 3);
    fill(b_values, K * MAX_N, 4);
    bits b = {MAX_N, 1, 0, {0}};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        const arrangement on = one_axis(counts[c], SHARDS);
        on_mesh(&on, multiply, &b);
        for (int i = 0; i < M * MAX_N; i++) {
            float terms[SHARDS];
            for (int s = 0; s < SHARDS; s++) {
                terms[s] = 0;
                for (int k = s * K / SHARDS; k < (s + 1) * K / SHARDS; k++)
                    terms[s] = fmaf(a_values[i / MAX_N * K + k], b_values[k * MAX_N + i % MAX_N],
                                    terms[s]);
            }
            const float sum = tree(terms, SHARDS, 4, 0);
            mls_test_expect(memcmp(&sum, &b.result[i], sizeof sum) == 0,
                            "%u ranks, element %d: %.9g, not %.9g", counts[c], i,
                            (double) b.result[i], (double) sum);
        }
    }
}
END_TEST

static void multiply_wrongly(ranked *r)
{
    const int64_t dims[2] = {4, 6}, three[3] = {6, 2, 2};
    const int32_t all[1] = {MLS_LAYOUT_REPLICATED};
    mls_sharded *a, *b, *c, *d;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, all, &a));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT64, 2, dims, all, &b));
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 3, three, all, &c));
    ck_assert_fails(mls_sharded_matmul(a, a, NULL, &d), MLS_ESHAPE, "[4,6] and [4,6]");
    ck_assert_fails(mls_sharded_matmul(a, c, NULL, &d), MLS_ESHAPE, "[6,2,2]");
    mls_sharded_free(c);
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT64, 2, three, all, &c));
    ck_assert_fails(mls_sharded_matmul(a, c, NULL, &d), MLS_EDTYPE, "float32 and float64");
    mls_sharded_free(c);
    mls_sharded_free(b);
    mls_sharded_free(a);
}

START_TEST(errors)
{
    const arrangement on = one_axis(2, 0);
    on_mesh(&on, multiply_wrongly, NULL);
}
END_TEST

void sharded_add_products(TCase *tests)
{
    tcase_add_test(tests, products);
    tcase_add_test(tests, every_pair_of_layouts);
    tcase_add_test(tests, every_pair_on_two_axes);
    tcase_add_test(tests, sums_of_one_rank);
    tcase_add_test(tests, sums_over_shards);
    tcase_add_test(tests, errors);
}
