/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who decides on who is left, where one rank has passed over another that was only slow: one link,
 * whose two peers are the test.
 */
#include "support/test.h"
#include "transport/pair.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RANKS = 3 };

static pair_end ends[RANKS]; /* one link, and its connection with each */
static int fds[RANKS];       /* the peers' */
static tcp_link *link_of_us;

static int open_socket(uint32_t peer)
{
    int both[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, both), 0);
    fds[peer] = both[1];
    return both[0];
}

/* With its hand raised. */
static void be_rank(uint32_t rank)
{
    const uint32_t first = rank == 0 ? 1 : 0, second = rank == 2 ? 1 : 2;
    const tcp_secrets secrets = {.epoch = 0};
    ends[first] = pair_open(open_socket(first), rank, RANKS, first);
    link_of_us = ends[second].link = ends[first].link;
    tcp_conn *conn = tcp_conn_create(link_of_us->hub, open_socket(second), TCP_INPUT_BYTES);
    ck_assert_int_eq(tcp_conn_open(conn, &secrets, false, true), MLS_OK);
    pthread_mutex_lock(&link_of_us->mutex);
    tcp_link_attach(link_of_us, conn, second);
    link_of_us->peers[rank].raised = 1;
    pthread_mutex_unlock(&link_of_us->mutex);
    ends[second].conn = conn;
}

static void stop_being(uint32_t rank)
{
    const uint32_t first = rank == 0 ? 1 : 0, second = rank == 2 ? 1 : 2;
    pthread_mutex_lock(&link_of_us->mutex);
    tcp_link_lose(ends[second].conn);
    pthread_mutex_unlock(&link_of_us->mutex);
    link_of_us->hub->todo = NULL; /* no loop looks at it */
    tcp_conn_free(ends[second].conn);
    pair_close(&ends[first]);
    close(fds[first]);
    close(fds[second]);
}

static void say(uint32_t peer, uint32_t kind, uint64_t id, const void *body, size_t size)
{
    const tcp_frame frame = {kind, 0, (uint32_t) size, 0, id};
    ck_assert_int_eq(write(fds[peer], &frame, sizeof frame), sizeof frame);
    ck_assert_int_eq(write(fds[peer], body, size), (ssize_t) size);
}

/* The hand of the first agreement, without any time left; `silent` is passed over. */
static void say_late(uint32_t peer, const uint32_t *silent)
{
    say(peer, TCP_FRAME_HAND, 3, NULL, 0);
    if (silent)
        say(peer, TCP_FRAME_HAND, 3, silent, sizeof *silent);
}

static void expect_agreement(uint32_t count, const uint32_t *ranks)
{
    ck_assert_uint_eq(link_of_us->agreements, 1);
    ck_assert_uint_eq(link_of_us->survivor_count, count);
    ck_assert_mem_eq(link_of_us->survivors, ranks, count * sizeof *ranks);
}

/* It was busy. Else it would decide on itself and rank 1, who has decided on others by then. */
START_TEST(who_was_passed_over_adopts)
{
    const uint32_t own = 0, others[] = {1, 2};
    unsigned char body[sizeof others];
    be_rank(0);
    say_late(1, &own);
    ck_assert(pair_visit(&ends[1]));
    ck_assert_uint_eq(link_of_us->agreements, 0);
    say_late(2, NULL);
    ck_assert(pair_visit(&ends[2]));
    ck_assert_uint_eq(link_of_us->agreements, 0);
    say(1, TCP_FRAME_DECISION, 1, body, tcp_ranks_write(others, 2, body));
    ck_assert(pair_visit(&ends[1]));
    expect_agreement(2, others);
    stop_being(0);
}
END_TEST

/* The next one decides though the first has been heard of again, since that one does not. */
START_TEST(the_next_one_decides)
{
    const uint32_t first = 0, all[] = {0, 1, 2};
    be_rank(1);
    say(0, TCP_FRAME_HAND, 2, NULL, 0);
    say_late(2, &first);
    ck_assert(_i ? pair_visit(&ends[2]) : pair_visit(&ends[0]));
    ck_assert_uint_eq(link_of_us->agreements, 1);
    if (_i) /* its hand came behind that */
        expect_agreement(3, all);
    stop_being(1);
}
END_TEST

/* Nobody else can: those that passed it over are gone. */
START_TEST(who_is_left_alone_decides)
{
    const uint32_t own = 0;
    be_rank(0);
    say_late(1, &own);
    say(2, TCP_FRAME_HAND, 2, NULL, 0);
    ck_assert(pair_visit(&ends[1]));
    for (uint32_t peer = 1; peer < RANKS; peer++) {
        ck_assert_uint_eq(link_of_us->agreements, 0);
        pthread_mutex_lock(&link_of_us->mutex);
        tcp_link_lose(ends[peer].conn);
        tcp_survivors_consider(link_of_us);
        pthread_mutex_unlock(&link_of_us->mutex);
    }
    expect_agreement(1, &own);
    stop_being(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_survivors");
    TCase *tests = mls_test_case(suite, "survivors", NULL, NULL);
    tcase_add_test(tests, who_was_passed_over_adopts);
    tcase_add_loop_test(tests, the_next_one_decides, 0, 2);
    tcase_add_test(tests, who_is_left_alone_decides);
    return mls_test_run(suite);
}
