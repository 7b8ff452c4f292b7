/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a link: its place among the ranks, the frames that come for it, and its leaving. */
#include "transport/mpi/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- a link that is not connected ------------------------------------------------------------ */

static mls_status no_memory(const mls_plugin_host *host, size_t size)
{
    return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes", size);
}

static void *alloc_zeros(const mls_plugin_host *host, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *data = host->alloc(host->context, count * size);
    return data ? memset(data, 0, count * size) : NULL;
}

static void destroy(wire_link *link)
{
    const mls_plugin_host *host = link->host;
    host->free(host->context, link->records);
    host->free(host->context, link->peers);
    host->free(host->context, link->config);
    host->free(host->context, link);
}

/* "NAME?sums=engine": the name stays in the link's config. */
static mls_status read_config(wire_link *link, const char *config)
{
    const char *question = strchr(config, '?');
    const size_t size = question ? (size_t) (question - config) : strlen(config);
    if (question && strcmp(question, "?sums=engine") != 0 && strcmp(question, "?sums=library") != 0)
        return link->host->error(MLS_EINVAL,
                                 "the option '%.64s' is not known: ?sums=engine has MPI add up "
                                 "floats, in an order of its own",
                                 question);
    if (size > WIRE_KEY_BYTES / 2)
        return link->host->error(MLS_EINVAL, "the name has %zu bytes; at most %d are possible",
                                 size, WIRE_KEY_BYTES / 2);
    link->sums = question && strcmp(question, "?sums=engine") == 0;
    link->config = alloc_zeros(link->host, size + 1, 1);
    if (!link->config)
        return no_memory(link->host, size + 1);
    memcpy(link->config, config, size);
    return MLS_OK;
}

static mls_status create(const mls_plugin_host *host, const char *config, wire_link **ret_link)
{
    wire_link *link = alloc_zeros(host, 1, sizeof *link);
    if (!link)
        return no_memory(host, sizeof *link);
    link->host = host;
    link->parcels_end = &link->parcels;
    link->offers_end = &link->offers;
    link->engine = MPI_COMM_NULL;
    const mls_status status = read_config(link, config);
    if (status) {
        destroy(link);
        return status;
    }
    pthread_mutex_lock(&wire_the_world.mutex);
    link->number = ++wire_the_world.next_number;
    pthread_mutex_unlock(&wire_the_world.mutex);
    *ret_link = link;
    return MLS_OK;
}

mls_status wire_open_link(void *self, const char *config, void **ret_link)
{
    wire_link *link;
    const mls_status status = create(self, config, &link);
    if (status)
        return status;
    *ret_link = link;
    return MLS_OK;
}

mls_status wire_address(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    const wire_link *link = self;
    char text[96];
    /* Processes that start together: a minute is generous. */
    const mls_status status =
        wire_world_enter(link->host, 0, wire_now_ns() + UINT64_C(60000000000));
    if (status)
        return status;
    const size_t size =
        (size_t) snprintf(text, sizeof text, "mpi/%d/%" PRIu64, wire_the_world.rank, link->number);
    if (size > capacity)
        return link->host->error(MLS_EINVAL, "an address takes %zu bytes, not %zu", size, capacity);
    memcpy(ret_address, text, size);
    *ret_size = size;
    return MLS_OK;
}

/* --- frames ---------------------------------------------------------------------------------- */

void wire_tell_locked(wire_link *link, uint32_t rank, wire_frame frame, const void *data,
                      uint32_t *done)
{
    const wire_peer *peer = &link->peers[rank];
    if (!peer->number || peer->has_left)
        return;
    frame.from = link->rank;
    frame.link = peer->number;
    wire_send_locked(peer->world_rank, &frame, data, done);
}

void wire_tell_all_locked(wire_link *link, wire_frame frame, const void *data)
{
    for (uint32_t i = 0; i < link->size; i++)
        if (i != link->rank)
            wire_tell_locked(link, i, frame, data, NULL);
}

static wire_link *find_link_locked(const wire_mail *mail)
{
    wire_link *link = wire_the_world.links;
    while (link && link->number != mail->frame.link)
        link = link->next;
    const uint32_t from = mail->frame.from;
    const bool is_known = link && from < link->size && link->peers[from].world_rank == mail->source;
    return is_known ? link : NULL;
}

void wire_handle_locked(const wire_mail *mail)
{
    if (mail->frame.kind == WIRE_FRAME_HELLO)
        wire_take_hello_locked(mail);
    if (mail->frame.kind == WIRE_FRAME_BYE)
        wire_take_bye_locked(mail);
    if (mail->frame.kind <= WIRE_FRAME_BYE)
        return;
    wire_link *link = find_link_locked(mail);
    if (!link)
        return;
    if (mail->frame.kind == WIRE_FRAME_ROUND)
        wire_take_record_locked(link, mail);
    else if (mail->frame.kind == WIRE_FRAME_ABORT)
        wire_take_abort_locked(link, mail);
    else if (mail->frame.kind == WIRE_FRAME_READY)
        wire_take_ready_locked(link, mail);
    else
        wire_take_message_locked(link, mail);
}

/* --- its place ------------------------------------------------------------------------------- */

/* Without a core for each rank, looking longer would keep the others from coming. */
static uint64_t spin_of(uint32_t size, uint32_t spin_us)
{
    return (uint64_t) sysconf(_SC_NPROCESSORS_ONLN) >= size ? spin_us * UINT64_C(1000) : 0;
}

