/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/ranks.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

mls_status tcp_rank(mls_context *context, const char *url, uint32_t rank, uint32_t size,
                    const char *token, mls_group **ret_group)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 60000;
    options.token = token;
    options.token_bytes = token ? strlen(token) : 0;
    return mls_group_create(context, url, rank, size, &options, ret_group);
}

static mls_status try_sum(mls_group *group, int64_t count)
{
    mls_context *context;
    mls_tensor *a;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 1, &count, &a));
    float *data = mls_tensor_data(a);
    const uint32_t size = mls_group_size(group);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float) (i % 100);
    const mls_status status = mls_group_allreduce(group, a, a, MLS_REDUCE_SUM, NULL, NULL);
    for (int64_t i = 0; !status && i < count; i++)
        mls_test_expect(data[i] == (float) (i % 100 * size), "element %lld", (long long) i);
    mls_tensor_free(a);
    mls_context_free(context);
    return status;
}

mls_status tcp_try_sums(mls_group *group)
{
    const mls_status status = try_sum(group, 100);
    return status ? status : try_sum(group, 100000);
}

static void *run(void *arg)
{
    const tcp_rank_thread *rank = arg;
    mls_context *context;
    mls_group *group;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(tcp_rank(context, rank->url, rank->rank, rank->size, rank->token, &group));
    ck_assert_ok(tcp_try_sums(group));
    if (rank->body)
        rank->body(group);
    mls_group_free(group);
    mls_context_free(context);
    return NULL;
}

void tcp_rank_start(tcp_rank_thread *rank)
{
    ck_assert_int_eq(pthread_create(&rank->thread, NULL, run, rank), 0);
}

void tcp_rank_join(tcp_rank_thread *rank)
{
    ck_assert_int_eq(pthread_join(rank->thread, NULL), 0);
}

void tcp_ranks_run(const char *url, uint32_t size, const char *token, void (*body)(mls_group *))
{
    tcp_rank_thread ranks[8];
    for (uint32_t i = 0; i < size; i++) {
        ranks[i] = (tcp_rank_thread){.url = url, .token = token, .rank = i, .size = size};
        ranks[i].body = body;
        tcp_rank_start(&ranks[i]);
    }
    for (uint32_t i = 0; i < size; i++)
        tcp_rank_join(&ranks[i]);
}

int tcp_dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (;;) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) == 0)
            return fd;
        close(fd);
        sched_yield();
    }
}

size_t tcp_drain(int fd)
{
    char bytes[4096];
    size_t count = 0;
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        count += (size_t) got;
    return count;
}
