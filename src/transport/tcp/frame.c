/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from bytes and back. Whoever sends them may write anything. */
#include "transport/tcp/frame.h"

#include <string.h>

_Static_assert(sizeof(tcp_frame) == TCP_HEADER_BYTES, "a frame's header has no padding");
_Static_assert(sizeof(tcp_join) == 36, "a JOIN has no padding");
_Static_assert(sizeof(tcp_want) == 16, "a WANT has no padding");
_Static_assert(TCP_KEY_BYTES + MLS_GROUP_MAX_RANKS * sizeof(tcp_address) <= TCP_BODY_MAX,
               "a TABLE of all ranks fits");

/* The sizes of bodies, by kind. */
static const struct {
    uint32_t least, most;
} sizes[TCP_FRAME_KINDS] = {
    [TCP_FRAME_JOIN] = {sizeof(tcp_join), sizeof(tcp_join)},
    [TCP_FRAME_VERDICT] = {4, 4 + TCP_REASON_MAX},
    [TCP_FRAME_TABLE] = {TCP_KEY_BYTES + sizeof(tcp_address), TCP_BODY_MAX},
    [TCP_FRAME_RECORD] = {0, TCP_RECORD_BYTES},
    [TCP_FRAME_SEND] = {24, TCP_ENVELOPE_MAX},
    [TCP_FRAME_EAGER] = {0, TCP_PIECE_MAX},
    [TCP_FRAME_WANT] = {sizeof(tcp_want), sizeof(tcp_want)},
    [TCP_FRAME_DATA] = {0, TCP_PIECE_MAX},
    [TCP_FRAME_DONE] = {0, 0},
    [TCP_FRAME_MISMATCH] = {24, TCP_ENVELOPE_MAX},
    [TCP_FRAME_CANCEL] = {0, 0},
    [TCP_FRAME_ABANDON] = {0, 0},
    [TCP_FRAME_ABORT] = {16, TCP_ABORT_MAX},
    [TCP_FRAME_LEAVE] = {0, 0},
    [TCP_FRAME_HAND] = {0, 4},
    [TCP_FRAME_DECISION] = {4, 4 * MLS_GROUP_MAX_RANKS},
};

bool tcp_frame_read(const void *bytes, uint32_t epoch, tcp_frame *ret_frame)
{
    tcp_frame frame;
    memcpy(&frame, bytes, sizeof frame);
    if (frame.kind == 0 || frame.kind >= TCP_FRAME_KINDS || frame.epoch != epoch ||
        frame.reserved || frame.size < sizes[frame.kind].least ||
        frame.size > sizes[frame.kind].most)
        return false;
    *ret_frame = frame;
    return true;
}

bool tcp_join_read(const void *body, size_t size, tcp_join *ret_join)
{
    tcp_join join;
    if (size != sizeof join)
        return false;
    memcpy(&join, body, sizeof join);
    if ((join.purpose != TCP_JOIN_MEET && join.purpose != TCP_JOIN_MESH) || join.reserved ||
        !tcp_address_is_valid(&join.address))
        return false;
    *ret_join = join;
    return true;
}

/* A text that is not ended, of others: without bytes that a terminal would obey. */
static void read_text(const unsigned char *bytes, size_t size, char *ret_text)
{
    for (size_t i = 0; i < size; i++)
        ret_text[i] = bytes[i] < 32 || bytes[i] == 127 ? '?' : (char) bytes[i];
    ret_text[size] = '\0';
}

static size_t write_text(const char *text, unsigned char *ret_bytes)
{
    const size_t size = strnlen(text, TCP_REASON_MAX);
    memcpy(ret_bytes, text, size);
    return size;
}

/* A status of another rank is one of the errors. */
static bool read_status(const unsigned char *bytes, mls_status *ret_status)
{
    int32_t value;
    memcpy(&value, bytes, sizeof value);
    if (value > 0 || value < MLS_EMISMATCH)
        return false;
    *ret_status = (mls_status) value;
    return true;
}

size_t tcp_verdict_write(mls_status status, const char *text, void *ret_body)
{
    const int32_t value = (int32_t) status;
    memcpy(ret_body, &value, sizeof value);
    return sizeof value + write_text(text, (unsigned char *) ret_body + sizeof value);
}

bool tcp_verdict_read(const void *body, size_t size, mls_status *ret_status, char *ret_text)
{
    const unsigned char *bytes = body;
    if (size < 4 || size > 4 + TCP_REASON_MAX || !read_status(bytes, ret_status))
        return false;
    read_text(bytes + 4, size - 4, ret_text);
    return true;
}

