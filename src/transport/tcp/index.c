/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding what a peer has announced, by each of the numbers that frames and receives name it by:
 * chains of those whose numbers have one hash. The hash is keyed, since the numbers are the peer's:
 * it cannot choose them so that they meet in one chain.
 */
#include "transport/tcp/tcp.h"

#include <sodium.h>
#include <string.h>

/* A chain has one on average: then there are more chains. */
static tcp_chain *chains_of(tcp_index *index)
{
    return index->chains ? index->chains : index->few;
}

static size_t count_of(const tcp_index *index)
{
    return index->chains ? index->count : TCP_INDEX_FEW;
}

static tcp_chain *chain_of(tcp_index *index, tcp_name name, uint64_t number)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "a hash is a number");
    crypto_shorthash((unsigned char *) &hash, (const unsigned char *) &number, sizeof number,
                     index->key);
    return chains_of(index) + name * count_of(index) + (hash & (count_of(index) - 1));
}

static uint64_t number_of(const tcp_arrival *arrival, tcp_name name)
{
    return name == TCP_NAME_ID    ? arrival->id
           : name == TCP_NAME_TAG ? arrival->tag
                                  : arrival->number;
}

static void append(tcp_index *index, tcp_arrival *arrival, tcp_name name)
{
    tcp_chain *chain = chain_of(index, name, number_of(arrival, name));
    tcp_named *named = &arrival->named[name];
    *named = (tcp_named){.previous = chain->last, .is_in = true};
    *(chain->last ? &chain->last->named[name].next : &chain->first) = arrival;
    chain->last = arrival;
}

/* Where memory is refused, chains get longer. `first` is of all, in the order of announcements. */
static void grow(tcp_index *index, const mls_plugin_host *host, tcp_arrival *first)
{
    const size_t count = 4 * count_of(index), bytes = TCP_NAMES * count * sizeof(tcp_chain);
    tcp_chain *chains = host->alloc(host->context, bytes);
    if (!chains)
        return;
    memset(chains, 0, bytes);
    host->free(host->context, index->chains);
    index->chains = chains;
    index->count = count;
    for (tcp_arrival *at = first; at; at = at->next)
        for (tcp_name name = 0; name < TCP_NAMES; name++)
            if (at->named[name].is_in)
                append(index, at, name);
}

void tcp_index_reserve(tcp_index *index, const mls_plugin_host *host, tcp_arrival *first,
                       size_t arrivals)
{
    if (arrivals > count_of(index))
        grow(index, host, first);
}

/* Its place is by age. What comes back to its tag was taken first, so that is near the start. */
void tcp_index_add(tcp_index *index, tcp_arrival *arrival, tcp_name name)
{
    tcp_chain *chain = chain_of(index, name, number_of(arrival, name));
    tcp_named *named = &arrival->named[name];
    if (!chain->last || chain->last->id < arrival->id) {
        append(index, arrival, name);
        return;
    }
    tcp_arrival *next = chain->first;
    while (next->id < arrival->id)
        next = next->named[name].next;
    tcp_arrival *previous = next->named[name].previous;
    *named = (tcp_named){next, previous, true};
    *(previous ? &previous->named[name].next : &chain->first) = arrival;
    next->named[name].previous = arrival;
}

void tcp_index_remove(tcp_index *index, tcp_arrival *arrival, tcp_name name)
{
    tcp_named *named = &arrival->named[name];
    if (!named->is_in)
        return;
    tcp_chain *chain = chain_of(index, name, number_of(arrival, name));
    *(named->previous ? &named->previous->named[name].next : &chain->first) = named->next;
    *(named->next ? &named->next->named[name].previous : &chain->last) = named->previous;
    *named = (tcp_named){.is_in = false};
}

tcp_arrival *tcp_index_find(tcp_index *index, tcp_name name, uint64_t number)
{
    tcp_arrival *arrival = chain_of(index, name, number)->first;
    for (; arrival && number_of(arrival, name) != number; arrival = arrival->named[name].next)
        index->passed++;
    return arrival;
}
