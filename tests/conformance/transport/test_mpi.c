/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that an MPI launcher started conform: a program of MPI's own that starts MPI itself, so
 * that results can be held against MPI's. run_mpi.sh runs it with each of them.
 */
#include "conformance/transport/against_mpi.h"
#include "conformance/transport/makings.h"
#include "conformance/transport/suite.h"

#include <math.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 70000 }; /* several pieces of messages, and of collectives of eight bytes */

static conformance_place place;

/*
 * MPI's own wait would keep a core from ranks that have to come yet, and one that is not MPI's
 * would leave undone what MPI has to do for them.
 */
static void receive_byte(int from)
{
    char byte;
    int has_come = 0;
    MPI_Request request;
    MPI_Irecv(&byte, 1, MPI_BYTE, from, 5, MPI_COMM_WORLD, &request);
    MPI_Test(&request, &has_come, MPI_STATUS_IGNORE);
    while (!has_come) {
        sched_yield();
        MPI_Test(&request, &has_come, MPI_STATUS_IGNORE);
    }
}

/* A chain there and back. */
static void meet(uint32_t count)
{
    const int rank = (int) place.rank, last = (int) count - 1;
    const char byte = 0;
    for (int way = 0; way < 2; way++) {
        const int before = way ? rank + 1 : rank - 1, behind = way ? rank - 1 : rank + 1;
        if (before >= 0 && before <= last)
            receive_byte(before);
        if (behind >= 0 && behind <= last)
            MPI_Send(&byte, 1, MPI_BYTE, behind, 5, MPI_COMM_WORLD);
    }
}

static void create_at(const char *url, uint32_t shards, mls_group **ret_group)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = shards;
    ck_assert_ok(mls_group_create(the_context, url, place.rank, place.size, &options, ret_group));
}

/* --- floats ------------------------------------------------------------------------------------
 */

static mls_tensor *filled(mls_dtype dtype, int64_t count)
{
    mls_tensor *tensor = conformance_tensor(dtype, count);
    uint64_t random = place.rank + 1;
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = mls_test_random(&random);
        if (dtype == MLS_INT64)
            ((int64_t *) mls_tensor_data(tensor))[i] = (int64_t) bits;
        else
            ((double *) mls_tensor_data(tensor))[i] = 1 + ldexp((double) (bits >> 11), -54);
    }
    return tensor;
}

/* How many sums differ from those by the tree of two to four ranks: (0 1) (2 3). */
static int differing(const mls_tensor *source, const mls_tensor *target)
{
    double *all = malloc(sizeof *all * COUNT * place.size), widest = 0;
    const double *given = mls_tensor_data(target);
    int count = 0;
    MPI_Allgather(mls_tensor_data(source), COUNT, MPI_DOUBLE, all, COUNT, MPI_DOUBLE,
                  MPI_COMM_WORLD);
    for (int i = 0; i < COUNT; i++) {
        double sum = all[i] + all[COUNT + i];
        if (place.size == 3)
            sum += all[2 * COUNT + i];
        else if (place.size == 4)
            sum += all[2 * COUNT + i] + all[3 * COUNT + i];
        const double error = fabs(sum - given[i]);
        widest = error > widest ? error : widest;
        count += error > 0;
    }
    free(all);
    mls_test_expect(widest < 1e-14, "a sum is %g away", widest);
    return count;
}

