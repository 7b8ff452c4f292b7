/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of one process add up gradients: twelve shards, whatever the number of threads, and
 * so the same bytes from one thread as from seven.
 *
 *   cc allreduce.c $(pkg-config --cflags --libs mlscale) -o allreduce
 *   ./allreduce [RANKS]
 */
#include <mlscale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 12, WEIGHTS = 100000 };

typedef struct rank {
    mls_context *context;
    uint32_t number, count;
    mls_status status;
    float *sum; /* the host's memory, WEIGHTS elements */
} rank;

/* What a shard of the data would give: any numbers whose sum is inexact. */
static void compute_gradient(uint32_t shard, float *gradient)
{
    for (uint32_t i = 0; i < WEIGHTS; i++)
        gradient[i] = 1.0f / (float) (1 + shard + i % 1000);
}

static mls_status add_up(const rank *r, mls_group *group)
{
    uint32_t first, own;
    mls_tensor *shards = NULL, *sum = NULL;
    mls_group_shards(group, r->number, &first, &own);
    const int64_t dims[] = {own, WEIGHTS};
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = "gradient"; /* what a message would say if a rank were missing */
    mls_status status = mls_tensor_create(r->context, MLS_FLOAT32, 2, dims, &shards);
    if (!status)
        status =
            mls_tensor_wrap(r->context, MLS_FLOAT32, 1, dims + 1, NULL, r->sum, NULL, NULL, &sum);
    for (uint32_t i = 0; !status && i < own; i++)
        compute_gradient(first + i, (float *) mls_tensor_data(shards) + (size_t) i * WEIGHTS);
    if (!status)
        status = mls_group_allreduce(group, shards, sum, MLS_REDUCE_MEAN, &call, NULL);
    mls_tensor_free(sum);
    mls_tensor_free(shards);
    return status;
}

static void *run_rank(void *arg)
{
    rank *r = arg;
    mls_group *group = NULL;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = SHARDS;
    options.timeout_ms = 10000;
    r->status =
        mls_group_create(r->context, "inproc:example", r->number, r->count, &options, &group);
    if (!r->status)
        r->status = add_up(r, group);
    if (r->status)
        fprintf(stderr, "rank %u: %s\n", r->number, mls_error_message());
    mls_group_free(group);
    return NULL;
}

/* A checksum of the bytes: FNV-1a. */
static unsigned long long digest(const float *data)
{
    unsigned char bytes[sizeof(float)];
    unsigned long long hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < WEIGHTS; i++) {
        memcpy(bytes, &data[i], sizeof bytes);
        for (size_t k = 0; k < sizeof bytes; k++)
            hash = (hash ^ bytes[k]) * 0x100000001b3;
    }
    return hash;
}

int main(int argc, char **argv)
{
    rank ranks[SHARDS];
    pthread_t threads[SHARDS];
    mls_context *context;
    const int wanted = argc > 1 ? atoi(argv[1]) : 4;
    const uint32_t count = wanted > 0 && wanted <= SHARDS ? (uint32_t) wanted : 1;
    int failed = 0;
    if (mls_context_create(NULL, &context)) {
        fprintf(stderr, "%s\n", mls_error_message());
        return EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < count; i++) {
        ranks[i] = (rank){context, i, count, MLS_OK, calloc(WEIGHTS, sizeof(float))};
        if (!ranks[i].sum || pthread_create(&threads[i], NULL, run_rank, &ranks[i]))
            abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        failed |= ranks[i].status || memcmp(ranks[i].sum, ranks[0].sum, WEIGHTS * sizeof(float));
    }
    if (!failed)
        printf("the mean of %d shards has digest %016llx\n", SHARDS, digest(ranks[0].sum));
    for (uint32_t i = 0; i < count; i++)
        free(ranks[i].sum);
    mls_context_free(context);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
