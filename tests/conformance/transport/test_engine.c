/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport that runs collectives itself conforms too: an engine over the messages of
 * `inproc:` that moves elements and adds up integers, but no floats.
 *
 * A rank tells the others where its source lies, takes what it wants from theirs, and waits until
 * all have.
 */
#include "conformance/transport/suite.h"

#include "plugin/drivers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANKS = 8 };

#define ENGINE_TAG ((UINT64_C(1) << 63) + 1)

extern const mls_transport mls__transport_inproc;

static mls_transport table;
static atomic_uint runs;

typedef struct engine_link {
    void *inner;
    uint32_t rank, size;
} engine_link;

/* --- what inproc does ------------------------------------------------------------------------ */

static mls_status open_link(void *self, const char *config, void **ret_link)
{
    engine_link *link = calloc(1, sizeof *link);
    ck_assert_ptr_nonnull(link);
    const mls_status status = mls__transport_inproc.open_link(self, config, &link->inner);
    if (status)
        free(link);
    else
        *ret_link = link;
    return status;
}

static mls_status address(void *link, void *ret_address, size_t capacity, size_t *ret_size)
{
    return mls__transport_inproc.address(((engine_link *) link)->inner, ret_address, capacity,
                                         ret_size);
}

static mls_status connect(void *self, const mls_transport_join *join)
{
    engine_link *link = self;
    link->rank = join->rank;
    link->size = join->group_size;
    return mls__transport_inproc.connect(link->inner, join);
}

static void leave(void *link)
{
    mls__transport_inproc.leave(((engine_link *) link)->inner);
}

static void close_link(void *self)
{
    engine_link *link = self;
    mls__transport_inproc.close_link(link->inner);
    free(link);
}

static mls_status give_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                             mls_transport_record *ret_records)
{
    return mls__transport_inproc.round(((engine_link *) link)->inner, record, size_bytes, until_ns,
                                       ret_records);
}

static mls_status post(void *link, mls_transport_message *message)
{
    return mls__transport_inproc.post(((engine_link *) link)->inner, message);
}

static mls_status wait_message(void *link, mls_transport_message *message, uint64_t until_ns)
{
    return mls__transport_inproc.wait(((engine_link *) link)->inner, message, until_ns);
}

static mls_status retract(void *link, mls_transport_message *message)
{
    return mls__transport_inproc.retract(((engine_link *) link)->inner, message);
}

static void abort_link(void *link, mls_status status, const char *reason)
{
    mls__transport_inproc.abort(((engine_link *) link)->inner, status, reason);
}

static mls_status aborted(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    return mls__transport_inproc.aborted(((engine_link *) link)->inner, ret_rank, ret_reason,
                                         capacity);
}

static void peer(void *link, uint32_t rank, mls_transport_peer *ret_peer)
{
    mls__transport_inproc.peer(((engine_link *) link)->inner, rank, ret_peer);
}

static mls_status split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    const engine_link *link = self;
    engine_link *part = calloc(1, sizeof *part);
    ck_assert_ptr_nonnull(part);
    part->rank = subset->rank;
    part->size = subset->count;
    const mls_status status = mls__transport_inproc.split(link->inner, subset, &part->inner);
    if (status)
        free(part);
    else
        *ret_link = part;
    return status;
}

static mls_status survivors(void *link, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    return mls__transport_inproc.survivors(((engine_link *) link)->inner, until_ns, ret_ranks,
                                           ret_count);
}

/* --- the engine ------------------------------------------------------------------------------ */

/* Gives all others `own`, and gets theirs. */
static mls_status swap(engine_link *link, const void *own, const void **all, uint64_t until_ns)
{
    mls_transport_message messages[2 * MAX_RANKS];
    mls_status status = MLS_OK;
    uint32_t count = 0;
    all[link->rank] = own;
    for (uint32_t k = 0; k < 2 * link->size; k++) {
        const uint32_t other = k / 2;
        if (other == link->rank)
            continue;
        mls_transport_message *message = &messages[count++];
        *message = (mls_transport_message){
            .size = sizeof *message,
            .kind = k % 2 ? MLS_MESSAGE_SEND : MLS_MESSAGE_RECEIVE,
            .peer = other,
            .tag = ENGINE_TAG,
            .data = k % 2 ? (void *) &own : (void *) &all[other],
            .size_bytes = sizeof own,
            .head = "",
        };
        ck_assert_ok(post(link, message));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!status)
            status = wait_message(link, &messages[i], until_ns);
        if (status)
            retract(link, &messages[i]);
    }
    return status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status;
}