/* The library adds up unless the URL says otherwise, and with stated shards even then. */
START_TEST(engines_add_up_by_request)
{
    char url[64];
    mls_group *group;
    const int64_t dims[] = {1, COUNT};
    mls_tensor *source = filled(MLS_FLOAT64, COUNT), *shard, *target;
    ck_assert_ok(mls_tensor_wrap(the_context, MLS_FLOAT64, 2, dims, NULL, mls_tensor_data(source),
                                 NULL, NULL, &shard));
    target = conformance_tensor(MLS_FLOAT64, COUNT);
    create_at(the_url, 0, &group);
    ck_assert_ok(mls_group_allreduce(group, source, target, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert_int_eq(differing(source, target), 0);
    mls_group_free(group);

    snprintf(url, sizeof url, "%s?sums=engine", the_url);
    create_at(url, 0, &group);
    ck_assert_ok(mls_group_allreduce(group, source, target, MLS_REDUCE_SUM, NULL, NULL));
    differing(source, target); /* by how much MPI likes */
    const double sum = ((const double *) mls_tensor_data(target))[COUNT - 1];
    ck_assert_ok(mls_group_allreduce(group, source, target, MLS_REDUCE_MEAN, NULL, NULL));
    ck_assert_double_eq(((const double *) mls_tensor_data(target))[COUNT - 1], sum / place.size);
    mls_group_free(group);

    create_at(url, place.size, &group);
    ck_assert_ok(mls_group_allreduce(group, shard, target, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert_int_eq(differing(source, target), 0);
    mls_group_free(group);
    ck_assert_fails(mls_group_create(the_context, "mpi:?sum=engine", 0, 1, NULL, &group),
                    MLS_EINVAL, "?sums=engine");
    mls_tensor_free(shard);
    mls_tensor_free(source);
    mls_tensor_free(target);
}
END_TEST

/* --- meeting --------------------------------------------------------------------------------- */

START_TEST(places_are_checked)
{
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 30;
    ck_assert_fails(
        mls_group_create(the_context, the_url, place.rank, place.size + 1, &options, &group),
        MLS_EINVAL, "MPI_COMM_WORLD has");
    ck_assert_fails(mls_group_create(the_context, the_url, (place.rank + 1) % place.size,
                                     place.size, &options, &group),
                    MLS_EINVAL, "this process is rank");
    if (place.rank == 0)
        ck_assert_fails(mls_group_create(the_context, the_url, 0, 2, &options, &group),
                        MLS_EDEADLINE, "these have not come: 1");
    meet(place.size);
    options.timeout_ms = 60000; /* rank 0's greeting is forgotten */
    options.token = place.rank == 1 ? "guess" : "secret";
    options.token_bytes = strlen(options.token);
    if (place.rank < 2)
        ck_assert_fails(mls_group_create(the_context, the_url, place.rank, 2, &options, &group),
                        MLS_EPEER, "another token");
    meet(place.size);
    mls_group *whole;
    create_at(the_url, 0, &whole);
    ck_assert_fails(mls_group_shrink(whole, NULL, &group), MLS_EUNSUPPORTED, "");
    mls_group_free(whole);
}
END_TEST

static void expect_own_sum(mls_group *group, float own, float sum)
{
    mls_tensor *tensor = conformance_tensor(MLS_FLOAT32, 3);
    float *data = mls_tensor_data(tensor);
    data[2] = own;
    ck_assert_ok(mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert(data[2] == sum);
    mls_tensor_free(tensor);
}

/* Ranks in reverse, by offers; then even and odd ones, the even ones in reverse. */
START_TEST(offers_and_splits)
{
    unsigned char own[64] = {0}, all[8][64];
    const void *addresses[8];
    size_t size, sizes[8];
    mls_group *group, *part;
    const uint32_t rank = place.size - 1 - place.rank;
    ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &group));
    const char *address = mls_group_address(group, &size);
    ck_assert_uint_lt(size, sizeof own);
    memcpy(own, address, size);
    MPI_Allgather(own, 64, MPI_BYTE, all, 64, MPI_BYTE, MPI_COMM_WORLD);
    for (uint32_t i = 0; i < place.size; i++) {
        addresses[i] = all[place.size - 1 - i];
        sizes[i] = strlen(addresses[i]);
    }
    ck_assert_ok(mls_group_join(group, rank, place.size, addresses, sizes));
    expect_own_sum(group, (float) rank, (float) (place.size * (place.size - 1)) / 2);
    ck_assert_ok(mls_group_split(group, rank % 2, rank % 2 ? 0 : 10 - rank, NULL, &part));
    if (place.size == 4) {
        ck_assert_uint_eq(mls_group_rank(part), rank % 2 ? rank / 2 : 1 - rank / 2);
        expect_own_sum(part, (float) rank, rank % 2 ? 4 : 2);
        mls_tensor *tensor = filled(MLS_INT64, 3000);
        ck_assert_ok(mls_group_broadcast(part, tensor, 1, NULL, NULL)); /* by its own engine */
        mls_tensor_free(tensor);
    }
    mls_group_free(part);
    mls_group_free(group);
}
END_TEST

/* --- a rank that is stopped ------------------------------------------------------------------ */

/* Elements that go with a record, by messages, and by MPI's collectives. */
static const struct {
    mls_dtype dtype;
    int64_t count;
} stopped_calls[] = {{MLS_FLOAT64, 40}, {MLS_FLOAT64, COUNT}, {MLS_INT64, COUNT}};

/* Wherever rank 1 is just then, rank 0's call ends at its deadline, and rank 1's by that. */
static void stop_at(pid_t pid, size_t k)
{
    mls_group *group;
    mls_tensor *a = filled(stopped_calls[k].dtype, stopped_calls[k].count);
    mls_group_call call = conformance_call("stopped", place.rank ? 60000 : 100);
    mls_status status = MLS_OK;
    ck_assert_ok(mls_group_create(the_context, the_url, place.rank, 2, NULL, &group));
    for (int i = 0; !status; i++) {
        if (place.rank == 0 && i == 3)
            kill(pid, SIGSTOP);
        status = mls_group_allreduce(group, a, a, MLS_REDUCE_SUM, &call, NULL);
    }
    if (place.rank == 0)
        kill(pid, SIGCONT);
    ck_assert_msg(status == MLS_EDEADLINE, "%s", mls_error_message());
    mls_group_free(group);
    mls_tensor_free(a);
}

START_TEST(stopped_ranks_end_calls)
{
    int pid = (int) getpid();
    if (place.rank < 2) {
        if (place.rank == 1)
            MPI_Send(&pid, 1, MPI_INT, 0, 6, MPI_COMM_WORLD);
        else
            MPI_Recv(&pid, 1, MPI_INT, 1, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (size_t k = 0; k < sizeof stopped_calls / sizeof stopped_calls[0]; k++)
            stop_at((pid_t) pid, k);
    }
    meet(place.size);
}
END_TEST

static void add_own(TCase *tests)
{
    against_mpi_add(tests);
    if (place.from != CONFORMANCE_ALL)
        return;
    tcase_add_test(tests, engines_add_up_by_request);
    tcase_add_test(tests, places_are_checked);
    tcase_add_test(tests, offers_and_splits);
    tcase_add_test(tests, stopped_ranks_end_calls);
    conformance_add_makings(tests);
}

/* Before the suite, where a failure is main's. */
static int tell(const char *what)
{
    fprintf(stderr, "rank %u: %s: %s\n", place.rank, what, mls_error_message());
    return EXIT_FAILURE;
}

/* "single": MPI for one thread, which groups refuse. */
static int expect_refusal(mls_context *context, const char *url)
{
    mls_group *group;
    const mls_status status = mls_group_create(context, url, place.rank, place.size, NULL, &group);
    if (status == MLS_EUNSUPPORTED && strstr(mls_error_message(), "MPI_THREAD_SERIALIZED"))
        return EXIT_SUCCESS;
    return tell("one thread");
}

/* "serialized": there is no engine then, and nobody but this thread uses MPI. */
static int expect_sum(mls_context *context, const char *url)
{
    const int64_t dims[] = {COUNT};
    mls_tensor *tensor;
    mls_group *group;
    if (mls_group_create(context, url, place.rank, place.size, NULL, &group) ||
        mls_tensor_create(context, MLS_INT64, 1, dims, &tensor))
        return tell("serialized");
    int64_t *data = mls_tensor_data(tensor);
    data[COUNT - 1] = place.rank + 1;
    const mls_status status =
        mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, NULL, NULL);
    const bool is_right = data[COUNT - 1] == place.size * (place.size + 1) / 2;
    mls_tensor_free(tensor);
    mls_group_free(group);
    return status || !is_right ? tell("a sum") : EXIT_SUCCESS;
}

/* Rank 0 alone, while no other process has opened any group. */
static int expect_late(mls_context *context, const char *url)
{
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 20;
    int result = EXIT_SUCCESS;
    if (place.rank == 0 &&
        (mls_group_create(context, url, 0, place.size, &options, &group) != MLS_EDEADLINE ||
         !strstr(mls_error_message(), "processes of MPI_COMM_WORLD have opened")))
        result = tell("alone");
    meet(place.size);
    return result;
}

typedef int (*first_fn)(mls_context *context, const char *url);

/* Each number of ranks that there could be was there. */
static int expect_sizes(void)
{
    for (uint32_t size = 1; size <= place.size; size++)
        if (!(conformance_sizes() >> size & 1)) {
            fprintf(stderr, "no test had %u ranks\n", size);
            return EXIT_FAILURE;
        }
    return EXIT_SUCCESS;
}

/* What goes before the suite, or comes in its place. */
static int run_first(first_fn run, const char *url)
{
    mls_context *context;
    if (mls_context_create(NULL, &context))
        return tell("context");
    const int result = run(context, url);
    mls_context_free(context);
    return result;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int level;
        first_fn first;
        bool has_suite;
        int from;
    } modes[] = {
        {"", MPI_THREAD_MULTIPLE, expect_late, true, CONFORMANCE_ALL},
        {"values", MPI_THREAD_MULTIPLE, expect_late, true, CONFORMANCE_VALUES},
        {"results", MPI_THREAD_MULTIPLE, expect_late, true, CONFORMANCE_OWN},
        {"single", MPI_THREAD_SINGLE, expect_refusal, false, CONFORMANCE_ALL},
        {"serialized", MPI_THREAD_SERIALIZED, expect_sum, false, CONFORMANCE_ALL},
    };
    int level, rank, size;
    size_t m = 0;
    const char *url = argc > 1 ? argv[1] : "mpi:", *mode = argc > 2 ? argv[2] : "";
    while (m < sizeof modes / sizeof modes[0] - 1 && strcmp(modes[m].name, mode) != 0)
        m++;
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    setenv("CK_FORK", "no", 1); /* MPI forbids it */
    MPI_Init_thread(&argc, &argv, modes[m].level, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    place = (conformance_place){(uint32_t) rank, (uint32_t) size, meet, modes[m].from};
    the_place = &place;
    int result = run_first(modes[m].first, url);
    if (!result && modes[m].has_suite)
        result = conformance_transport_run_with("conformance/transport/mpi", url, NULL, add_own);
    if (!result && modes[m].has_suite && place.from != CONFORMANCE_OWN)
        result = expect_sizes();
    MPI_Finalize();
    return result;
}
