/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages over TCP, frame by frame: what goes unasked and how much of that, what is wanted, what
 * is taken back, when each side's has ended, and how long ranks look. Two links, moved by hand.
 */
#include "support/test.h"
#include "transport/pair.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* LARGE: more pieces than one go by its WANT. */
enum { SMALL = 1000, LARGE = TCP_EAGER_BYTES + TCP_PIECE_MAX + 100000, MESSAGES = 4 };

static pair_end ends[2]; /* ranks 0 and 1 */
static unsigned char *from[MESSAGES], *to[MESSAGES];

static void setup(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    for (uint32_t i = 0; i < 2; i++) {
        const int bytes = 65536;
        ck_assert_int_eq(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    }
    for (uint32_t i = 0; i < 2; i++)
        ends[i] = pair_open(fds[i], i, 2, 1 - i);
    for (size_t k = 0; k < MESSAGES; k++) {
        from[k] = malloc(LARGE);
        to[k] = malloc(LARGE);
        for (size_t i = 0; i < LARGE; i++)
            from[k][i] = (unsigned char) (i * 7 + k);
        memset(to[k], 0xaa, LARGE);
    }
}

static void teardown(void)
{
    pair_close(&ends[0]);
    pair_close(&ends[1]);
    for (size_t k = 0; k < MESSAGES; k++) {
        free(from[k]);
        free(to[k]);
    }
}

static mls_transport_message message(uint32_t kind, void *data, size_t size)
{
    return (mls_transport_message){.size = sizeof(mls_transport_message),
                                   .kind = kind,
                                   .peer = kind == MLS_MESSAGE_SEND ? 1 : 0,
                                   .tag = 5,
                                   .data = data,
                                   .size_bytes = size,
                                   .head = "head",
                                   .head_bytes = 4};
}

/* Rank 0 sends, rank 1 receives. */
static mls_transport_message post_send(size_t k, size_t size)
{
    return message(MLS_MESSAGE_SEND, from[k], size);
}

static mls_transport_message post_receive(size_t k, size_t size)
{
    return message(MLS_MESSAGE_RECEIVE, to[k], size);
}

static tcp_link *link_of(const mls_transport_message *m)
{
    return ends[m->kind == MLS_MESSAGE_SEND ? 0 : 1].link;
}

static void post(mls_transport_message *m)
{
    ck_assert_int_eq(tcp_post(link_of(m), m), MLS_OK);
}

static mls_status look(mls_transport_message *m)
{
    return tcp_wait(link_of(m), m, 0);
}

/* Until both have seen all there is. */
static void move(void)
{
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < 2; k++)
            ck_assert(pair_visit(&ends[k]));
}

static uint64_t kept(void)
{
    return ends[1].link->peers[0].kept_bytes;
}

static uint64_t credit(void)
{
    return ends[0].link->peers[1].credit;
}

static void expect_whole(const mls_transport_message *m, size_t k, size_t as)
{
    ck_assert_mem_eq(m->data, from[as], m->size_bytes);
    mls_test_expect(m->size_bytes == LARGE || to[k][m->size_bytes] == 0xaa, "bytes behind it");
}

/* --- in either order ------------------------------------------------------------------------- */

START_TEST(first_bytes_go_unasked)
{
    const size_t sizes[] = {0, 1, SMALL, LARGE};
    const size_t size = sizes[_i % 4];
    const bool sends_first = _i < 4;
    mls_transport_message send = post_send(0, size), receive = post_receive(0, size);
    post(sends_first ? &send : &receive);
    move();
    ck_assert_int_eq(look(sends_first ? &send : &receive), MLS_ETIMEDOUT);
    ck_assert_uint_eq(kept(), !sends_first ? 0 : size < TCP_EAGER_BYTES ? size : TCP_EAGER_BYTES);
    post(sends_first ? &receive : &send);
    if (sends_first && size <= SMALL) /* it is there already */
        ck_assert_int_eq(look(&receive), MLS_OK);
    move();
    ck_assert_int_eq(look(&receive), MLS_OK);
    ck_assert_int_eq(look(&send), MLS_OK);
    expect_whole(&receive, 0, 0);
    ck_assert_uint_eq(kept() + credit(), 0);
}
END_TEST

