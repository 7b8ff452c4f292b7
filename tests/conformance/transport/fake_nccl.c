/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's share of fake_nccl.h, and what tests ask of it. */
#include "conformance/transport/fake_nccl.h"

#include <stdlib.h>
#include <string.h>

struct fake fake = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static group *groups;
static uint64_t next_id;
static _Thread_local bool in_group;
static _Thread_local request exchange;
static _Thread_local comm *exchange_comm;
static _Thread_local stream *exchange_stream;

/* What tests ask for. */
EXPORT void fake_nccl_counts(int *ret_live, int *ret_faults, int *ret_collectives, int *ret_aborts);
void fake_nccl_counts(int *ret_live, int *ret_faults, int *ret_collectives, int *ret_aborts)
{
    pthread_mutex_lock(&fake.mutex);
    *ret_live = fake.live;
    *ret_faults = fake.faults;
    *ret_collectives = fake.collectives;
    *ret_aborts = fake.aborts;
    pthread_mutex_unlock(&fake.mutex);
}

/* Has collectives never end. */
EXPORT void fake_nccl_stall(int stalls);
void fake_nccl_stall(int stalls)
{
    pthread_mutex_lock(&fake.mutex);
    fake.is_stalled = stalls != 0;
    pthread_mutex_unlock(&fake.mutex);
}

DEFINE(int, ncclGetUniqueId, unique_id *id)
{
    memset(id, 0, sizeof *id);
    pthread_mutex_lock(&fake.mutex);
    next_id++;
    memcpy(id->bytes + 100, &next_id, sizeof next_id);
    pthread_mutex_unlock(&fake.mutex);
    return 0;
}

static group *find_group_locked(const unique_id *id, int size)
{
    group *g = groups;
    while (g && memcmp(&g->id, id, sizeof *id) != 0)
        g = g->next;
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    g->id = *id;
    g->size = size;
    g->next = groups;
    groups = g;
    return g;
}

typedef struct config {
    size_t size;
    unsigned magic, version;
    int blocking;
} config;

DEFINE(int, ncclCommInitRankConfig, comm **ret_comm, int ranks, unique_id id, int rank, config *c)
{
    if (!fake_has_context() || c->size < sizeof *c || c->magic != 0xcafebeef || c->blocking)
        return INVALID;
    comm *made = calloc(1, sizeof *made);
    pthread_mutex_lock(&fake.mutex);
    made->group = find_group_locked(&id, ranks);
    made->group->joined++;
    made->group->members++;
    made->rank = rank;
    fake.live++;
    pthread_mutex_unlock(&fake.mutex);
    *ret_comm = made;
    return IN_PROGRESS;
}

DEFINE(int, ncclCommGetAsyncError, comm *c, int *result)
{
    pthread_mutex_lock(&fake.mutex);
    *result = c->group->joined < c->group->size ? IN_PROGRESS : 0;
    pthread_mutex_unlock(&fake.mutex);
    return 0;
}

DEFINE(int, ncclCommAbort, comm *c)
{
    pthread_mutex_lock(&fake.mutex);
    fake.live--;
    fake.aborts++;
    if (--c->group->members == 0) {
        group **at = &groups;
        while (*at != c->group)
            at = &(*at)->next;
        *at = c->group->next;
        free(c->group);
    }
    pthread_mutex_unlock(&fake.mutex);
    free(c);
    return 0;
}

DEFINE(const char *, ncclGetErrorString, int result)
{
    return result == INVALID ? "invalid argument" : "a fault";
}

static int issue(comm *c, stream *s, const request *r)
{
    if (!fake_has_context() || c->group->joined < c->group->size)
        return INVALID;
    fake_add_task(s, &(task){.comm = c, .number = c->next_number++, .request = *r});
    return 0;
}

DEFINE(int, ncclAllReduce, const void *source, void *target, size_t n, int type, int op, comm *c,
       stream *s)
{
    return issue(c, s,
                 &(request){.kind = ALLREDUCE,
                            .type = type,
                            .op = op,
                            .source = source,
                            .target = target,
                            .count = n});
}

DEFINE(int, ncclReduce, const void *source, void *target, size_t n, int type, int op, int root,
       comm *c, stream *s)
{
    return issue(c, s,
                 &(request){.kind = REDUCE,
                            .type = type,
                            .op = op,
                            .root = root,
                            .source = source,
                            .target = target,
                            .count = n});
}

DEFINE(int, ncclReduceScatter, const void *source, void *target, size_t n, int type, int op,
       comm *c, stream *s)
{
    return issue(c, s,
                 &(request){.kind = REDUCE_SCATTER,
                            .type = type,
                            .op = op,
                            .source = source,
                            .target = target,
                            .count = n});
}

DEFINE(int, ncclBroadcast, const void *source, void *target, size_t n, int type, int root, comm *c,
       stream *s)
{
    return issue(c, s,
                 &(request){.kind = BROADCAST,
                            .type = type,
                            .root = root,
                            .source = source,
                            .target = target,
                            .count = n});
}

DEFINE(int, ncclAllGather, const void *source, void *target, size_t n, int type, comm *c, stream *s)
{
    return issue(
        c, s,
        &(request){
            .kind = ALLGATHER, .type = type, .source = source, .target = target, .count = n});
}

DEFINE(int, ncclGroupStart, void)
{
    in_group = true;
    exchange = (request){.kind = EXCHANGE};
    exchange_comm = NULL;
    return 0;
}

static int add_part(const part *p, comm *c, stream *s)
{
    if (!in_group || exchange.part_count == 2 * MAX_RANKS)
        return INVALID;
    exchange.parts[exchange.part_count++] = *p;
    exchange_comm = c;
    exchange_stream = s;
    return 0;
}

DEFINE(int, ncclSend, const void *source, size_t n, int type, int peer, comm *c, stream *s)
{
    return add_part(&(part){.source = source, .bytes = n * fake_size_of(type), .peer = peer}, c, s);
}

DEFINE(int, ncclRecv, void *target, size_t n, int type, int peer, comm *c, stream *s)
{
    return add_part(&(part){.target = target, .bytes = n * fake_size_of(type), .peer = peer}, c, s);
}

DEFINE(int, ncclGroupEnd, void)
{
    in_group = false;
    return exchange_comm ? issue(exchange_comm, exchange_stream, &exchange) : 0;
}
