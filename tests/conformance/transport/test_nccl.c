/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nccl: transport conforms, over libraries that stand for NCCL and CUDA and check how they are
 * called; and over the real ones, where there are two GPUs.
 */
#include "conformance/transport/suite.h"

#include "config.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define FAKE MLS_TEST_FAKES "/" LT_OBJDIR "fake_nccl.so"

typedef struct counts {
    int live, faults, collectives, aborts;
} counts;

static void *find_fake(const char *name)
{
    void *fake = dlopen(FAKE, RTLD_NOW);
    ck_assert_msg(fake != NULL, "%s", dlerror());
    void *symbol = dlsym(fake, name);
    ck_assert_ptr_nonnull(symbol);
    return symbol;
}

static counts count_calls(void)
{
    void (*get)(int *, int *, int *, int *);
    counts c;
    void *symbol = find_fake("fake_nccl_counts");
    memcpy(&get, &symbol, sizeof get);
    get(&c.live, &c.faults, &c.collectives, &c.aborts);
    return c;
}

static void stall(int stalls)
{
    void (*set)(int);
    void *symbol = find_fake("fake_nccl_stall");
    memcpy(&set, &symbol, sizeof set);
    set(stalls);
}

/* Several pieces of an all_to_all, and floats, which go to NCCL unless shards are stated. */
static void run_collectives(ranked *r)
{
    enum { COUNT = 1200000 };
    const bool has_shards = r->arg != NULL;
    const int64_t dims[] = {1, 5000};
    mls_tensor *whole = conformance_tensor(MLS_INT32, COUNT * 3), *target;
    mls_tensor *real, *sum = conformance_tensor(MLS_FLOAT32, 5000);
    ck_assert_ok(mls_tensor_create(the_context, MLS_FLOAT32, has_shards ? 2 : 1,
                                   has_shards ? dims : dims + 1, &real));
    float *values = mls_tensor_data(real);
    for (int i = 0; i < 5000; i++)
        values[i] = (float) (r->rank + 1);
    ck_assert_ok(mls_group_allreduce(r->group, real, sum, MLS_REDUCE_MEAN, NULL, NULL));
    ck_assert(((const float *) mls_tensor_data(sum))[4999] == 2.0f);
    if (!has_shards) {
        int32_t *data = mls_tensor_data(whole);
        for (int i = 0; i < COUNT * 3; i++)
            data[i] = (int32_t) r->rank * 4 * COUNT + i;
        target = conformance_tensor(MLS_INT32, COUNT * 3);
        ck_assert_ok(mls_group_all_to_all(r->group, whole, target, NULL, NULL));
        const int32_t *got = mls_tensor_data(target);
        for (int i = 0; i < COUNT * 3; i++)
            mls_test_expect(got[i] == i / COUNT * 4 * COUNT + (int32_t) r->rank * COUNT + i % COUNT,
                            "element %d is %d", i, (int) got[i]);
        mls_tensor_free(target);
    }
    mls_tensor_free(real);
    mls_tensor_free(sum);
    mls_tensor_free(whole);
}

START_TEST(calls_are_as_they_must_be)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    conformance_ranks(3, NULL, run_collectives, NULL);
    counts c = count_calls();
    ck_assert_int_eq(c.faults, 0);
    ck_assert_int_eq(c.live, 0);
    ck_assert_int_eq(c.collectives, 3); /* the mean, and two pieces */
    ck_assert_int_eq(c.aborts, 3);      /* one of each rank, when it is freed */
    options.shards = 3;
    conformance_ranks(3, &options, run_collectives, &options);
    ck_assert_int_eq(count_calls().collectives, 3);
}
END_TEST

/* Before they are called, and while NCCL is at work. */
static void lose_one(ranked *r)
{
    mls_tensor *a = conformance_tensor(MLS_INT32, 4000);
    mls_group_call call = conformance_call("late", 60000);
    if (r->rank == 1)
        ck_assert_ok(mls_group_abort(r->group, "enough"));
    ck_assert_fails(mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, &call, NULL),
                    MLS_ECANCELLED, "enough");
    mls_tensor_free(a);
}

