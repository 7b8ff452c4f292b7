/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of others, as bytes alone: URLs, frames, the handshake, packets. */
#include "config.h"

#include "support/test.h"

#include "transport/tcp/cipher.h"
#include "transport/tcp/frame.h"
#include "transport/tcp/handshake.h"

#include <stdio.h>
#include <string.h>

/* --- URLs ------------------------------------------------------------------------------------ */

static void expect_url(const char *config, const char *host, uint16_t port, const char *name,
                       const char *folder)
{
    tcp_url url;
    char text[TCP_WRONG_TEXT];
    const char *wrong = tcp_url_read(config, &url, text);
    ck_assert_msg(!wrong, "'%s': %s", config, wrong);
    ck_assert_str_eq(url.host, host);
    ck_assert_uint_eq(url.port, port);
    ck_assert_str_eq(url.name, name);
    ck_assert_str_eq(url.folder, folder);
}

START_TEST(urls_are_read)
{
    tcp_url url;
    char said[TCP_WRONG_TEXT];
    expect_url("//h:1/n", "h", 1, "n", "");
    expect_url("//127.0.0.1:65535/", "127.0.0.1", 65535, "", "");
    expect_url("//[::1]:7/a/b", "::1", 7, "a/b", "");
    expect_url("//h", "h", 0, "", "");
    expect_url("", "", 0, "", "");
    expect_url("///a/b?encrypt=off", "", 0, "", "/a/b");
    ck_assert_ptr_null(tcp_url_read("//h:1/n?bind=1.2.3.4&encrypt=off", &url, said));
    ck_assert_str_eq(url.bind, "1.2.3.4");
    ck_assert(url.is_open);
    ck_assert_str_eq(url.name, "n");
    static const char *const wrong[] = {
        "h:1/n",         "/h",        "//h:/n",      "//h:65536/n",   "//h:1x/n",
        "//:1/n",        "//[::1/n",  "//[::1]1/n",  "//[]:1/n",      "//h:1/n?x",
        "//h:1/n?bind=", "?encrypt=", "?encrypt=of", "?encrypt=offx", "//h:99999999999999999999/n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(tcp_url_read(wrong[i], &url, said) != NULL, "'%s'", wrong[i]);
    ck_assert_str_eq(tcp_url_read("//h:1/n?encrypt=off&bnd=1.2.3.4", &url, said),
                     "the option 'bnd=1.2.3.4' is none of bind=ADDRESS, encrypt=on and "
                     "encrypt=off");
    char text[2000] = "//";
    memset(text + 2, 'a', 1900);
    ck_assert_ptr_nonnull(tcp_url_read(text, &url, said));
    text[2] = '/';
    ck_assert_ptr_nonnull(tcp_url_read(text, &url, said));
}
END_TEST

START_TEST(addresses_are_checked)
{
    tcp_address address = {4, 80, {10, 0, 0, 1}};
    ck_assert(tcp_address_is_valid(&address));
    ck_assert(!tcp_address_is_loopback(&address));
    address.ip[7] = 1;
    ck_assert(!tcp_address_is_valid(&address));
    ck_assert(!tcp_address_is_valid(&(tcp_address){4, 0, {127, 0, 0, 1}}));
    ck_assert(!tcp_address_is_valid(&(tcp_address){4, 1, {0}}));
    ck_assert(!tcp_address_is_valid(&(tcp_address){5, 1, {1}}));
    ck_assert(tcp_address_is_loopback(&(tcp_address){4, 1, {127, 9, 9, 9}}));
    ck_assert(tcp_address_is_loopback(&(tcp_address){6, 1, {[15] = 1}}));
    ck_assert(!tcp_address_is_loopback(&(tcp_address){6, 1, {127, [15] = 1}}));
    unsigned char id[TCP_OFFER_ID] = {1}, offer[TCP_OFFER_BYTES];
    tcp_address read;
    address = (tcp_address){6, 4000, {[15] = 1}};
    ck_assert_uint_eq(tcp_offer_write(&address, id, offer), TCP_OFFER_BYTES);
    ck_assert(tcp_offer_read(offer, sizeof offer, &read));
    ck_assert_mem_eq(&read, &address, sizeof read);
    ck_assert(!tcp_offer_read(offer, sizeof offer - 1, &read));
    offer[0] ^= 1;
    ck_assert(!tcp_offer_read(offer, sizeof offer, &read));
}
END_TEST

/* --- frames ---------------------------------------------------------------------------------- */

START_TEST(frames_are_checked)
{
    tcp_frame frame = {TCP_FRAME_DONE, 7, 0, 0, 9}, read;
    ck_assert(tcp_frame_read(&frame, 7, &read));
    ck_assert_uint_eq(read.id, 9);
    ck_assert(!tcp_frame_read(&frame, 8, &read));
    frame.size = 1;
    ck_assert(!tcp_frame_read(&frame, 7, &read));
    for (uint32_t kind = 1; kind < TCP_FRAME_KINDS; kind++) {
        frame = (tcp_frame){kind, 7, TCP_PIECE_MAX + 1, 0, 0};
        ck_assert(!tcp_frame_read(&frame, 7, &read));
    }
}
END_TEST

START_TEST(bodies_are_checked)
{
    unsigned char body[TCP_BODY_MAX];
    char text[TCP_REASON_MAX + 1];
    mls_status status;
    size_t size = tcp_verdict_write(MLS_EEXIST, "there\33already", body);
    ck_assert(tcp_verdict_read(body, size, &status, text));
    ck_assert_int_eq(status, MLS_EEXIST);
    ck_assert_str_eq(text, "there?already");
    body[3] = 0x7f; /* a status that is none */
    ck_assert(!tcp_verdict_read(body, size, &status, text));

    tcp_abort abort = {.rank = 2, .status = MLS_EPEER, .rounds = 5, .reason = "so"}, read;
    size = tcp_abort_write(&abort, body);
    ck_assert(tcp_abort_read(body, size, 3, &read));
    ck_assert_uint_eq(read.rounds, 5);
    ck_assert_str_eq(read.reason, "so");
    ck_assert(!tcp_abort_read(body, size, 2, &read));
    abort.status = MLS_OK;
    ck_assert(!tcp_abort_read(body, tcp_abort_write(&abort, body), 3, &read));

    static const uint32_t lists[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 1, 2}, {0, 1, 3}};
    uint32_t ranks[3], count;
    for (size_t i = 0; i < 4; i++) {
        size = tcp_ranks_write(lists[i], 3, body);
        ck_assert(tcp_ranks_read(body, size, 3, ranks, &count) == (i == 0));
    }
    ck_assert(!tcp_ranks_read(body, 13, 3, ranks, &count));
    ck_assert(!tcp_ranks_read(body, 16, 3, ranks, &count));

    unsigned char key[TCP_KEY_BYTES] = {1}, read_key[TCP_KEY_BYTES];
    tcp_address addresses[2] = {{4, 1, {127, 0, 0, 1}}, {4, 2, {127, 0, 0, 1}}}, found[3];
    size = tcp_table_write(key, addresses, 2, body);
    ck_assert(tcp_table_read(body, size, 2, read_key, found));
    ck_assert_mem_eq(found, addresses, sizeof addresses);
    ck_assert(!tcp_table_read(body, size, 3, read_key, found));
    addresses[1].port = 0;
    ck_assert(!tcp_table_read(body, tcp_table_write(key, addresses, 2, body), 2, read_key, found));
}
END_TEST