/* Nothing lies with the receiver beyond the credit; all comes all the same, in its order. */
START_TEST(credit_is_bounded)
{
    mls_transport_message sends[MESSAGES], receives[MESSAGES];
    for (size_t k = 0; k < MESSAGES; k++) {
        sends[k] = post_send(k, LARGE / 2);
        post(&sends[k]);
    }
    move();
    ck_assert_uint_eq(kept(), TCP_CREDIT_BYTES);
    for (size_t k = 0; k < MESSAGES; k++) {
        receives[k] = post_receive(k, LARGE / 2);
        post(&receives[k]);
    }
    move();
    for (size_t k = 0; k < MESSAGES; k++) {
        ck_assert_int_eq(look(&receives[k]), MLS_OK);
        ck_assert_int_eq(look(&sends[k]), MLS_OK);
        expect_whole(&receives[k], k, k);
    }
    ck_assert_uint_eq(kept() + credit(), 0);
}
END_TEST

/* As frames of rank 0, which does not count. */
static void say(uint32_t kind, uint64_t id, const void *body, size_t size, size_t stated)
{
    const tcp_frame frame = {kind, 0, (uint32_t) stated, 0, id};
    ck_assert_int_eq(write(ends[0].conn->fd, &frame, sizeof frame), sizeof frame);
    ck_assert_int_eq(write(ends[0].conn->fd, body, size), (ssize_t) size);
}

static void announce(uint64_t id, uint64_t size, uint64_t eager)
{
    unsigned char body[TCP_ENVELOPE_MAX];
    const tcp_envelope envelope = {5, size, eager, "head", 4};
    const size_t count = tcp_envelope_write(&envelope, body);
    say(TCP_FRAME_SEND, id, body, count, count);
}

START_TEST(more_than_the_credit_ends_the_peer)
{
    announce(1, LARGE, TCP_CREDIT_BYTES);
    ck_assert(pair_visit(&ends[1]));
    announce(2, 1, 1);
    ck_assert(!pair_visit(&ends[1]));
}
END_TEST

/* What nobody can say who counts, numbers and asks as is agreed. */
START_TEST(nonsense_ends_the_peer)
{
    static const uint64_t none[2], early[2] = {1, 0};
    static mls_transport_message send, receive; /* which teardown() ends */
    send = post_send(0, LARGE);
    receive = post_receive(0, LARGE);
    switch (_i) {
    case 0: /* more eager bytes than the message has */
        announce(1, 10, 11);
        break;
    case 1: /* numbers ascend */
        announce(2, 10, 0);
        announce(2, 10, 0);
        break;
    case 2: /* more than was said to come unasked */
        announce(1, LARGE, 10);
        say(TCP_FRAME_EAGER, 1, "", 0, 11);
        break;
    case 3: /* data that nobody wants */
        say(TCP_FRAME_DATA, 0, "", 0, 1);
        break;
    case 4: /* the rest before the beginning */
        post(&receive);
        announce(1, LARGE, 10);
        ck_assert(pair_visit(&ends[1]));
        say(TCP_FRAME_DATA, ends[1].link->next_id, "", 0, 1);
        break;
    case 5: /* a want of no number */
        say(TCP_FRAME_WANT, 1, none, sizeof none, sizeof none);
        break;
    default: /* a want in the middle; of rank 1's send */
        send.peer = 0;
        ck_assert_int_eq(tcp_post(ends[1].link, &send), MLS_OK);
        say(TCP_FRAME_WANT, ends[1].link->next_id, early, sizeof early, sizeof early);
        ck_assert(pair_visit(&ends[1])); /* from its first byte on */
        say(TCP_FRAME_WANT, ends[1].link->next_id, early, sizeof early, sizeof early);
    }
    ck_assert(!pair_visit(&ends[1]));
}
END_TEST

