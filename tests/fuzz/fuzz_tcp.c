/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the input as what comes over TCP: as a URL, an offer and the bytes of a handshake, and as
 * the frames of a rank of a group, which has messages on their way to it.
 */
#include "fuzz/fuzz.h"

#include "transport/pair.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RANKS = 3, PEER = 1, MESSAGE_BYTES = 64 };

/* --- bytes ----------------------------------------------------------------------------------- */

static void read_bytes(const uint8_t *data, size_t size)
{
    static const unsigned char token[32];
    static const tcp_keypair pair = {.secret = {1}};
    unsigned char reply[TCP_REPLY_BYTES];
    char text[TCP_PATH_MAX];
    char wrong[TCP_WRONG_TEXT];
    tcp_url url;
    tcp_hello hello;
    tcp_secrets secrets;
    tcp_address address;
    const size_t length = size < sizeof text ? size : sizeof text - 1;
    if (length)
        memcpy(text, data, length);
    text[length] = '\0';
    tcp_url_read(text, &url, wrong);
    tcp_offer_read(data, size, &address);
    if (size >= TCP_HELLO_BYTES && tcp_hello_read(data, &hello) && tcp_hello_is_from(data, token))
        tcp_reply_write(data, &pair, token, reply, &secrets);
    if (size >= TCP_HELLO_BYTES + TCP_REPLY_BYTES)
        tcp_reply_read(data, data + TCP_HELLO_BYTES, &pair, token, &secrets);
}

static void read_packet(const uint8_t *data, size_t size)
{
    static const unsigned char key[TCP_CIPHER_KEY];
    unsigned char plain[1024];
    tcp_cipher cipher;
    if (size < TCP_PACKET_EXTRA || size > sizeof plain || tcp_packet_size(data) != size)
        return;
    tcp_cipher_open(&cipher, key);
    tcp_packet_open(&cipher, data, size, plain);
    tcp_cipher_close(&cipher);
}

static void read_meeting(const uint8_t *data, size_t size)
{
    unsigned char key[TCP_KEY_BYTES];
    char text[TCP_REASON_MAX + 1];
    tcp_join join;
    mls_status status;
    tcp_address addresses[RANKS];
    tcp_join_read(data, size, &join);
    tcp_verdict_read(data, size, &status, text);
    tcp_table_read(data, size, RANKS, key, addresses);
}

/* --- frames ---------------------------------------------------------------------------------- */

static void post(const pair_end *end, uint32_t kind, uint32_t flags, mls_transport_message *message)
{
    static unsigned char memory[MESSAGE_BYTES];
    *message = (mls_transport_message){.size = sizeof *message,
                                       .kind = kind,
                                       .peer = PEER,
                                       .tag = 1,
                                       .data = memory,
                                       .size_bytes = sizeof memory,
                                       .head = "head",
                                       .head_bytes = 4,
                                       .flags = flags};
    if (tcp_post(end->link, message))
        abort();
}

static void read_frames(const uint8_t *data, size_t size)
{
    mls_transport_message messages[5];
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
        abort();
    pair_end end = pair_open(fds[0], 0, RANKS, PEER);
    post(&end, MLS_MESSAGE_RECEIVE, 0, &messages[0]);
    post(&end, MLS_MESSAGE_RECEIVE, 0, &messages[1]);
    post(&end, MLS_MESSAGE_SEND, MLS_MESSAGE_AGREED, &messages[2]);
    end.link->peers[PEER].credit = TCP_CREDIT_BYTES - MESSAGE_BYTES / 4; /* the rest is wanted */
    post(&end, MLS_MESSAGE_SEND, 0, &messages[3]);
    post(&end, MLS_MESSAGE_SEND, MLS_MESSAGE_AGREED, &messages[4]);
    if (write(fds[1], data, size) != (ssize_t) size)
        abort();
    pair_visit(&end);
    for (int i = 0; i < 5; i++)
        tcp_retract(end.link, &messages[i]);
    pair_close(&end);
    close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_bytes(data, size);
    read_packet(data, size);
    read_meeting(data, size);
    if (size && size < 65536)
        read_frames(data, size);
    return 0;
}
