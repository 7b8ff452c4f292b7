/* SPDX-License-Identifier: Apache-2.0 */
/* The process's part in MPI: starting it, ending it, and frames in and out. */
#include "transport/mpi/link.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_TAG    7
#define INBOX        8
#define INBOX_BYTES  (sizeof(wire_frame) + WIRE_CHUNK_BYTES)
#define LAST_SEND_NS UINT64_C(10000000000)

/* Which of them we were compiled for, and how its launchers make themselves known. */
#ifdef OPEN_MPI
static const char own_name[] = "Open MPI";
static const char *const launcher_marks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", NULL};
#else
static const char own_name[] = "MPICH";
static const char *const launcher_marks[] = {"PMI_RANK", "PMI_FD", "PMIX_RANK", NULL};
#endif

typedef struct outgoing {
    struct outgoing *next;
    MPI_Request request;
    uint32_t *done;
    unsigned char bytes[];
} outgoing;

typedef struct abandoned {
    struct abandoned *next;
    MPI_Request request;
    void *memory[2];
} abandoned;

wire_world wire_the_world = {.mutex = PTHREAD_MUTEX_INITIALIZER, .comm = MPI_COMM_NULL};

static struct {
    bool is_ours, is_over, has_inbox;
    pid_t pid;
    MPI_Request joining; /* until all processes have the communicator */
    outgoing *outbox, **outbox_end;
    abandoned *abandoned;
    unsigned char *inbox[INBOX];
    MPI_Request requests[INBOX];
    uint32_t next_in; /* the one that the next frame comes to */
    char failure[256];
} state = {.joining = MPI_REQUEST_NULL, .outbox_end = &state.outbox};

bool wire_failed_locked(int result, const char *what)
{
    char words[MPI_MAX_ERROR_STRING] = "";
    int size;
    if (result == MPI_SUCCESS)
        return false;
    MPI_Error_string(result, words, &size);
    if (!state.failure[0])
        snprintf(state.failure, sizeof state.failure, "%s: %.200s", what, words);
    return true;
}

mls_status wire_failure_locked(const mls_plugin_host *host)
{
    if (state.is_over)
        return host->error(MLS_ESTATE, "MPI has been finalized");
    return state.failure[0] ? host->error(MLS_EIO, "%s", state.failure) : MLS_OK;
}

/* --- the beginning and the end --------------------------------------------------------------- */

mls_status wire_world_check(const mls_plugin_host *host)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int size;
    /* In a process with two MPIs the symbols may be the other's; this call is the same in all. */
    MPI_Get_library_version(version, &size);
    if (strncmp(version, own_name, strlen(own_name)) == 0)
        return MLS_OK;
    version[strcspn(version, "\n")] = '\0';
    return host->error(MLS_EUNSUPPORTED, "this module is for %s, and the process has %.100s",
                       own_name, version);
}

/* MPI that the host started stays the host's to end. */
static void finalize(void)
{
    int is_over = 0;
    if (getpid() != state.pid) /* a child of fork() */
        return;
    MPI_Finalized(&is_over);
    if (!is_over)
        MPI_Finalize();
}

/*
 * Takes in what the others have sent before they came here, for a while. false: MPI still has a
 * barrier of the world's communicator, which must outlive it.
 */
static bool take_last_locked(void)
{
    const uint64_t until_ns = wire_now_ns() + LAST_SEND_NS;
    MPI_Request barrier;
    int all_here = 0;
    if (!state.has_inbox || state.failure[0] || MPI_Ibarrier(wire_the_world.comm, &barrier))
        return true;
    while ((state.outbox || !all_here || wire_engine_is_making_locked()) && !state.failure[0] &&
           wire_now_ns() < until_ns) {
        wire_progress_locked();
        sched_yield();
        if (!all_here && MPI_Test(&barrier, &all_here, MPI_STATUS_IGNORE))
            return false;
    }
    wire_progress_locked();
    return all_here && !wire_engine_is_making_locked();
}

/* Called by MPI when it is finalized, before anything else: it must be rid of our requests. */
static int on_finalize(MPI_Comm self, int keyval, void *attribute, void *extra)
{
    (void) self;
    (void) keyval;
    (void) attribute;
    (void) extra;
    pthread_mutex_lock(&wire_the_world.mutex);
    const bool may_free = take_last_locked();
    for (size_t i = 0; state.has_inbox && i < INBOX; i++) {
        if (state.requests[i] == MPI_REQUEST_NULL)
            continue;
        MPI_Cancel(&state.requests[i]);
        MPI_Wait(&state.requests[i], MPI_STATUS_IGNORE);
        free(state.inbox[i]);
    }
    state.has_inbox = false;
    state.is_over = true;
    if (wire_the_world.comm != MPI_COMM_NULL && state.joining == MPI_REQUEST_NULL &&
        !state.outbox && may_free)
        MPI_Comm_free(&wire_the_world.comm);
    pthread_mutex_unlock(&wire_the_world.mutex);
    return MPI_SUCCESS;
}

