/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rank that makes a group and calls it, over a transport whose other ranks say what the input
 * says: records as this rank's own with bytes that are others, or of nothing but noise; heads of
 * messages, reasons, who survives, and what is read where all can read it.
 *
 * The input is a list of bytes: each call of the rank takes one, and the transport takes what it
 * needs meanwhile. Whatever others say, a call ends, and says why it failed in words that a
 * terminal can show.
 */
#include "fuzz/fuzz.h"
#include "fuzz/limits.h"

#include "plugin/drivers.h"

#include <mlscale/ext/transport.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 3, CALLS = 40, RECORD_BYTES = 4096, MEMORY_BYTES = 4 << 20 };

static const uint8_t *at, *end; /* the input */
static bool is_gone[RANKS];
/* What allocate() gives, and what others show: the same memory, so that anything is found there. */
static _Alignas(64) unsigned char memory[MEMORY_BYTES];
static size_t most_used;

typedef struct link {
    uint32_t rank, size;
    uint64_t rounds;
    size_t used; /* of the memory */
    bool is_aborted;
    unsigned char *slots[2][RANKS]; /* each of its own size, so that a sanitizer sees its ends */
} link;

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, mls_error_message());
    abort();
}

/* --- bytes ----------------------------------------------------------------------------------- */

static uint8_t next(void)
{
    return at < end ? *at++ : 0;
}

static size_t two(void)
{
    const size_t high = next();
    return high << 8 | next();
}

static void fill(void *to, size_t size)
{
    const size_t left = (size_t) (end - at), count = left < size ? left : size;
    memset(to, 0x55, size);
    if (count)
        memcpy(to, at, count);
    at += count;
}

/* --- the transport --------------------------------------------------------------------------- */

static mls_status open_self(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) host;
    (void) config;
    *ret_self = memory;
    return MLS_OK;
}

static void close_self(void *self)
{
    (void) self;
}

static link *new_link(uint32_t rank, uint32_t size)
{
    link *made = calloc(1, sizeof *made);
    need(made != NULL, "memory");
    made->rank = rank;
    made->size = size;
    return made;
}

static mls_status open_link(void *self, const char *config, void **ret_link)
{
    (void) self;
    (void) config;
    *ret_link = new_link(0, RANKS);
    return MLS_OK;
}

static mls_status address(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    (void) self;
    (void) capacity;
    memset(ret_address, 'a', 8);
    *ret_size = 8;
    return MLS_OK;
}

static mls_status connect_link(void *self, const mls_transport_join *join)
{
    (void) self;
    (void) join;
    return MLS_OK;
}

static void leave(void *self)
{
    (void) self;
}

static void close_link(void *self)
{
    link *l = self;
    for (int i = 0; i < 2 * RANKS; i++)
        free(l->slots[i / RANKS][i % RANKS]);
    free(l);
}

static void edit(unsigned char *record, size_t size, size_t from)
{
    for (int edits = 1 + next() % 4; edits > 0 && size > from; edits--) {
        const size_t where = from + two() % (size - from);
        record[where] = next();
    }
}

/* What another rank says, where this one says that. */
static size_t say(unsigned char *slot, const void *record, size_t size)
{
    enum { MARK_BYTES = 40 };
    memcpy(slot, record, size);
    switch (next() % 8) {
    case 4:
        edit(slot, size < MARK_BYTES ? size : MARK_BYTES, 0);
        return size;
    case 5:
        return two() % (RECORD_BYTES + 1);
    case 6:
        size = two() % (RECORD_BYTES + 1);
        fill(slot, size);
        return size;
    case 7:
        edit(slot, size, MARK_BYTES);
        return size;
    default:
        return size;
    }
}

static mls_status fail_round(void)
{
    static const mls_status statuses[] = {MLS_EPEER, MLS_ECANCELLED, MLS_EDEADLINE};
    memset(is_gone + 1, true, sizeof is_gone - 1); /* nobody waits for a reason */
    return statuses[next() % 3];
}

static mls_status give_round(void *self, const void *record, size_t size, uint64_t until_ns,
                             mls_transport_record *ret_records)
{
    link *l = self;
    (void) until_ns;
    if (l->is_aborted)
        return MLS_ECANCELLED;
    need(size <= RECORD_BYTES, "a record is too long");
    l->rounds++;
    if (l->size > 1 && next() == UINT8_MAX)
        return fail_round();
    for (uint32_t i = 0; i < l->size; i++) {
        unsigned char said[RECORD_BYTES] = {0}, **slot = &l->slots[l->rounds % 2][i];
        if (i == l->rank)
            memcpy(said, record, size);
        ret_records[i].size_bytes = i == l->rank ? size : say(said, record, size);
        free(*slot);
        *slot = malloc(ret_records[i].size_bytes + !ret_records[i].size_bytes);
        need(*slot != NULL, "memory");
        memcpy(*slot, said, ret_records[i].size_bytes);
        ret_records[i].data = *slot;
    }
    return MLS_OK;
}

