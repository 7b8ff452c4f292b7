/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `mpi:` transports: one source, compiled for each MPI into a module of its own, which
 * links nothing of the library.
 *
 * A process has one world: MPI, a communicator of our own over MPI_COMM_WORLD, and what comes in
 * on it. Ranks send each other frames, all with one tag, so that those between two ranks keep
 * their order; a frame names the link that it is for by the receiver's number of it, and those for
 * a link that is closed are dropped. Neither rounds nor messages use MPI's own collectives: those
 * can neither be given up at a deadline, nor do they tell who is missing.
 *
 * MPI waits by spinning only, so whoever waits here looks, and sleeps in between. What MPI
 * reads and writes is always memory of the world: no call leaves MPI with the caller's tensors.
 *
 * One mutex guards the world, its links and all calls of MPI: so MPI_THREAD_SERIALIZED is enough,
 * where the host's other threads leave MPI alone. What the world owns is malloc's: it outlives
 * contexts. Functions whose names end in _locked are called with the mutex held.
 */
#ifndef MLS_TRANSPORT_MPI_LINK_H
#define MLS_TRANSPORT_MPI_LINK_H

#include <mlscale/ext/transport.h>

#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define WIRE_RECORD_BYTES 2048 /* with its frame, less than what MPIs send without asking */
#define WIRE_CHUNK_BYTES  ((size_t) 60 * 1024) /* malloc gives it without a system call */
#define WIRE_KEY_BYTES    512
#define WIRE_REASON_BYTES 1024

typedef struct wire_link wire_link;
typedef struct wire_parcel wire_parcel;
typedef struct wire_making wire_making;

/* --- world.c: MPI, and frames ---------------------------------------------------------------- */

enum {
    WIRE_FRAME_HELLO = 1, /* a: the sender's number of the link; b: ranks; c: bytes of the key */
    WIRE_FRAME_BYE,       /* a: the same; the rank leaves, or has given up to open */
    WIRE_FRAME_ROUND,     /* a: which one */
    WIRE_FRAME_ABORT,     /* a: rounds that have ended there; b: the rank that did so */
    WIRE_FRAME_HEAD,      /* a: the sender's message; b: tag; c: bytes */
    WIRE_FRAME_ANSWER,    /* a: the sender's message; b: the receiver's */
    WIRE_FRAME_DATA,      /* a: the receiver's message; b: offset */
    WIRE_FRAME_DONE,      /* a: the sender's message */
    WIRE_FRAME_RETRACT,   /* a: the sender's message */
    WIRE_FRAME_READY,     /* the sender takes part in making the engine, come what may */
};

typedef struct wire_frame {
    uint32_t kind;
    uint32_t from; /* the sender's rank in the link */
    uint64_t link; /* the receiver's number of it */
    uint64_t a, b, c;
    uint32_t size_bytes; /* of what follows */
    int32_t status;
} wire_frame;

/* A frame that has come, checked to be as long as it says. */
typedef struct wire_mail {
    wire_frame frame;
    int source; /* rank in the world */
    const unsigned char *data;
} wire_mail;

/* What is known of the world; rank and size once wire_world_enter() has succeeded. */
typedef struct wire_world {
    pthread_mutex_t mutex;
    MPI_Comm comm;
    int rank, size;
    bool is_multiple; /* MPI_THREAD_MULTIPLE */
    wire_link *links;
    uint64_t next_number;
    _Atomic uint64_t events; /* frames that have come or gone */
} wire_world;

extern wire_world wire_the_world;

/* Whether this module may use the MPI that the process has. */
mls_status wire_world_check(const mls_plugin_host *host);

/*
 * Starts MPI if nobody has, for a group of so many ranks (0: not known), and waits until all
 * processes have their part of the world's communicator.
 */
mls_status wire_world_enter(const mls_plugin_host *host, uint32_t group_size, uint64_t until_ns);

/* Sends what is copied; `done`, if not NULL, is decremented when MPI has no more use of it. */
void wire_send_locked(int to, const wire_frame *frame, const void *data, uint32_t *done);

/* Whoever had a frame on its way with this counter is gone. */
void wire_forget_locked(const uint32_t *done);

/* Takes in what has come, and sends what waits for its turn. */
void wire_progress_locked(void);

/* MLS_EIO with MPI's words, once a call of MPI has failed. */
mls_status wire_failure_locked(const mls_plugin_host *host);
/* Notes it; gives whether it was one. */
bool wire_failed_locked(int result, const char *what);

/* A request that nobody waits for any more, with the two places of its memory. */
void wire_abandon_locked(MPI_Request request, void *first, void *second);

/* --- wait.c: looking and sleeping ------------------------------------------------------------ */

typedef struct wire_patience {
    uint64_t spin_ns, spin_until_ns;
    uint64_t events; /* of the world, when it was begun */
    uint32_t rests;
} wire_patience;

uint64_t wire_now_ns(void);
wire_patience wire_patience_begin(uint64_t spin_ns);
/*
 * Between two looks, without the mutex; begins anew when anything has come or gone since. false:
 * the time is over.
 */
