/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as two streams of frames. Out: frames wait in a buffer, and a piece of a
 * message's memory at one place between them, so that data is not copied. In: the bytes of a
 * message are read to where they belong, all else to a buffer.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* What is read along behind the data of a frame: the next header, and a few more frames. */
#define READ_BEHIND 512
/* Else: small frames, and not much of a DATA frame's body, which would be copied. */
#define READ_AHEAD   (UINT32_C(16) << 10)
#define OUT_BYTES    1024
#define SEALED_BYTES (4 * (size_t) (TCP_PACKET_MAX + TCP_PACKET_EXTRA))

static bool bytes_create(tcp_hub *hub, size_t capacity, tcp_bytes *ret_bytes)
{
    *ret_bytes = (tcp_bytes){.data = hub->host->alloc(hub->host->context, capacity)};
    if (ret_bytes->data)
        ret_bytes->capacity = capacity;
    return ret_bytes->data != NULL;
}

static size_t bytes_count(const tcp_bytes *bytes)
{
    return bytes->end - bytes->first;
}

/* What is left begins at the start again; gives by how much that moved it. */
static size_t bytes_pack(tcp_bytes *bytes)
{
    const size_t moved = bytes->first;
    if (moved && bytes->end > moved)
        memmove(bytes->data, bytes->data + moved, bytes->end - moved);
    bytes->end -= moved;
    bytes->first = 0;
    return moved;
}

tcp_conn *tcp_conn_create(tcp_hub *hub, int fd, size_t input_bytes)
{
    tcp_conn *conn = hub->host->alloc(hub->host->context, sizeof *conn);
    if (!conn) {
        tcp_socket_close(fd);
        return NULL;
    }
    memset(conn, 0, sizeof *conn);
    conn->hub = hub;
    conn->fd = fd;
    if (bytes_create(hub, input_bytes, &conn->raw))
        return conn;
    tcp_conn_free(conn);
    return NULL;
}

void tcp_conn_free(tcp_conn *conn)
{
    const mls_plugin_host *host = conn->hub->host;
    if (conn->fd >= 0)
        tcp_socket_close(conn->fd);
    host->free(host->context, conn->raw.data);
    if (conn->plain.data)
        sodium_memzero(conn->plain.data, conn->plain.capacity);
    host->free(host->context, conn->plain.data);
    host->free(host->context, conn->out.data);
    host->free(host->context, conn->sealed.data);
    host->free(host->context, conn->copied);
    tcp_cipher_close(&conn->sealing);
    tcp_cipher_close(&conn->opening);
    sodium_memzero(conn, sizeof *conn); /* its keys, and the token */
    host->free(host->context, conn);
}

mls_status tcp_conn_open(tcp_conn *conn, const tcp_secrets *secrets, bool encrypts,
                         bool is_listener)
{
    tcp_bytes raw;
    conn->secrets = *secrets;
    conn->encrypts = encrypts;
    if (encrypts) {
        tcp_cipher_open(&conn->sealing, is_listener ? secrets->to_connector : secrets->to_listener);
        tcp_cipher_open(&conn->opening, is_listener ? secrets->to_listener : secrets->to_connector);
    }
    if (!bytes_create(conn->hub, OUT_BYTES, &conn->out))
        return MLS_ENOMEM;
    if (encrypts && (!bytes_create(conn->hub, TCP_INPUT_BYTES, &conn->plain) ||
                     !bytes_create(conn->hub, SEALED_BYTES, &conn->sealed)))
        return MLS_ENOMEM;
    if (conn->raw.capacity >= TCP_INPUT_BYTES)
        return MLS_OK;
    if (!bytes_create(conn->hub, TCP_INPUT_BYTES, &raw))
        return MLS_ENOMEM;
    raw.end = bytes_count(&conn->raw);
    memcpy(raw.data, conn->raw.data + conn->raw.first, raw.end);
    conn->hub->host->free(conn->hub->host->context, conn->raw.data);
    conn->raw = raw;
    return MLS_OK;
}

void tcp_conn_break(tcp_conn *conn)
{
    conn->is_mute = true;
    shutdown(conn->fd, SHUT_RDWR);
}

/* --- out ------------------------------------------------------------------------------------- */

