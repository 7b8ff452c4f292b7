/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting: a room is found by its key until all its ranks are there. A key is a name of a
 * URL, the offer of rank 0, or the room and subset that it was split from.
 */
#include "transport/inproc/inproc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char no_memory[] = "out of memory: the allocator refused %zu bytes";

typedef struct wanted_room {
    char key[INPROC_KEY_BYTES];
    size_t key_size;
    uint32_t rank, size;
    const void *token;
    size_t token_size;
    uint64_t until_ns;
    const mls_transport_subset *subset; /* NULL: it is not split from another */
} wanted_room;

mls_status inproc_link_create(inproc_hall *hall, const char *config, inproc_link **ret_link)
{
    const mls_plugin_host *host = hall->host;
    const size_t config_size = strlen(config);
    if (config_size > INPROC_KEY_BYTES / 2)
        return host->error(MLS_EINVAL, "the name has %zu bytes; at most %d are possible",
                           config_size, INPROC_KEY_BYTES / 2);
    inproc_link *link = host->alloc(host->context, sizeof *link + config_size + 1);
    if (!link)
        return host->error(MLS_ENOMEM, no_memory, sizeof *link);
    memset(link, 0, sizeof *link);
    memcpy(link->config, config, config_size + 1);
    link->hall = hall;
    pthread_mutex_lock(&hall->mutex);
    link->offer = ++hall->next_offer;
    pthread_mutex_unlock(&hall->mutex);
    *ret_link = link;
    return MLS_OK;
}

/* Of no other link: the process, the context's hall, and a number there. */
static size_t print_address(const inproc_link *link, char *text, size_t capacity)
{
    return (size_t) snprintf(text, capacity, "inproc/%ld/%" PRIxPTR "/%" PRIu64, (long) getpid(),
                             (uintptr_t) link->hall, link->offer);
}

mls_status inproc_address(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    const inproc_link *link = self;
    char text[96];
    const size_t size = print_address(link, text, sizeof text);
    if (size > capacity)
        return link->hall->host->error(MLS_EINVAL, "an address takes %zu bytes, not %zu", size,
                                       capacity);
    memcpy(ret_address, text, size);
    *ret_size = size;
    return MLS_OK;
}

/* --- rooms ----------------------------------------------------------------------------------- */

static mls_status create_room(inproc_hall *hall, const wanted_room *wanted, inproc_room **ret_room)
{
    const mls_plugin_host *host = hall->host;
    const size_t size = sizeof(inproc_room) + wanted->size * sizeof(inproc_seat);
    inproc_room *room = host->alloc(host->context, size);
    if (!room)
        return host->error(MLS_ENOMEM, no_memory, size);
    memset(room, 0, size);
    mls_status status = mls__mutex_init(&room->mutex);
    if (!status) {
        status = mls__cond_init(&room->changed);
        if (status)
            pthread_mutex_destroy(&room->mutex);
    }
    if (status) {
        host->free(host->context, room);
        return status;
    }
    room->hall = hall;
    memcpy(room->key, wanted->key, wanted->key_size);
    room->key_size = wanted->key_size;
    memcpy(room->token, wanted->token, wanted->token_size);
    room->token_size = wanted->token_size;
    room->id = ++hall->next_offer;
    room->size = wanted->size;
    for (size_t i = 0; i < INPROC_QUEUES; i++)
        room->posted[i].end = &room->posted[i].first;
    room->next = hall->open_rooms;
    hall->open_rooms = room;
    *ret_room = room;
    return MLS_OK;
}

static void free_room(inproc_room *room)
{
    const mls_plugin_host *host = room->hall->host;
    mls__cond_destroy(&room->changed);
    pthread_mutex_destroy(&room->mutex);
    explicit_bzero(room->token, sizeof room->token);
    host->free(host->context, room);
}

/* From the list of those that can be found; a room that is not in it stays as it is. */
static void hide_room(inproc_hall *hall, const inproc_room *room)
{
    for (inproc_room **at = &hall->open_rooms; *at; at = &(*at)->next) {
        if (*at != room)
            continue;
        *at = room->next;
        return;
    }
}