/* Others have their turn, however small the frames are. */
START_TEST(visits_end_after_some_frames)
{
    enum { FRAMES = 4 * TCP_VISIT_FRAMES };
    static tcp_frame frames[FRAMES];
    const tcp_peer *peer = &ends[1].link->peers[0];
    announce(FRAMES + 1, 0, 0);
    ck_assert(pair_visit(&ends[1]));
    ck_assert_uint_eq(peer->arrival_count, 1);
    for (size_t i = 0; i < FRAMES; i++)
        frames[i] = (tcp_frame){TCP_FRAME_ABANDON, 0, 0, 0, i + (i == FRAMES - 1 ? 2 : 1)};
    ck_assert_int_eq(write(ends[0].conn->fd, frames, sizeof frames), sizeof frames);
    ck_assert(pair_visit(&ends[1]));
    ck_assert_uint_eq(peer->arrival_count, 1);
    for (int i = 0; i < 4; i++)
        ck_assert(pair_visit(&ends[1]));
    ck_assert_uint_eq(peer->arrival_count, 0);
}
END_TEST

/* --- heads ----------------------------------------------------------------------------------- */

START_TEST(heads_are_compared_before_data_lands)
{
    mls_transport_message send = post_send(0, SMALL), receive = post_receive(0, SMALL);
    mls_transport_message next = post_send(1, SMALL), other = post_receive(1, SMALL);
    receive.head = "HEAD";
    post(_i ? &send : &receive);
    move();
    post(_i ? &receive : &send);
    post(&next);
    post(&other);
    move();
    ck_assert_int_eq(look(&receive), MLS_EMISMATCH);
    ck_assert_int_eq(look(&send), MLS_EMISMATCH);
    ck_assert_mem_eq(receive.other_head, "head", 5);
    ck_assert_mem_eq(send.other_head, "HEAD", 5);
    for (size_t i = 0; i < SMALL; i++)
        mls_test_expect(to[0][i] == 0xaa, "byte %zu", i);
    ck_assert_int_eq(look(&other), MLS_OK);
    ck_assert_int_eq(look(&next), MLS_OK);
    expect_whole(&other, 1, 1);
    ck_assert_uint_eq(kept() + credit(), 0);
}
END_TEST

/* --- taken back ------------------------------------------------------------------------------ */

/* What was on its way to the one comes to the next, from its first byte on. */
START_TEST(receives_are_taken_back)
{
    mls_transport_message send = post_send(0, LARGE);
    mls_transport_message first = post_receive(1, LARGE), next = post_receive(0, LARGE);
    post(&first);
    post(&send);
    if (_i)
        post(&next);
    ck_assert(pair_visit(&ends[1])); /* sockets do not take all of it at once */
    ck_assert(pair_visit(&ends[0]));
    ck_assert_int_eq(look(&first), MLS_ETIMEDOUT);
    ck_assert_int_eq(tcp_retract(ends[1].link, &first), MLS_ECANCELLED);
    memset(to[1], 0x55, LARGE);
    if (!_i) {
        move();
        ck_assert_int_eq(look(&send), MLS_ETIMEDOUT);
        post(&next);
    }
    move();
    ck_assert_int_eq(look(&next), MLS_OK);
    ck_assert_int_eq(look(&send), MLS_OK);
    expect_whole(&next, 0, 0);
    for (size_t i = 0; i < LARGE; i++)
        mls_test_expect(to[1][i] == 0x55, "byte %zu", i);
    ck_assert_uint_eq(kept() + credit(), 0);
}
END_TEST

