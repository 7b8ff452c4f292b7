/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who does not have the token disturbs nothing: neither those that meet at a port, nor those
 * that have met there.
 */
#include "transport/ranks.h"

#include "transport/tcp/frame.h"
#include "transport/tcp/handshake.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char url[64];
static int port;

static void setup(void)
{
    port = mls_test_free_port();
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d/strangers", port);
}

static void send_some(int fd, const void *bytes, size_t size)
{
    (void) !send(fd, bytes, size, MSG_NOSIGNAL);
}

/* The rest of a group whose rank 0 waits already, and the end of rank 0. */
static void complete(tcp_rank_thread *first)
{
    tcp_rank_thread second = {.url = url, .token = first->token, .rank = 1, .size = 2};
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    tcp_rank_join(first);
}

/* --- bytes that mean nothing ----------------------------------------------------------------- */

START_TEST(random_bytes_are_dropped)
{
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    uint64_t state = mls_test_seed(1);
    tcp_rank_start(&first);
    for (int i = 0; i < 200; i++) {
        unsigned char bytes[600];
        const int fd = tcp_dial(port);
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (unsigned char) mls_test_random(&state);
        if (i % 2) /* what follows a right beginning */
            memcpy(bytes, "mlscale\1", 8);
        send_some(fd, bytes, sizeof bytes);
        ck_assert_uint_eq(tcp_drain(fd), 0);
        close(fd);
    }
    complete(&first);
}
END_TEST

/* More connections than may be open, and none says a word; some say half of one. */
START_TEST(silent_ones_keep_nobody_out)
{
    enum { MANY = 300 };
    static int open_ones[MANY];
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    tcp_rank_start(&first);
    for (int i = 0; i < MANY; i++) {
        open_ones[i] = tcp_dial(port);
        if (i % 2)
            send_some(open_ones[i], "mlscale\1", 8);
    }
    ck_assert_uint_eq(tcp_drain(open_ones[0]), 0); /* the oldest had to go */
    complete(&first);
    for (int i = 0; i < MANY; i++)
        close(open_ones[i]);
}
END_TEST

/* A byte now and then, of a HELLO that would be right but for its mac. */
START_TEST(slow_ones_end)
{
    unsigned char bytes[TCP_HELLO_BYTES], token[32];
    tcp_hello hello = {.encrypts = true};
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    tcp_group_key("name", "strangers", 9, hello.group);
    tcp_token_key("guess", 5, token);
    tcp_hello_write(&hello, token, bytes);
    tcp_rank_start(&first);
    const int fd = tcp_dial(port);
    for (size_t i = 0; i < sizeof bytes - 1; i++)
        send_some(fd, bytes + i, 1);
    const int silent = tcp_dial(port);
    ck_assert_uint_eq(tcp_drain(silent), 0); /* its time is over some day */
    close(silent);
    close(fd);
    complete(&first);
}
END_TEST

START_TEST(guesses_get_a_refusal)
{
    unsigned char bytes[TCP_HELLO_BYTES], token[32];
    tcp_hello hello = {.encrypts = true};
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    tcp_rank_start(&first);
    tcp_group_key("name", "strangers", 9, hello.group);
    for (int i = 0; i < 20; i++) {
        tcp_token_key(&i, sizeof i, token);
        tcp_hello_write(&hello, token, bytes);
        const int fd = tcp_dial(port);
        send_some(fd, bytes, sizeof bytes);
        ck_assert_uint_eq(tcp_drain(fd), TCP_REPLY_BYTES);
        close(fd);
    }
    complete(&first);
}
END_TEST

/* --- who has heard others -------------------------------------------------------------------- */

/* Between rank 1 and rank 0, which it hands everything to; keeps what rank 1 says. */
typedef struct listener {
    int fd, port;
    unsigned char bytes[1 << 20];
    size_t count;
    size_t spoil_at; /* the byte that it changes; 0: none */
    pthread_t threads[2];
    int from, to;
} listener;

static listener ear;

