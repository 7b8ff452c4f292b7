/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The communicator of a link's engine. Making it cannot be given up: a thread does so, which the
 * call leaves alone if it does not end in time.
 *
 * It ends only if all ranks take part, and MPI must not be finalized before. So each says that it
 * will (READY), and none begins before it has heard that of all: then all do so, also those whose
 * calls have given up meanwhile. A rank that has left, or has heard of an abort, will not say so
 * any more; then nobody begins. A communicator that nobody wants any more is freed when it turns
 * up.
 */
#include "transport/mpi/link.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A rank that does not take part in this time is dead, or busy with other things. */
#define MAKING_NS UINT64_C(10000000000)

/* --- the thread ------------------------------------------------------------------------------ */

struct wire_making {
    wire_making *next; /* of those that their links have left behind */
    atomic_bool has_ended;
    MPI_Comm base, comm;
    MPI_Group group;
    int tag, result;
};

static wire_making *left_behind;

static void *make(void *arg)
{
    wire_making *m = arg;
    m->result = MPI_Comm_create_group(m->base, m->group, m->tag, &m->comm);
    MPI_Group_free(&m->group);
    atomic_store(&m->has_ended, true); /* it may be gone from here on */
    return NULL;
}

static bool begin_thread(wire_making *m)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, make, m) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

static bool find_group_locked(const wire_link *link, MPI_Group *ret_group)
{
    MPI_Group all;
    int *ranks = malloc(link->size * sizeof *ranks);
    if (!ranks)
        return false;
    for (uint32_t i = 0; i < link->size; i++)
        ranks[i] = link->peers[i].world_rank;
    MPI_Comm_group(wire_the_world.comm, &all);
    MPI_Group_incl(all, (int) link->size, ranks, ret_group);
    MPI_Group_free(&all);
    free(ranks);
    return true;
}

/* All have said that they take part: there is no way back, so what fails here is the end of all. */
static void begin_locked(wire_link *link)
{
    wire_making *m = calloc(1, sizeof *m);
    if (!m || !find_group_locked(link, &m->group)) {
        free(m);
        wire_failed_locked(MPI_ERR_NO_MEM, "a communicator");
        return;
    }
    m->comm = MPI_COMM_NULL;
    m->base = wire_the_world.comm;
    /* Links that are made at one time differ in it. */
    m->tag = (int) ((link->peers[0].number * 31 + (uint64_t) link->peers[0].world_rank) & 0x7fff);
    if (!begin_thread(m)) {
        MPI_Group_free(&m->group);
        free(m);
        wire_failed_locked(MPI_ERR_OTHER, "a thread that makes a communicator");
        return;
    }
    link->making = m;
}

static bool is_ready(const wire_link *link)
{
    return link->peers[link->rank].is_ready;
}

static void begin_if_ready_locked(wire_link *link)
{
    for (uint32_t i = 0; i < link->size; i++)
        if (!link->peers[i].is_ready)
            return;
    if (!link->making && link->engine == MPI_COMM_NULL)
        begin_locked(link);
}

void wire_take_ready_locked(wire_link *link, const wire_mail *mail)
{
    link->peers[mail->frame.from].is_ready = true;
    begin_if_ready_locked(link);
}

/* Some rank has not said that it takes part, and cannot any more. */
static bool is_vain(const wire_link *link)
{
    for (uint32_t i = 0; i < link->size; i++) {
        const wire_peer *peer = &link->peers[i];
        if (!peer->is_ready && (peer->has_left || peer->has_aborted))
            return true;
    }
    return false;
}

mls_status wire_look_locked(const wire_link *link)
{
    if (link->is_aborted || link->has_left)
        return MLS_ECANCELLED;
    if (wire_failure_locked(link->host))
        return MLS_EIO;
    return MLS_ETIMEDOUT;
}

