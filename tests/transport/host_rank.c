/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rank of a group for test_tcp_hosts.sh: host_rank URL RANK SIZE TIMEOUT_MS CALLS. Adds up
 * that many times, each within that time (0: until it fails), says "ready" once it has, and in the
 * end how that was.
 */
#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mls_status add_up(mls_group *group, mls_tensor *tensor, const mls_group_call *call,
                         long calls)
{
    const int64_t count = mls_tensor_element_count(tensor);
    float *data = mls_tensor_data(tensor);
    mls_status status = MLS_OK;
    for (long i = 0; !status && (calls == 0 || i < calls); i++) {
        for (int64_t k = 0; k < count; k++)
            data[k] = (float) (k % 1000);
        status = mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, call, NULL);
        for (int64_t k = 0; !status && k < count; k++)
            if (data[k] != (float) (k % 1000 * mls_group_size(group)))
                return MLS_EINTERNAL;
        if (i == 0 && !status) {
            puts("ready");
            fflush(stdout);
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    mls_context *context;
    mls_group *group;
    mls_tensor *tensor;
    const int64_t count = 50000;
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
        status = mls_tensor_create(context, MLS_FLOAT32, 1, &count, &tensor);
        if (!status) {
            status = add_up(group, tensor, &call, atol(argv[5]));
            mls_tensor_free(tensor);
        }
        printf("%s\n", mls_status_name(status));
        mls_group_free(group);
    } else {
        printf("%s %s\n", mls_status_name(status), mls_error_message());
    }
    mls_context_free(context);
    return EXIT_SUCCESS;
}
