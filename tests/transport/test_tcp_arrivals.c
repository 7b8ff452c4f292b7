/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How what a peer announces is found, by each of its names: in few steps whatever the peer says,
 * and in its order. One link, whose peer is the test.
 */
#include "support/test.h"
#include "transport/pair.h"

#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 1000 };

static pair_end end; /* of rank 1 */
static int peer_fd;  /* of rank 0 */
static unsigned char bytes[SIZE];

static void setup(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end = pair_open(fds[0], 1, 2, 0);
    peer_fd = fds[1];
}

static void teardown(void)
{
    pair_close(&end);
    close(peer_fd);
}

static void say(uint32_t kind, uint64_t id, const void *body, size_t size)
{
    const tcp_frame frame = {kind, 0, (uint32_t) size, 0, id};
    ck_assert_int_eq(write(peer_fd, &frame, sizeof frame), sizeof frame);
    ck_assert_int_eq(write(peer_fd, body, size), (ssize_t) size);
}

static void announce(uint64_t tag, uint64_t id, uint64_t size)
{
    unsigned char body[TCP_ENVELOPE_MAX];
    const tcp_envelope envelope = {tag, size, 0, "head", 4};
    say(TCP_FRAME_SEND, id, body, tcp_envelope_write(&envelope, body));
}

static mls_transport_message receive_of(uint64_t tag)
{
    return (mls_transport_message){.size = sizeof(mls_transport_message),
                                   .kind = MLS_MESSAGE_RECEIVE,
                                   .peer = 0,
                                   .tag = tag,
                                   .data = bytes,
                                   .size_bytes = SIZE,
                                   .head = "head",
                                   .head_bytes = 4};
}

static void post(mls_transport_message *message)
{
    ck_assert_int_eq(tcp_post(end.link, message), MLS_OK);
}

/*
 * Frames that name one message of many, or none, cost the same: ABANDON, DATA, and SEND where that
 * meets a receive. (Frames of 24 bytes could have the loop walk 65,535 messages each.)
 */
START_TEST(frames_find_their_message)
{
    enum { ANNOUNCED = 20000, ASKED = 200 };
    const tcp_peer *peer = &end.link->peers[0];
    mls_transport_message receive = receive_of(6);
    for (uint64_t i = 1; i <= ANNOUNCED; i++) { /* of one tag, which nobody receives */
        announce(5, i << 16, 1);
        ck_assert(pair_visit(&end));
    }
    ck_assert_uint_eq(peer->arrival_count, ANNOUNCED);
    post(&receive);
    for (uint64_t i = 1; i <= ASKED; i++) {
        const uint64_t id = (uint64_t) (ANNOUNCED + i) << 16;
        say(TCP_FRAME_ABANDON, ((uint64_t) ANNOUNCED << 16) - i, NULL, 0);
        say(TCP_FRAME_DATA, 1000000 + i, NULL, 0);
        announce(6, id, SIZE); /* it is wanted, and taken back: the receive looks again */
        say(TCP_FRAME_ABANDON, id, NULL, 0);
        ck_assert(pair_visit(&end));
        ck_assert_int_eq(tcp_wait(end.link, &receive, 0), MLS_ETIMEDOUT);
    }
    for (uint64_t i = 0; i < ASKED; i++) { /* the last ones first */
        say(TCP_FRAME_ABANDON, (ANNOUNCED - i) << 16, NULL, 0);
        ck_assert(pair_visit(&end));
    }
    ck_assert_uint_eq(peer->arrival_count, ANNOUNCED - ASKED);
    ck_assert_uint_lt(peer->index.passed, 100 * ASKED);
    ck_assert_int_eq(tcp_retract(end.link, &receive), MLS_ECANCELLED);
}
END_TEST

/* In the order of announcements, though one has been taken and given back. */
START_TEST(messages_of_a_tag_keep_their_order)
{
    mls_transport_message first = receive_of(5), receives[3];
    const tcp_peer *peer = &end.link->peers[0];
    for (uint64_t i = 1; i <= 40; i++) /* more than the first chains are for */
        announce(i <= 3 ? 5 : 100 + i, i, SIZE);
    ck_assert(pair_visit(&end));
    ck_assert_ptr_nonnull(peer->index.chains);
    post(&first);
    ck_assert_ptr_eq(peer->arrivals->letter->message, &first);
    ck_assert_int_eq(tcp_retract(end.link, &first), MLS_ECANCELLED);
    for (size_t k = 0; k < 3; k++) {
        receives[k] = receive_of(5);
        post(&receives[k]);
    }
    const tcp_arrival *arrival = peer->arrivals;
    for (size_t k = 0; k < 3; k++, arrival = arrival->next)
        ck_assert_ptr_eq(arrival->letter->message, &receives[k]);
    for (size_t k = 0; k < 3; k++)
        ck_assert_int_eq(tcp_retract(end.link, &receives[k]), MLS_ECANCELLED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_arrivals");
    TCase *tests = mls_test_case(suite, "arrivals", setup, teardown);
    tcase_add_test(tests, frames_find_their_message);
    tcase_add_test(tests, messages_of_a_tag_keep_their_order);
    return mls_test_run(suite);
}
