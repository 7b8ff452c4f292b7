/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions behind each other, of which each differs from the one before in one thing alone. */
#include "support/test.h"

#include <mlscale.h>

#include <pthread.h>

enum { SHARDS = 2, MOST = 3 };

static mls_context *the_context;
static mls_group *the_group;

static void setup(void)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = SHARDS;
    ck_assert_ok(mls_context_create(NULL, &the_context));
    ck_assert_ok(mls_group_create(the_context, "inproc:plans", 0, 1, &options, &the_group));
}

static void teardown(void)
{
    mls_group_free(the_group);
    mls_context_free(the_context);
}

/* Shard s has the elements 2 + 3 s, 3 + 3 s, 4 + 3 s. */
static double element(int64_t shard, int64_t i)
{
    return (double) (2 + 3 * shard + i);
}

static double get(const mls_tensor *tensor, int64_t i)
{
    const void *data = mls_tensor_data(tensor);
    return mls_tensor_dtype(tensor) == MLS_INT32 ? ((const int32_t *) data)[i]
                                                 : (double) ((const float *) data)[i];
}

static mls_tensor *make(mls_dtype dtype, int rank, const int64_t *dims)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(the_context, dtype, rank, dims, &tensor));
    void *data = mls_tensor_data(tensor);
    const int64_t count = rank == 2 ? dims[0] * dims[1] : dims[0];
    for (int64_t i = 0; i < count; i++) {
        const double value = element(i / dims[rank - 1], i % dims[rank - 1]);
        if (dtype == MLS_INT32)
            ((int32_t *) data)[i] = (int32_t) value;
        else
            ((float *) data)[i] = (float) value;
    }
    return tensor;
}

/* An allreduce whose element i is to be expected[i]. */
static void reduce(mls_dtype dtype, int64_t count, uint32_t op, mls_combine_fn combine, void *user,
                   const double *expected)
{
    const int64_t dims[] = {SHARDS, count};
    mls_group_call call = MLS_GROUP_CALL_INIT;
    mls_tensor *source = make(dtype, 2, dims), *target = make(dtype, 1, dims + 1);
    call.combine = combine;
    call.combine_user = user;
    ck_assert_ok(mls_group_allreduce(the_group, source, target, op, &call, NULL));
    for (int64_t i = 0; i < count; i++)
        ck_assert_double_eq(get(target, i), expected[i]);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

/* a + b and a - b, and what the caller has besides; of int32. */
static void add(void *user, mls_dtype dtype, const void *a, const void *b, void *r, size_t count)
{
    (void) dtype;
    for (size_t i = 0; i < count; i++)
        ((int32_t *) r)[i] =
            ((const int32_t *) a)[i] + ((const int32_t *) b)[i] + *(const int32_t *) user;
}

static void subtract(void *user, mls_dtype dtype, const void *a, const void *b, void *r,
                     size_t count)
{
    (void) dtype;
    for (size_t i = 0; i < count; i++)
        ((int32_t *) r)[i] =
            ((const int32_t *) a)[i] - ((const int32_t *) b)[i] + *(const int32_t *) user;
}

START_TEST(nothing_of_the_last_one_is_left)
{
    int32_t none = 0, ten = 10;
    for (int round = 0; round < 2; round++) {
        reduce(MLS_INT32, 2, MLS_REDUCE_SUM, NULL, NULL, (double[]){7, 9});
        reduce(MLS_INT32, 2, MLS_REDUCE_PRODUCT, NULL, NULL, (double[]){10, 18});
        reduce(MLS_INT32, 2, MLS_REDUCE_USER, add, &none, (double[]){7, 9});
        reduce(MLS_INT32, 2, MLS_REDUCE_USER, add, &ten, (double[]){17, 19});
        reduce(MLS_INT32, 2, MLS_REDUCE_USER, subtract, &ten, (double[]){7, 7});
        reduce(MLS_INT32, MOST, MLS_REDUCE_USER, subtract, &ten, (double[]){7, 7, 7});
        reduce(MLS_INT32, MOST, MLS_REDUCE_SUM, NULL, NULL, (double[]){7, 9, 11});
        reduce(MLS_FLOAT32, MOST, MLS_REDUCE_SUM, NULL, NULL, (double[]){7, 9, 11});
        reduce(MLS_FLOAT32, MOST, MLS_REDUCE_MEAN, NULL, NULL, (double[]){3.5, 4.5, 5.5});
        reduce(MLS_FLOAT32, 0, MLS_REDUCE_MEAN, NULL, NULL, NULL);
        reduce(MLS_FLOAT32, 1, MLS_REDUCE_MEAN, NULL, NULL, (double[]){3.5});
    }
}
END_TEST

/* An element of an allreduce, and a piece of one element of a reduce_scatter. */
static void *run_rank(void *arg)
{
    const uint32_t rank = *(const uint32_t *) arg;
    const int64_t one = 1, two = 2;
    mls_group *group;
    mls_tensor *source, *target;
    ck_assert_ok(mls_group_create(the_context, "inproc:families", rank, 2, NULL, &group));
    ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 1, &two, &source));
    ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 1, &one, &target));
    for (int round = 0; round < 2; round++) {
        int32_t *given = mls_tensor_data(source);
        const int32_t *got = mls_tensor_data(target);
        given[0] = 3 + (int32_t) rank;
        given[1] = 5 + (int32_t) rank;
        ck_assert_ok(mls_group_reduce_scatter(group, source, target, MLS_REDUCE_SUM, NULL, NULL));
        ck_assert_int_eq(*got, rank ? 11 : 7);
        ck_assert_ok(mls_group_allreduce(group, target, target, MLS_REDUCE_SUM, NULL, NULL));
        ck_assert_int_eq(*got, 18);
    }
    mls_tensor_free(target);
    mls_tensor_free(source);
    mls_group_free(group);
    return NULL;
}

START_TEST(families_differ)
{
    uint32_t ranks[] = {0, 1};
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_rank, &ranks[1]), 0);
    run_rank(&ranks[0]);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/plans");
    TCase *tests = mls_test_case(suite, "plans", setup, teardown);
    tcase_add_test(tests, nothing_of_the_last_one_is_left);
    tcase_add_test(tests, families_differ);
    return mls_test_run(suite);
}
