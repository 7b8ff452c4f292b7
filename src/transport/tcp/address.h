/* SPDX-License-Identifier: Apache-2.0 */
/* Where ranks are: addresses and ports, the URL that states them, and the bytes of an offer. */
#ifndef MLS_TRANSPORT_TCP_ADDRESS_H
#define MLS_TRANSPORT_TCP_ADDRESS_H

#include <mlscale/ext/plugin.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct tcp_address {
    uint16_t family; /* 4 or 6 */
    uint16_t port;
    unsigned char ip[16]; /* of version 4 the first 4, and zeros */
} tcp_address;

#define TCP_HOST_MAX 255
#define TCP_PATH_MAX 1023
#define TCP_NAME_MAX 255

/* What a URL says behind "tcp:". */
typedef struct tcp_url {
    char host[TCP_HOST_MAX + 1]; /* "": none */
    uint16_t port;               /* 0: none */
    char name[TCP_NAME_MAX + 1];
    char folder[TCP_PATH_MAX + 1]; /* "": none */
    char bind[TCP_HOST_MAX + 1];   /* "": none */
    bool is_open;                  /* encrypt=off */
} tcp_url;

/* NULL: it is read. Else what is wrong with it, for which `text` may be used. */
#define TCP_WRONG_TEXT 160
const char *tcp_url_read(const char *config, tcp_url *ret_url, char text[TCP_WRONG_TEXT]);

/* A known family, a port, nothing in the bytes that have no meaning, no wildcard. */
bool tcp_address_is_valid(const tcp_address *address);
bool tcp_address_is_loopback(const tcp_address *address);
bool tcp_address_same_host(const tcp_address *a, const tcp_address *b);

/* "127.0.0.1:4000" or "[::1]:4000" */
#define TCP_ADDRESS_TEXT 64
const char *tcp_address_text(const tcp_address *address, char text[TCP_ADDRESS_TEXT]);

/* To and from the system's; false: of another family. */
socklen_t tcp_address_to_system(const tcp_address *address, struct sockaddr_storage *ret_system);
bool tcp_address_from_system(const struct sockaddr_storage *system, tcp_address *ret_address);

/*
 * What a name stands for, loopback last. The look-up takes the time that the system's takes.
 * Errors: MLS_EINVAL, MLS_ETIMEDOUT (who could tell does not answer now).
 */
#define TCP_ADDRESSES_MAX 8
typedef struct tcp_addresses {
    uint32_t count; /* at least 1 */
    tcp_address at[TCP_ADDRESSES_MAX];
} tcp_addresses;
mls_status tcp_addresses_find(const mls_plugin_host *host, const char *name, uint16_t port,
                              tcp_addresses *ret_addresses);

/* The first of them. */
mls_status tcp_address_find(const mls_plugin_host *host, const char *name, uint16_t port,
                            tcp_address *ret_address);

/* Who writes so knows it: an address, or the name of loopback. */
bool tcp_host_means_loopback(const char *name);

/* An offer: where it is, and a number that no other has. */
#define TCP_OFFER_ID    16
#define TCP_OFFER_BYTES (4 + sizeof(tcp_address) + TCP_OFFER_ID)
size_t tcp_offer_write(const tcp_address *address, const unsigned char *id, void *ret_bytes);
bool tcp_offer_read(const void *bytes, size_t size, tcp_address *ret_address);

#endif