bool wire_rest(wire_patience *patience, uint64_t until_ns);

/* --- link.c: place and leaving --------------------------------------------------------------- */

typedef struct wire_peer {
    int world_rank;
    bool has_left, has_aborted;
    bool is_ready;   /* to make the engine; this rank, too */
    uint64_t number; /* of the link, there; 0: it has not come */
    uint64_t rounds; /* records that have come */
    size_t sizes[2];
} wire_peer;

typedef struct wire_offer wire_offer; /* the head of a message that nobody has received */

struct wire_link {
    const mls_plugin_host *host;
    wire_link *next;
    uint64_t number;
    char *config, key[WIRE_KEY_BYTES];
    size_t key_bytes;
    unsigned char token[64];
    size_t token_bytes;
    uint32_t rank, size;
    uint64_t spin_ns;
    uint64_t rounds, ended_rounds;     /* that this rank has given a record for; that all have */
    bool is_connected, has_left, sums; /* sums: the engine may add up floats */
    wire_peer *peers;
    unsigned char *records; /* two a rank */

    bool is_aborted;
    uint32_t abort_rank;
    uint64_t abort_rounds; /* that had ended on that rank */
    mls_status abort_status;
    char abort_reason[WIRE_REASON_BYTES];

    wire_parcel *parcels, **parcels_end; /* in the order of posts */
    wire_offer *offers, **offers_end;    /* in the order of their coming */
    uint64_t next_message;

    MPI_Comm engine; /* MPI_COMM_NULL until the first collective */
    bool engine_failed;
    wire_making *making; /* of the engine, until somebody takes it */
};

/* Sends a frame to a rank of the link. */
void wire_tell_locked(wire_link *link, uint32_t rank, wire_frame frame, const void *data,
                      uint32_t *done);
/* To all others that have come and not left. */
void wire_tell_all_locked(wire_link *link, wire_frame frame, const void *data);

/* What a frame is for: called for each that comes. */
void wire_handle_locked(const wire_mail *mail);

mls_status wire_open_link(void *self, const char *config, void **ret_link);
mls_status wire_address(void *link, void *ret_address, size_t capacity, size_t *ret_size);
mls_status wire_connect(void *link, const mls_transport_join *join);
mls_status wire_split(void *link, const mls_transport_subset *subset, void **ret_link);
void wire_leave(void *link);
void wire_close_link(void *link);

/* --- meet.c ------------------------------------------------------------------------------------
 */

/*
 * Until all have come; the link has its key, its token, and who its ranks are. `subset` is NULL
 * but for a split.
 */
mls_status wire_meet(wire_link *link, const mls_transport_subset *subset, uint64_t until_ns);
/* To all, whether they have come or not. */
void wire_say_bye_locked(const wire_link *link);
void wire_take_hello_locked(const wire_mail *mail);
void wire_take_bye_locked(const wire_mail *mail);

/* --- round.c --------------------------------------------------------------------------------- */

void wire_take_record_locked(wire_link *link, const wire_mail *mail);
void wire_take_abort_locked(wire_link *link, const wire_mail *mail);
/* Tells all others of the link's abort, whoever did it. */
void wire_tell_abort_locked(wire_link *link);
mls_status wire_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                      mls_transport_record *ret_records);
void wire_abort(void *link, mls_status status, const char *reason);
mls_status wire_aborted(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity);
void wire_peer_state(void *link, uint32_t rank, mls_transport_peer *ret_peer);

/* --- messages.c ------------------------------------------------------------------------------ */

mls_status wire_post(void *link, mls_transport_message *message);
mls_status wire_wait(void *link, mls_transport_message *message, uint64_t until_ns);
mls_status wire_retract(void *link, mls_transport_message *message);
void wire_take_message_locked(wire_link *link, const wire_mail *mail);
/* Sends pieces of what is on its way. */
void wire_pump_locked(wire_link *link);
/* Ends those of a rank that leaves, and forgets what others have offered. */
void wire_end_messages_locked(wire_link *link);

/* --- engine.c -------------------------------------------------------------------------------- */

int wire_can_run(void *link, const mls_transport_collective *collective);
mls_status wire_run(void *link, const mls_transport_collective *collective);

/* --- making.c -------------------------------------------------------------------------------- */

/* Makes the engine's communicator, with all other ranks. */
mls_status wire_engine_open(wire_link *link, uint64_t until_ns);
/* MLS_ETIMEDOUT: nothing ends the wait for the engine. */
mls_status wire_look_locked(const wire_link *link);
void wire_take_ready_locked(wire_link *link, const wire_mail *mail);
void wire_engine_close_locked(wire_link *link);
/*
 * Of a link that leaves: waits for a communicator that is being made, without the mutex. After a
 * while it is left behind, and freed when it turns up.
 */
void wire_engine_await(wire_link *link);
/* Frees what was left behind and has turned up. */
void wire_engine_reap_locked(void);
/* Whether MPI still makes any. */
bool wire_engine_is_making_locked(void);

#endif