/* --- the handshake --------------------------------------------------------------------------- */

static uint32_t shake(const char *one, const char *other, size_t spoil, tcp_secrets *ret_one,
                      tcp_secrets *ret_other)
{
    unsigned char bytes[TCP_HELLO_BYTES], reply[TCP_REPLY_BYTES], own[32], others[32];
    tcp_keypair connector, listener;
    tcp_hello hello = {.encrypts = true}, read;
    tcp_token_key(one, strlen(one), own);
    tcp_token_key(other, strlen(other), others);
    tcp_keypair_make(&connector);
    tcp_keypair_make(&listener);
    memcpy(hello.public, connector.public, 32);
    tcp_hello_write(&hello, own, bytes);
    ck_assert(tcp_hello_read(bytes, &read));
    if (!tcp_hello_is_from(bytes, others))
        return TCP_REFUSED_TOKEN;
    ck_assert(tcp_reply_write(bytes, &listener, others, reply, ret_other));
    if (spoil)
        reply[spoil] ^= 1;
    return tcp_reply_read(bytes, reply, &connector, own, ret_one);
}

START_TEST(tokens_meet)
{
    tcp_secrets one, other, third;
    unsigned char confirm[TCP_CONFIRM_BYTES];
    ck_assert_uint_eq(shake("a", "a", 0, &one, &other), TCP_REFUSED_NOT);
    ck_assert_mem_eq(&one, &other, sizeof one);
    ck_assert(memcmp(one.to_listener, one.to_connector, 32) != 0);
    tcp_confirm_write(&one, confirm);
    ck_assert(tcp_confirm_is_right(&other, confirm));
    ck_assert_uint_eq(shake("a", "a", 0, &third, &other), TCP_REFUSED_NOT);
    ck_assert(!tcp_confirm_is_right(&other, confirm)); /* of another time */
    ck_assert_uint_eq(shake("a", "b", 0, &one, &other), TCP_REFUSED_TOKEN);
    ck_assert_uint_eq(shake("", "a", 0, &one, &other), TCP_REFUSED_TOKEN);
    for (size_t i = 1; i < TCP_REPLY_BYTES; i++)
        ck_assert_uint_ne(shake("a", "a", i, &one, &other), TCP_REFUSED_NOT);
}
END_TEST

