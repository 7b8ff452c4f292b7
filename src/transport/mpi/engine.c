/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives by MPI's own, on a communicator of the link's ranks: MPI knows the machine's wires.
 *
 * They run in pieces of a bounded size, from and to memory of this transport: a collective
 * cannot be taken back, so one that is given up at a deadline or an abort keeps that memory until
 * MPI lets go of it, and never the caller's. Making the communicator (making.c) takes a thread, for
 * which MPI must have been started with MPI_THREAD_MULTIPLE: else the library's algorithms do it
 * all.
 */
#include "transport/mpi/link.h"

#include <mlscale/group.h>

#include <stdlib.h>
#include <string.h>

#define STAGE_BYTES ((size_t) 1024 * 1024) /* of all pieces of a rank's source, or target */

/* --- what MPI can ---------------------------------------------------------------------------- */

typedef struct element {
    MPI_Datatype type; /* MPI_DATATYPE_NULL: not for reductions */
    MPI_Datatype wrapping;
    size_t size;
} element;

static element element_of(int32_t dtype)
{
    switch (dtype) {
    case MLS_FLOAT32:
        return (element){MPI_FLOAT, MPI_FLOAT, 4};
    case MLS_FLOAT64:
        return (element){MPI_DOUBLE, MPI_DOUBLE, 8};
    case MLS_INT32: /* sums of signed ones must not overflow, those of unsigned ones wrap */
        return (element){MPI_INT32_T, MPI_UINT32_T, 4};
    case MLS_INT64:
        return (element){MPI_INT64_T, MPI_UINT64_T, 8};
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
    case MLS_INT16:
    case MLS_UINT16:
        return (element){MPI_DATATYPE_NULL, MPI_DATATYPE_NULL, 2};
    case MLS_UINT32:
        return (element){MPI_DATATYPE_NULL, MPI_DATATYPE_NULL, 4};
    case MLS_UINT64:
        return (element){MPI_DATATYPE_NULL, MPI_DATATYPE_NULL, 8};
    case MLS_INT8:
    case MLS_UINT8:
    case MLS_BOOL:
        return (element){MPI_DATATYPE_NULL, MPI_DATATYPE_NULL, 1};
    default:
        return (element){MPI_DATATYPE_NULL, MPI_DATATYPE_NULL, 0};
    }
}

static bool is_float(int32_t dtype)
{
    return dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64;
}

/* A minimum of floats is NaN where any is, of which MPI says nothing. */
static bool can_reduce(const wire_link *link, const mls_transport_collective *c)
{
    if (element_of(c->dtype).type == MPI_DATATYPE_NULL)
        return false;
    if (!is_float(c->dtype))
        return c->reduction <= MLS_REDUCE_MAX;
    return link->sums && (c->reduction == MLS_REDUCE_SUM || c->reduction == MLS_REDUCE_PRODUCT ||
                          c->reduction == MLS_REDUCE_MEAN);
}

int wire_can_run(void *self, const mls_transport_collective *c)
{
    const wire_link *link = self;
    if (!wire_the_world.is_multiple || !element_of(c->dtype).size)
        return 0;
    return !c->reduction || can_reduce(link, c);
}

/* --- a collective in pieces ------------------------------------------------------------------ */

typedef struct job {
    wire_link *link;
    const mls_transport_collective *c;
    element element;
    uint32_t source_pieces, target_pieces;
    unsigned char *in, *out; /* of `step` elements of each piece */
    size_t step;
} job;

static bool has_all(uint32_t op, uint32_t first, uint32_t second, uint32_t third)
{
    return op == first || op == second || op == third;
}

static mls_status prepare(wire_link *link, const mls_transport_collective *c, job *ret_job)
{
    job j = {.link = link, .c = c, .element = element_of(c->dtype)};
    j.source_pieces = has_all(c->op, MLS_COLLECTIVE_SCATTER, MLS_COLLECTIVE_REDUCE_SCATTER,
                              MLS_COLLECTIVE_ALL_TO_ALL)
                          ? link->size
                          : 1;
    j.target_pieces =
        has_all(c->op, MLS_COLLECTIVE_GATHER, MLS_COLLECTIVE_ALLGATHER, MLS_COLLECTIVE_ALL_TO_ALL)
            ? link->size
            : 1;
    const size_t pieces = j.source_pieces > j.target_pieces ? j.source_pieces : j.target_pieces;
    j.step = STAGE_BYTES / (pieces * j.element.size);
    if (j.step > c->count)
        j.step = (size_t) c->count;
    j.in = malloc(j.source_pieces * j.step * j.element.size);
    j.out = malloc(j.target_pieces * j.step * j.element.size);
    if (!j.in || !j.out) {
        free(j.in);
        free(j.out);
        return link->host->error(MLS_ENOMEM, "out of memory: %zu bytes",
                                 pieces * j.step * j.element.size);
    }
    *ret_job = j;
    return MLS_OK;
}

/* `count` elements from `first` of each piece. */
static void load(const job *j, size_t first, size_t count)
{
    const unsigned char *source = j->c->source;
    const size_t size = j->element.size;
    for (uint32_t i = 0; source && i < j->source_pieces; i++)
        memcpy(j->in + i * count * size, source + (i * (size_t) j->c->count + first) * size,
               count * size);
}

static void divide(const job *j, size_t count)
{
    const float ranks = (float) j->link->size;
    for (size_t i = 0; i < count; i++) {
        float single;
        double wide;
        if (j->c->dtype == MLS_FLOAT32) {
            memcpy(&single, j->out + i * 4, 4);
            single /= ranks;
            memcpy(j->out + i * 4, &single, 4);
        } else {
            memcpy(&wide, j->out + i * 8, 8);
            wide /= (double) ranks;
            memcpy(j->out + i * 8, &wide, 8);
        }
    }
}