static bool reserve(tcp_conn *conn, size_t size)
{
    tcp_bytes *out = &conn->out;
    if (out->capacity - out->end >= size)
        return true;
    conn->piece_at -= bytes_pack(out);
    if (out->capacity - out->end >= size)
        return true;
    const size_t capacity =
        2 * out->capacity > out->end + size ? 2 * out->capacity : out->end + size;
    tcp_bytes grown;
    if (!bytes_create(conn->hub, capacity, &grown))
        return false;
    grown.end = out->end;
    memcpy(grown.data, out->data, out->end);
    conn->hub->host->free(conn->hub->host->context, out->data);
    *out = grown;
    return true;
}

static bool put(tcp_conn *conn, uint32_t kind, uint64_t id, const void *body, size_t size,
                size_t behind)
{
    const tcp_frame frame = {
        .kind = kind, .epoch = conn->secrets.epoch, .size = (uint32_t) (size + behind), .id = id};
    if (conn->is_mute)
        return true;
    if (bytes_count(&conn->out) + size > TCP_OUT_MAX || !reserve(conn, sizeof frame + size)) {
        tcp_conn_break(conn);
        return false;
    }
    memcpy(conn->out.data + conn->out.end, &frame, sizeof frame);
    if (size)
        memcpy(conn->out.data + conn->out.end + sizeof frame, body, size);
    conn->out.end += sizeof frame + size;
    return true;
}

bool tcp_conn_put(tcp_conn *conn, uint32_t kind, uint64_t id, const void *body, size_t size)
{
    conn->is_due = true;
    return put(conn, kind, id, body, size, 0);
}

void tcp_conn_put_late(tcp_conn *conn, uint32_t kind, uint64_t id)
{
    put(conn, kind, id, NULL, 0, 0);
}

/* The next piece of the first message that is not yet given. */
static void begin_piece(tcp_conn *conn)
{
    tcp_letter *letter = conn->sends;
    if (conn->piece_bytes || !letter || conn->is_mute)
        return;
    const bool is_eager = letter->offset < letter->eager_bytes;
    const uint64_t end = is_eager ? letter->eager_bytes : letter->message->size_bytes;
    const uint64_t left = end - letter->offset;
    const size_t size = left < TCP_PIECE_MAX ? (size_t) left : TCP_PIECE_MAX;
    if (!put(conn, is_eager ? TCP_FRAME_EAGER : TCP_FRAME_DATA,
             is_eager ? letter->id : letter->number, NULL, 0, size))
        return;
    conn->piece_at = conn->out.end;
    conn->piece = (const unsigned char *) letter->message->data + letter->offset;
    conn->piece_bytes = size;
    conn->piece_of = letter;
    letter->offset += size;
    if (letter->offset == tcp_send_limit(letter))
        conn->sends = letter->next_sent;
}

/* What comes next, in the order of the stream; gives how many parts. */
static int list_parts(const tcp_conn *conn, struct iovec parts[3])
{
    const tcp_bytes *out = &conn->out;
    const size_t before = conn->piece_bytes ? conn->piece_at : out->end;
    int count = 0;
    if (before > out->first)
        parts[count++] = (struct iovec){out->data + out->first, before - out->first};
    if (conn->piece_bytes) {
        /* A send only reads. */
        parts[count++] = (struct iovec){(void *) (uintptr_t) conn->piece, conn->piece_bytes};
        if (out->end > before)
            parts[count++] = (struct iovec){out->data + before, out->end - before};
    }
    return count;
}

static void end_piece(tcp_conn *conn)
{
    conn->piece_of = NULL;
    conn->hub->host->free(conn->hub->host->context, conn->copied);
    conn->copied = NULL;
}

/* So many bytes of the stream have gone. */
static void advance(tcp_conn *conn, size_t size)
{
    tcp_bytes *out = &conn->out;
    tcp_letter *letter = NULL; /* whose piece has gone */
    const size_t before = (conn->piece_bytes ? conn->piece_at : out->end) - out->first;
    const size_t of_frames = size < before ? size : before;
    out->first += of_frames;
    size -= of_frames;
    if (size) { /* of the piece, which comes next */
        const size_t of_piece = size < conn->piece_bytes ? size : conn->piece_bytes;
        conn->piece = (const unsigned char *) conn->piece + of_piece;
        conn->piece_bytes -= of_piece;
        out->first += size - of_piece;
        if (!conn->piece_bytes) {
            letter = conn->piece_of;
            end_piece(conn);
        }
    }
    if (out->first == out->end) {
        conn->piece_at = 0;
        out->first = out->end = 0;
    }
    if (letter)
        tcp_send_given(conn, letter);
}

