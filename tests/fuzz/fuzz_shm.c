/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rank of a group in shared memory, where the other ranks write what the input says: frames and
 * counts of channels, records, seats, arenas and the room. Meanwhile it has messages on their way,
 * each in memory of its own size.
 *
 * The input is a list of steps: a byte for what is done, and as many bytes as that takes.
 */
#include "fuzz/fuzz.h"

#include "transport/shm/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 3, MESSAGES = 6, STEPS = 200 };

#define TAG (UINT64_C(1) << 63) /* of messages that no helper looks after */

typedef struct fuzzed {
    const uint8_t *at, *end;
    shm_link *link;
    uint64_t written[RANKS];   /* frames that others put into their channels to rank 0 */
    uint64_t looked_at[RANKS]; /* of those that it put into its own */
    mls_transport_message messages[MESSAGES];
    bool is_posted[MESSAGES];
} fuzzed;

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* --- the host -------------------------------------------------------------------------------- */

static void *take(mls_context *context, size_t size)
{
    (void) context;
    return malloc(size);
}

static void give_back(mls_context *context, void *memory)
{
    (void) context;
    free(memory);
}

static mls_status fail(mls_status status, const char *format, ...)
{
    (void) format;
    return status;
}

static const mls_plugin_host host = {
    .size = sizeof host, .alloc = take, .free = give_back, .error = fail};

/* --- bytes ----------------------------------------------------------------------------------- */

static uint8_t next(fuzzed *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

static uint32_t peer(fuzzed *f)
{
    return 1 + next(f) % (RANKS - 1);
}

static uint64_t word(fuzzed *f)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | next(f);
    return value;
}

/* A size: one that means something, or any. */
static uint64_t number(fuzzed *f)
{
    static const uint64_t sizes[] = {0,
                                     1,
                                     4,
                                     16,
                                     SHM_INLINE_BYTES,
                                     SHM_INLINE_BYTES + 1,
                                     SHM_CHUNK_BYTES,
                                     40000,
                                     65536,
                                     100000,
                                     UINT32_MAX,
                                     UINT64_MAX,
                                     SHM_RECORD_BYTES,
                                     256,
                                     257,
                                     UINT64_MAX - 40};
    const uint8_t which = next(f);
    return which < sizeof sizes / sizeof sizes[0] ? sizes[which]
           : which == UINT8_MAX                   ? word(f)
                                                  : which;
}

static void fill(fuzzed *f, void *to, size_t size)
{
    unsigned char *bytes = to;
    const size_t left = (size_t) (f->end - f->at), count = left < size ? left : size;
    memset(bytes, 0x55, size);
    if (count)
        memcpy(bytes, f->at, count);
    f->at += count < 16 ? count : 16; /* what lies behind is a step, too */
}

/* --- what others write ----------------------------------------------------------------------- */

static void move(const fuzzed *f)
{
    pthread_mutex_lock(&f->link->mail.mutex);
    shm_frames_move(f->link);
    pthread_mutex_unlock(&f->link->mail.mutex);
}

static void put_frame(fuzzed *f)
{
    const uint32_t from = peer(f);
    shm_channel *channel = shm_memory_channel(&f->link->memory, from, 0);
    shm_frame *frame = &channel->frames[f->written[from]++ % SHM_FRAMES];
    frame->kind = next(f) % 7;
    frame->id = next(f) % 8;
    frame->attempt = next(f) % 8;
    frame->tag = TAG + next(f) % 2;
    frame->size = number(f);
    frame->offset = number(f);
    frame->bytes = (uint32_t) number(f);
    frame->head_bytes = (uint32_t) number(f);
    fill(f, frame->head, sizeof frame->head);
    if (next(f) % 4)
        memcpy(frame->head, "head", 4);
    atomic_store(&channel->written, f->written[from]);
    shm_channel_keep_at(f->link, 0, from);
    move(f);
}