static void store(const job *j, size_t first, size_t count)
{
    unsigned char *target = j->c->target;
    const size_t size = j->element.size;
    if (target && j->c->reduction == MLS_REDUCE_MEAN)
        divide(j, count);
    for (uint32_t i = 0; target && i < j->target_pieces; i++)
        memcpy(target + (i * (size_t) j->c->count + first) * size, j->out + i * count * size,
               count * size);
}

static MPI_Op operation_of(uint32_t reduction)
{
    switch (reduction) {
    case MLS_REDUCE_PRODUCT:
        return MPI_PROD;
    case MLS_REDUCE_MIN:
        return MPI_MIN;
    case MLS_REDUCE_MAX:
        return MPI_MAX;
    default:
        return MPI_SUM;
    }
}

static int start_reduction(const job *j, int count, MPI_Request *ret_request)
{
    const mls_transport_collective *c = j->c;
    const bool wraps = c->reduction == MLS_REDUCE_SUM || c->reduction == MLS_REDUCE_PRODUCT;
    const MPI_Datatype type = wraps ? j->element.wrapping : j->element.type;
    const MPI_Op op = operation_of(c->reduction);
    const MPI_Comm comm = j->link->engine;
    switch (c->op) {
    case MLS_COLLECTIVE_REDUCE:
        return MPI_Ireduce(j->in, j->out, count, type, op, (int) c->root, comm, ret_request);
    case MLS_COLLECTIVE_REDUCE_SCATTER:
        return MPI_Ireduce_scatter_block(j->in, j->out, count, type, op, comm, ret_request);
    default:
        return MPI_Iallreduce(j->in, j->out, count, type, op, comm, ret_request);
    }
}

static int start_move(const job *j, int bytes, MPI_Request *ret_request)
{
    const int root = (int) j->c->root;
    const MPI_Comm comm = j->link->engine;
    const MPI_Datatype byte = MPI_BYTE;
    switch (j->c->op) {
    case MLS_COLLECTIVE_BROADCAST:
        return MPI_Ibcast(j->c->source ? j->in : j->out, bytes, byte, root, comm, ret_request);
    case MLS_COLLECTIVE_GATHER:
        return MPI_Igather(j->in, bytes, byte, j->out, bytes, byte, root, comm, ret_request);
    case MLS_COLLECTIVE_ALLGATHER:
        return MPI_Iallgather(j->in, bytes, byte, j->out, bytes, byte, comm, ret_request);
    case MLS_COLLECTIVE_SCATTER:
        return MPI_Iscatter(j->in, bytes, byte, j->out, bytes, byte, root, comm, ret_request);
    default:
        return MPI_Ialltoall(j->in, bytes, byte, j->out, bytes, byte, comm, ret_request);
    }
}

static mls_status start_step(const job *j, size_t count, MPI_Request *ret_request)
{
    mls_status status = MLS_OK;
    pthread_mutex_lock(&wire_the_world.mutex);
    const int result = j->c->reduction
                           ? start_reduction(j, (int) count, ret_request)
                           : start_move(j, (int) (count * j->element.size), ret_request);
    if (wire_failed_locked(result, "a collective"))
        status = wire_failure_locked(j->link->host);
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

static mls_status test_step(const job *j, MPI_Request *request)
{
    int has_ended = 0;
    mls_status status = MLS_OK;
    pthread_mutex_lock(&wire_the_world.mutex);
    if (wire_failed_locked(MPI_Test(request, &has_ended, MPI_STATUS_IGNORE), "a collective"))
        status = wire_failure_locked(j->link->host);
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status || has_ended ? status : MLS_ETIMEDOUT;
}

static mls_status look(const wire_link *link)
{
    pthread_mutex_lock(&wire_the_world.mutex);
    wire_progress_locked();
    const mls_status status = wire_look_locked(link);
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

/* Sets *ret_pending if MPI still has the memory. */
static mls_status run_step(const job *j, size_t count, MPI_Request *ret_pending)
{
    wire_patience patience = wire_patience_begin(j->link->spin_ns);
    MPI_Request request;
    mls_status status = start_step(j, count, &request);
    if (status)
        return status;
    while ((status = test_step(j, &request)) == MLS_ETIMEDOUT) {
        status = look(j->link);
        if (status == MLS_ETIMEDOUT && !wire_rest(&patience, j->c->until_ns))
            status = MLS_EDEADLINE;
        if (status != MLS_ETIMEDOUT)
            break;
    }
    *ret_pending = request; /* MPI's null, if it has ended */
    return status;
}

static mls_status run_steps(job *j)
{
    MPI_Request pending = MPI_REQUEST_NULL;
    mls_status status = MLS_OK;
    for (size_t first = 0; !status && first < j->c->count; first += j->step) {
        const size_t left = (size_t) j->c->count - first;
        const size_t count = left < j->step ? left : j->step;
        load(j, first, count);
        status = run_step(j, count, &pending);
        if (!status)
            store(j, first, count);
    }
    if (pending == MPI_REQUEST_NULL) {
        free(j->in);
        free(j->out);
    } else {
        pthread_mutex_lock(&wire_the_world.mutex);
        wire_abandon_locked(pending, j->in, j->out);
        pthread_mutex_unlock(&wire_the_world.mutex);
    }
    return status;
}

mls_status wire_run(void *self, const mls_transport_collective *c)
{
    wire_link *link = self;
    job j;
    mls_status status =
        link->engine == MPI_COMM_NULL ? wire_engine_open(link, c->until_ns) : MLS_OK;
    if (!status)
        status = prepare(link, c, &j);
    if (!status)
        status = run_steps(&j);
    link->engine_failed = link->engine_failed || status;
    return status;
}