static mls_status post(void *self, mls_transport_message *message)
{
    (void) self;
    message->status = MLS_ETIMEDOUT;
    return MLS_OK;
}

static mls_status wait_message(void *self, mls_transport_message *message, uint64_t until_ns)
{
    static const mls_status statuses[] = {MLS_OK,        MLS_OK,    MLS_OK,        MLS_EMISMATCH,
                                          MLS_ETIMEDOUT, MLS_EPEER, MLS_ECANCELLED};
    const link *l = self;
    (void) until_ns;
    if (message->status != MLS_ETIMEDOUT)
        return message->status;
    message->status = l->is_aborted ? MLS_ECANCELLED : statuses[next() % 7];
    if (message->status == MLS_EMISMATCH)
        fill(message->other_head, sizeof message->other_head);
    if (message->status == MLS_OK && message->kind == MLS_MESSAGE_RECEIVE && message->size_bytes)
        memset(message->data, next(), message->size_bytes);
    return message->status;
}

static mls_status retract(void *self, mls_transport_message *message)
{
    (void) self;
    if (message->status == MLS_ETIMEDOUT)
        message->status = MLS_ECANCELLED;
    return message->status;
}

static void abort_link(void *self, mls_status status, const char *reason)
{
    (void) status;
    need(strlen(reason) < 1024, "a reason is too long");
    ((link *) self)->is_aborted = true;
}

static mls_status aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    const link *l = self;
    if (!l->is_aborted)
        return MLS_ENOTFOUND;
    *ret_rank = next() % l->size;
    fill(ret_reason, capacity < 64 ? capacity : 64);
    ret_reason[(capacity < 64 ? capacity : 64) - 1] = '\0';
    return MLS_ECANCELLED;
}

static void peer(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    (void) self;
    ret_peer->state = !is_gone[rank % RANKS] ? MLS_PEER_ALIVE
                      : next() % 2           ? MLS_PEER_LEFT
                                             : MLS_PEER_DEAD;
    ret_peer->rounds = two();
    if (ret_peer->size > offsetof(mls_transport_peer, heard_ns))
        ret_peer->heard_ns = two() << 30;
}

static mls_status split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    (void) self;
    need(subset->count >= 1 && subset->count <= RANKS && subset->rank < subset->count, "a subset");
    *ret_link = new_link(subset->rank, subset->count);
    return MLS_OK;
}

static mls_status survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    const link *l = self;
    const uint8_t left = next();
    uint32_t count = 0;
    (void) until_ns;
    for (uint32_t i = 0; i < l->size; i++)
        if (i == l->rank || left >> i & 1)
            ret_ranks[count++] = i;
    *ret_count = count;
    return MLS_OK;
}

static mls_status read_begin(void *self)
{
    return ((link *) self)->is_aborted ? MLS_ECANCELLED : MLS_OK;
}

static void read_end(void *self)
{
    (void) self;
}

static const void *read_peer(void *self, uint32_t rank, uint64_t where, size_t size)
{
    const uint64_t offset = where - (uint64_t) (uintptr_t) memory;
    need(rank < ((link *) self)->size, "a rank");
    if (offset > sizeof memory || size > sizeof memory - offset)
        return NULL;
    need(where % 2 == 0, "no element of this target lies there");
    return memory + offset;
}

static mls_status allocate(void *self, size_t size, void **ret_data)
{
    link *l = self;
    const size_t rounded = (size + 63) / 64 * 64;
    if (rounded > sizeof memory - l->used)
        return MLS_ENOMEM;
    *ret_data = memory + l->used;
    l->used += rounded;
    most_used = l->used > most_used ? l->used : most_used;
    return MLS_OK;
}

static void release(void *self, void *data)
{
    (void) self;
    (void) data;
}

static mls_transport transport = {
    .plugin = {.size = sizeof transport,
               .abi = MLS_PLUGIN_ABI,
               .kind = MLS_PLUGIN_TRANSPORT,
               .name = "fuzzed",
               .open = open_self,
               .close = close_self},
    .record_bytes = RECORD_BYTES,
    .open_link = open_link,
    .address = address,
    .connect = connect_link,
    .leave = leave,
    .close_link = close_link,
    .round = give_round,
    .post = post,
    .wait = wait_message,
    .retract = retract,
    .abort = abort_link,
    .aborted = aborted,
    .peer = peer,
    .split = split,
    .survivors = survivors,
};

/* Half of the inputs are of ranks that read each other's memory. */
static const mls_transport *choose_transport(void)
{
    const bool is_read = next() % 2;
    transport.read_begin = is_read ? read_begin : NULL;
    transport.read = is_read ? read_peer : NULL;
    transport.read_end = is_read ? read_end : NULL;
    transport.allocate = is_read ? allocate : NULL;
    transport.release = is_read ? release : NULL;
    return &transport;
}

/* --- what the rank calls --------------------------------------------------------------------- */

