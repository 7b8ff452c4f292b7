/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranks of a group add up gradients: twelve shards, whatever the number of ranks, and so
 * the same bytes from one process as from seven, on one host or on several.
 *
 *   cc allreduce.c $(pkg-config --cflags --libs mlscale) -o allreduce
 *   ./allreduce
 *   mlscale launch -n 7 -- ./allreduce
 *   mpirun -n 4 ./allreduce
 */
#include <mlscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 12, WEIGHTS = 100000 };

/* What a shard of the data would give: any numbers whose sum is inexact. */
static void compute_gradient(uint32_t shard, float *gradient)
{
    for (uint32_t i = 0; i < WEIGHTS; i++)
        gradient[i] = 1.0f / (float) (1 + shard + i % 1000);
}

/* The mean of all shards, of which each rank computes its own. */
static mls_status add_up(mls_context *context, mls_group *group, float *ret_mean)
{
    uint32_t first, own;
    mls_tensor *shards = NULL, *mean = NULL;
    mls_group_shards(group, mls_group_rank(group), &first, &own);
    const int64_t dims[] = {own, WEIGHTS};
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = "gradient"; /* what a message would say if a rank were missing */
    mls_status status = mls_tensor_create(context, MLS_FLOAT32, 2, dims, &shards);
    if (!status)
        status =
            mls_tensor_wrap(context, MLS_FLOAT32, 1, dims + 1, NULL, ret_mean, NULL, NULL, &mean);
    for (uint32_t i = 0; !status && i < own; i++)
        compute_gradient(first + i, (float *) mls_tensor_data(shards) + (size_t) i * WEIGHTS);
    if (!status)
        status = mls_group_allreduce(group, shards, mean, MLS_REDUCE_MEAN, &call, NULL);
    mls_tensor_free(mean);
    mls_tensor_free(shards);
    return status;
}

/* A checksum of the bytes: FNV-1a. */
static uint64_t digest_of(const float *data)
{
    unsigned char bytes[sizeof(float)];
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < WEIGHTS; i++) {
        memcpy(bytes, &data[i], sizeof bytes);
        for (size_t k = 0; k < sizeof bytes; k++)
            hash = (hash ^ bytes[k]) * 0x100000001b3;
    }
    return hash;
}

static mls_status work(mls_context *context, mls_group **ret_group)
{
    static float mean[WEIGHTS];
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = SHARDS;
    options.timeout_ms = 30000;
    mls_status status = mls_group_create_launched(context, &options, ret_group);
    if (!status)
        status = add_up(context, *ret_group, mean);
    if (!status) /* the same on all ranks */
        printf("the mean of %d shards has digest %016llx\n", SHARDS,
               (unsigned long long) digest_of(mean));
    return status;
}

int main(void)
{
    mls_context *context = NULL;
    mls_group *group = NULL;
    mls_status status = mls_context_create(NULL, &context);
    if (!status)
        status = work(context, &group);
    if (status && group)
        fprintf(stderr, "rank %u: %s\n", mls_group_rank(group), mls_error_message());
    else if (status) /* and no rank */
        fprintf(stderr, "%s\n", mls_error_message());
    mls_group_free(group);
    mls_context_free(context);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
