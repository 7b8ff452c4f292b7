/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting: every rank says hello to all others, with a key that a group's ranks have in common (a
 * name of a URL, the address of rank 0's offer, or the link and subset that it was split from)
 * and its own number of the link. Who has the hellos of all is connected. Hellos that nobody has
 * asked for yet wait in the lobby; who gives up says goodbye, which takes its hello away.
 */
#include "transport/mpi/link.h"
#include "transport/shared/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct hello {
    struct hello *next;
    int source;
    uint32_t rank, size;
    uint64_t number;
    size_t key_bytes, token_bytes;
    unsigned char bytes[]; /* the key and the token */
} hello;

static hello *lobby, **lobby_end = &lobby;

/* --- hellos and goodbyes ------------------------------------------------------------------------
 */

/* A hello that does not fit in the lobby any more is as if it had not come. */
void wire_take_hello_locked(const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    if (frame->c > frame->size_bytes)
        return;
    hello *guest = malloc(sizeof *guest + frame->size_bytes);
    if (!guest)
        return;
    *guest = (hello){.source = mail->source,
                     .rank = frame->from,
                     .size = (uint32_t) frame->b,
                     .number = frame->a,
                     .key_bytes = (size_t) frame->c,
                     .token_bytes = frame->size_bytes - (size_t) frame->c};
    memcpy(guest->bytes, mail->data, frame->size_bytes);
    *lobby_end = guest;
    lobby_end = &guest->next;
}

static void drop_hello_locked(hello **at)
{
    hello *guest = *at;
    *at = guest->next;
    if (!*at)
        lobby_end = at;
    free(guest);
}

void wire_take_bye_locked(const wire_mail *mail)
{
    for (hello **at = &lobby; *at;) {
        if ((*at)->source == mail->source && (*at)->number == mail->frame.a)
            drop_hello_locked(at);
        else
            at = &(*at)->next;
    }
    for (wire_link *link = wire_the_world.links; link; link = link->next)
        for (uint32_t i = 0; i < link->size; i++)
            if (link->peers[i].world_rank == mail->source && link->peers[i].number == mail->frame.a)
                link->peers[i].has_left = true;
}

/* --- meeting --------------------------------------------------------------------------------- */

static void say_hello_locked(wire_link *link)
{
    unsigned char bytes[WIRE_KEY_BYTES + sizeof link->token];
    memcpy(bytes, link->key, link->key_bytes);
    memcpy(bytes + link->key_bytes, link->token, link->token_bytes);
    const wire_frame frame = {.kind = WIRE_FRAME_HELLO,
                              .from = link->rank,
                              .a = link->number,
                              .b = link->size,
                              .c = link->key_bytes,
                              .size_bytes = (uint32_t) (link->key_bytes + link->token_bytes)};
    for (uint32_t i = 0; i < link->size; i++)
        if (i != link->rank)
            wire_send_locked(link->peers[i].world_rank, &frame, bytes, NULL);
}

void wire_say_bye_locked(const wire_link *link)
{
    const wire_frame frame = {.kind = WIRE_FRAME_BYE, .from = link->rank, .a = link->number};
    for (uint32_t i = 0; i < link->size; i++)
        if (i != link->rank)
            wire_send_locked(link->peers[i].world_rank, &frame, NULL, NULL);
}

/* Whether a guest cannot be of the group: in words that both get. */
static mls_status check_hello(const wire_link *link, const hello *guest, char *text, size_t size)
{
    if (guest->token_bytes != link->token_bytes ||
        memcmp(guest->bytes + guest->key_bytes, link->token, link->token_bytes) != 0) {
        snprintf(text, size, "rank %u has another token than rank %u", link->rank, guest->rank);
        return MLS_EPEER;
    }
    if (guest->size != link->size) {
        snprintf(text, size, "rank %u says that the group has %u ranks; rank %u said %u",
                 link->rank, link->size, guest->rank, guest->size);
        return MLS_EINVAL;
    }
    return MLS_OK;
}