size_t tcp_table_write(const unsigned char *key, const tcp_address *addresses, uint32_t ranks,
                       void *ret_body)
{
    unsigned char *bytes = ret_body;
    memcpy(bytes, key, TCP_KEY_BYTES);
    memcpy(bytes + TCP_KEY_BYTES, addresses, ranks * sizeof *addresses);
    return TCP_KEY_BYTES + ranks * sizeof *addresses;
}

bool tcp_table_read(const void *body, size_t size, uint32_t ranks, unsigned char *ret_key,
                    tcp_address *ret_addresses)
{
    const unsigned char *bytes = body;
    if (size != TCP_KEY_BYTES + ranks * sizeof *ret_addresses)
        return false;
    memcpy(ret_key, bytes, TCP_KEY_BYTES);
    memcpy(ret_addresses, bytes + TCP_KEY_BYTES, ranks * sizeof *ret_addresses);
    for (uint32_t i = 0; i < ranks; i++)
        if (!tcp_address_is_valid(&ret_addresses[i]))
            return false;
    return true;
}

size_t tcp_envelope_write(const tcp_envelope *envelope, void *ret_body)
{
    unsigned char *bytes = ret_body;
    memcpy(bytes, &envelope->tag, 8);
    memcpy(bytes + 8, &envelope->size_bytes, 8);
    memcpy(bytes + 16, &envelope->eager_bytes, 8);
    if (envelope->head_bytes)
        memcpy(bytes + 24, envelope->head, envelope->head_bytes);
    return 24 + envelope->head_bytes;
}

bool tcp_envelope_read(const void *body, size_t size, tcp_envelope *ret_envelope)
{
    const unsigned char *bytes = body;
    if (size < 24 || size > TCP_ENVELOPE_MAX)
        return false;
    memcpy(&ret_envelope->tag, bytes, 8);
    memcpy(&ret_envelope->size_bytes, bytes + 8, 8);
    memcpy(&ret_envelope->eager_bytes, bytes + 16, 8);
    ret_envelope->head = bytes + 24;
    ret_envelope->head_bytes = size - 24;
    return ret_envelope->eager_bytes <= ret_envelope->size_bytes &&
           ret_envelope->eager_bytes <= TCP_CREDIT_BYTES;
}

bool tcp_want_read(const void *body, size_t size, tcp_want *ret_want)
{
    tcp_want want;
    if (size != sizeof want)
        return false;
    memcpy(&want, body, sizeof want);
    if (!want.number)
        return false;
    *ret_want = want;
    return true;
}

size_t tcp_abort_write(const tcp_abort *abort, void *ret_body)
{
    unsigned char *bytes = ret_body;
    const int32_t status = (int32_t) abort->status;
    memcpy(bytes, &abort->rank, 4);
    memcpy(bytes + 4, &status, 4);
    memcpy(bytes + 8, &abort->rounds, 8);
    return 16 + write_text(abort->reason, bytes + 16);
}

bool tcp_abort_read(const void *body, size_t size, uint32_t ranks, tcp_abort *ret_abort)
{
    const unsigned char *bytes = body;
    if (size < 16 || size > TCP_ABORT_MAX || !read_status(bytes + 4, &ret_abort->status) ||
        ret_abort->status == MLS_OK)
        return false;
    memcpy(&ret_abort->rank, bytes, 4);
    memcpy(&ret_abort->rounds, bytes + 8, 8);
    read_text(bytes + 16, size - 16, ret_abort->reason);
    return ret_abort->rank < ranks;
}

size_t tcp_ranks_write(const uint32_t *ranks, uint32_t count, void *ret_body)
{
    memcpy(ret_body, ranks, count * sizeof *ranks);
    return count * sizeof *ranks;
}

bool tcp_ranks_read(const void *body, size_t size, uint32_t ranks, uint32_t *ret_ranks,
                    uint32_t *ret_count)
{
    const uint32_t count = (uint32_t) (size / sizeof *ret_ranks);
    if (size % sizeof *ret_ranks || size / sizeof *ret_ranks > ranks)
        return false;
    memcpy(ret_ranks, body, size);
    for (uint32_t i = 0; i < count; i++)
        if (ret_ranks[i] >= ranks || (i && ret_ranks[i] <= ret_ranks[i - 1]))
            return false;
    *ret_count = count;
    return true;
}