/* A public key by which two would agree on nothing secret. */
START_TEST(weak_keys_are_refused)
{
    unsigned char bytes[TCP_HELLO_BYTES], reply[TCP_REPLY_BYTES], token[32];
    tcp_keypair pair;
    tcp_secrets secrets;
    const tcp_hello hello = {.encrypts = true};
    tcp_token_key("a", 1, token);
    tcp_keypair_make(&pair);
    tcp_hello_write(&hello, token, bytes);
    ck_assert(!tcp_reply_write(bytes, &pair, token, reply, &secrets));
}
END_TEST

/* --- packets --------------------------------------------------------------------------------- */

enum { DATA_BYTES = 1000 };

static const tcp_cipher_way *const ways[] = {
#ifdef MLS_OPENSSL
    &tcp_cipher_libcrypto,
#endif
    &tcp_cipher_libsodium,
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void fill_data(unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char) (i * 7 + i / 256);
}

/* A cipher that is about to do packet `count`. */
static void open_at(tcp_cipher *cipher, const tcp_cipher_way *way, uint64_t count)
{
    static const unsigned char key[TCP_CIPHER_KEY] = {1, 2, 3};
    ck_assert(tcp_cipher_open_by(cipher, way, key));
    cipher->count = count;
}

static bool opens_at(const tcp_cipher_way *way, uint64_t count, const void *packet, size_t size,
                     unsigned char *ret_data)
{
    tcp_cipher cipher;
    open_at(&cipher, way, count);
    const bool is_genuine = tcp_packet_open(&cipher, packet, size, ret_data);
    tcp_cipher_close(&cipher);
    return is_genuine;
}