static mls_status set_place(wire_link *link, uint32_t rank, uint32_t size, uint32_t spin_us)
{
    link->peers = alloc_zeros(link->host, size, sizeof *link->peers);
    link->records = alloc_zeros(link->host, size, 2 * (size_t) WIRE_RECORD_BYTES);
    if (!link->peers || !link->records)
        return no_memory(link->host, size * (sizeof *link->peers + 2 * WIRE_RECORD_BYTES));
    link->rank = rank;
    link->size = size;
    link->spin_ns = spin_of(size, spin_us);
    return MLS_OK;
}

static mls_status read_address(wire_link *link, const mls_transport_join *join, uint32_t rank)
{
    char text[96] = "";
    int world_rank, end = 0;
    const size_t size = join->address_sizes[rank];
    if (size < sizeof text)
        memcpy(text, join->addresses[rank], size);
    if (sscanf(text, "mpi/%9d/%*19[0-9]%n", &world_rank, &end) != 1 || (size_t) end != size ||
        world_rank < 0 || world_rank >= wire_the_world.size)
        return link->host->error(MLS_EINVAL, "the address of rank %u is none of this transport",
                                 rank);
    link->peers[rank].world_rank = world_rank;
    return MLS_OK;
}

/* By addresses, or the first ranks of MPI_COMM_WORLD. */
static mls_status find_ranks(wire_link *link, const mls_transport_join *join)
{
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < link->size; i++) {
        link->peers[i].world_rank = (int) i;
        if (join->addresses)
            status = read_address(link, join, i);
    }
    if (status)
        return status;
    if (link->size > (uint32_t) wire_the_world.size)
        return link->host->error(MLS_EINVAL, "a group of %u ranks; MPI_COMM_WORLD has %d",
                                 link->size, wire_the_world.size);
    if (link->peers[link->rank].world_rank != wire_the_world.rank)
        return link->host->error(MLS_EINVAL, "rank %u: this process is rank %d of MPI_COMM_WORLD",
                                 link->rank, wire_the_world.rank);
    return MLS_OK;
}

static mls_status set_key(wire_link *link, const mls_transport_join *join)
{
    const int size = join->addresses
                         ? snprintf(link->key, sizeof link->key, "offer:%.*s",
                                    (int) join->address_sizes[0], (const char *) join->addresses[0])
                         : snprintf(link->key, sizeof link->key, "name:%s", link->config);
    link->key_bytes = (size_t) size;
    if (join->token_bytes > sizeof link->token)
        return link->host->error(MLS_EINVAL, "a token of %zu bytes", join->token_bytes);
    link->token_bytes = join->token_bytes;
    if (join->token_bytes)
        memcpy(link->token, join->token, join->token_bytes);
    return MLS_OK;
}

mls_status wire_connect(void *self, const mls_transport_join *join)
{
    wire_link *link = self;
    mls_status status = wire_world_enter(link->host, join->group_size, join->until_ns);
    if (!status)
        status = set_place(link, join->rank, join->group_size, join->spin_us);
    if (!status)
        status = find_ranks(link, join);
    if (!status)
        status = set_key(link, join);
    return status ? status : wire_meet(link, NULL, join->until_ns);
}

mls_status wire_split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    const wire_link *parent = self;
    wire_link *link;
    mls_status status = create(parent->host, parent->config, &link);
    if (status)
        return status;
    link->sums = parent->sums;
    status = set_place(link, subset->rank, subset->count, subset->spin_us);
    for (uint32_t i = 0; !status && i < subset->count; i++)
        link->peers[i].world_rank = parent->peers[subset->ranks[i]].world_rank;
    if (!status) {
        link->key_bytes =
            (size_t) snprintf(link->key, sizeof link->key, "split:%d:%" PRIu64 ":%" PRIu64,
                              parent->peers[0].world_rank, parent->peers[0].number, subset->id);
        link->key_bytes +=
            (size_t) snprintf(link->key + link->key_bytes, sizeof link->key - link->key_bytes,
                              ":%u", subset->ranks[0]);
        memcpy(link->token, parent->token, parent->token_bytes);
        link->token_bytes = parent->token_bytes;
        status = wire_meet(link, subset, subset->until_ns);
    }
    if (status) {
        wire_close_link(link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

/* --- leaving --------------------------------------------------------------------------------- */

static bool is_listed_locked(const wire_link *link)
{
    const wire_link *other = wire_the_world.links;
    while (other && other != link)
        other = other->next;
    return other != NULL;
}

static void leave_locked(wire_link *link)
{
    if (link->has_left || !is_listed_locked(link))
        return;
    link->has_left = true;
    if (link->is_aborted && link->abort_rank != link->rank)
        wire_tell_abort_locked(link); /* else this goodbye may overtake it */
    wire_say_bye_locked(link);
    wire_end_messages_locked(link);
    wire_progress_locked();
}

void wire_leave(void *self)
{
    pthread_mutex_lock(&wire_the_world.mutex);
    leave_locked(self);
    pthread_mutex_unlock(&wire_the_world.mutex);
}

void wire_close_link(void *self)
{
    wire_link *link = self;
    wire_leave(link);
    wire_engine_await(link);
    pthread_mutex_lock(&wire_the_world.mutex);
    wire_end_messages_locked(link);
    wire_engine_close_locked(link);
    for (wire_link **at = &wire_the_world.links; *at; at = &(*at)->next)
        if (*at == link) {
            *at = link->next;
            break;
        }
    pthread_mutex_unlock(&wire_the_world.mutex);
    destroy(link);
}
