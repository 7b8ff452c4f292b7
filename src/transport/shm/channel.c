/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: from each rank to each other one a ring of frames in order. The sender counts what
 * it has written, the receiver what it has taken; each believes its own count alone, and of the
 * other's only what is possible.
 */
#include "transport/shm/shm.h"

static mls_status give_pages(shm_link *link, uint32_t to)
{
    shm_lane *lane = &link->lanes[to];
    if (lane->has_pages)
        return MLS_OK;
    const mls_status status = shm_memory_reserve(
        link, shm_memory_channel(&link->memory, link->rank, to), sizeof(shm_channel));
    lane->has_pages = !status;
    return status;
}

mls_status shm_channel_place(shm_link *link, uint32_t to, shm_frame **ret_frame)
{
    const mls_status status = give_pages(link, to);
    if (status)
        return status;
    shm_channel *channel = shm_memory_channel(&link->memory, link->rank, to);
    const uint64_t sent = link->lanes[to].sent;
    const bool is_full = sent - atomic_load(&channel->taken) >= SHM_FRAMES;
    *ret_frame = is_full ? NULL : &channel->frames[sent % SHM_FRAMES];
    return MLS_OK;
}

void shm_channel_send(shm_link *link, uint32_t to)
{
    shm_channel *channel = shm_memory_channel(&link->memory, link->rank, to);
    atomic_store(&channel->written, ++link->lanes[to].sent);
    shm_channel_keep_at(link, to, link->rank);
    shm_ring(link, to);
}

const shm_frame *shm_channel_next(const shm_link *link, uint32_t from)
{
    const shm_channel *channel = shm_memory_channel(&link->memory, from, link->rank);
    const uint64_t took = link->lanes[from].took;
    const uint64_t ready = atomic_load(&channel->written) - took;
    return ready >= 1 && ready <= SHM_FRAMES ? &channel->frames[took % SHM_FRAMES] : NULL;
}

/* A sender that found the channel full sees this frame gone, or is seen to have filled it. */
void shm_channel_took(shm_link *link, uint32_t from)
{
    shm_channel *channel = shm_memory_channel(&link->memory, from, link->rank);
    const uint64_t before = link->lanes[from].took++;
    atomic_store(&channel->taken, before + 1);
    if (atomic_load(&channel->written) - before >= SHM_FRAMES)
        shm_ring(link, from);
}

void shm_channel_keep_at(const shm_link *link, uint32_t at, uint32_t from)
{
    atomic_fetch_or(&shm_seat_of(link, at)->mail[from / 64], UINT64_C(1) << from % 64);
}

void shm_channel_each(shm_link *link, void (*take)(shm_link *link, uint32_t from))
{
    shm_seat *own = shm_seat_of(link, link->rank);
    for (uint32_t k = 0; k < SHM_MAIL_WORDS && k * 64 < link->size; k++) {
        if (!atomic_load(&own->mail[k]))
            continue;
        uint64_t word = atomic_exchange(&own->mail[k], 0);
        for (; word; word &= word - 1) {
            const uint32_t from = k * 64 + (uint32_t) __builtin_ctzll(word);
            if (from < link->size)
                take(link, from);
        }
    }
}
