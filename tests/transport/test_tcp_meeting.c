/* SPDX-License-Identifier: Apache-2.0 */
/* Where ranks meet: ports that groups share, folders, and what is refused. */
#include "support/folder.h"
#include "transport/ranks.h"

#include "transport/tcp/address.h"
#include "transport/tcp/handshake.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mls_context *context;
static char base[64];
static int port;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    port = mls_test_free_port();
    snprintf(base, sizeof base, "tcp://127.0.0.1:%d", port);
}

static void teardown(void)
{
    mls_context_free(context);
}

/* --- ports ----------------------------------------------------------------------------------- */

typedef struct named {
    char url[96];
    const char *token;
    uint32_t rank;
    pthread_t thread;
} named;

static void *meet_twice(void *arg)
{
    const named *n = arg;
    mls_group *groups[2];
    for (int i = 0; i < 2; i++)
        ck_assert_ok(tcp_rank(context, n->url, n->rank, 2, n->token, &groups[i]));
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(tcp_try_sums(groups[i]));
        mls_group_free(groups[i]);
    }
    return NULL;
}

/* Six groups of one context at one port, some of one name behind each other. */
START_TEST(groups_share_a_port)
{
    static named ranks[6];
    for (uint32_t i = 0; i < 6; i++) {
        ranks[i].rank = i % 2;
        ranks[i].token = i < 2 ? NULL : "secret";
        snprintf(ranks[i].url, sizeof ranks[i].url, "%s/name%u", base, i / 2);
        pthread_create(&ranks[i].thread, NULL, meet_twice, &ranks[i]);
    }
    for (size_t i = 0; i < 6; i++)
        pthread_join(ranks[i].thread, NULL);
}
END_TEST