static bool has_launcher(void)
{
    for (size_t i = 0; launcher_marks[i]; i++)
        if (getenv(launcher_marks[i]))
            return true;
    return false;
}

static mls_status start_mpi(const mls_plugin_host *host, uint32_t group_size)
{
    int level;
    const bool is_alone = !has_launcher();
    if (is_alone && group_size != 1)
        return host->error(MLS_EUNSUPPORTED,
                           "no launcher of %s started this process: use mpirun, or call "
                           "MPI_Init_thread() before",
                           own_name);
    /* Else Open MPI would fork a daemon. */
    if (is_alone)
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    if (wire_failed_locked(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level),
                           "MPI_Init_thread"))
        return wire_failure_locked(host);
    state.is_ours = true;
    state.pid = getpid();
    atexit(finalize);
    return MLS_OK;
}

static mls_status check_threads(const mls_plugin_host *host)
{
    int level;
    MPI_Query_thread(&level);
    wire_the_world.is_multiple = level >= MPI_THREAD_MULTIPLE;
    if (level >= MPI_THREAD_SERIALIZED)
        return MLS_OK;
    return host->error(MLS_EUNSUPPORTED,
                       "MPI was started for one thread: call MPI_Init_thread() with "
                       "MPI_THREAD_MULTIPLE, or with MPI_THREAD_SERIALIZED if nothing else uses "
                       "MPI meanwhile");
}

static mls_status start_locked(const mls_plugin_host *host, uint32_t group_size)
{
    int has_begun = 0, is_over = 0, keyval;
    MPI_Initialized(&has_begun);
    MPI_Finalized(&is_over);
    if (is_over)
        return host->error(MLS_ESTATE, "MPI has been finalized");
    mls_status status = has_begun ? MLS_OK : start_mpi(host, group_size);
    if (!status)
        status = check_threads(host);
    if (status)
        return status;
    MPI_Comm_rank(MPI_COMM_WORLD, &wire_the_world.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &wire_the_world.size);
    if (wire_failed_locked(
            MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_finalize, &keyval, NULL),
            "MPI_Comm_create_keyval") ||
        wire_failed_locked(MPI_Comm_set_attr(MPI_COMM_SELF, keyval, NULL), "MPI_Comm_set_attr") ||
        wire_failed_locked(MPI_Comm_idup(MPI_COMM_WORLD, &wire_the_world.comm, &state.joining),
                           "MPI_Comm_idup"))
        return wire_failure_locked(host);
    return MLS_OK;
}

static void receive_locked(uint32_t place)
{
    wire_failed_locked(MPI_Irecv(state.inbox[place], (int) INBOX_BYTES, MPI_BYTE, MPI_ANY_SOURCE,
                                 FRAME_TAG, wire_the_world.comm, &state.requests[place]),
                       "MPI_Irecv");
}

static mls_status open_inbox_locked(const mls_plugin_host *host)
{
    MPI_Comm_set_errhandler(wire_the_world.comm, MPI_ERRORS_RETURN);
    for (uint32_t i = 0; i < INBOX; i++)
        state.requests[i] = MPI_REQUEST_NULL;
    for (uint32_t i = 0; i < INBOX; i++) {
        if (!state.inbox[i])
            state.inbox[i] = malloc(INBOX_BYTES);
        if (!state.inbox[i])
            return host->error(MLS_ENOMEM, "out of memory: %zu bytes", INBOX_BYTES);
    }
    for (uint32_t i = 0; i < INBOX; i++)
        receive_locked(i);
    state.has_inbox = true;
    return wire_failure_locked(host);
}

/* MLS_ETIMEDOUT: others have not come yet. */
static mls_status enter_locked(const mls_plugin_host *host, uint32_t group_size)
{
    int has_joined = 0;
    mls_status status = wire_failure_locked(host);
    if (!status && wire_the_world.comm == MPI_COMM_NULL && state.joining == MPI_REQUEST_NULL)
        status = start_locked(host, group_size);
    if (status || state.has_inbox)
        return status;
    if (wire_failed_locked(MPI_Test(&state.joining, &has_joined, MPI_STATUS_IGNORE), "MPI_Test"))
        return wire_failure_locked(host);
    return has_joined ? open_inbox_locked(host) : MLS_ETIMEDOUT;
}

