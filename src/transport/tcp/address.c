/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, as bytes of others, and as the system has them. */
#include "transport/tcp/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(tcp_address) == 20, "an address has no padding");

static const char offer_magic[4] = {'t', 'c', 'p', '1'};

/* --- URLs ------------------------------------------------------------------------------------ */

static bool copy(char *to, size_t capacity, const char *from, size_t size)
{
    if (size >= capacity)
        return false;
    memcpy(to, from, size);
    to[size] = '\0';
    return true;
}

static bool has_key(const char *option, size_t size, const char *key)
{
    return size >= strlen(key) && memcmp(option, key, strlen(key)) == 0;
}

static const char *unknown_option(const char *option, size_t size, char text[TCP_WRONG_TEXT])
{
    const int shown = size < 64 ? (int) size : 64;
    snprintf(text, TCP_WRONG_TEXT,
             "the option '%.*s' is none of bind=ADDRESS, encrypt=on and encrypt=off", shown,
             option);
    return text;
}

static const char *read_option(const char *option, size_t size, tcp_url *url,
                               char text[TCP_WRONG_TEXT])
{
    if (has_key(option, size, "bind=") && size > 5)
        return copy(url->bind, sizeof url->bind, option + 5, size - 5) ? NULL : "bind= is too long";
    if (has_key(option, size, "encrypt=off") && size == 11)
        url->is_open = true;
    else if (!has_key(option, size, "encrypt=on") || size != 10)
        return unknown_option(option, size, text);
    return NULL;
}

static const char *read_options(const char *options, tcp_url *url, char text[TCP_WRONG_TEXT])
{
    const char *wrong = NULL;
    while (!wrong && *options) {
        const size_t size = strcspn(options, "&");
        wrong = read_option(options, size, url, text);
        options += size + (options[size] == '&');
    }
    return wrong;
}

static const char *read_port(const char *text, size_t size, tcp_url *url)
{
    unsigned long port = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || port > 65535)
            return "the port is no number";
        port = port * 10 + (unsigned long) (text[i] - '0');
    }
    if (!size || port > 65535)
        return "the port is not from 0 to 65535";
    url->port = (uint16_t) port;
    return NULL;
}

/* HOST, HOST:PORT or [HOST]:PORT, of `size` bytes. */
static const char *read_place(const char *text, size_t size, tcp_url *url)
{
    const char *end = text + size, *host = text, *host_end;
    if (*text == '[') {
        host_end = memchr(text, ']', size);
        if (!host_end)
            return "']' is missing";
        host++;
        text = host_end + 1;
    } else {
        const char *colon = memchr(text, ':', size);
        host_end = text = colon ? colon : end;
    }
    if (host == host_end)
        return "the host is missing";
    if (!copy(url->host, sizeof url->host, host, (size_t) (host_end - host)))
        return "the host is too long";
    if (text == end)
        return NULL;
    return *text == ':' ? read_port(text + 1, (size_t) (end - text) - 1, url)
                        : "behind ']' no port follows";
}

const char *tcp_url_read(const char *config, tcp_url *ret_url, char text[TCP_WRONG_TEXT])
{
    tcp_url url = {.port = 0};
    const char *wrong = NULL;
    size_t size = strcspn(config, "?");
    if (config[size])
        wrong = read_options(config + size + 1, &url, text);
    if (wrong)
        return wrong;
    if (size && strncmp(config, "//", 2) != 0)
        return "it has no '//' behind 'tcp:'";
    if (size && config[2] == '/') {
        if (!copy(url.folder, sizeof url.folder, config + 2, size - 2))
            return "the folder's name is too long";
    } else if (size) {
        const size_t place = strcspn(config + 2, "/?");
        wrong = read_place(config + 2, place, &url);
        const size_t rest = 2 + place + (config[2 + place] == '/');
        if (!wrong && !copy(url.name, sizeof url.name, config + rest, size - rest))
            wrong = "the name is too long";
    }
    if (!wrong)
        *ret_url = url;
    return wrong;
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

bool tcp_address_is_valid(const tcp_address *address)
{
    if (!address->port || is_zero(address->ip, sizeof address->ip))
        return false;
    return address->family == 6 || (address->family == 4 && is_zero(address->ip + 4, 12));
}

bool tcp_address_is_loopback(const tcp_address *address)
{
    static const unsigned char one[16] = {[15] = 1};
    if (address->family == 4)
        return address->ip[0] == 127;
    return memcmp(address->ip, one, sizeof one) == 0;
}

bool tcp_address_same_host(const tcp_address *a, const tcp_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

const char *tcp_address_text(const tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->ip, ip, sizeof ip);
    snprintf(text, TCP_ADDRESS_TEXT, address->family == 6 ? "[%s]:%u" : "%s:%u", ip,
             (unsigned) address->port);
    return text;
}

socklen_t tcp_address_to_system(const tcp_address *address, struct sockaddr_storage *ret_system)
{
    memset(ret_system, 0, sizeof *ret_system);
    if (address->family == 6) {
        struct sockaddr_in6 system = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&system.sin6_addr, address->ip, 16);
        memcpy(ret_system, &system, sizeof system);
        return sizeof system;
    }
    struct sockaddr_in system = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    memcpy(&system.sin_addr, address->ip, 4);
    memcpy(ret_system, &system, sizeof system);
    return sizeof system;
}

