/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allreduces of ours, of MPI and of Gloo by turns, in the same processes of one mpirun:
 *
 *   mpirun -n 2 --bind-to none bench/group shm [ROUNDS]
 *   mpirun -n 2 --bind-to none --mca btl tcp,self bench/group tcp [ROUNDS]
 *
 * A round takes each size and contestant once; a figure is the median of the rounds, the time of
 * a call on the rank where it takes longest. Compiled by mpicc: ./dev bench group. Gloo has no
 * shared memory, so that it goes over TCP in both; where it is not to be had, it is left out.
 */
#include "group_gloo.h"

#include <mlscale.h>

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MOST = 100, TOKEN_BYTES = 32 };

static const struct {
    size_t bytes;
    int calls; /* of one figure */
} sizes[] = {{8, 4000}, {256 << 10, 100}, {16 << 20, 4}, {64 << 20, 2}};

enum { SIZES = sizeof sizes / sizeof sizes[0] };

typedef struct peer {
    int rank, size;
    mls_context *context;
    mls_group *group, *open; /* encrypted, if it goes over a network; and not */
    group_gloo *gloo;
    float *source, *target;
    mls_tensor *sources[SIZES], *targets[SIZES];
    mls_tensor *shared_source, *shared_target; /* in the group's memory, of the largest size */
    mls_tensor *shared_sources[SIZES], *shared_targets[SIZES];
} peer;

/* --- contestants --- */