/* They were on their way when nobody wanted them any more. */
START_TEST(late_bytes_are_dropped)
{
    mls_transport_message first = post_receive(0, LARGE), next = post_receive(0, LARGE);
    post(&first);
    announce(1, LARGE, 10);
    ck_assert(pair_visit(&ends[1]));
    const uint64_t number = ends[1].link->next_id;
    ck_assert_int_eq(tcp_retract(ends[1].link, &first), MLS_ECANCELLED);
    post(&next);
    say(TCP_FRAME_EAGER, 1, from[0], 10, 10);
    say(TCP_FRAME_DATA, number, from[0], 1000, 1000);
    ck_assert(pair_visit(&ends[1]));
    ck_assert_uint_eq(to[0][0], 0xaa);
    say(TCP_FRAME_DATA, ends[1].link->next_id, from[0], 1000, 1000);
    ck_assert(pair_visit(&ends[1]));
    ck_assert_mem_eq(to[0], from[0], 1000);
    ck_assert_uint_eq(to[0][1000], 0xaa);
    ck_assert_int_eq(tcp_retract(ends[1].link, &next), MLS_ECANCELLED);
}
END_TEST

START_TEST(sends_are_taken_back)
{
    mls_transport_message first = post_send(0, LARGE), next = post_send(1, LARGE);
    mls_transport_message receive = post_receive(0, LARGE);
    post(&first);
    if (_i)
        post(&receive);
    ck_assert(pair_visit(&ends[1])); /* sockets do not take all of it at once */
    ck_assert(pair_visit(&ends[0]));
    ck_assert_int_eq(tcp_retract(ends[0].link, &first), MLS_ECANCELLED);
    move();
    ck_assert_uint_eq(kept() + credit(), 0);
    post(&next);
    if (!_i)
        post(&receive);
    move();
    ck_assert_int_eq(look(&receive), MLS_OK);
    ck_assert_int_eq(look(&next), MLS_OK);
    expect_whole(&receive, 0, 1);
}
END_TEST

/* --- agreed ---------------------------------------------------------------------------------- */

/* Rank 0's wait costs rank 1 no frame of its own: it says so with the next that it has. */
static void expect_late_word(uint64_t held)
{
    mls_transport_message answer = post_receive(1, SMALL), question = post_send(1, SMALL);
    ck_assert_uint_eq(credit(), held);
    answer.peer = 1;
    question.peer = 0;
    ck_assert_int_eq(tcp_post(ends[0].link, &answer), MLS_OK);
    ck_assert_int_eq(tcp_post(ends[1].link, &question), MLS_OK);
    move();
    ck_assert_int_eq(tcp_wait(ends[1].link, &question, 0), MLS_OK);
    ck_assert_int_eq(tcp_wait(ends[0].link, &answer, 0), MLS_OK);
    ck_assert_uint_eq(kept() + credit(), 0);
}

/* Who knows that the other receives need not wait until it has. */
START_TEST(agreed_sends_end_when_given)
{
    mls_transport_message send = post_send(0, _i ? LARGE : SMALL);
    mls_transport_message receive = post_receive(0, _i ? LARGE : SMALL);
    send.flags = receive.flags = MLS_MESSAGE_AGREED;
    post(&send);
    if (_i) { /* no more than the credit is given */
        move();
        ck_assert_int_eq(look(&send), MLS_ETIMEDOUT);
    } else {
        ck_assert_int_eq(look(&send), MLS_OK);
        memset(from[0], 1, SMALL); /* its memory is the caller's again */
    }
    move();
    post(&receive);
    move();
    ck_assert_int_eq(look(&send), MLS_OK);
    ck_assert_int_eq(look(&receive), MLS_OK);
    for (size_t i = 0; i < receive.size_bytes; i++)
        mls_test_expect(to[0][i] == (unsigned char) (i * 7), "byte %zu", i);
    expect_late_word(_i ? 0 : SMALL);
}
END_TEST

