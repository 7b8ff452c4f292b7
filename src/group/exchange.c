/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How algorithms see a transport: rounds, in which all ranks say the same thing, and
 * exchanges of pieces, by reading or by messages. An algorithm names pieces by their place in
 * what a rank shows, so that both ways serve it.
 */
#include "group/group.h"

#include "base/error.h"
#include "group/stream.h"

#include <stdatomic.h>
#include <string.h>

/* Messages of exchanges; those of the host have smaller tags. */
#define EXCHANGE_TAG (UINT64_C(1) << 63)

/* What a header says of a rank that shows nothing, of one that nobody can read, ... */
#define SHOWS_NOTHING UINT64_MAX
#define SHOWS_NOBODY  UINT64_C(0)
/* ... and of one that brings what it has in strides, to where it can be read. */
#define SHOWS_STAGE UINT64_C(1)

void mls__ways_find(mls_group *group)
{
    const mls_transport *ops = group->transport.ops;
    group->has_reading = MLS_HAS_OP(ops, mls_transport, read_begin) &&
                         MLS_HAS_OP(ops, mls_transport, read) &&
                         MLS_HAS_OP(ops, mls_transport, read_end);
    group->has_arenas = group->has_reading && MLS_HAS_OP(ops, mls_transport, allocate) &&
                        MLS_HAS_OP(ops, mls_transport, release);
}

static mls_status reading_begin(mls_group *group, const mls__call *call)
{
    const mls_status status = group->transport.ops->read_begin(group->link);
    group->is_reading = !status;
    return status ? mls__call_lost(group, call, status) : MLS_OK;
}

void mls__reading_end(mls_group *group)
{
    if (group->is_reading)
        group->transport.ops->read_end(group->link);
    group->is_reading = false;
}

mls_status mls__reading_pause(mls_group *group, const mls__call *call)
{
    char reason[16];
    uint32_t rank;
    if (group->is_reading) {
        mls__reading_end(group);
        return reading_begin(group, call);
    }
    const bool is_ended =
        group->transport.ops->aborted(group->link, &rank, reason, sizeof reason) != MLS_ENOTFOUND;
    return is_ended ? mls__call_lost(group, call, MLS_ECANCELLED) : MLS_OK;
}

void *mls__payload(const mls_group *group)
{
    return group->record + sizeof(mls__mark);
}

/* The same whether the call has a name or not. */
size_t mls__payload_room(const mls_group *group)
{
    return (size_t) group->transport.ops->record_bytes - sizeof(mls__mark) - MLS__TAIL_MAX;
}

/* What another process has written, as it is now; `ret_rest` are the bytes behind it. */
static mls_status read_mark(const mls_group *group, uint32_t rank, mls__mark *ret_mark,
                            size_t *ret_rest)
{
    const mls_transport_record *record = &group->records[rank];
    if (record->size_bytes >= sizeof *ret_mark) {
        memcpy(ret_mark, record->data, sizeof *ret_mark);
        *ret_rest = record->size_bytes - sizeof *ret_mark;
        atomic_signal_fence(memory_order_seq_cst); /* what is checked is what is used */
        if (ret_mark->tail_bytes <= *ret_rest)
            return MLS_OK;
    }
    return mls__error(MLS_EFORMAT, "rank %u gave a record of %zu bytes, which is too short", rank,
                      record->size_bytes);
}

static const unsigned char *tail_of(const mls_group *group, uint32_t rank, const mls__mark *mark)
{
    const mls_transport_record *record = &group->records[rank];
    return (const unsigned char *) record->data + record->size_bytes - mark->tail_bytes;
}

/* Behind a round: all ranks have a tail of as many bytes as this one. */
size_t mls__payload_bytes(const mls_group *group, uint32_t rank)
{
    const mls__mark *own = (const void *) group->record;
    return group->records[rank].size_bytes - sizeof *own - own->tail_bytes;
}

