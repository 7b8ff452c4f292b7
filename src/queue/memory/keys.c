/* SPDX-License-Identifier: Apache-2.0 */
/* Unique keys: a table of chains through the records, of a size fixed when it is made. */
#include "queue/memory/memory.h"

#include "base/error.h"
#include "base/hash.h"

#include <string.h>

#define MOST_BUCKETS 65536

mls_status mls__mem_keys_create(mls__mem_store *store)
{
    store->buckets = 64;
    while (store->buckets < store->capacity && store->buckets < MOST_BUCKETS)
        store->buckets *= 2;
    mls__hash_seed(store->seed, store);
    const mls__allocator *allocator = &store->context->allocator;
    store->keys = mls__alloc_array(allocator, store->buckets, sizeof(mls__mem_job *));
    store->batches = mls__alloc_array(allocator, store->buckets, sizeof *store->batches);
    if (!store->keys || !store->batches)
        return mls__error_nomem(store->buckets * sizeof *store->batches);
    return MLS_OK;
}

void mls__mem_keys_free(mls__mem_store *store)
{
    mls__free(&store->context->allocator, store->keys);
    mls__free(&store->context->allocator, store->batches);
}

mls__mem_job *mls__mem_key_find(const mls__mem_store *store, const char *key)
{
    const uint64_t hash = mls__hash_bytes(store->seed, key, strlen(key));
    mls__mem_job *job = store->keys[hash & (store->buckets - 1)];
    while (job && (job->key_hash != hash || strcmp(job->key, key) != 0))
        job = job->key_next;
    return job;
}

void mls__mem_key_add(mls__mem_store *store, mls__mem_job *job)
{
    job->key_hash = mls__hash_bytes(store->seed, job->key, strlen(job->key));
    mls__mem_job **chain = &store->keys[job->key_hash & (store->buckets - 1)];
    job->key_next = *chain;
    *chain = job;
}

void mls__mem_key_remove(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_job **link = &store->keys[job->key_hash & (store->buckets - 1)];
    while (*link != job)
        link = &(*link)->key_next;
    *link = job->key_next;
}