/* Fills the buffer of packets from the stream. false: the cipher failed. */
static bool seal(tcp_conn *conn)
{
    struct iovec parts[3];
    tcp_bytes *sealed = &conn->sealed;
    if (sealed->first == sealed->end)
        sealed->first = sealed->end = 0;
    while (sealed->capacity - sealed->end > TCP_PACKET_MAX + TCP_PACKET_EXTRA - 1) {
        begin_piece(conn);
        if (!list_parts(conn, parts))
            return true;
        const uint32_t size =
            parts[0].iov_len < TCP_PACKET_MAX ? (uint32_t) parts[0].iov_len : TCP_PACKET_MAX;
        if (!tcp_packet_seal(&conn->sealing, parts[0].iov_base, size, sealed->data + sealed->end))
            return false;
        sealed->end += size + TCP_PACKET_EXTRA;
        advance(conn, size);
    }
    return true;
}

/* What is there is given up; what the other wrote is read yet. */
static void fall_mute(tcp_conn *conn)
{
    conn->is_mute = true;
    conn->piece_bytes = conn->piece_at = 0;
    conn->out.first = conn->out.end = conn->sealed.first = conn->sealed.end = 0;
    conn->sends = NULL;
    end_piece(conn);
}

void tcp_conn_flush(tcp_conn *conn, uint64_t most)
{
    struct iovec parts[3];
    conn->wants_room = false;
    while (conn->is_due && !conn->is_mute) {
        struct msghdr message = {.msg_iov = parts};
        if (conn->encrypts) {
            if (!seal(conn)) {
                fall_mute(conn);
                tcp_conn_break(conn);
                return;
            }
            parts[0] =
                (struct iovec){conn->sealed.data + conn->sealed.first, bytes_count(&conn->sealed)};
            message.msg_iovlen = parts[0].iov_len != 0;
        } else {
            begin_piece(conn);
            message.msg_iovlen = (size_t) list_parts(conn, parts);
        }
        if (!message.msg_iovlen) {
            conn->is_due = false;
            tcp_sends_given(conn);
            return;
        }
        conn->wants_room = most == 0;
        if (conn->wants_room)
            return;
        const ssize_t sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            conn->wants_room = true;
            return;
        }
        if (sent < 0) {
            fall_mute(conn);
            return;
        }
        if (conn->encrypts)
            conn->sealed.first += (size_t) sent;
        else
            advance(conn, (size_t) sent);
        most -= (uint64_t) sent < most ? (uint64_t) sent : most;
    }
}

void tcp_conn_push(tcp_conn *conn)
{
    if (conn->wants_room)
        return; /* the loop has it */
    tcp_conn_flush(conn, TCP_VISIT_BYTES / 4);
    if (conn->wants_room)
        tcp_hub_todo(conn->hub, conn);
}

void tcp_conn_say(tcp_conn *conn, uint32_t kind, uint64_t id, const void *body, size_t size)
{
    if (tcp_conn_put(conn, kind, id, body, size))
        tcp_conn_push(conn);
}

void tcp_conn_forget(tcp_conn *conn, const tcp_letter *letter)
{
    tcp_letter **at = &conn->sends;
    if (letter->offset < tcp_send_limit(letter)) { /* else it is in the list no more */
        while (*at && *at != letter)
            at = &(*at)->next_sent;
        if (*at)
            *at = letter->next_sent;
    }
    if (conn->piece_of != letter)
        return;
    conn->piece_of = NULL;
    conn->copied = conn->hub->host->alloc(conn->hub->host->context, conn->piece_bytes);
    if (!conn->copied) {
        fall_mute(conn);
        tcp_conn_break(conn);
        return;
    }
    memcpy(conn->copied, conn->piece, conn->piece_bytes);
    conn->piece = conn->copied;
}

/* --- in -------------------------------------------------------------------------------------- */

/* The next bytes of a message have come. */
static void take_data(tcp_conn *conn, size_t size)
{
    tcp_arrival *arrival = conn->into;
    conn->to_come -= size;
    if (!conn->to_come)
        conn->into = NULL;
    if (arrival)
        tcp_arrival_take(conn, arrival, size);
}