static void *hand_back(void *arg)
{
    char bytes[65536];
    ssize_t got;
    (void) arg;
    while ((got = recv(ear.to, bytes, sizeof bytes, 0)) > 0)
        send_some(ear.from, bytes, (size_t) got);
    shutdown(ear.from, SHUT_WR);
    return NULL;
}

static void *hand_on(void *arg)
{
    ssize_t got;
    (void) arg;
    ear.from = accept(ear.fd, NULL, NULL);
    ear.to = tcp_dial(port);
    pthread_create(&ear.threads[1], NULL, hand_back, NULL);
    while ((got = recv(ear.from, ear.bytes + ear.count, sizeof ear.bytes - ear.count, 0)) > 0) {
        const size_t end = ear.count + (size_t) got;
        if (ear.spoil_at >= ear.count && ear.spoil_at < end && ear.spoil_at)
            ear.bytes[ear.spoil_at] ^= 1;
        send_some(ear.to, ear.bytes + ear.count, (size_t) got);
        ear.count = end;
    }
    shutdown(ear.to, SHUT_WR);
    pthread_join(ear.threads[1], NULL);
    close(ear.from);
    close(ear.to);
    return NULL;
}

static void listen_in(size_t spoil_at)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    ear.count = 0;
    ear.spoil_at = spoil_at;
    ear.fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(listen(ear.fd, 8), 0); /* at a port of the system's choice */
    ck_assert_int_eq(getsockname(ear.fd, (struct sockaddr *) &address, &size), 0);
    unsigned char port_bytes[2];
    memcpy(port_bytes, (const char *) &address + 2, 2);
    ear.port = port_bytes[0] * 256 + port_bytes[1];
    pthread_create(&ear.threads[0], NULL, hand_on, NULL);
}

static void stop_listening(void)
{
    pthread_join(ear.threads[0], NULL);
    close(ear.fd);
}

/* What was said once is of no use, neither to the same group's port nor to a later group. */
START_TEST(replays_are_refused)
{
    char through[64];
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    listen_in(0);
    snprintf(through, sizeof through, "tcp://127.0.0.1:%d/strangers", ear.port);
    tcp_rank_thread second = {.url = through, .token = "secret", .rank = 1, .size = 2};
    tcp_rank_start(&first);
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    tcp_rank_join(&first);
    stop_listening();
    ck_assert_uint_gt(ear.count, TCP_HELLO_BYTES + TCP_CONFIRM_BYTES);

    tcp_rank_start(&first);
    for (int i = 0; i < 3; i++) {
        const int fd = tcp_dial(port);
        /* HELLO alone gets an answer, made for keys that only its author has. */
        send_some(fd, ear.bytes, TCP_HELLO_BYTES);
        unsigned char reply[TCP_REPLY_BYTES];
        ck_assert_int_eq(recv(fd, reply, sizeof reply, MSG_WAITALL), TCP_REPLY_BYTES);
        send_some(fd, ear.bytes + TCP_HELLO_BYTES, ear.count - TCP_HELLO_BYTES);
        ck_assert_uint_eq(tcp_drain(fd), 0);
        close(fd);
    }
    complete(&first);
}
END_TEST

static void expect_end(mls_group *group)
{
    mls_status status;
    while ((status = tcp_try_sums(group)) == MLS_OK)
        ;
    ck_assert_int_eq(status, MLS_EPEER);
}

/* One bit is enough to end the connection, and the calls of both ends. */
START_TEST(changes_are_seen)
{
    char through[64];
    tcp_rank_thread first = {.url = url, .token = "secret", .rank = 0, .size = 2};
    listen_in(600000); /* past the first sums: 400100 bytes of data, and heads */
    snprintf(through, sizeof through, "tcp://127.0.0.1:%d/strangers", ear.port);
    tcp_rank_thread second = {.url = through, .token = "secret", .rank = 1, .size = 2};
    first.body = second.body = expect_end;
    tcp_rank_start(&first);
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    tcp_rank_join(&first);
    stop_listening();
}
END_TEST