/* Not where somebody has left, who would not hear of it. */
static mls_status get_ready_locked(wire_link *link)
{
    const mls_status status = wire_look_locked(link);
    if (status != MLS_ETIMEDOUT || is_ready(link))
        return status == MLS_ETIMEDOUT ? MLS_OK : status;
    for (uint32_t i = 0; i < link->size; i++)
        if (link->peers[i].has_left)
            return MLS_EPEER;
    link->peers[link->rank].is_ready = true;
    wire_tell_all_locked(link, (wire_frame){.kind = WIRE_FRAME_READY}, NULL);
    begin_if_ready_locked(link);
    return MLS_OK;
}

/* MLS_ETIMEDOUT: it is not there yet. */
static mls_status take_made_locked(wire_link *link)
{
    wire_making *m = link->making;
    if (!m && is_vain(link))
        return MLS_EPEER;
    if (!m || !atomic_load(&m->has_ended))
        return wire_look_locked(link);
    const int result = m->result;
    link->engine = m->comm;
    link->making = NULL;
    free(m);
    if (wire_failed_locked(result, "MPI_Comm_create_group"))
        return wire_failure_locked(link->host);
    MPI_Comm_set_errhandler(link->engine, MPI_ERRORS_RETURN);
    return MLS_OK;
}

mls_status wire_engine_open(wire_link *link, uint64_t until_ns)
{
    wire_patience patience = wire_patience_begin(link->spin_ns);
    pthread_mutex_lock(&wire_the_world.mutex);
    mls_status status = get_ready_locked(link);
    while (!status) {
        wire_progress_locked();
        status = take_made_locked(link);
        if (status != MLS_ETIMEDOUT)
            break;
        pthread_mutex_unlock(&wire_the_world.mutex);
        status = wire_rest(&patience, until_ns) ? MLS_OK : MLS_EDEADLINE;
        pthread_mutex_lock(&wire_the_world.mutex);
    }
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

/* --- communicators that nobody wants any more ------------------------------------------------ */

static void free_made_locked(wire_making *m)
{
    if (m->result == MPI_SUCCESS && m->comm != MPI_COMM_NULL)
        MPI_Comm_free(&m->comm);
    free(m);
}

void wire_engine_reap_locked(void)
{
    for (wire_making **at = &left_behind; *at;) {
        wire_making *m = *at;
        if (!atomic_load(&m->has_ended)) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        free_made_locked(m);
    }
}

bool wire_engine_is_making_locked(void)
{
    bool is_making = left_behind != NULL;
    for (const wire_link *link = wire_the_world.links; link; link = link->next)
        is_making = is_making || (link->making && !atomic_load(&link->making->has_ended));
    return is_making;
}

static bool may_leave_locked(const wire_link *link)
{
    if (!is_ready(link) || link->engine != MPI_COMM_NULL || wire_failure_locked(link->host))
        return true;
    return link->making ? atomic_load(&link->making->has_ended) : is_vain(link);
}

void wire_engine_await(wire_link *link)
{
    wire_patience patience = wire_patience_begin(0);
    const uint64_t until_ns = wire_now_ns() + MAKING_NS;
    if (!link->peers)
        return;
    pthread_mutex_lock(&wire_the_world.mutex);
    bool in_time = true;
    while (wire_progress_locked(), !may_leave_locked(link) && in_time) {
        pthread_mutex_unlock(&wire_the_world.mutex);
        in_time = wire_rest(&patience, until_ns);
        pthread_mutex_lock(&wire_the_world.mutex);
    }
    if (link->making) {
        link->making->next = left_behind;
        left_behind = link->making;
        link->making = NULL;
    }
    wire_engine_reap_locked();
    pthread_mutex_unlock(&wire_the_world.mutex);
}

/* Not one in which a collective is still under way: MPI has it then until it ends. */
void wire_engine_close_locked(wire_link *link)
{
    if (link->engine != MPI_COMM_NULL && !link->engine_failed && !wire_failure_locked(link->host))
        MPI_Comm_free(&link->engine);
}