static inproc_room *find_room(const inproc_hall *hall, const wanted_room *wanted)
{
    inproc_room *room = hall->open_rooms;
    while (room && (room->key_size != wanted->key_size ||
                    memcmp(room->key, wanted->key, wanted->key_size) != 0))
        room = room->next;
    return room;
}

static mls_status check_room(const inproc_room *room, const wanted_room *wanted)
{
    const mls_plugin_host *host = room->hall->host;
    if (room->token_size != wanted->token_size ||
        memcmp(room->token, wanted->token, wanted->token_size) != 0)
        return host->error(MLS_EPEER, "rank %u has another token than the ranks that are there",
                           wanted->rank);
    if (room->size != wanted->size)
        return host->error(MLS_EINVAL, "rank %u says that the group has %u ranks; others said %u",
                           wanted->rank, wanted->size, room->size);
    if (room->seats[wanted->rank].is_taken)
        return host->error(MLS_EEXIST, "rank %u of %u is there already", wanted->rank, room->size);
    return MLS_OK;
}

static mls_status take_seat_locked(inproc_hall *hall, const wanted_room *wanted,
                                   inproc_room **ret_room)
{
    inproc_room *room = find_room(hall, wanted);
    mls_status status = room ? check_room(room, wanted) : create_room(hall, wanted, &room);
    if (status)
        return status;
    pthread_mutex_lock(&room->mutex);
    room->seats[wanted->rank].is_taken = true;
    room->links++;
    room->taken++;
    if (room->taken == room->size) {
        hide_room(hall, room);
        pthread_cond_broadcast(&room->changed.cond);
    }
    pthread_mutex_unlock(&room->mutex);
    *ret_room = room;
    return MLS_OK;
}

static bool has_come(const void *user, uint32_t rank)
{
    const inproc_room *room = user;
    return room->seats[rank].is_taken;
}

static bool is_full_by(inproc_room *room, uint64_t until_ns)
{
    pthread_mutex_lock(&room->mutex);
    while (room->taken < room->size && mls__cond_wait_until(&room->changed, &room->mutex, until_ns))
        ;
    const bool is_full = room->taken == room->size;
    pthread_mutex_unlock(&room->mutex);
    return is_full;
}

/* MLS_OK: all are there. MLS_ETIMEDOUT: the deadline has passed. MLS_ECANCELLED: it is over. */
static mls_status await_all(inproc_room *room, const wanted_room *wanted)
{
    uint64_t look_ns = 0;
    while (look_ns < wanted->until_ns) {
        look_ns = mls__subset_look_ns(wanted->subset, wanted->until_ns);
        if (is_full_by(room, look_ns))
            return MLS_OK;
        if (mls__subset_is_over(wanted->subset))
            return MLS_ECANCELLED;
    }
    return MLS_ETIMEDOUT;
}

/* Until all are there. Else the rank stands up again, unless the last one came. */
static mls_status wait_for_all(inproc_room *room, const wanted_room *wanted)
{
    inproc_hall *hall = room->hall;
    char missing[MLS__MISSING_TEXT] = "";
    const mls_status status = await_all(room, wanted);
    if (!status)
        return MLS_OK;

    pthread_mutex_lock(&hall->mutex);
    pthread_mutex_lock(&room->mutex);
    const bool is_late = room->taken < room->size;
    bool is_last = false;
    if (is_late) {
        mls__missing_text(room->size, wanted->subset, has_come, room, missing);
        room->seats[wanted->rank].is_taken = false;
        room->taken--;
        is_last = --room->links == 0;
    }
    pthread_mutex_unlock(&room->mutex);
    if (is_last) {
        hide_room(hall, room);
        free_room(room);
    }
    pthread_mutex_unlock(&hall->mutex);
    if (!is_late)
        return MLS_OK;
    if (status == MLS_ECANCELLED)
        return status;
    return hall->host->error(MLS_EDEADLINE, "of %u ranks these have not come:%s", wanted->size,
                             missing);
}