/* Nothing of what is sent can be read by who hears it; unless that is wanted. */
static bool is_heard(const char *options, const char *token)
{
    char near[96], through[96];
    float seen[16];
    listen_in(0);
    snprintf(near, sizeof near, "%s?%s", url, options);
    snprintf(through, sizeof through, "tcp://127.0.0.1:%d/strangers?%s", ear.port, options);
    tcp_rank_thread first = {.url = near, .token = token, .rank = 0, .size = 2};
    tcp_rank_thread second = {.url = through, .token = token, .rank = 1, .size = 2};
    tcp_rank_start(&first);
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    tcp_rank_join(&first);
    stop_listening();
    for (int i = 0; i < 16; i++)
        seen[i] = (float) i;
    return memmem(ear.bytes, ear.count, seen, sizeof seen) != NULL;
}

START_TEST(nothing_is_heard)
{
    ck_assert(!is_heard("encrypt=on", "secret"));
    ck_assert(is_heard("encrypt=off", "secret"));
    ck_assert(is_heard("encrypt=on", NULL)); /* there is no secret */
}
END_TEST

/* --- a rank that says nonsense --------------------------------------------------------------- */

/* A rank 1 without a token, once it has shown that it has none. */
static int shake_hands_as_rank_1(tcp_secrets *ret_secrets)
{
    unsigned char hello_bytes[TCP_HELLO_BYTES], reply[TCP_REPLY_BYTES], token[32];
    unsigned char confirm[TCP_CONFIRM_BYTES];
    tcp_keypair pair;
    tcp_hello hello = {.encrypts = false};
    tcp_keypair_make(&pair);
    tcp_token_key(NULL, 0, token);
    tcp_group_key("name", "strangers", 9, hello.group);
    memcpy(hello.public, pair.public, 32);
    tcp_hello_write(&hello, token, hello_bytes);
    const int fd = tcp_dial(port);
    send_some(fd, hello_bytes, sizeof hello_bytes);
    ck_assert_int_eq(recv(fd, reply, sizeof reply, MSG_WAITALL), TCP_REPLY_BYTES);
    ck_assert_uint_eq(tcp_reply_read(hello_bytes, reply, &pair, token, ret_secrets),
                      TCP_REFUSED_NOT);
    tcp_confirm_write(ret_secrets, confirm);
    send_some(fd, confirm, sizeof confirm);
    return fd;
}

static void ask_to_join(int fd, const tcp_secrets *secrets)
{
    unsigned char bytes[TCP_HEADER_BYTES + sizeof(tcp_join)];
    const tcp_frame frame = {TCP_FRAME_JOIN, secrets->epoch, sizeof(tcp_join), 0, 0};
    const tcp_join join = {TCP_JOIN_MEET, 1, 2, 0, {4, 9, {127, 0, 0, 1}}};
    memcpy(bytes, &frame, sizeof frame);
    memcpy(bytes + sizeof frame, &join, sizeof join);
    send_some(fd, bytes, sizeof bytes);
}

static int join_as_rank_1(tcp_secrets *ret_secrets)
{
    const int fd = shake_hands_as_rank_1(ret_secrets);
    ask_to_join(fd, ret_secrets);
    return fd;
}

static void *wait_in_vain(void *arg)
{
    mls_context *context;
    mls_group *group;
    (void) arg;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_fails(tcp_rank(context, url, 0, 2, NULL, &group), MLS_EPEER, "rank 1 is dead");
    mls_context_free(context);
    return NULL;
}

/* Frames with wrong kinds, sizes, numbers and epochs: rank 0 has no rank 1 any more, that is all.
 */