/* What goes behind it on its connection is not waited for. */
START_TEST(agreed_sends_end_with_their_last_piece)
{
    mls_transport_message sends[3], receives[3];
    bool was_early = false;
    for (size_t k = 0; k < 3; k++) {
        sends[k] = post_send(k, k == 1 ? SMALL : LARGE);
        receives[k] = post_receive(k, k == 1 ? SMALL : LARGE);
        sends[k].tag = receives[k].tag = k;
        sends[k].flags = receives[k].flags = k == 1 ? MLS_MESSAGE_AGREED : 0;
        if (k != 1) /* nothing can say that it has come */
            post(&receives[k]);
        post(&sends[k]); /* the first one fills the socket */
    }
    ck_assert_int_eq(look(&sends[1]), MLS_ETIMEDOUT);
    for (int i = 0; i < 200; i++) {
        ck_assert(pair_visit(&ends[1]));
        ck_assert(pair_visit(&ends[0]));
        was_early = was_early || (ends[0].conn->is_due && look(&sends[1]) == MLS_OK);
    }
    ck_assert(was_early);
    post(&receives[1]);
    ck_assert_int_eq(look(&receives[1]), MLS_OK);
    for (size_t k = 0; k < 3; k++) {
        ck_assert_int_eq(look(&sends[k]), MLS_OK);
        ck_assert_int_eq(look(&receives[k]), MLS_OK);
        expect_whole(&receives[k], k, k);
    }
}
END_TEST

/* Who has given all may leave; what it gave counts. */
START_TEST(what_was_given_outlives_its_sender)
{
    mls_transport_message send = post_send(0, SMALL), receive = post_receive(0, SMALL);
    mls_transport_message more = post_receive(1, SMALL);
    send.flags = receive.flags = more.flags = MLS_MESSAGE_AGREED;
    post(&send);
    move();
    tcp_leave(ends[0].link);
    ck_assert(!pair_visit(&ends[1]));
    pthread_mutex_lock(&ends[1].link->mutex);
    tcp_link_lose(ends[1].conn);
    pthread_mutex_unlock(&ends[1].link->mutex);
    post(&receive);
    post(&more);
    ck_assert_int_eq(look(&receive), MLS_OK);
    ck_assert_int_eq(look(&more), MLS_EPEER);
    expect_whole(&receive, 0, 0);
}
END_TEST

/* --- waiting --------------------------------------------------------------------------------- */

/* Only ranks of this host take a core of it. */
START_TEST(ranks_look_where_each_has_a_core)
{
    cpu_set_t all, one;
    tcp_peer *peers = ends[0].link->peers;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    peers[0].address = (tcp_address){4, 80, {10, 0, 0, 1}};
    peers[1].address = (tcp_address){4, 81, {10, 0, 0, 1}};
    tcp_link_spin(ends[0].link, 200);
    ck_assert_uint_eq(ends[0].link->spin_ns, 0);
    peers[1].address = (tcp_address){4, 80, {10, 0, 0, 2}};
    tcp_link_spin(ends[0].link, 200);
    ck_assert_uint_eq(ends[0].link->spin_ns, 200000);
    sched_setaffinity(0, sizeof all, &all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_messages");
    TCase *tests = mls_test_case(suite, "messages", setup, teardown);
    tcase_add_loop_test(tests, first_bytes_go_unasked, 0, 8);
    tcase_add_test(tests, credit_is_bounded);
    tcase_add_test(tests, more_than_the_credit_ends_the_peer);
    tcase_add_loop_test(tests, nonsense_ends_the_peer, 0, 7);
    tcase_add_test(tests, visits_end_after_some_frames);
    tcase_add_loop_test(tests, heads_are_compared_before_data_lands, 0, 2);
    tcase_add_loop_test(tests, receives_are_taken_back, 0, 2);
    tcase_add_test(tests, late_bytes_are_dropped);
    tcase_add_loop_test(tests, sends_are_taken_back, 0, 2);
    tcase_add_loop_test(tests, agreed_sends_end_when_given, 0, 2);
    tcase_add_test(tests, agreed_sends_end_with_their_last_piece);
    tcase_add_test(tests, what_was_given_outlives_its_sender);
    tcase_add_test(tests, ranks_look_where_each_has_a_core);
    return mls_test_run(suite);
}
