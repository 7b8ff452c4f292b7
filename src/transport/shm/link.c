/* SPDX-License-Identifier: Apache-2.0 */
/* Links: their URLs and addresses, and how they begin and end. */
#include "transport/shm/shm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define OFFER_PREFIX "shm/"
#define ARENA_MAX    (UINT64_C(128) << 30)

/* --- URLs ------------------------------------------------------------------------------------ */

/* "64m", of bytes, KiB, MiB or GiB. */
static bool read_bytes(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "kmg";
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    const unsigned shift = unit ? 10 * (unsigned) (unit - units + 1) : 0;
    if (text[0] < '0' || text[0] > '9' || errno || !value || value > ARENA_MAX >> shift ||
        (*end && (!unit || end[1])))
        return false;
    *ret_bytes = (uint64_t) value << shift;
    return true;
}

/* What follows the name: nothing, or "?arena=SIZE". */
static mls_status read_options(shm_link *link, const char *options)
{
    static const char arena[] = "?arena=";
    if (!options[0] || (strncmp(options, arena, sizeof arena - 1) == 0 &&
                        read_bytes(options + sizeof arena - 1, &link->arena_wanted)))
        return MLS_OK;
    return link->hub->host->error(MLS_EINVAL,
                                  "'%.100s' in a shm: URL; \"?arena=SIZE\" is possible, of at most "
                                  "128g",
                                  options);
}

static mls_status check_name(const mls_plugin_host *host, size_t size)
{
    if (size > SHM_KEY_BYTES / 2)
        return host->error(MLS_EINVAL, "the name has %zu bytes; at most %d are possible", size,
                           SHM_KEY_BYTES / 2);
    return MLS_OK;
}

/* An address that nobody can guess, and nobody else has. */
static mls_status make_offer(shm_link *link)
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
        return link->hub->host->error(MLS_EIO, "the system has no random numbers: %s",
                                      strerror(errno));
    int used = snprintf(link->offer, sizeof link->offer, OFFER_PREFIX);
    for (size_t i = 0; i < sizeof random; i++)
        used += snprintf(link->offer + used, sizeof link->offer - (size_t) used, "%02x", random[i]);
    return MLS_OK;
}

static mls_status create(shm_hub *hub, const char *config, shm_link **ret_link)
{
    const mls_plugin_host *host = hub->host;
    const size_t name_size = strcspn(config, "?");
    mls_status status = check_name(host, name_size);
    if (status)
        return status;
    shm_link *link = host->alloc(host->context, sizeof *link + name_size + 1);
    if (!link)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *link);
    memset(link, 0, sizeof *link + name_size + 1);
    link->hub = hub;
    link->memory.fd = -1;
    memcpy(link->name, config, name_size);
    status = read_options(link, config + name_size);
    if (!status)
        status = make_offer(link);
    if (!status)
        status = shm_mail_init(&link->mail);
    if (!status) {
        status = mls__mutex_init(&link->arena.mutex);
        if (status)
            shm_mail_clear(link);
    }
    if (status) {
        host->free(host->context, link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

mls_status shm_open_link(void *self, const char *config, void **ret_link)
{
    shm_link *link;
    const mls_status status = create(self, config, &link);
    if (!status)
        *ret_link = link;
    return status;
}

mls_status shm_address(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    const shm_link *link = self;
    if (capacity < SHM_OFFER_BYTES)
        return link->hub->host->error(MLS_EINVAL, "an address takes %d bytes, not %zu",
                                      SHM_OFFER_BYTES, capacity);
    memcpy(ret_address, link->offer, SHM_OFFER_BYTES);
    *ret_size = SHM_OFFER_BYTES;
    return MLS_OK;
}

/* --- connecting ------------------------------------------------------------------------------ */

static mls_status key_by_offer(const shm_link *link, const mls_transport_join *join,
                               shm_wanted *wanted)
{
    const mls_plugin_host *host = link->hub->host;
    if (join->address_sizes[join->rank] != SHM_OFFER_BYTES ||
        memcmp(join->addresses[join->rank], link->offer, SHM_OFFER_BYTES) != 0)
        return host->error(MLS_EINVAL, "the address of rank %u is not the one of this offer",
                           join->rank);
    if (join->address_sizes[0] != SHM_OFFER_BYTES ||
        memcmp(join->addresses[0], OFFER_PREFIX, sizeof OFFER_PREFIX - 1) != 0)
        return host->error(MLS_EINVAL, "the address of rank 0 is none of shm:");
    wanted->key[0] = 'o';
    memcpy(wanted->key + 1, join->addresses[0], SHM_OFFER_BYTES);
    wanted->key_size = 1 + SHM_OFFER_BYTES;
    return MLS_OK;
}

/* Who cannot go on after the others began says so to them. */
static mls_status settle(shm_link *link, const shm_wanted *wanted, uint32_t spin_us)
{
    mls_status status = shm_meet(link, wanted);
    if (status)
        return status;
    link->room = (shm_room *) (void *) link->memory.base;
    link->rank = wanted->rank;
    link->size = wanted->size;
    link->spin_ns = shm_spin_ns(link, spin_us);
    status = shm_watch_begin(link);
    if (status)
        shm_leave(link);
    return status;
}

mls_status shm_connect(void *self, const mls_transport_join *join)
{
    shm_link *link = self;
    shm_wanted wanted = {.rank = join->rank, .size = join->group_size, .until_ns = join->until_ns};
    mls_status status = MLS_OK;
    if (join->token_bytes > sizeof link->token)
        return link->hub->host->error(MLS_EINVAL, "a token of %zu bytes", join->token_bytes);
    memcpy(link->token, join->token, join->token_bytes);
    link->token_size = join->token_bytes;
    if (join->addresses)
        status = key_by_offer(link, join, &wanted);
    else
        wanted.key_size = (size_t) snprintf(wanted.key, sizeof wanted.key, "n%s", link->name);
    return status ? status : settle(link, &wanted, join->spin_us);
}

mls_status shm_split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    const shm_link *parent = self;
    uint64_t id[2];
    shm_link *link;
    mls_status status = create(parent->hub, "", &link);
    if (status)
        return status;
    memcpy(link->token, parent->token, parent->token_size);
    link->token_size = parent->token_size;
    link->arena_wanted = parent->arena_wanted;
    memcpy(id, parent->room->id, sizeof id);
    shm_wanted wanted = {.rank = subset->rank,
                         .size = subset->count,
                         .until_ns = subset->until_ns,
                         .subset = subset};
    wanted.key_size = (size_t) snprintf(wanted.key, sizeof wanted.key,
                                        "s%016" PRIx64 "%016" PRIx64 "/%" PRIu64 "/%u", id[0],
                                        id[1], subset->id, subset->ranks[0]);
    status = settle(link, &wanted, subset->spin_us);
    if (status) {
        shm_close_link(link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

/* --- the end --------------------------------------------------------------------------------- */

void shm_leave(void *self)
{
    shm_link *link = self;
    if (!link->room)
        return;
    if (shm_fate_of(link, link->rank) == SHM_ALIVE)
        shm_fate_set(link, link->rank, SHM_LEFT);
    shm_mail_end(link);
}

void shm_close_link(void *self)
{
    shm_link *link = self;
    const mls_plugin_host *host = link->hub->host;
    shm_leave(link);
    shm_mail_clear(link);
    shm_arena_clear(link);
    shm_watch_end(link);
    shm_memory_close(&link->memory);
    explicit_bzero(link->token, sizeof link->token);
    host->free(host->context, link);
}
