/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How algorithms see a transport: rounds, in which all ranks say the same thing, and
 * exchanges of pieces, by reading or by messages. An algorithm names pieces by their place in
 * what a rank shows, so that both ways serve it.
 */
#include "group/group.h"

#include "base/error.h"

#include <string.h>

/* Messages of exchanges; those of the host have smaller tags. */
#define EXCHANGE_TAG (UINT64_C(1) << 63)

bool mls__reads(const mls_group *group)
{
    const mls_transport *ops = group->transport.ops;
    return MLS_HAS_OP(ops, mls_transport, read_begin) && MLS_HAS_OP(ops, mls_transport, read) &&
           MLS_HAS_OP(ops, mls_transport, read_end);
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

void *mls__payload(const mls_group *group)
{
    return group->record + sizeof(mls__header);
}

size_t mls__payload_room(const mls_group *group)
{
    return (size_t) group->transport.ops->record_bytes - sizeof(mls__header);
}

static mls_status read_header(const mls_group *group, uint32_t rank, mls__header *ret_header)
{
    const mls_transport_record *record = &group->records[rank];
    if (record->size_bytes < sizeof *ret_header)
        return mls__error(MLS_EFORMAT, "rank %u gave a record of %zu bytes; it has at least %zu",
                          rank, record->size_bytes, sizeof *ret_header);
    memcpy(ret_header, record->data, sizeof *ret_header);
    ret_header->name[MLS_GROUP_NAME_MAX] = '\0';
    return MLS_OK;
}

mls_status mls__payload_of(const mls_group *group, uint32_t rank, size_t size_bytes,
                           const void **ret_payload)
{
    const mls_transport_record *record = &group->records[rank];
    if (record->size_bytes != sizeof(mls__header) + size_bytes)
        return mls__error(MLS_EFORMAT, "rank %u gave %zu bytes where %zu belong", rank,
                          record->size_bytes - sizeof(mls__header), size_bytes);
    *ret_payload = (const unsigned char *) record->data + sizeof(mls__header);
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
    if (strcmp(text, other_text) == 0)
        return mls__error(
            MLS_EMISMATCH, "seq %llu: ranks 0 and %u called %s, with %u and %u shards",
            (unsigned long long) first->seq, rank, text, first->shards, other->shards);
    return mls__error(MLS_EMISMATCH, "seq %llu: rank 0 called %s, rank %u %s",
                      (unsigned long long) first->seq, text, rank, other_text);
}

static mls_status check_same(const mls_group *group)
{
    mls__header first, other;
    mls_status status = read_header(group, 0, &first);
    for (uint32_t i = 1; !status && i < group->size; i++) {
        status = read_header(group, i, &other);
        if (!status && !mls__header_same(&first, &other))
            return mismatch(&first, &other, i);
    }
    return status;
}

mls_status mls__round(mls_group *group, mls__call *call, uint32_t phase, const void *base,
                      size_t payload_bytes)
{
    mls__reading_end(group);
    call->header.phase = phase;
    call->header.address = (uint64_t) (uintptr_t) base;
    memcpy(group->record, &call->header, sizeof call->header);
    group->rounds++;
    mls__error_clear();
    const mls_status status =
        group->transport.ops->round(group->link, group->record, sizeof call->header + payload_bytes,
                                    call->until_ns, group->records);
    return status ? mls__call_lost(group, call, status) : check_same(group);
}

/* --- by reading ------------------------------------------------------------------------------ */

/* Begins with the next rank, so that not all of them read of one. */
static mls_status read_pieces(mls_group *group)
{
    for (uint32_t i = 1; i <= group->size; i++) {
        const uint32_t from = (group->rank + i) % group->size;
        mls__piece *piece = &group->take[from];
        mls__header header;
        if (!piece->size_bytes)
            continue;
        const mls_status status = read_header(group, from, &header);
        if (status)
            return status;
        piece->found = group->transport.ops->read(group->link, from, header.address + piece->offset,
                                                  piece->size_bytes);
        if (!piece->found)
            return mls__error(MLS_EIO, "the memory of rank %u cannot be read", from);
        if (piece->into && piece->into != piece->found)
            memcpy(piece->into, piece->found, piece->size_bytes);
    }
    return MLS_OK;
}

/* --- by messages ----------------------------------------------------------------------------- */

static void fill(const mls__call *call, uint32_t kind, uint32_t peer, void *data, size_t size_bytes,
                 mls_transport_message *message)
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
        fill(call, receives ? MLS_MESSAGE_RECEIVE : MLS_MESSAGE_SEND, peer, data, piece->size_bytes,
             message);
        status = ops->post(group->link, message);
        if (!status)
            ++*ret_count;
    }
    return status;
}

static mls_status wait_pieces(mls_group *group, const mls__call *call, uint32_t count)
{
    const mls_transport *ops = group->transport.ops;
    for (uint32_t i = 0; i < count; i++) {
        mls_transport_message *message = &group->messages[i];
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
        status = wait_pieces(group, call, count);
    if (status)
        for (uint32_t i = 0; i < count; i++)
            ops->retract(group->link, &group->messages[i]);
    return status;
}

mls_status mls__exchange(mls_group *group, mls__call *call, uint32_t phase, const void *base)
{
    call->header.phase = phase;
    if (!mls__reads(group))
        return send_pieces(group, call, base);
    mls_status status = phase ? mls__round(group, call, phase, base, 0) : MLS_OK;
    if (!status)
        status = reading_begin(group, call);
    return status ? status : read_pieces(group);
}

mls_status mls__exchange_end(mls_group *group, mls__call *call, uint32_t phase)
{
    return mls__reads(group) ? mls__round(group, call, phase, NULL, 0) : MLS_OK;
}