bool tcp_address_from_system(const struct sockaddr_storage *system, tcp_address *ret_address)
{
    tcp_address address = {.family = 4};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (system->ss_family == AF_INET) {
        memcpy(&v4, system, sizeof v4);
        address.port = ntohs(v4.sin_port);
        memcpy(address.ip, &v4.sin_addr, 4);
    } else if (system->ss_family == AF_INET6) {
        memcpy(&v6, system, sizeof v6);
        address.family = 6;
        address.port = ntohs(v6.sin6_port);
        memcpy(address.ip, &v6.sin6_addr, 16);
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

/* The addresses of `found`: those of loopback, or the others. */
static void take(const struct addrinfo *found, uint16_t port, bool loopback, tcp_addresses *to)
{
    for (const struct addrinfo *at = found; at && to->count < TCP_ADDRESSES_MAX; at = at->ai_next) {
        struct sockaddr_storage system = {0};
        tcp_address address;
        memcpy(&system, at->ai_addr, at->ai_addrlen);
        if (!tcp_address_from_system(&system, &address) || is_zero(address.ip, sizeof address.ip) ||
            tcp_address_is_loopback(&address) != loopback)
            continue;
        address.port = port;
        to->at[to->count++] = address;
    }
}

mls_status tcp_addresses_find(const mls_plugin_host *host, const char *name, uint16_t port,
                              tcp_addresses *ret_addresses)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    tcp_addresses addresses = {.count = 0};
    const int failed = getaddrinfo(name, NULL, &hints, &found);
    if (failed)
        return host->error(failed == EAI_AGAIN ? MLS_ETIMEDOUT : MLS_EINVAL,
                           "the host '%s' is not known: %s", name, gai_strerror(failed));
    take(found, port, false, &addresses);
    take(found, port, true, &addresses);
    freeaddrinfo(found);
    if (!addresses.count)
        return host->error(MLS_EINVAL,
                           "'%s' is no address by which others find this rank; write one", name);
    *ret_addresses = addresses;
    return MLS_OK;
}

mls_status tcp_address_find(const mls_plugin_host *host, const char *name, uint16_t port,
                            tcp_address *ret_address)
{
    tcp_addresses addresses;
    const mls_status status = tcp_addresses_find(host, name, port, &addresses);
    if (!status)
        *ret_address = addresses.at[0];
    return status;
}

bool tcp_host_means_loopback(const char *name)
{
    unsigned char ip[16];
    return strstr(name, "localhost") || inet_pton(AF_INET, name, ip) == 1 ||
           inet_pton(AF_INET6, name, ip) == 1;
}

/* --- offers ---------------------------------------------------------------------------------- */

size_t tcp_offer_write(const tcp_address *address, const unsigned char *id, void *ret_bytes)
{
    unsigned char *bytes = ret_bytes;
    memcpy(bytes, offer_magic, 4);
    memcpy(bytes + 4, address, sizeof *address);
    memcpy(bytes + 4 + sizeof *address, id, TCP_OFFER_ID);
    return TCP_OFFER_BYTES;
}

bool tcp_offer_read(const void *bytes, size_t size, tcp_address *ret_address)
{
    if (size != TCP_OFFER_BYTES || memcmp(bytes, offer_magic, 4) != 0)
        return false;
    memcpy(ret_address, (const unsigned char *) bytes + 4, sizeof *ret_address);
    return tcp_address_is_valid(ret_address);
}