/* What NCCL does not end ends at the deadline of the first, and the caller's memory is its own. */
static void stall_all(ranked *r)
{
    mls_tensor *a = conformance_tensor(MLS_INT32, 4000);
    mls_group_call call = conformance_call("stalled", r->rank ? 60000 : 50);
    const int32_t *data = mls_tensor_data(a);
    ck_assert_fails(mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, &call, NULL), MLS_EDEADLINE,
                    "allreduce sum of 4000 int32 'stalled'");
    for (int i = 0; i < 4000; i++)
        mls_test_expect(data[i] == 0, "element %d was written", i);
    mls_tensor_free(a);
}

START_TEST(aborts_reach_engines)
{
    for (int i = 0; i < 5; i++)
        conformance_ranks(3, NULL, lose_one, NULL);
    stall(1);
    conformance_ranks(3, NULL, stall_all, NULL);
    stall(0);
    ck_assert_int_eq(count_calls().live, 0);
    ck_assert_int_eq(count_calls().aborts, 3);
}
END_TEST

START_TEST(absent_libraries_are_named)
{
    mls_group *group;
    setenv("MLSCALE_NCCL", "/nowhere/libnccl.so.2", 1);
    ck_assert_fails(mls_group_create(the_context, the_url, 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "libnccl.so.2 cannot be opened (MLSCALE_NCCL says where else it is)");
    setenv("MLSCALE_NCCL", FAKE, 1);
    ck_assert_fails(mls_group_create(the_context, "nccl:nccl:inproc:x", 0, 1, NULL, &group),
                    MLS_EINVAL, "within nccl:");
    ck_assert_fails(mls_group_create(the_context, "nccl:x", 0, 1, NULL, &group), MLS_EINVAL,
                    "scheme");
    ck_assert_ok(mls_group_create(the_context, the_url, 0, 1, NULL, &group));
    mls_group_free(group);
}
END_TEST

/* --- the real ones --------------------------------------------------------------------------- */

static void add_up(ranked *r)
{
    enum { COUNT = 100000 };
    mls_tensor *a = conformance_tensor(MLS_INT64, COUNT),
               *all = conformance_tensor(MLS_INT64, 2 * COUNT);
    int64_t *data = mls_tensor_data(a);
    for (int i = 0; i < COUNT; i++)
        data[i] = i + r->rank;
    ck_assert_ok(mls_group_allgather(r->group, a, all, NULL, NULL));
    ck_assert_ok(mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, NULL, NULL));
    const int64_t *got = mls_tensor_data(all);
    for (int i = 0; i < COUNT; i++)
        mls_test_expect(data[i] == 2 * i + 1 && got[i] == i && got[COUNT + i] == i + 1,
                        "element %d", i);
    mls_tensor_free(all);
    mls_tensor_free(a);
}

/* Whether NCCL is there, and a GPU for each of two ranks. */
static bool has_gpus(void)
{
    int (*init)(unsigned);
    int (*get_count)(int *);
    int devices = 0;
    void *nccl = dlopen("libnccl.so.2", RTLD_NOW), *cuda = dlopen("libcuda.so.1", RTLD_NOW);
    void *first = cuda ? dlsym(cuda, "cuInit") : NULL;
    void *second = cuda ? dlsym(cuda, "cuDeviceGetCount") : NULL;
    if (!nccl || !first || !second)
        return false;
    memcpy(&init, &first, sizeof init);
    memcpy(&get_count, &second, sizeof get_count);
    return init(0) == 0 && get_count(&devices) == 0 && devices >= 2;
}

START_TEST(gpus_add_up)
{
    unsetenv("MLSCALE_NCCL");
    unsetenv("MLSCALE_CUDA");
    if (has_gpus()) /* elsewhere there is nothing to see */
        conformance_ranks(2, NULL, add_up, NULL);
}
END_TEST

static void add_own(TCase *tests)
{
    tcase_add_test(tests, calls_are_as_they_must_be);
    tcase_add_test(tests, aborts_reach_engines);
    tcase_add_test(tests, absent_libraries_are_named);
    tcase_add_test(tests, gpus_add_up);
}

int main(void)
{
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    setenv("MLSCALE_NCCL", FAKE, 1);
    setenv("MLSCALE_CUDA", FAKE, 1);
    return conformance_transport_run_with("conformance/transport/nccl", "nccl:inproc:test", NULL,
                                          add_own);
}