static void fail(const char *what)
{
    fprintf(stderr, "bench/group: %s: %s\n", what, mls_error_message());
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

static void reduce_in(const peer *p, mls_group *group, size_t size)
{
    if (mls_group_allreduce(group, p->sources[size], p->targets[size], MLS_REDUCE_SUM, NULL, NULL))
        fail("allreduce");
}

static void run_ours(const peer *p, size_t size)
{
    reduce_in(p, p->group, size);
}

static void run_shared(const peer *p, size_t size)
{
    if (mls_group_allreduce(p->group, p->shared_sources[size], p->shared_targets[size],
                            MLS_REDUCE_SUM, NULL, NULL))
        fail("allreduce");
}

static void run_open(const peer *p, size_t size)
{
    reduce_in(p, p->open, size);
}

static void run_mpi(const peer *p, size_t size)
{
    MPI_Allreduce(p->source, p->target, (int) (sizes[size].bytes / sizeof(float)), MPI_FLOAT,
                  MPI_SUM, MPI_COMM_WORLD);
}

static void run_gloo(const peer *p, size_t size)
{
    if (group_gloo_allreduce(p->gloo, p->source, p->target, sizes[size].bytes / sizeof(float)))
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

/* All ranks at once: what memory can do. */
static void run_copy(const peer *p, size_t size)
{
    memcpy(p->target, p->source, sizes[size].bytes);
    __asm__ volatile("" ::"r"(p->target) : "memory");
}

typedef struct contestant {
    const char *name;
    void (*run)(const peer *p, size_t size);
    bool is_peer; /* which ours are compared with */
} contestant;

/* The first two are ours. */
static const contestant of_shm[] = {{"libmlscale", run_ours, false},
                                    {"in its memory", run_shared, false},
                                    {"memory copy", run_copy, false},
                                    {"MPI", run_mpi, true},
                                    {"Gloo over TCP", run_gloo, true}};
static const contestant of_tcp[] = {{"libmlscale", run_ours, false},
                                    {"not encrypted", run_open, false},
                                    {"MPI", run_mpi, true},
                                    {"Gloo", run_gloo, true}};

enum { OURS = 2, CONTESTANTS_MOST = 5 };

/* --- measuring --- */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static double measure(const peer *p, const contestant *c, size_t size)
{
    double slowest = 0;
    c->run(p, size); /* warm */
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = now_us();
    for (int i = 0; i < sizes[size].calls; i++)
        c->run(p, size);
    const double own = (now_us() - start) / sizes[size].calls;
    MPI_Allreduce(&own, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return slowest;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t) count, sizeof *values, compare);
    return values[count / 2];
}

static void print_heads(const contestant *list, size_t count)
{
    printf("| bytes |");
    for (size_t c = 0; c < count; c++)
        printf(" %s, us |", list[c].name);
    for (size_t c = 0; c < count; c++)
        for (size_t own = 0; list[c].is_peer && own < OURS; own++)
            printf(" %s / %s |", list[c].name, list[own].name);
    printf("\n|--:|");
    for (size_t c = 0; c < count; c++)
        printf("--:|%s", list[c].is_peer ? "--:|--:|" : "");
    printf("\n");
}

static void print_row(const contestant *list, size_t count, size_t size, const double *us)
{
    printf("| %zu |", sizes[size].bytes);
    for (size_t c = 0; c < count; c++)
        printf(" %.2f |", us[c]);
    for (size_t c = 0; c < count; c++)
        for (size_t own = 0; list[c].is_peer && own < OURS; own++)
            printf(" %.2f |", us[c] / us[own]);
    printf("\n");
}

static void measure_all(const peer *p, const contestant *list, size_t count, int rounds)
{
    static double found[CONTESTANTS_MOST][SIZES][ROUNDS_MOST];
    for (int r = 0; r < rounds; r++)
        for (size_t s = 0; s < SIZES; s++)
            for (size_t c = 0; c < count; c++)
                found[c][s][r] = measure(p, &list[c], s);
    if (p->rank > 0)
        return;
    print_heads(list, count);
    for (size_t s = 0; s < SIZES; s++) {
        double us[CONTESTANTS_MOST];
        for (size_t c = 0; c < count; c++)
            us[c] = median(found[c][s], rounds);
        print_row(list, count, s, us);
    }
}

/* --- meeting --- */

static mls_group *join(const peer *p, const char *scheme, const char *options, int port)
{
    unsigned char secret[TOKEN_BYTES];
    char url[128];
    int number = (int) getpid();
    mls_group *group;
    mls_group_options group_options = MLS_GROUP_OPTIONS_INIT;
    if (p->rank == 0 && getrandom(secret, sizeof secret, 0) != sizeof secret)
        fail("random bytes");
    MPI_Bcast(secret, sizeof secret, MPI_BYTE, 0, MPI_COMM_WORLD);
    MPI_Bcast(&number, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (strcmp(scheme, "tcp") == 0)
        snprintf(url, sizeof url, "tcp://127.0.0.1:%d/bench%d%s", port, number, options);
    else
        snprintf(url, sizeof url, "%s:bench%d", scheme, number);
    group_options.token = secret;
    group_options.token_bytes = sizeof secret;
    if (mls_group_create(p->context, url, (uint32_t) p->rank, (uint32_t) p->size, &group_options,
                         &group))
        fail(url);
    return group;
}

/* In a folder of its own, which is gone when all have met. NULL on all ranks, or on none. */
static group_gloo *join_gloo(const peer *p)
{
    char folder[] = "/tmp/bench-group-XXXXXX";
    if (p->rank == 0 && !mkdtemp(folder))
        fail("a temporary folder");
    MPI_Bcast(folder, sizeof folder, MPI_BYTE, 0, MPI_COMM_WORLD);
    group_gloo *gloo = group_gloo_open(folder, p->rank, p->size);
    int has_gloo = gloo != NULL, all_have;
    MPI_Allreduce(&has_gloo, &all_have, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (p->rank == 0)
        group_gloo_forget(folder);
    if (all_have)
        return gloo;
    if (p->rank == 0)
        fprintf(stderr, "bench/group: without Gloo, which is not to be had\n");
    group_gloo_close(gloo);
    return NULL;
}

static void prepare(peer *p, const char *scheme)
{
    const size_t most = sizes[SIZES - 1].bytes;
    if (mls_context_create(NULL, &p->context))
        fail("context");
    p->group = join(p, scheme, "", 29871);
    p->open = join(p, scheme, "?encrypt=off", 29872);
    p->gloo = join_gloo(p);
    p->source = calloc(1, most);
    p->target = calloc(1, most);
    if (!p->source || !p->target)
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    memset(p->source, 0, most); /* pages of its own */
    memset(p->target, 0, most);
    const int64_t whole = (int64_t) (most / sizeof(float));
    if (mls_group_create_tensor(p->group, MLS_FLOAT32, 1, &whole, &p->shared_source) ||
        mls_group_create_tensor(p->group, MLS_FLOAT32, 1, &whole, &p->shared_target))
        fail("tensor");
    memset(mls_tensor_data(p->shared_source), 0, most);
    memset(mls_tensor_data(p->shared_target), 0, most);
    for (size_t s = 0; s < SIZES; s++) {
        const int64_t count = (int64_t) (sizes[s].bytes / sizeof(float));
        if (mls_tensor_slice(p->shared_source, 0, 0, count, 1, &p->shared_sources[s]) ||
            mls_tensor_slice(p->shared_target, 0, 0, count, 1, &p->shared_targets[s]))
            fail("tensor");
        if (mls_tensor_wrap(p->context, MLS_FLOAT32, 1, &count, NULL, p->source, NULL, NULL,
                            &p->sources[s]) ||
            mls_tensor_wrap(p->context, MLS_FLOAT32, 1, &count, NULL, p->target, NULL, NULL,
                            &p->targets[s]))
            fail("tensor");
    }
}

static void clear(peer *p)
{
    for (size_t s = 0; s < SIZES; s++) {
        mls_tensor_free(p->sources[s]);
        mls_tensor_free(p->targets[s]);
        mls_tensor_free(p->shared_sources[s]);
        mls_tensor_free(p->shared_targets[s]);
    }
    mls_tensor_free(p->shared_source);
    mls_tensor_free(p->shared_target);
    mls_group_free(p->group);
    mls_group_free(p->open);
    group_gloo_close(p->gloo);
    mls_context_free(p->context);
    free(p->source);
    free(p->target);
}

int main(int argc, char **argv)
{
    peer p = {.rank = 0};
    const int rounds = argc > 2 ? atoi(argv[2]) : 7;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST) {
        fprintf(stderr, "usage: mpirun -n RANKS bench/group shm|tcp [ROUNDS]\n");
        return 2;
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &p.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &p.size);
    prepare(&p, argv[1]);
    const size_t last = p.gloo ? 0 : 1; /* Gloo is the last one */
    if (strcmp(argv[1], "tcp") == 0)
        measure_all(&p, of_tcp, sizeof of_tcp / sizeof of_tcp[0] - last, rounds);
    else
        measure_all(&p, of_shm, sizeof of_shm / sizeof of_shm[0] - last, rounds);
    MPI_Barrier(MPI_COMM_WORLD);
    clear(&p);
    MPI_Finalize();
    return 0;
}