/* It may be gone before the guest has looked at this rank's own hello, so the guest is told. */
static mls_status refuse_locked(const wire_link *link, const hello *guest, mls_status status,
                                const char *text)
{
    const wire_frame frame = {.kind = WIRE_FRAME_ABORT,
                              .from = link->rank,
                              .link = guest->number,
                              .b = link->rank,
                              .size_bytes = (uint32_t) strlen(text),
                              .status = (int32_t) status};
    wire_send_locked(guest->source, &frame, text, NULL);
    return link->host->error(status, "%s", text);
}

/* Takes what is for this link from the lobby. MLS_ETIMEDOUT: some are missing. */
static mls_status meet_locked(wire_link *link)
{
    char text[128];
    mls_status status = wire_failure_locked(link->host);
    if (!status && link->is_aborted)
        status = link->host->error(link->abort_status, "%s", link->abort_reason);
    for (hello **at = &lobby; !status && *at;) {
        const hello *guest = *at;
        const uint32_t rank = guest->rank;
        const bool is_ours = guest->key_bytes == link->key_bytes &&
                             memcmp(guest->bytes, link->key, link->key_bytes) == 0;
        /* Ranks that are not of this group, or here already, greet the next one by this name. */
        const bool is_new = is_ours && rank < link->size && !link->peers[rank].number;
        if (!is_new) {
            at = &(*at)->next;
            continue;
        }
        status = check_hello(link, guest, text, sizeof text);
        if (status)
            refuse_locked(link, guest, status, text);
        else if (link->peers[rank].world_rank == guest->source)
            link->peers[rank].number = guest->number;
        drop_hello_locked(at);
    }
    if (status)
        return status;
    for (uint32_t i = 0; i < link->size; i++)
        if (!link->peers[i].number)
            return MLS_ETIMEDOUT;
    return MLS_OK;
}

static bool has_come(const void *user, uint32_t rank)
{
    const wire_link *link = user;
    return link->peers[rank].number != 0;
}

static mls_status miss_locked(const wire_link *link, const mls_transport_subset *subset)
{
    char missing[MLS__MISSING_TEXT];
    mls__missing_text(link->size, subset, has_come, link, missing);
    return link->host->error(MLS_EDEADLINE, "of %u ranks these have not come:%s", link->size,
                             missing);
}

/* The first of this process's own links of the key that sits there unmet. */
static bool is_taken_locked(const wire_link *link)
{
    for (const wire_link *other = wire_the_world.links; other; other = other->next)
        if (!other->is_connected && other->key_bytes == link->key_bytes &&
            memcmp(other->key, link->key, link->key_bytes) == 0)
            return true;
    return false;
}

static void list_locked(wire_link *link)
{
    link->next = wire_the_world.links;
    wire_the_world.links = link;
}

mls_status wire_meet(wire_link *link, const mls_transport_subset *subset, uint64_t until_ns)
{
    wire_patience patience = wire_patience_begin(0);
    pthread_mutex_lock(&wire_the_world.mutex);
    if (is_taken_locked(link)) {
        pthread_mutex_unlock(&wire_the_world.mutex);
        return link->host->error(MLS_EEXIST, "rank %u of %u is there already", link->rank,
                                 link->size);
    }
    link->peers[link->rank].number = link->number;
    list_locked(link);
    say_hello_locked(link);
    mls_status status;
    bool in_time = true, is_over = false;
    for (;;) {
        wire_progress_locked();
        status = meet_locked(link);
        if (status != MLS_ETIMEDOUT || !in_time || is_over)
            break;
        pthread_mutex_unlock(&wire_the_world.mutex);
        in_time = wire_rest(&patience, until_ns);
        is_over = mls__subset_is_over(subset);
        pthread_mutex_lock(&wire_the_world.mutex);
    }
    if (status == MLS_ETIMEDOUT)
        status = is_over ? MLS_ECANCELLED : miss_locked(link, subset);
    link->is_connected = !status;
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}
