/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, the timing of one, and the memory copies that it is compared with. */
#include "bench_group.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_LEAST 5
#define ROUNDS_MOST  20000

static mls_status run_allreduce(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_allreduce(group, source, target, MLS_REDUCE_SUM, NULL, NULL);
}

static mls_status run_reduce(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_reduce(group, source, target, MLS_REDUCE_SUM, 0, NULL, NULL);
}

static mls_status run_reduce_scatter(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_reduce_scatter(group, source, target, MLS_REDUCE_SUM, NULL, NULL);
}

static mls_status run_broadcast(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    (void) target;
    return mls_group_broadcast(group, source, 0, NULL, NULL);
}

static mls_status run_gather(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_gather(group, source, target, 0, NULL, NULL);
}

static mls_status run_allgather(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_allgather(group, source, target, NULL, NULL);
}

static mls_status run_scatter(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_scatter(group, source, target, 0, NULL, NULL);
}

static mls_status run_all_to_all(mls_group *group, mls_tensor *source, mls_tensor *target)
{
    return mls_group_all_to_all(group, source, target, NULL, NULL);
}

/*
 * What a rank reads and writes at least, by the way that moves least: for a reduction it reads
 * its slice of all ranks and writes it, and then reads and writes the slices of the others.
 */
static const bench_op ops[] = {
    {"allreduce", run_allreduce, true, false, false, 0, 2, 3, -1},
    {"reduce", run_reduce, true, false, false, 1, 0, 3, -1},
    {"reduce_scatter", run_reduce_scatter, true, false, true, 0, 1, 1, 1},
    {"broadcast", run_broadcast, false, false, false, 1, 0, 2, 0},
    {"gather", run_gather, false, true, false, 0, 1, 2, 0},
    {"allgather", run_allgather, false, true, false, 0, 1, 2, 0},
    {"scatter", run_scatter, false, false, true, 0, 1, 0, 2},
    {"all_to_all", run_all_to_all, false, false, false, 0, 1, 2, 0},
};

const bench_op *bench_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

const char *bench_op_names(void)
{
    return "allreduce, reduce, reduce_scatter, broadcast, gather, allgather, scatter or all_to_all";
}

/* --- timing --- */

