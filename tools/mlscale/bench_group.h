/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale bench group, inside: what is measured, and what it is compared with. */
#ifndef MLSCALE_TOOL_BENCH_GROUP_H
#define MLSCALE_TOOL_BENCH_GROUP_H

#include <mlscale.h>

#include <stdbool.h>

/* One rank of the group that is measured, and its memory. */
typedef struct bench_rank {
    mls_context *context;
    mls_group *group;
    uint32_t rank, size;
    double seconds;   /* for each measurement, about */
    bool is_ordinary; /* tensors of the context, not of the group */
} bench_rank;

/*
 * An operation as nccl-tests counts it. `bytes` are S: of a whole tensor, where p ranks have
 * pieces of it.
 */
typedef struct bench_op {
    const char *name;
    mls_status (*run)(mls_group *group, mls_tensor *source, mls_tensor *target);
    bool adds_up;
    bool source_is_piece, target_is_piece; /* of S / p bytes */
    double bus_whole, bus_rest;   /* bus bandwidth: S / t times this + (p - 1) / p times this */
    double copy_whole, copy_part; /* bytes that a rank reads and writes: S times this + S / p */
} bench_op;

const bench_op *bench_op_find(const char *name);
/* "allreduce, reduce, ...": for messages. */
const char *bench_op_names(void);

/* What a rank measured of one size; all ranks do so together. */
typedef struct bench_result {
    uint64_t bytes, rounds;
    double median_us, p99_us;
    double algorithm, bus; /* bytes a second */
    double limit;          /* of the bus, by copying or sockets; 0: unknown */
} bench_result;

mls_status bench_op_measure(const bench_rank *rank, const bench_op *op, uint64_t bytes,
                            bench_result *ret_result);

/*
 * A barrier on all ranks, then `run(user)` over and over, as often on each: samples of the time
 * that one takes.
 */
mls_status bench_repeat(const bench_rank *rank, mls_status (*run)(void *user), void *user,
                        bench_result *ret_result);

/* The limits, as bus bandwidth of the operation. */
mls_status bench_limit_copy(const bench_rank *rank, const bench_op *op, uint64_t bytes,
                            double *ret_limit);
typedef struct bench_ring bench_ring;
/* Sockets to the ranks before and behind this one. */
mls_status bench_ring_open(const bench_rank *rank, bench_ring **ret_ring);
mls_status bench_limit_ring(const bench_rank *rank, bench_ring *ring, uint64_t bytes,
                            double *ret_limit);
void bench_ring_close(bench_ring *ring);

#endif