mls_status mls__payload_of(const mls_group *group, uint32_t rank, size_t size_bytes,
                           const void **ret_payload)
{
    const size_t given = mls__payload_bytes(group, rank);
    if (given != size_bytes)
        return mls__error(MLS_EFORMAT, "rank %u gave %zu bytes where %zu belong", rank, given,
                          size_bytes);
    *ret_payload = (const unsigned char *) group->records[rank].data + sizeof(mls__mark);
    return MLS_OK;
}

/* The same words on all ranks: of the first that differs from rank 0. */
static mls_status mismatch(const mls__header *first, const mls__header *other, uint32_t rank)
{
    char text[MLS__HEADER_TEXT], other_text[MLS__HEADER_TEXT];
    mls__header_text(first, text);
    mls__header_text(other, other_text);
    if (first->seq != other->seq || first->epoch != other->epoch || first->phase != other->phase ||
        first->version != other->version)
        return mls__error(MLS_EINTERNAL, "rank 0 is at seq %llu %s, rank %u at seq %llu %s",
                          (unsigned long long) first->seq, text, rank,
                          (unsigned long long) other->seq, other_text);
    if (first->digest != other->digest && strcmp(text, other_text) == 0)
        return mls__error(MLS_EMISMATCH,
                          "seq %llu: ranks 0 and %u called %s, of other dims, layouts or meshes",
                          (unsigned long long) first->seq, rank, text);
    if (strcmp(text, other_text) == 0)
        return mls__error(
            MLS_EMISMATCH, "seq %llu: ranks 0 and %u called %s, with %u and %u shards",
            (unsigned long long) first->seq, rank, text, first->shards, other->shards);
    return mls__error(MLS_EMISMATCH, "seq %llu: rank 0 called %s, rank %u %s",
                      (unsigned long long) first->seq, text, rank, other_text);
}

static mls_status read_header(const mls_group *group, uint32_t rank, mls__header *ret_header)
{
    mls__mark mark;
    size_t rest;
    const mls_status status = read_mark(group, rank, &mark, &rest);
    if (!status)
        mls__header_unpack(&mark, tail_of(group, rank, &mark), ret_header);
    return status;
}

static mls_status find_mismatch(const mls_group *group)
{
    mls__header first, other;
    mls_status status = read_header(group, 0, &first);
    for (uint32_t i = 1; !status && i < group->size; i++) {
        status = read_header(group, i, &other);
        other.address = first.address;
        if (!status && memcmp(&first, &other, sizeof first) != 0)
            return mismatch(&first, &other, i);
    }
    return status ? status : mls__error(MLS_EFORMAT, "a rank has changed what it said");
}

/*
 * Whether what the ranks show can be read is found out here, once: another process could change
 * its mark between two looks.
 */
static mls_status check_same(mls_group *group, const mls__mark *own, const unsigned char *own_tail)
{
    bool shows_all = true;
    bool stages_all = own->address == SHOWS_STAGE; /* what lies in shared memory others can write */
    for (uint32_t i = 0; i < group->size; i++) {
        mls__mark mark;
        size_t rest;
        const mls_status status = read_mark(group, i, &mark, &rest);
        if (status)
            return status;
        if (!mls__mark_same(&mark, own) ||
            (mark.tail_bytes && memcmp(tail_of(group, i, &mark), own_tail, mark.tail_bytes) != 0))
            return find_mismatch(group);
        shows_all = shows_all && mark.address != SHOWS_NOBODY && mark.address != SHOWS_STAGE;
        stages_all = stages_all && mark.address == SHOWS_STAGE;
    }
    group->reads_now = group->has_reading && (shows_all || !group->has_arenas);
    group->stages_now = group->has_arenas && stages_all;
    return MLS_OK;
}

bool mls__shows(const mls_group *group, const void *base)
{
    const mls_transport *ops = group->transport.ops;
    return group->has_reading && (!group->has_arenas || ops->read(group->link, group->rank,
                                                                  (uint64_t) (uintptr_t) base, 1));
}

