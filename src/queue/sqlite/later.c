/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submits of MLS_ACK_RAM: a copy goes to the committer, and nobody waits for it. Its id
 * is of a block that the committer reserved in the file before. What this way does not
 * suit (a key, which may be taken; several jobs; much data; no id left; a committer that
 * is far behind) goes the way of MLS_ACK_ASYNC, which promises more.
 *
 * While the file cannot be written (a full disk, an error of it) they are kept, and tried
 * again; the bound on how many wait holds for these too. Those that still cannot be written
 * a second after the queue began to close are lost, and the log says so.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

#define MOST_LATER 16384 /* that wait for the committer */
#define BLOCK_IDS  4096

typedef struct later_op {
    mls__sql_submit_op submit; /* first: they share an address */
    mls_queue_item item;
    const mls_queue_item *items[1];
    mls_job_options options;
    mls__sql_lane *lane;
    uint64_t id;
    char bytes[]; /* type, queue, tenant, batch key, payload */
} later_op;

/* Reserves ids for those to come, once in a transaction and only where they are used. */
void mls__sql_ids_reserve(mls__sql_store *store, mls__sql_submit_op *submit)
{
    if (!atomic_load(&store->wants_ids) || store->txn.has_reserved)
        return;
    submit->reserved = (uint64_t) store->txn.meta.next_id;
    store->txn.meta.next_id += BLOCK_IDS;
    store->txn.meta_is_dirty = true;
    store->txn.has_reserved = true;
}

void mls__sql_ids_publish(mls__sql_store *store, mls__sql_submit_op *submit)
{
    if (!submit->reserved)
        return;
    pthread_mutex_lock(&store->ids_mutex);
    store->spare_ids = submit->reserved;
    atomic_store(&store->wants_ids, false);
    pthread_mutex_unlock(&store->ids_mutex);
    submit->reserved = 0;
}

/* An id that no other job will have; 0: there is none yet. */
static uint64_t take_id(mls__sql_store *store)
{
    uint64_t id = 0;
    pthread_mutex_lock(&store->ids_mutex);
    if (store->next_id == store->end_id && store->spare_ids) {
        store->next_id = store->spare_ids;
        store->end_id = store->spare_ids + BLOCK_IDS;
        store->spare_ids = 0;
    }
    if (store->next_id < store->end_id)
        id = store->next_id++;
    if (!store->spare_ids)
        atomic_store(&store->wants_ids, true);
    pthread_mutex_unlock(&store->ids_mutex);
    return id;
}

static bool is_suited(const mls_job_options *o, size_t count)
{
    return count == 1 && o->ack == MLS_ACK_RAM && !o->key[0] && !o->depends_on_count &&
           o->payload_bytes <= MLS__SQL_BLOB_BYTES;
}

static const char *copy_text(char **at, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

/* What was handed over stays where it is until it is written. */
static later_op *copy_item(mls__sql_store *store, const mls_queue_item *item)
{
    const mls_job_options *o = item->options;
    const bool copies = o->payload && !o->payload_free;
    const size_t texts = strlen(o->type) + strlen(o->queue) + strlen(o->tenant) +
                         strlen(o->batch_key) + 4; /* each is bounded */
    later_op *later = mls__alloc(&store->context->allocator,
                                 sizeof *later + texts + (copies ? o->payload_bytes : 0));
    if (!later)
        return NULL;
    memset(later, 0, sizeof *later);
    later->item = *item;
    later->options = *o;
    later->item.options = &later->options;
    later->items[0] = &later->item;
    char *at = later->bytes;
    later->options.type = copy_text(&at, o->type);
    later->options.queue = copy_text(&at, o->queue);
    later->options.tenant = copy_text(&at, o->tenant);
    later->options.batch_key = copy_text(&at, o->batch_key);
    later->options.key = "";
    if (copies && o->payload_bytes)
        memcpy(at, o->payload, o->payload_bytes);
    if (copies)
        later->options.payload = at;
    return later;
}

/* On the committer's thread: it is stored, or is tried again, or lost, as with this process. */
static void end_later(mls__sql_store *store, mls__sql_op *op)
{
    later_op *later = (later_op *) (void *) op;
    const mls_job_options *o = &later->options;
    if (op->status && mls__sql_retry(store, op))
        return;
    if (op->status)
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': job %llu is lost: %s: %s",
                 store->path, (unsigned long long) later->id, mls_status_name(op->status),
                 op->message);
    if (o->payload_free)
        o->payload_free(o->payload_user, (void *) (uintptr_t) o->payload, o->payload_bytes);
    mls__free(&store->context->allocator, later);
    atomic_fetch_sub(&store->later_count, 1);
}

bool mls__sql_submit_later(mls__sql_store *store, const mls_queue_item *const *items, size_t count,
                           uint64_t *ret_ids)
{
    static const mls__sql_kind kind = {.run = mls__sql_submit_run,
                                       .publish = mls__sql_submit_publish,
                                       .abandon = mls__sql_submit_abandon,
                                       .end = end_later};
    if (!is_suited(items[0]->options, count) || atomic_load(&store->later_count) >= MOST_LATER)
        return false;
    const uint64_t id = take_id(store);
    later_op *later = id ? copy_item(store, items[0]) : NULL;
    if (!later)
        return false;
    later->id = id;
    later->submit.op.kind = &kind;
    later->submit.items = later->items;
    later->submit.count = 1;
    later->submit.ids = &later->id;
    later->submit.lanes = &later->lane;
    later->submit.given_id = id;
    *ret_ids = id;
    atomic_fetch_add(&store->later_count, 1);
    mls__sql_push(store, &later->submit.op);
    return true;
}