START_TEST(nonsense_ends_its_rank)
{
    static const tcp_frame frames[] = {
        {0, 0, 0, 0, 0},
        {TCP_FRAME_KINDS, 0, 0, 0, 0},
        {TCP_FRAME_RECORD, 0, TCP_RECORD_BYTES + 1, 0, 1},
        {TCP_FRAME_RECORD, 0, 0, 0, 2},
        {TCP_FRAME_RECORD, 0, 0, 1, 1},
        {TCP_FRAME_RECORD, 1, 0, 0, 1},
        {TCP_FRAME_SEND, 0, 23, 0, 1},
        {TCP_FRAME_DATA, 0, UINT32_MAX, 0, 1},
        {TCP_FRAME_ABORT, 0, 15, 0, 0},
        {TCP_FRAME_HAND, 0, 3, 0, 2},
        {TCP_FRAME_DECISION, 0, 6, 0, 0},
        {TCP_FRAME_JOIN, 0, sizeof(tcp_join), 0, 0},
        {TCP_FRAME_TABLE, 0, 100, 0, 0},
    };
    static const unsigned char zeros[256];
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        pthread_t thread;
        tcp_secrets secrets;
        pthread_create(&thread, NULL, wait_in_vain, NULL);
        const int fd = join_as_rank_1(&secrets);
        tcp_frame frame = frames[i];
        frame.epoch += secrets.epoch;
        send_some(fd, &frame, sizeof frame);
        send_some(fd, zeros, frame.size < sizeof zeros ? frame.size : sizeof zeros);
        tcp_drain(fd);
        close(fd);
        pthread_join(thread, NULL);
    }
}
END_TEST

/* --- a rank of another group ----------------------------------------------------------------- */

static atomic_bool has_shaken;

/* One group behind another, until one of them had a visitor. */
static void *wait_for_a_hand(void *arg)
{
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 300;
    do
        ck_assert_fails(mls_group_create(arg, url, 0, 2, &options, &group), MLS_EDEADLINE,
                        "have not come: 1");
    while (!atomic_load(&has_shaken));
    return NULL;
}

static void *wait_with_a_token(void *arg)
{
    mls_group *group;
    ck_assert_ok(tcp_rank(arg, url, 0, 2, "secret", &group));
    ck_assert_ok(tcp_try_sums(group));
    mls_group_free(group);
    return NULL;
}

/* Returns once a group with a token waits at the port: a guess is refused. */
static void await_refusal(void)
{
    unsigned char bytes[TCP_HELLO_BYTES], token[32];
    tcp_hello hello = {.encrypts = true};
    tcp_group_key("name", "strangers", 9, hello.group);
    tcp_token_key("guess", 5, token);
    tcp_hello_write(&hello, token, bytes);
    const int fd = tcp_dial(port);
    send_some(fd, bytes, sizeof bytes);
    ck_assert_uint_eq(tcp_drain(fd), TCP_REPLY_BYTES);
    close(fd);
}

/* Who has shaken hands with a group without a token is no rank of the next one of that name. */
START_TEST(hands_are_shaken_with_one_group)
{
    pthread_t thread;
    tcp_secrets secrets;
    mls_context *context;
    tcp_rank_thread second = {.url = url, .token = "secret", .rank = 1, .size = 2};
    ck_assert_ok(mls_context_create(NULL, &context));
    pthread_create(&thread, NULL, wait_for_a_hand, context);
    const int fd = shake_hands_as_rank_1(&secrets);
    atomic_store(&has_shaken, true);
    pthread_join(thread, NULL);

    pthread_create(&thread, NULL, wait_with_a_token, context);
    await_refusal();
    ask_to_join(fd, &secrets);
    ck_assert_uint_eq(tcp_drain(fd), 0);
    close(fd);
    tcp_rank_start(&second);
    tcp_rank_join(&second);
    pthread_join(thread, NULL);
    mls_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_strangers");
    TCase *tests = mls_test_case(suite, "strangers", setup, NULL);
    tcase_add_test(tests, random_bytes_are_dropped);
    tcase_add_test(tests, silent_ones_keep_nobody_out);
    tcase_add_test(tests, slow_ones_end);
    tcase_add_test(tests, guesses_get_a_refusal);
    tcase_add_test(tests, replays_are_refused);
    tcase_add_test(tests, changes_are_seen);
    tcase_add_test(tests, nothing_is_heard);
    tcase_add_test(tests, nonsense_ends_its_rank);
    tcase_add_test(tests, hands_are_shaken_with_one_group);
    return mls_test_run(suite);
}