static mls_status meet(inproc_hall *hall, const wanted_room *wanted, inproc_room **ret_room)
{
    inproc_room *room;
    pthread_mutex_lock(&hall->mutex);
    mls_status status = take_seat_locked(hall, wanted, &room);
    pthread_mutex_unlock(&hall->mutex);
    if (!status)
        status = wait_for_all(room, wanted);
    if (status)
        return status;
    *ret_room = room;
    return MLS_OK;
}

/* --- the driver's operations ----------------------------------------------------------------- */

static mls_status key_by_offer(const inproc_link *link, const mls_transport_join *join,
                               wanted_room *wanted)
{
    const mls_plugin_host *host = link->hall->host;
    char own[96];
    const size_t own_size = print_address(link, own, sizeof own);
    if (join->address_sizes[join->rank] != own_size ||
        memcmp(join->addresses[join->rank], own, own_size) != 0)
        return host->error(MLS_EINVAL, "the address of rank %u is not the one of this offer",
                           join->rank);
    const size_t size = join->address_sizes[0];
    if (size > sizeof own || size < 7 || memcmp(join->addresses[0], "inproc/", 7) != 0)
        return host->error(MLS_EINVAL, "the address of rank 0 is none of inproc:");
    wanted->key[0] = 'o';
    memcpy(wanted->key + 1, join->addresses[0], size);
    wanted->key_size = size + 1;
    return MLS_OK;
}

mls_status inproc_connect(void *self, const mls_transport_join *join)
{
    inproc_link *link = self;
    wanted_room wanted = {.rank = join->rank,
                          .size = join->group_size,
                          .token = join->token,
                          .token_size = join->token_bytes,
                          .until_ns = join->until_ns};
    mls_status status = MLS_OK;
    if (join->token_bytes > sizeof link->room->token)
        return link->hall->host->error(MLS_EINVAL, "a token of %zu bytes", join->token_bytes);
    if (join->addresses)
        status = key_by_offer(link, join, &wanted);
    else
        wanted.key_size = (size_t) snprintf(wanted.key, sizeof wanted.key, "n%s", link->config);
    if (!status)
        status = meet(link->hall, &wanted, &link->room);
    if (status)
        return status;
    link->rank = join->rank;
    link->spin_ns = mls__spin_ns(join->spin_us, join->group_size);
    return MLS_OK;
}

mls_status inproc_split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    inproc_link *parent = self, *link;
    const inproc_room *room = parent->room;
    mls_status status = inproc_link_create(parent->hall, "", &link);
    if (status)
        return status;
    wanted_room wanted = {.rank = subset->rank,
                          .size = subset->count,
                          .token = room->token,
                          .token_size = room->token_size,
                          .until_ns = subset->until_ns,
                          .subset = subset};
    wanted.key_size =
        (size_t) snprintf(wanted.key, sizeof wanted.key, "s%" PRIu64 "/%" PRIu64 "/%u", room->id,
                          subset->id, subset->ranks[0]);
    status = meet(parent->hall, &wanted, &link->room);
    if (status) {
        inproc_close_link(link);
        return status;
    }
    link->rank = subset->rank;
    link->spin_ns = mls__spin_ns(subset->spin_us, subset->count);
    *ret_link = link;
    return MLS_OK;
}

void inproc_leave(void *self)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    if (!room)
        return;
    pthread_mutex_lock(&room->mutex);
    if (!atomic_exchange(&room->seats[link->rank].has_left, true))
        atomic_fetch_add(&room->left_count, 1);
    inproc_end_messages(link);
    inproc_wake_locked(room);
    pthread_mutex_unlock(&room->mutex);
}

void inproc_close_link(void *self)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    const mls_plugin_host *host = link->hall->host;
    if (room) {
        inproc_leave(link);
        pthread_mutex_lock(&room->mutex);
        const bool is_last = --room->links == 0;
        pthread_mutex_unlock(&room->mutex);
        if (is_last)
            free_room(room);
    }
    host->free(host->context, link);
}
