/* SPDX-License-Identifier: Apache-2.0 */
/* What collectives of fake_nccl.h do once all ranks of a group have come. */
#include "conformance/transport/fake_nccl.h"

#include <string.h>

size_t fake_size_of(int type)
{
    return type == INT8 ? 1 : type == INT32 || type == FLOAT32 ? 4 : 8;
}

typedef struct number {
    double real;
    int64_t whole;
} number;

static number load(int type, const unsigned char *at)
{
    float single;
    int32_t narrow;
    number n = {0, 0};
    switch (type) {
    case FLOAT32:
        memcpy(&single, at, 4);
        n.real = (double) single;
        break;
    case FLOAT64:
        memcpy(&n.real, at, 8);
        break;
    case INT32:
        memcpy(&narrow, at, 4);
        n.whole = narrow;
        break;
    default:
        memcpy(&n.whole, at, 8);
    }
    return n;
}

static void store(int type, number n, unsigned char *at)
{
    const float single = (float) n.real;
    const int32_t narrow = (int32_t) n.whole;
    if (type == FLOAT32)
        memcpy(at, &single, 4);
    else if (type == FLOAT64)
        memcpy(at, &n.real, 8);
    else if (type == INT32)
        memcpy(at, &narrow, 4);
    else
        memcpy(at, &n.whole, 8);
}

static number join(int type, int op, number a, number b)
{
    number n = {0, 0};
    n.real = op == PROD ? a.real * b.real : a.real + b.real;
    if (type == FLOAT32)
        n.real = (double) (float) n.real;
    if (op == MAX)
        n.whole = a.whole > b.whole ? a.whole : b.whole;
    else if (op == MIN)
        n.whole = a.whole < b.whole ? a.whole : b.whole;
    else if (op == PROD)
        n.whole = (int64_t) ((uint64_t) a.whole * (uint64_t) b.whole);
    else
        n.whole = (int64_t) ((uint64_t) a.whole + (uint64_t) b.whole);
    return n;
}

/* Of the ranks from `first`, as many as `width`, a power of two, or as there are. */
static number reduce(const slot *s, int size, int first, int width, size_t i)
{
    const request *r = &s->requests[first];
    if (width == 1)
        return load(r->type, r->source + i * fake_size_of(r->type));
    const number left = reduce(s, size, first, width / 2, i);
    if (first + width / 2 >= size)
        return left;
    return join(r->type, r->op, left, reduce(s, size, first + width / 2, width / 2, i));
}

static void reduce_into(const slot *s, int size, size_t first, size_t n, int type, int op,
                        unsigned char *target)
{
    for (size_t i = 0; i < n; i++) {
        number sum = reduce(s, size, 0, MAX_RANKS, first + i);
        if (op == AVG)
            sum.real =
                type == FLOAT32 ? (double) ((float) sum.real / (float) size) : sum.real / size;
        store(type, sum, target + i * fake_size_of(type));
    }
}

static const part *find_send(const request *from, int to)
{
    for (int i = 0; i < from->part_count; i++)
        if (from->parts[i].source && from->parts[i].peer == to)
            return &from->parts[i];
    return NULL;
}

static void receive_all(const slot *s, int rank)
{
    const request *own = &s->requests[rank];
    for (int i = 0; i < own->part_count; i++) {
        const part *to = &own->parts[i];
        const part *from = to->target ? find_send(&s->requests[to->peer], rank) : NULL;
        if (to->target && (!from || from->bytes != to->bytes))
            fake.faults++;
        else if (to->target)
            memcpy(to->target, from->source, to->bytes);
    }
}

static void finish_rank(const slot *s, int size, int rank)
{
    const request *r = &s->requests[rank];
    const size_t bytes = r->count * fake_size_of(r->type);
    switch (r->kind) {
    case ALLREDUCE:
        reduce_into(s, size, 0, r->count, r->type, r->op, r->target);
        break;
    case REDUCE:
        if (rank == r->root)
            reduce_into(s, size, 0, r->count, r->type, r->op, r->target);
        break;
    case REDUCE_SCATTER:
        reduce_into(s, size, (size_t) rank * r->count, r->count, r->type, r->op, r->target);
        break;
    case BROADCAST:
        memcpy(r->target, s->requests[r->root].source, bytes);
        break;
    case ALLGATHER:
        for (int i = 0; i < size; i++)
            memcpy(r->target + (size_t) i * bytes, s->requests[i].source, bytes);
        break;
    default:
        receive_all(s, rank);
    }
}

static void arrive_locked(task *t)
{
    group *g = t->comm->group;
    slot *s = &g->slots[t->number % SLOTS];
    if (s->number != t->number || !s->arrived)
        *s = (slot){.number = t->number};
    s->requests[t->comm->rank] = t->request;
    t->is_there = true;
    if (++s->arrived < g->size)
        return;
    for (int i = 1; i < g->size; i++)
        fake.faults += s->requests[i].kind != s->requests[0].kind ||
                       s->requests[i].count != s->requests[0].count;
    for (int i = 0; i < g->size; i++)
        finish_rank(s, g->size, i);
    s->is_done = true;
    fake.collectives++;
}

bool fake_has_ended_locked(task *t)
{
    if (!t->comm) {
        memcpy(t->to, t->from, t->size);
        return true;
    }
    if (!t->is_there)
        arrive_locked(t);
    const slot *s = &t->comm->group->slots[t->number % SLOTS];
    return s->number == t->number && s->is_done;
}