static uint64_t shown_address(const mls_group *group, const mls__call *call, const void *base)
{
    if (call->stages && !call->header.phase)
        return SHOWS_STAGE;
    if (!base)
        return SHOWS_NOTHING;
    return mls__shows(group, base) ? (uint64_t) (uintptr_t) base : SHOWS_NOBODY;
}

mls_status mls__round(mls_group *group, mls__call *call, uint32_t phase, const void *base,
                      size_t payload_bytes)
{
    mls__reading_end(group);
    call->header.phase = phase;
    call->header.address = shown_address(group, call, base);
    mls__mark *mark = (void *) group->record;
    unsigned char *tail = group->record + sizeof *mark + payload_bytes;
    mls__header_pack(&call->header, mark, tail);
    group->rounds++;
    mls__error_clear();
    const mls_status status = group->transport.ops->round(
        group->link, mark, sizeof *mark + payload_bytes + mark->tail_bytes, call->until_ns,
        group->records);
    return status ? mls__call_lost(group, call, status) : check_same(group, mark, tail);
}

bool mls__reads_now(const mls_group *group)
{
    return group->reads_now;
}

bool mls__stages_now(const mls_group *group)
{
    return group->stages_now;
}

/* --- by reading ------------------------------------------------------------------------------ */

/* In place the caches have what was read, and there is half as much: it pays later. */
static bool does_stream(const mls__call *call, size_t size_bytes)
{
    const bool in_place = call->source && call->target && call->source->data == call->target->data;
    return size_bytes >= (in_place ? 4 * MLS__STREAM_BYTES : MLS__STREAM_BYTES);
}

static mls_status copy_piece(mls_group *group, const mls__call *call, const mls__piece *piece)
{
    const bool streams = does_stream(call, piece->size_bytes);
    mls_status status = MLS_OK;
    for (size_t at = 0; !status && at < piece->size_bytes; at += MLS__STRIDE_BYTES) {
        const size_t left = piece->size_bytes - at;
        const size_t stride = left < MLS__STRIDE_BYTES ? left : MLS__STRIDE_BYTES;
        unsigned char *into = (unsigned char *) piece->into + at;
        const unsigned char *found = (const unsigned char *) piece->found + at;
        if (streams)
            mls__stream_copy(into, found, stride);
        else
            memcpy(into, found, stride);
        if (left > MLS__STRIDE_BYTES)
            status = mls__reading_pause(group, call);
    }
    if (streams)
        mls__stream_end();
    return status;
}

mls_status mls__find(mls_group *group, uint32_t rank, mls__piece *piece)
{
    mls__mark mark;
    size_t rest;
    const mls_status status = read_mark(group, rank, &mark, &rest);
    if (status)
        return status;
    const mls_dtype dtype = (mls_dtype) ((const mls__mark *) (const void *) group->record)->dtype;
    const size_t size = mls_dtype_size(dtype);
    if (size && mark.address % size) /* sums are made of elements where they lie */
        return mls__error(MLS_EFORMAT, "rank %u shows %s at an address where none can lie", rank,
                          mls_dtype_name(dtype));
    piece->found = group->transport.ops->read(group->link, rank, mark.address + piece->offset,
                                              piece->size_bytes);
    return piece->found ? MLS_OK
                        : mls__error(MLS_EIO, "the memory of rank %u cannot be read", rank);
}

/* Begins with the next rank, so that not all of them read of one. */
static mls_status read_pieces(mls_group *group, const mls__call *call)
{
    for (uint32_t i = 1; i <= group->size; i++) {
        const uint32_t from = (group->rank + i) % group->size;
        mls__piece *piece = &group->take[from];
        if (!piece->size_bytes)
            continue;
        mls_status status = mls__find(group, from, piece);
        if (status)
            return status;
        if (piece->into && piece->into != piece->found)
            status = copy_piece(group, call, piece);
        if (status)
            return status;
    }
    return MLS_OK;
}