int tcp_conn_fill(tcp_conn *conn, uint64_t *left)
{
    tcp_bytes *raw = &conn->raw;
    const bool direct = !conn->encrypts && conn->into && conn->to_come && raw->first == raw->end;
    if (raw->first == raw->end || raw->end == raw->capacity)
        bytes_pack(raw);
    size_t room = raw->capacity - raw->end;
    if (direct)
        room = READ_BEHIND;
    else if (!conn->encrypts && room > READ_AHEAD)
        room = READ_AHEAD;
    const struct iovec parts[2] = {
        {direct ? tcp_arrival_place(conn->into) : NULL, direct ? (size_t) conn->to_come : 0},
        {raw->data + raw->end, room}};
    const size_t wanted = direct ? (size_t) conn->to_come : 0;
    ssize_t got;
    do
        got = readv(conn->fd, direct ? parts : parts + 1, direct ? 2 : 1);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (got == 0)
        return -1;
    /* Less than there was room for: the socket is empty, and to ask it again would be in vain. */
    const bool is_all = (size_t) got < wanted + room;
    *left -= (uint64_t) got < *left && !is_all ? (uint64_t) got : *left;
    const size_t of_data = (size_t) got < wanted ? (size_t) got : wanted;
    raw->end += (size_t) got - of_data;
    if (of_data)
        take_data(conn, of_data);
    return 1;
}

/* A whole packet becomes part of the stream. 1: one did, 0: none is whole, -1: nonsense. */
static int unpack(tcp_conn *conn)
{
    tcp_bytes *raw = &conn->raw, *plain = &conn->plain;
    if (bytes_count(raw) < 4)
        return 0;
    const size_t size = tcp_packet_size(raw->data + raw->first);
    if (!size)
        return -1;
    if (bytes_count(raw) < size)
        return 0;
    const size_t bytes = size - TCP_PACKET_EXTRA;
    const bool direct = conn->into && conn->to_come >= bytes && plain->first == plain->end;
    if (plain->capacity - plain->end < bytes)
        bytes_pack(plain);
    if (!direct && plain->capacity - plain->end < bytes)
        return -1;
    if (!tcp_packet_open(&conn->opening, raw->data + raw->first, size,
                         direct ? tcp_arrival_place(conn->into) : plain->data + plain->end))
        return -1;
    raw->first += size;
    if (direct)
        take_data(conn, bytes);
    else
        plain->end += bytes;
    return 1;
}

/* false: data that nobody can have asked for. */
static bool begin_data(tcp_conn *conn, const tcp_frame *frame)
{
    if (!conn->link || !tcp_arrival_find(&conn->link->peers[conn->peer], frame, &conn->into))
        return false;
    conn->to_come = frame->size;
    if (!frame->size)
        conn->into = NULL;
    return true;
}

/* The bytes of a message, as far as they have been read along. */
static void move_data(tcp_conn *conn, tcp_bytes *stream)
{
    const size_t count = bytes_count(stream);
    const size_t size = count < conn->to_come ? count : (size_t) conn->to_come;
    if (!size)
        return;
    if (conn->into)
        memcpy(tcp_arrival_place(conn->into), stream->data + stream->first, size);
    stream->first += size;
    take_data(conn, size);
}

tcp_found tcp_conn_next(tcp_conn *conn, tcp_frame *ret_frame, const unsigned char **ret_body)
{
    tcp_bytes *stream = conn->encrypts ? &conn->plain : &conn->raw;
    for (;;) {
        move_data(conn, stream);
        const bool has_header = !conn->to_come && bytes_count(stream) >= TCP_HEADER_BYTES;
        if (has_header) {
            const unsigned char *bytes = stream->data + stream->first;
            if (!tcp_frame_read(bytes, conn->secrets.epoch, ret_frame))
                return TCP_FOUND_NONSENSE;
            const bool is_data =
                ret_frame->kind == TCP_FRAME_DATA || ret_frame->kind == TCP_FRAME_EAGER;
            const size_t size = TCP_HEADER_BYTES + (is_data ? 0 : ret_frame->size);
            if (bytes_count(stream) >= size) {
                stream->first += size;
                conn->frames++;
                if (!is_data) {
                    *ret_body = bytes + TCP_HEADER_BYTES;
                    return TCP_FOUND_FRAME;
                }
                if (!begin_data(conn, ret_frame))
                    return TCP_FOUND_NONSENSE;
                continue;
            }
        }
        const int more = conn->encrypts ? unpack(conn) : 0;
        if (more <= 0)
            return more < 0 ? TCP_FOUND_NONSENSE : TCP_FOUND_NONE;
    }
}