/* `count` elements from `first` of all sources. */
static void reduce(const engine_link *link, const mls_transport_collective *c, const void **sources,
                   size_t first, size_t count, unsigned char *result)
{
    for (size_t i = 0; i < count; i++) {
        int64_t sum = 0;
        for (uint32_t r = 0; r < link->size; r++) {
            int64_t wide;
            int32_t narrow;
            if (c->dtype == MLS_INT64) {
                memcpy(&wide, (const unsigned char *) sources[r] + (first + i) * 8, 8);
            } else {
                memcpy(&narrow, (const unsigned char *) sources[r] + (first + i) * 4, 4);
                wide = narrow;
            }
            sum = r ? conformance_join(c->reduction, sum, wide) : wide;
        }
        const int32_t narrow = (int32_t) sum;
        if (c->dtype == MLS_INT64)
            memcpy(result + i * 8, &sum, 8);
        else
            memcpy(result + i * 4, &narrow, 4);
    }
}

/* Where this rank's piece of a source lies, and that of rank r in a target. */
static size_t source_at(const engine_link *link, const mls_transport_collective *c)
{
    return c->op == MLS_COLLECTIVE_SCATTER || c->op == MLS_COLLECTIVE_ALL_TO_ALL ? link->rank : 0;
}

static size_t target_at(const mls_transport_collective *c, uint32_t r)
{
    return c->op == MLS_COLLECTIVE_GATHER || c->op == MLS_COLLECTIVE_ALLGATHER ||
                   c->op == MLS_COLLECTIVE_ALL_TO_ALL
               ? r
               : 0;
}

static mls_status run(void *self, const mls_transport_collective *c)
{
    engine_link *link = self;
    const size_t size = mls_dtype_size((mls_dtype) c->dtype), piece = (size_t) c->count * size;
    const void *sources[MAX_RANKS], *ends[MAX_RANKS];
    const bool scatters = c->op == MLS_COLLECTIVE_REDUCE_SCATTER;
    unsigned char *result = NULL, *target = c->target;
    runs++;
    mls_status status = swap(link, c->source, sources, c->until_ns);
    if (!status && target && c->reduction) {
        result = malloc(piece);
        reduce(link, c, sources, scatters ? link->rank * (size_t) c->count : 0, (size_t) c->count,
               result);
    }
    for (uint32_t r = 0; !status && target && !c->reduction && r < link->size; r++) {
        const unsigned char *from = sources[r];
        unsigned char *to = target + target_at(c, r) * piece;
        if (from && from + source_at(link, c) * piece != to) /* others read what is there already */
            memcpy(to, from + source_at(link, c) * piece, piece);
    }
    if (!status)
        status = swap(link, NULL, ends, c->until_ns);
    if (!status && result)
        memcpy(target, result, piece);
    free(result);
    return status;
}

static int can_run(void *link, const mls_transport_collective *c)
{
    (void) link;
    ck_assert_uint_gt(c->count, 0);
    return !c->reduction || c->dtype == MLS_INT32 || c->dtype == MLS_INT64;
}

static void register_engine(mls_context *context)
{
    table = (mls_transport){
        .plugin = mls__transport_inproc.plugin,
        .record_bytes = mls__transport_inproc.record_bytes,
        .open_link = open_link,
        .address = address,
        .connect = connect,
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
        .can_run = can_run,
        .run = run,
    };
    table.plugin.size = sizeof table;
    table.plugin.name = "engine";
    ck_assert_ok(mls__drivers_register(context->drivers, &table.plugin));
}

/* --- what is handed over --------------------------------------------------------------------- */

static void hand_over(ranked *r)
{
    enum { COUNT = 3000 };
    mls_tensor *whole = conformance_tensor(MLS_INT64, COUNT);
    mls_tensor *real = conformance_tensor(MLS_FLOAT32, COUNT);
    const bool has_shards = r->arg != NULL;
    if (!has_shards) {
        ck_assert_ok(mls_group_allreduce(r->group, whole, whole, MLS_REDUCE_SUM, NULL, NULL));
        ck_assert_ok(mls_group_allreduce(r->group, real, real, MLS_REDUCE_SUM, NULL, NULL));
    } else {
        mls_tensor *shard;
        const int64_t dims[] = {1, COUNT};
        ck_assert_ok(mls_tensor_create(the_context, MLS_INT64, 2, dims, &shard));
        ck_assert_ok(mls_group_allreduce(r->group, shard, whole, MLS_REDUCE_SUM, NULL, NULL));
        mls_tensor_free(shard);
    }
    ck_assert_ok(mls_group_broadcast(r->group, real, 0, NULL, NULL));
    mls_tensor_free(whole);
    mls_tensor_free(real);
}

START_TEST(engines_get_what_they_can)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    runs = 0;
    conformance_ranks(3, NULL, hand_over, NULL);
    ck_assert_uint_eq(runs, 6); /* the integers and the broadcast */
    options.shards = 3;
    conformance_ranks(3, &options, hand_over, &options);
    ck_assert_uint_eq(runs, 9); /* of stated shards the broadcast alone */
}
END_TEST

static void add_engine(TCase *tests)
{
    tcase_add_test(tests, engines_get_what_they_can);
}

int main(void)
{
    return conformance_transport_run_with("conformance/transport/engine", "engine:test",
                                          register_engine, add_engine);
}