/* --- by messages ----------------------------------------------------------------------------- */

void mls__message_fill(const mls__call *call, uint32_t kind, uint32_t peer, void *data,
                       size_t size_bytes, mls_transport_message *message)
{
    *message = (mls_transport_message){
        .size = sizeof *message,
        .kind = kind,
        .peer = peer,
        .tag = EXCHANGE_TAG,
        .data = data,
        .size_bytes = size_bytes,
        .head = &call->header,
        .head_bytes = sizeof call->header,
        .flags = MLS_MESSAGE_AGREED,
    };
}

/* Receives first, so that what comes finds its place. `ret_count` counts those posted. */
static mls_status post_pieces(mls_group *group, const mls__call *call, const unsigned char *base,
                              uint32_t *ret_count)
{
    const mls_transport *ops = group->transport.ops;
    mls_status status = MLS_OK;
    for (uint32_t k = 0; !status && k < 2 * group->size; k++) {
        const bool receives = k < group->size;
        const uint32_t peer = (group->rank + k) % group->size;
        const mls__piece *piece = receives ? &group->take[peer] : &group->give[peer];
        if (peer == group->rank || !piece->size_bytes)
            continue;
        mls_transport_message *message = &group->messages[*ret_count];
        /* A send only reads. */
        void *data = receives ? piece->into : (void *) (uintptr_t) (base + piece->offset);
        mls__message_fill(call, receives ? MLS_MESSAGE_RECEIVE : MLS_MESSAGE_SEND, peer, data,
                          piece->size_bytes, message);
        status = ops->post(group->link, message);
        if (!status)
            ++*ret_count;
    }
    return status;
}

mls_status mls__messages_wait(mls_group *group, const mls__call *call,
                              mls_transport_message *messages, uint32_t count)
{
    const mls_transport *ops = group->transport.ops;
    for (uint32_t i = 0; i < count; i++) {
        mls_transport_message *message = &messages[i];
        const bool receives = message->kind == MLS_MESSAGE_RECEIVE;
        const mls_status status = ops->wait(group->link, message, call->until_ns);
        if (status)
            return mls__call_lost_peer(
                group, call, message->peer, status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status,
                receives ? "has not given its part" : "has not taken its part");
    }
    return MLS_OK;
}

static mls_status send_pieces(mls_group *group, mls__call *call, const unsigned char *base)
{
    const mls_transport *ops = group->transport.ops;
    uint32_t count = 0;
    call->header.address = 0;
    mls__piece *own = &group->take[group->rank];
    if (own->size_bytes) {
        own->found = base + own->offset;
        if (own->into && own->into != own->found)
            memcpy(own->into, own->found, own->size_bytes);
    }
    for (uint32_t i = 0; i < group->size; i++)
        if (i != group->rank)
            group->take[i].found = group->take[i].into;
    mls_status status = post_pieces(group, call, base, &count);
    if (!status)
        status = mls__messages_wait(group, call, group->messages, count);
    if (status)
        for (uint32_t i = 0; i < count; i++)
            ops->retract(group->link, &group->messages[i]);
    return status;
}

mls_status mls__exchange(mls_group *group, mls__call *call, uint32_t phase, const void *base)
{
    call->header.phase = phase;
    if (!group->has_reading)
        return send_pieces(group, call, base);
    mls_status status = phase ? mls__round(group, call, phase, base, 0) : MLS_OK;
    if (status)
        return status;
    if (!mls__reads_now(group))
        return send_pieces(group, call, base);
    status = reading_begin(group, call);
    return status ? status : read_pieces(group, call);
}

mls_status mls__exchange_end(mls_group *group, mls__call *call, uint32_t phase)
{
    return group->has_reading ? mls__round(group, call, phase, NULL, 0) : MLS_OK;
}