/* A name of another rank may be part of a message. */
static mls_status check(mls_status status)
{
    if (!status)
        return status;
    const char *text = mls_error_message();
    need(status < 0 && text[0], "a failure without words");
    for (; *text; text++)
        need((unsigned char) *text >= 32 && *text != 127, "a message for a terminal");
    return status;
}

typedef struct operands {
    mls_tensor *one, *all; /* a piece, and one for each rank */
} operands;

static mls_tensor *new_tensor(mls_context *context, mls_group *group, bool is_read, mls_dtype dtype,
                              int64_t count)
{
    mls_tensor *tensor;
    if (is_read && mls_group_create_tensor(group, dtype, 1, &count, &tensor) == MLS_OK)
        return tensor;
    return mls_tensor_create(context, dtype, 1, &count, &tensor) ? NULL : tensor;
}

static operands new_operands(mls_context *context, mls_group *group)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_BFLOAT16, MLS_INT64, MLS_FLOAT64};
    static const int64_t counts[] = {0, 1, 7, 300, 5000, 70000};
    const mls_dtype dtype = dtypes[next() % 4];
    const int64_t count = counts[next() % 6];
    const bool is_read = next() % 2;
    return (operands){new_tensor(context, group, is_read, dtype, count),
                      new_tensor(context, group, is_read, dtype, count * mls_group_size(group))};
}

static mls_status call_collective(mls_group *group, const operands *o, uint8_t which,
                                  const mls_group_call *call)
{
    const uint32_t root = next() % RANKS, reduction = 1 + next() % 5;
    switch (which) {
    case 0:
        return mls_group_barrier(group, call, NULL);
    case 1:
        return mls_group_broadcast(group, o->one, root, call, NULL);
    case 2:
        return mls_group_allreduce(group, o->one, o->one, reduction, call, NULL);
    case 3:
        return mls_group_reduce(group, o->one, o->one, reduction, root, call, NULL);
    case 4:
        return mls_group_reduce_scatter(group, o->all, o->one, reduction, call, NULL);
    case 5:
        return mls_group_gather(group, o->one, o->all, root, call, NULL);
    case 6:
        return mls_group_allgather(group, o->one, o->all, call, NULL);
    case 7:
        return mls_group_scatter(group, o->all, o->one, root, call, NULL);
    case 8:
        return mls_group_send(group, o->one, root, call, NULL);
    default:
        return mls_group_receive(group, o->one, root, call, NULL);
    }
}

static void call_once(mls_context *context, mls_group *group)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    const operands o = new_operands(context, group);
    call.timeout_ms = 1000;
    call.name = next() % 2 ? "grad\a.3" : NULL;
    if (o.one && o.all)
        check(call_collective(group, &o, next() % 10, &call));
    mls_tensor_free(o.one);
    mls_tensor_free(o.all);
}

/* Sharded tensors have calls of their own. */
static void call_mesh(mls_group *group)
{
    const uint32_t size = mls_group_size(group);
    const int64_t dims[2] = {next() % 2 ? 5 : 300, 40};
    int32_t from, to;
    mls_mesh *mesh;
    mls_sharded *x, *y;
    mls_tensor *whole;
    if (check(mls_mesh_create(group, 1, &size, NULL, &mesh)))
        return;
    from = next() % 4 - 2;
    to = next() % 4 - 2;
    if (!check(mls_sharded_create(mesh, MLS_FLOAT32, 2, dims, &from, &x))) {
        if (!check(mls_sharded_redistribute(x, &to, NULL, &y))) {
            if (!check(mls_sharded_gather(y, 0, NULL, &whole)))
                mls_tensor_free(whole);
            mls_sharded_free(y);
        }
        mls_sharded_free(x);
    }
    mls_mesh_free(mesh);
}

static void call_part(mls_context *context, mls_group *group, bool shrinks)
{
    mls_group *part = NULL;
    if (check(shrinks ? mls_group_shrink(group, NULL, &part)
                      : mls_group_split(group, next() % 2, next(), NULL, &part)))
        return;
    if (part)
        call_once(context, part);
    mls_group_free(part);
}

static void call_group(mls_context *context, mls_group *group)
{
    for (int i = 0; i < CALLS && at < end; i++) {
        const uint8_t which = next() % 16;
        if (which == 13)
            call_part(context, group, false);
        else if (which == 14)
            call_part(context, group, true);
        else if (which == 15)
            call_mesh(group);
        else
            call_once(context, group);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_heap heap = {0};
    mls_context *context = fuzz_context(&heap, NULL);
    mls_group *group;
    at = data;
    end = data + size;
    memset(is_gone, 0, sizeof is_gone);
    memset(memory, 0, most_used);
    most_used = 0;
    need(!mls__drivers_register(context->drivers, &choose_transport()->plugin), "register");
    if (!check(mls_group_create(context, "fuzzed:", 0, RANKS, NULL, &group))) {
        call_group(context, group);
        mls_group_free(group);
    }
    fuzz_context_free(context, &heap);
    return 0;
}