START_TEST(packets_are_genuine)
{
    static const unsigned char nothing[DATA_BYTES];
    static unsigned char data[DATA_BYTES], packet[2][DATA_BYTES + TCP_PACKET_EXTRA];
    static unsigned char read[DATA_BYTES];
    const tcp_cipher_way *way = ways[_i];
    tcp_cipher sealing;
    fill_data(data, sizeof data);
    open_at(&sealing, way, 0);
    ck_assert(tcp_packet_seal(&sealing, data, sizeof data, packet[0]));
    ck_assert(tcp_packet_seal(&sealing, data, sizeof data, packet[1]));
    tcp_cipher_close(&sealing);
    ck_assert(memcmp(packet[0], packet[1], sizeof packet[0]) != 0);
    ck_assert_uint_eq(tcp_packet_size(packet[0]), sizeof packet[0]);
    ck_assert(!opens_at(way, 0, packet[1], sizeof packet[1], read)); /* not its turn */
    ck_assert(opens_at(way, 0, packet[0], sizeof packet[0], read));
    ck_assert_mem_eq(read, data, sizeof data);
    ck_assert(!opens_at(way, 1, packet[0], sizeof packet[0], read)); /* a second time */
    ck_assert(opens_at(way, 1, packet[1], sizeof packet[1], read));
    for (size_t i = 0; i < sizeof packet[1]; i += 7) {
        memset(read, 0, sizeof read);
        packet[1][i] ^= 4;
        ck_assert(!opens_at(way, 1, packet[1], sizeof packet[1], read));
        ck_assert_mem_eq(read, nothing, sizeof read); /* nor is it shown */
        packet[1][i] ^= 4;
    }
    packet[1][sizeof packet[1] - 1] ^= 1; /* the tag's last byte */
    ck_assert(!opens_at(way, 1, packet[1], sizeof packet[1], read));
}
END_TEST

/* Of ranks each may be built with another one. */
START_TEST(ways_write_the_same)
{
    static const uint32_t sizes[] = {1, 15, 16, 17, 63, 64, 65, 1000, TCP_PACKET_MAX};
    static unsigned char data[TCP_PACKET_MAX], read[TCP_PACKET_MAX];
    static unsigned char packet[TCP_PACKET_MAX + TCP_PACKET_EXTRA];
    static unsigned char other[TCP_PACKET_MAX + TCP_PACKET_EXTRA];
    const tcp_cipher_way *way = ways[_i];
    fill_data(data, sizeof data);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        tcp_cipher sealing, reference;
        const uint64_t count = i ? UINT64_C(1) << (7 * i) : 0; /* all bytes of the counter */
        const size_t size = sizes[i] + TCP_PACKET_EXTRA;
        open_at(&sealing, way, count);
        open_at(&reference, &tcp_cipher_libsodium, count);
        ck_assert(tcp_packet_seal(&sealing, data, sizes[i], packet));
        ck_assert(tcp_packet_seal(&reference, data, sizes[i], other));
        ck_assert_mem_eq(packet, other, size);
        ck_assert(opens_at(&tcp_cipher_libsodium, count, packet, size, read));
        ck_assert_mem_eq(read, data, sizes[i]);
        memset(read, 0, sizeof read);
        ck_assert(opens_at(way, count, other, size, read));
        ck_assert_mem_eq(read, data, sizes[i]);
        tcp_cipher_close(&sealing);
        tcp_cipher_close(&reference);
    }
}
END_TEST

START_TEST(ciphers_open_by_the_fastest_way)
{
    static const unsigned char key[TCP_CIPHER_KEY] = {9};
    tcp_cipher cipher;
    tcp_cipher_open(&cipher, key);
    ck_assert_str_eq(cipher.way->name, ways[0]->name);
    tcp_cipher_close(&cipher);
    ck_assert_ptr_null(cipher.way);
    tcp_cipher_close(&cipher); /* a connection that never got so far */
}
END_TEST

START_TEST(lengths_of_packets_are_checked)
{
    ck_assert_uint_eq(tcp_packet_size("\0\0\0\0"), 0);
    ck_assert_uint_eq(tcp_packet_size("\1\200\0\0"), 0);
    ck_assert_uint_eq(tcp_packet_size("\377\377\377\377"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_bytes");
    TCase *tests = tcase_create("bytes");
    tcase_add_test(tests, urls_are_read);
    tcase_add_test(tests, addresses_are_checked);
    tcase_add_test(tests, frames_are_checked);
    tcase_add_test(tests, bodies_are_checked);
    tcase_add_test(tests, tokens_meet);
    tcase_add_test(tests, weak_keys_are_refused);
    tcase_add_loop_test(tests, packets_are_genuine, 0, WAYS);
    tcase_add_loop_test(tests, ways_write_the_same, 0, WAYS);
    tcase_add_test(tests, ciphers_open_by_the_fastest_way);
    tcase_add_test(tests, lengths_of_packets_are_checked);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