mls_status wire_world_enter(const mls_plugin_host *host, uint32_t group_size, uint64_t until_ns)
{
    wire_patience patience = wire_patience_begin(0);
    mls_status status;
    do {
        pthread_mutex_lock(&wire_the_world.mutex);
        status = enter_locked(host, group_size);
        pthread_mutex_unlock(&wire_the_world.mutex);
    } while (status == MLS_ETIMEDOUT && wire_rest(&patience, until_ns));
    if (status == MLS_ETIMEDOUT)
        return host->error(MLS_EDEADLINE,
                           "not all %d processes of MPI_COMM_WORLD have opened a group of mpi: or "
                           "offered one",
                           wire_the_world.size);
    return status;
}

/* --- out ------------------------------------------------------------------------------------- */

void wire_send_locked(int to, const wire_frame *frame, const void *data, uint32_t *done)
{
    const size_t size = sizeof *frame + frame->size_bytes;
    outgoing *out = malloc(sizeof *out + size);
    if (!out) {
        wire_failed_locked(MPI_ERR_NO_MEM, "a frame");
        return;
    }
    *out = (outgoing){.done = done};
    memcpy(out->bytes, frame, sizeof *frame);
    if (frame->size_bytes)
        memcpy(out->bytes + sizeof *frame, data, frame->size_bytes);
    if (wire_failed_locked(MPI_Isend(out->bytes, (int) size, MPI_BYTE, to, FRAME_TAG,
                                     wire_the_world.comm, &out->request),
                           "MPI_Isend")) {
        free(out);
        return;
    }
    if (done)
        ++*done;
    *state.outbox_end = out;
    state.outbox_end = &out->next;
}

void wire_forget_locked(const uint32_t *done)
{
    for (outgoing *out = state.outbox; out; out = out->next)
        if (out->done == done)
            out->done = NULL;
}

static void reap_locked(void)
{
    outgoing **at = &state.outbox;
    while (*at) {
        outgoing *out = *at;
        int has_gone = 0;
        if (wire_failed_locked(MPI_Test(&out->request, &has_gone, MPI_STATUS_IGNORE), "MPI_Test"))
            return;
        if (!has_gone) {
            at = &out->next;
            continue;
        }
        atomic_fetch_add(&wire_the_world.events, 1);
        if (out->done)
            --*out->done;
        *at = out->next;
        free(out);
    }
    state.outbox_end = at;
}

void wire_abandon_locked(MPI_Request request, void *first, void *second)
{
    abandoned *left = malloc(sizeof *left);
    if (!left) /* then its memory is MPI's for good */
        return;
    *left = (abandoned){state.abandoned, request, {first, second}};
    state.abandoned = left;
}

static void reap_abandoned_locked(void)
{
    for (abandoned **at = &state.abandoned; *at;) {
        abandoned *left = *at;
        int has_ended = 0;
        if (MPI_Test(&left->request, &has_ended, MPI_STATUS_IGNORE) || !has_ended) {
            at = &left->next;
            continue;
        }
        *at = left->next;
        free(left->memory[0]);
        free(left->memory[1]);
        free(left);
    }
}

/* --- in -------------------------------------------------------------------------------------- */

/* Frames come to the places in turn, since receives match in the order of their posts. */
static bool take_frame_locked(void)
{
    unsigned char *bytes = state.inbox[state.next_in];
    MPI_Status info;
    wire_mail mail;
    int has_come = 0, size = 0;
    if (wire_failed_locked(MPI_Test(&state.requests[state.next_in], &has_come, &info),
                           "MPI_Test") ||
        !has_come)
        return false;
    atomic_fetch_add(&wire_the_world.events, 1);
    MPI_Get_count(&info, MPI_BYTE, &size);
    if ((size_t) size >= sizeof mail.frame) {
        memcpy(&mail.frame, bytes, sizeof mail.frame);
        mail.source = info.MPI_SOURCE;
        mail.data = bytes + sizeof mail.frame;
        if (mail.frame.size_bytes == (size_t) size - sizeof mail.frame)
            wire_handle_locked(&mail);
    }
    receive_locked(state.next_in);
    state.next_in = (state.next_in + 1) % INBOX;
    return true;
}

void wire_progress_locked(void)
{
    if (!state.has_inbox || state.failure[0])
        return;
    reap_locked();
    while (!state.failure[0] && take_frame_locked())
        ;
    for (wire_link *link = wire_the_world.links; link; link = link->next)
        wire_pump_locked(link);
    reap_abandoned_locked();
    wire_engine_reap_locked();
}
