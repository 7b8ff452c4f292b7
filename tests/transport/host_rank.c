/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rank of a group for test_tcp_hosts.sh: host_rank URL RANK SIZE TIMEOUT_MS CALLS. Adds up
 * that many times, each within that time (0: until it fails), says "ready" on its standard error
 * once it has, and in the end how that was: a status, and the sum of the results' bytes or the
 * error's words.
 */
#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 50000 };

/* Fractions, whose sum depends on its order. */
static void fill(float *data, uint32_t rank, long call)
{
    for (long k = 0; k < COUNT; k++)
        data[k] = 1.0f / (float) (k % 1000 + 7 * (long) rank + call + 1);
}

static uint64_t digest_of(const void *data, size_t size, uint64_t digest)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static mls_status add_up(mls_group *group, mls_tensor *tensor, const mls_group_call *call,
                         long calls, uint64_t *ret_digest)
{
    float *data = mls_tensor_data(tensor);
    mls_status status = MLS_OK;
    *ret_digest = UINT64_C(0xcbf29ce484222325);
    for (long i = 0; !status && (calls == 0 || i < calls); i++) {
        fill(data, mls_group_rank(group), i);
        status = mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, call, NULL);
        *ret_digest = digest_of(data, COUNT * sizeof *data, *ret_digest);
        if (i == 0 && !status)
            fputs("ready\n", stderr);
    }
    return status;
}

static mls_status run(mls_context *context, mls_group *group, const mls_group_call *call,
                      long calls)
{
    const int64_t count = COUNT;
    mls_tensor *tensor;
    uint64_t digest;
    mls_status status = mls_tensor_create(context, MLS_FLOAT32, 1, &count, &tensor);
    if (status)
        return status;
    status = add_up(group, tensor, call, calls, &digest);
    mls_tensor_free(tensor);
    if (!status)
        printf("MLS_OK %016llx\n", (unsigned long long) digest);
    return status;
}

int main(int argc, char **argv)
{
    mls_context *context;
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    if (argc != 6 || mls_context_create(NULL, &context))
        return EXIT_FAILURE;
    options.token = "between hosts";
    options.token_bytes = strlen(options.token);
    options.timeout_ms = 60000;
    call.timeout_ms = atoi(argv[4]);
    mls_status status = mls_group_create(context, argv[1], (uint32_t) atoi(argv[2]),
                                         (uint32_t) atoi(argv[3]), &options, &group);
    if (!status) {
        status = run(context, group, &call, atol(argv[5]));
        if (status)
            printf("%s %s\n", mls_status_name(status), mls_error_message());
        mls_group_free(group);
    } else {
        printf("%s %s\n", mls_status_name(status), mls_error_message());
    }
    mls_context_free(context);
    return EXIT_SUCCESS;
}