/* The same on all ranks: as rank 0 found the first rounds to take. */
static mls_status agree_on_rounds(const bench_rank *rank, uint64_t round_ns, int64_t *ret_rounds)
{
    mls_tensor *tensor;
    const int64_t one = 1;
    const double wanted = rank->seconds * 1e9 / (double) (round_ns + 1);
    int64_t rounds = wanted > ROUNDS_MOST ? ROUNDS_MOST : (int64_t) wanted;
    if (rounds < ROUNDS_LEAST)
        rounds = ROUNDS_LEAST;
    mls_status status =
        mls_tensor_wrap(rank->context, MLS_INT64, 1, &one, NULL, &rounds, NULL, NULL, &tensor);
    if (status)
        return status;
    status = mls_group_broadcast(rank->group, tensor, 0, NULL, NULL);
    mls_tensor_free(tensor);
    *ret_rounds = rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
    return status;
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

mls_status bench_repeat(const bench_rank *rank, mls_status (*run)(void *user), void *user,
                        bench_result *ret_result)
{
    static const int warm_rounds = 3;
    mls_status status = mls_group_barrier(rank->group, NULL, NULL);
    uint64_t before = now_ns();
    for (int i = 0; !status && i < warm_rounds; i++) {
        before = now_ns();
        status = run(user);
    }
    int64_t rounds = 0;
    if (!status)
        status = agree_on_rounds(rank, now_ns() - before, &rounds);
    uint64_t *samples = calloc((size_t) rounds + 1, sizeof *samples);
    if (!samples)
        abort(); /* rounds are few */
    if (!status)
        status = mls_group_barrier(rank->group, NULL, NULL);
    before = now_ns();
    for (int64_t i = 0; !status && i < rounds; i++) {
        status = run(user);
        const uint64_t after = now_ns();
        samples[i] = after - before;
        before = after;
    }
    if (!status) {
        qsort(samples, (size_t) rounds, sizeof *samples, compare_u64);
        ret_result->rounds = (uint64_t) rounds;
        ret_result->median_us = (double) samples[rounds / 2] / 1e3;
        ret_result->p99_us = (double) samples[rounds * 99 / 100] / 1e3;
    }
    free(samples);
    return status;
}

/* --- an operation --- */

typedef struct measured {
    const bench_op *op;
    mls_group *group;
    mls_tensor *source, *target;
} measured;

static mls_status run_measured(void *user)
{
    const measured *m = user;
    return m->op->run(m->group, m->source, m->target);
}

static mls_status make(const bench_rank *rank, uint64_t bytes, mls_tensor **ret_tensor)
{
    const int64_t count = (int64_t) (bytes / sizeof(float));
    const mls_status status =
        rank->is_ordinary
            ? mls_tensor_create(rank->context, MLS_FLOAT32, 1, &count, ret_tensor)
            : mls_group_create_tensor(rank->group, MLS_FLOAT32, 1, &count, ret_tensor);
    if (!status)
        memset(mls_tensor_data(*ret_tensor), 0, mls_tensor_size_bytes(*ret_tensor));
    return status;
}

static double bus_bytes(const bench_op *op, uint32_t ranks, uint64_t bytes)
{
    const double p = ranks;
    return (double) bytes * (op->bus_whole + op->bus_rest * (p - 1) / p);
}

mls_status bench_op_measure(const bench_rank *rank, const bench_op *op, uint64_t bytes,
                            bench_result *ret_result)
{
    measured m = {.op = op, .group = rank->group};
    const uint64_t piece = bytes / sizeof(float) / rank->size * sizeof(float);
    const bool has_pieces = op->source_is_piece || op->target_is_piece || op->bus_rest == 1;
    const uint64_t whole = has_pieces ? piece * rank->size : bytes;
    mls_status status = make(rank, op->source_is_piece ? piece : whole, &m.source);
    if (!status)
        status = make(rank, op->target_is_piece ? piece : whole, &m.target);
    if (!status)
        status = bench_repeat(rank, run_measured, &m, ret_result);
    mls_tensor_free(m.source);
    mls_tensor_free(m.target);
    const double seconds = ret_result->median_us / 1e6;
    if (status || seconds <= 0)
        return status;
    ret_result->bytes = whole;
    ret_result->algorithm = (double) whole / seconds;
    ret_result->bus = bus_bytes(op, rank->size, whole) / seconds;
    return MLS_OK;
}

/* --- copies --- */

typedef struct copied {
    unsigned char *from, *to;
    size_t size;
} copied;

static mls_status copy(void *user)
{
    const copied *c = user;
    memcpy(c->to, c->from, c->size);
    __asm__ volatile("" ::"r"(c->to) : "memory"); /* it is for nobody, and done all the same */
    return MLS_OK;
}

mls_status bench_limit_copy(const bench_rank *rank, const bench_op *op, uint64_t bytes,
                            double *ret_limit)
{
    bench_result result = {0};
    bench_rank plain = *rank;
    plain.is_ordinary = true; /* whatever the group's memory is */
    mls_tensor *from = NULL, *to = NULL;
    mls_status status = make(&plain, bytes, &from);
    if (!status)
        status = make(&plain, bytes, &to);
    if (!status) {
        copied c = {mls_tensor_data(from), mls_tensor_data(to), (size_t) bytes};
        status = bench_repeat(rank, copy, &c, &result);
    }
    mls_tensor_free(from);
    mls_tensor_free(to);
    if (status || result.median_us <= 0)
        return status;
    const double moved = 2 * (double) bytes / (result.median_us / 1e6); /* read and written */
    const double least = (double) bytes * (op->copy_whole + op->copy_part / rank->size) / moved;
    *ret_limit = bus_bytes(op, rank->size, bytes) / least;
    return MLS_OK;
}