START_TEST(a_port_has_one_context)
{
    mls_context *other;
    mls_group *group, *none;
    char url[96];
    snprintf(url, sizeof url, "%s/x", base);
    ck_assert_ok(mls_context_create(NULL, &other));
    ck_assert_ok(tcp_rank(context, url, 0, 1, NULL, &group));
    ck_assert_fails(tcp_rank(other, url, 0, 1, NULL, &none), MLS_EEXIST, "is taken");
    mls_group_free(group);
    mls_context_free(other);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

START_TEST(urls_are_checked)
{
    mls_group *none;
    ck_assert_fails(tcp_rank(context, "tcp:", 0, 1, NULL, &none), MLS_EINVAL, "where ranks meet");
    ck_assert_fails(tcp_rank(context, "tcp://127.0.0.1/x", 0, 1, NULL, &none), MLS_EINVAL,
                    "where ranks meet");
    ck_assert_fails(tcp_rank(context, "tcp:x", 0, 1, NULL, &none), MLS_EINVAL, "'//'");
    ck_assert_fails(tcp_rank(context, "tcp://127.0.0.1:1x/x", 0, 1, NULL, &none), MLS_EINVAL,
                    "port");
    ck_assert_fails(tcp_rank(context, "tcp://127.0.0.1:1/x?y=z", 0, 1, NULL, &none), MLS_EINVAL,
                    "bind=ADDRESS");
    ck_assert_fails(tcp_rank(context, "tcp://0.0.0.0:4000/x", 0, 1, "secret", &none), MLS_EINVAL,
                    "no address");
    ck_assert_fails(tcp_rank(context, "tcp://", 0, 1, NULL, &none), MLS_EINVAL,
                    "group 'tcp://': the host is missing; write tcp://HOST:PORT/NAME");
}
END_TEST

/* 192.0.2.1 is of no host (RFC 5737); it is refused before anything goes there. */
START_TEST(no_token_no_network)
{
    mls_group *none;
    ck_assert_fails(tcp_rank(context, "tcp://192.0.2.1:4000/x", 0, 2, NULL, &none), MLS_EINVAL,
                    "needs a token");
    ck_assert_fails(tcp_rank(context, "tcp://192.0.2.1:4000/x", 1, 2, NULL, &none), MLS_EINVAL,
                    "needs a token");
    ck_assert_fails(tcp_rank(context, "tcp:///tmp?bind=192.0.2.1", 0, 2, NULL, &none), MLS_EINVAL,
                    "needs a token");
    mls_group *offer;
    unsigned char address[64];
    const void *addresses[2];
    size_t sizes[2];
    ck_assert_ok(mls_group_offer(context, "tcp:", NULL, &offer));
    addresses[0] = mls_group_address(offer, &sizes[0]);
    memcpy(address, addresses[0], sizes[0]);
    address[8] = 192; /* 127 before */
    addresses[1] = address;
    sizes[1] = sizes[0];
    ck_assert_fails(mls_group_join(offer, 0, 2, addresses, sizes), MLS_EINVAL, "needs a token");
    mls_group_free(offer);
}
END_TEST

static void *create_open(void *arg)
{
    mls_group *group;
    named *n = arg;
    ck_assert_ok(tcp_rank(context, n->url, 0, 2, "secret", &group));
    mls_group_free(group);
    return NULL;
}

/* Long before the deadline, and on every rank. */
START_TEST(folders_have_to_be_there)
{
    mls_group *none;
    for (uint32_t rank = 0; rank < 2; rank++) {
        ck_assert_fails(tcp_rank(context, "tcp:///does/not/exist", rank, 2, NULL, &none), MLS_EIO,
                        "the folder '/does/not/exist' cannot be used: No such file or directory; "
                        "make one");
        ck_assert_fails(tcp_rank(context, "tcp:///proc/version", rank, 2, NULL, &none), MLS_EIO,
                        "Not a directory");
    }
}
END_TEST

/* A deadline says what was tried to reach rank 0, and what came of it. */
START_TEST(who_waits_is_told_why)
{
    mls_group *none;
    char url[96], said[128];
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 50;
    snprintf(url, sizeof url, "%s/x", base);
    snprintf(said, sizeof said, "have not come: 0; connecting to %s: Connection refused",
             base + strlen("tcp://"));
    ck_assert_fails(mls_group_create(context, url, 1, 2, &options, &none), MLS_EDEADLINE, said);
    ck_assert_fails(mls_group_create(context, "tcp:///proc", 1, 2, &options, &none), MLS_EDEADLINE,
                    "have not come: 0; rank 0 is not in the folder '/proc'");
}
END_TEST

START_TEST(encryption_is_agreed)
{
    mls_group *group;
    char url[96];
    static named first;
    snprintf(first.url, sizeof first.url, "%s/x", base);
    snprintf(url, sizeof url, "%s/x?encrypt=off", base);
    pthread_create(&first.thread, NULL, create_open, &first);
    ck_assert_fails(tcp_rank(context, url, 1, 2, "secret", &group), MLS_EINVAL, "encrypt=off");
    ck_assert_ok(tcp_rank(context, first.url, 1, 2, "secret", &group));
    mls_group_free(group);
    pthread_join(first.thread, NULL);
}
END_TEST

/* --- names ----------------------------------------------------------------------------------- */

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* 192.0.2.1 is of no host. */
static const char *const names[][3] = {
    {"own.test", "127.0.1.1", NULL},
    {"mixed.test", "127.0.1.1", "192.0.2.1"},
    {"second.test", "127.0.0.2", "127.0.0.1"},
};

static atomic_int look_ups;

/* The library's look-ups come here: the names above have these addresses, in this order; that of
 * another one is known by and by. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_found)
{
    look_up *real;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i][0]) != 0)
            continue;
        const int failed = real(names[i][1], service, hints, ret_found);
        return failed || !names[i][2] ? failed
                                      : real(names[i][2], service, hints, &(*ret_found)->ai_next);
    }
    if (strcmp(name, "later.test") != 0)
        return real(name, service, hints, ret_found);
    return atomic_fetch_add(&look_ups, 1) < 4 ? EAI_AGAIN
                                              : real("127.0.0.1", service, hints, ret_found);
}

START_TEST(names_may_be_known_later)
{
    char url[96];
    snprintf(url, sizeof url, "tcp://later.test:%d/x", port);
    tcp_ranks_run(url, 2, NULL, NULL);
    ck_assert_int_gt(atomic_load(&look_ups), 4);
}
END_TEST

/* What is known by loopback alone is found by no other host; else that comes last. */
START_TEST(names_are_of_hosts)
{
    char url[96];
    mls_group *group;
    snprintf(url, sizeof url, "tcp://own.test:%d/x", port);
    ck_assert_fails(tcp_rank(context, url, 0, 1, "secret", &group), MLS_EINVAL, "bind=ADDRESS");
    ck_assert_ok(tcp_rank(context, url, 0, 1, NULL, &group));
    mls_group_free(group);
    snprintf(url, sizeof url, "tcp://own.test:%d/x?bind=127.0.1.1", port);
    ck_assert_ok(tcp_rank(context, url, 0, 1, "secret", &group));
    mls_group_free(group);
    snprintf(url, sizeof url, "tcp://mixed.test:%d/x", port);
    ck_assert_fails(tcp_rank(context, url, 0, 1, NULL, &group), MLS_EINVAL, "192.0.2.1");
}
END_TEST

START_TEST(each_address_is_tried)
{
    char url[96], named_url[96];
    snprintf(url, sizeof url, "%s/x", base);
    snprintf(named_url, sizeof named_url, "tcp://second.test:%d/x", port);
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    tcp_rank_thread second = {.url = named_url, .token = "secret", .rank = 1, .size = 2};
    tcp_rank_start(&first);
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    tcp_rank_join(&first);
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

static mls_status meet_alone(mls_context *scarce, void *arg)
{
    mls_group *group;
    const mls_status status = tcp_rank(scarce, arg, 0, 1, "secret", &group);
    if (!status)
        mls_group_free(group);
    return status;
}

START_TEST(memory_may_run_out)
{
    char url[96];
    snprintf(url, sizeof url, "%s/x", base);
    mls_test_each_allocation(meet_alone, url);
}
END_TEST

/* --- folders --------------------------------------------------------------------------------- */

static char folder_url[600];

static void expect_empty(void)
{
    char path[700];
    snprintf(path, sizeof path, "%s/mlscale-group", mls_test_folder_path("meet"));
    ck_assert_int_ne(access(path, F_OK), 0);
}

/* One after the other in the same folder, with files of long ago in the way. */
START_TEST(folders_bring_ranks_together)
{
    char path[700];
    char nonsense[40] = "tcp1";
    const char *folder = mls_test_folder_path("meet");
    mkdir(folder, 0700);
    snprintf(folder_url, sizeof folder_url, "tcp://%s", folder);
    snprintf(path, sizeof path, "%s/mlscale-group", folder);
    for (int i = 0; i < 3; i++) {
        const int file = open(path, O_WRONLY | O_CREAT, 0600);
        /* Half a file; one of no address; one that leads to a port where nobody listens. */
        nonsense[4] = 4;
        nonsense[6] = i > 1;
        nonsense[8] = 127;
        nonsense[11] = 1;
        ck_assert_int_gt(write(file, nonsense, i ? 40 : 20), 0);
        close(file);
        tcp_ranks_run(folder_url, 3, i ? "secret" : NULL, NULL);
        expect_empty();
    }
}
END_TEST

/* Where an offer of long ago leads to, another program listens now. */
START_TEST(folders_may_lead_to_others)
{
    char path[700], nonsense[TCP_REPLY_BYTES];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    unsigned char offer[TCP_OFFER_BYTES];
    static const unsigned char id[TCP_OFFER_ID];
    tcp_address place = {.family = 4, .ip = {127, 0, 0, 1}};
    const char *folder = mls_test_folder_path("other");
    mkdir(folder, 0700);
    snprintf(folder_url, sizeof folder_url, "tcp://%s", folder);
    snprintf(path, sizeof path, "%s/mlscale-group", folder);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *) &address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
    place.port = ntohs(address.sin_port);
    tcp_offer_write(&place, id, offer);
    const int file = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(write(file, offer, sizeof offer), sizeof offer);
    close(file);

    tcp_rank_thread first = {.url = folder_url, .token = "secret", .rank = 0, .size = 2};
    tcp_rank_thread second = {.url = folder_url, .token = "secret", .rank = 1, .size = 2};
    tcp_rank_start(&second);
    memset(nonsense, 'x', sizeof nonsense);
    const int fd = accept(listener, NULL, NULL);
    ck_assert_int_eq(write(fd, nonsense, sizeof nonsense), sizeof nonsense);
    tcp_drain(fd);
    close(fd);
    close(listener);
    tcp_rank_start(&first);
    tcp_rank_join(&second);
    tcp_rank_join(&first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_meeting");
    TCase *tests = mls_test_case(suite, "meeting", setup, teardown);
    tcase_add_test(tests, groups_share_a_port);
    tcase_add_test(tests, a_port_has_one_context);
    tcase_add_test(tests, urls_are_checked);
    tcase_add_test(tests, no_token_no_network);
    tcase_add_test(tests, encryption_is_agreed);
    tcase_add_test(tests, folders_have_to_be_there);
    tcase_add_test(tests, who_waits_is_told_why);
    tcase_add_test(tests, names_are_of_hosts);
    tcase_add_test(tests, each_address_is_tried);
    tcase_add_test(tests, names_may_be_known_later);
    tcase_add_test(tests, memory_may_run_out);
    tcase_add_test(tests, folders_bring_ranks_together);
    tcase_add_test(tests, folders_may_lead_to_others);
    return mls_test_run(suite);
}