static void put_counts(fuzzed *f)
{
    const uint32_t from = peer(f);
    const bool is_wild = next(f) % 2;
    shm_channel *in = shm_memory_channel(&f->link->memory, from, 0);
    shm_channel *out = shm_memory_channel(&f->link->memory, 0, from);
    if (is_wild)
        atomic_store(&in->written, word(f));
    atomic_store(&out->taken, is_wild ? word(f) : f->link->lanes[from].sent);
    atomic_store(&shm_seat_of(f->link, 0)->mail[0], word(f));
    move(f);
    atomic_store(&in->written, f->written[from] = f->link->lanes[from].took);
}

static void put_records(fuzzed *f)
{
    unsigned char own[64] = {0};
    mls_transport_record records[RANKS];
    const uint64_t round = f->link->rounds + 1;
    unsigned sum = 0;
    for (uint32_t i = 1; i < RANKS; i++) {
        shm_slot *slot = &shm_seat_of(f->link, i)->slots[round % 2];
        slot->size = number(f);
        fill(f, slot->record, sizeof slot->record);
        atomic_store(&slot->round, round + next(f) % 2);
    }
    if (shm_round(f->link, own, sizeof own, 0, records))
        return;
    for (uint32_t i = 0; i < RANKS; i++) {
        need(records[i].size_bytes <= SHM_RECORD_BYTES, "a record is too long");
        for (size_t k = 0; k < records[i].size_bytes; k++)
            sum += ((const unsigned char *) records[i].data)[k];
    }
    need(sum < UINT32_MAX, "it was read");
}

/* Who says who is left decides at once, so that nobody waits for that. */
static void put_survivors(fuzzed *f)
{
    shm_room *room = f->link->room;
    uint32_t ranks[RANKS], count;
    atomic_store(&room->decided, number(f));
    fill(f, room->survivors, sizeof room->survivors);
    for (uint32_t i = 1; i < RANKS; i++)
        atomic_store(&shm_seat_of(f->link, i)->raised, number(f));
    if (shm_survivors(f->link, 0, ranks, &count))
        return;
    need(count >= 1 && count <= RANKS, "a number of survivors");
    for (uint32_t i = 0; i < count; i++)
        need(ranks[i] < RANKS && (i == 0 || ranks[i - 1] < ranks[i]), "survivors in their order");
}

static void put_reason(fuzzed *f)
{
    shm_room *room = f->link->room;
    char reason[SHM_REASON_BYTES];
    uint32_t rank;
    room->abort_status = (int32_t) (next(f) - 128);
    fill(f, room->abort_reason, sizeof room->abort_reason);
    atomic_store(&room->abort_told, 1);
    atomic_store(&room->abort_rank, (uint32_t) number(f));
    const mls_status status = shm_aborted(f->link, &rank, reason, sizeof reason);
    need(status < MLS_OK, "an abort is no success");
    need(status == MLS_ENOTFOUND || memchr(reason, '\0', sizeof reason), "a reason has an end");
}

static void put_seat(fuzzed *f)
{
    const uint32_t rank = peer(f);
    mls_transport_peer seen = {.size = sizeof seen};
    shm_seat *seat = shm_seat_of(f->link, rank);
    atomic_store(&seat->fate, next(f));
    atomic_store(&seat->waits_for, (uint32_t) number(f));
    shm_peer(f->link, rank, &seen);
    need(seen.state >= MLS_PEER_ALIVE && seen.state <= MLS_PEER_DEAD, "a state of a rank");
    move(f);
}

/* What is found lies in the arena of that rank. */
static void read_arena(fuzzed *f)
{
    const uint32_t rank = peer(f);
    const shm_memory *memory = &f->link->memory;
    const uint64_t mapping = f->link->lanes[rank].mapping;
    const uint64_t arena = memory->arenas + rank * memory->arena_span;
    const bool is_near = next(f) % 2;
    atomic_store(&shm_seat_of(f->link, rank)->arena_end, number(f));
    shm_seat_of(f->link, rank)->mapping = word(f);
    const uint64_t address = number(f) + (is_near ? mapping + arena : 0);
    const uint64_t size = number(f);
    const unsigned char *found = shm_read(f->link, rank, address, (size_t) size);
    const unsigned char *first = memory->base + arena;
    need(!found || (found >= first && size <= memory->arena_span &&
                    found <= first + memory->arena_span - size),
         "what is read lies elsewhere");
}

/* What is sent has bytes, as many as a frame has room for. */
static void look_at_sent(fuzzed *f)
{
    for (uint32_t to = 1; to < RANKS; to++) {
        const shm_channel *channel = shm_memory_channel(&f->link->memory, 0, to);
        const uint64_t sent = f->link->lanes[to].sent;
        if (sent - f->looked_at[to] > SHM_FRAMES)
            f->looked_at[to] = sent - SHM_FRAMES;
        for (uint64_t i = f->looked_at[to]; i < sent; i++) {
            const shm_frame *frame = &channel->frames[i % SHM_FRAMES];
            need(frame->kind != SHM_FRAME_DATA ||
                     (frame->bytes > 0 && frame->bytes <= SHM_CHUNK_BYTES),
                 "a frame of nothing");
        }
        f->looked_at[to] = sent;
    }
}

/* --- messages of this rank ------------------------------------------------------------------- */

static void end_message(fuzzed *f, size_t i)
{
    need(shm_retract(f->link, &f->messages[i]) <= MLS_OK, "a status");
    free(f->messages[i].data);
    f->is_posted[i] = false;
}

static void post(fuzzed *f)
{
    static const size_t sizes[] = {0, 16, SHM_INLINE_BYTES, 40000};
    const size_t i = next(f) % MESSAGES, size = sizes[next(f) % 4];
    if (f->is_posted[i])
        end_message(f, i);
    f->messages[i] = (mls_transport_message){
        .size = sizeof f->messages[i],
        .kind = next(f) % 2 ? MLS_MESSAGE_SEND : MLS_MESSAGE_RECEIVE,
        .peer = peer(f),
        .tag = TAG + next(f) % 2,
        .data = size ? calloc(1, size) : NULL,
        .size_bytes = size,
        .head = "head",
        .head_bytes = 4,
    };
    need(!size || f->messages[i].data, "memory");
    need(!shm_post(f->link, &f->messages[i]), "post");
    f->is_posted[i] = true;
}

static void look_at_message(fuzzed *f)
{
    const size_t i = next(f) % MESSAGES;
    if (!f->is_posted[i])
        return;
    const bool is_over = shm_wait(f->link, &f->messages[i], 0) != MLS_ETIMEDOUT;
    if (is_over || next(f) % 4 == 0)
        end_message(f, i);
}

/* --- the input ------------------------------------------------------------------------------- */

/* All of them are this process, so that nobody is watched. */
static shm_link *open_rank(shm_hub *hub)
{
    void *opened;
    need(!shm_open_link(hub, "fuzz?arena=2m", &opened), "open");
    shm_link *link = opened;
    need(!shm_memory_create(link, RANKS, &link->memory), "memory");
    link->room = (shm_room *) (void *) link->memory.base;
    link->size = RANKS;
    for (uint32_t i = 0; i < RANKS; i++) {
        shm_introduce(&link->memory, i);
        atomic_store(&shm_seat_of(link, i)->pid, (int32_t) getpid());
    }
    need(!shm_watch_begin(link), "watch");
    link->mail.stops = true; /* there is no helper */
    return link;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(fuzzed * f) = {
        put_frame,     post,       put_frame, look_at_message, put_counts, put_records,
        put_survivors, put_reason, put_seat,  read_arena,      post,       put_frame,
    };
    shm_hub hub = {&host};
    fuzzed f = {.at = data, .end = data + size, .link = open_rank(&hub)};
    for (int i = 0; i < STEPS && f.at < f.end; i++) {
        steps[next(&f) % (sizeof steps / sizeof steps[0])](&f);
        look_at_sent(&f);
    }
    for (size_t i = 0; i < MESSAGES; i++)
        if (f.is_posted[i])
            end_message(&f, i);
    shm_close_link(f.link);
    return 0;
}
