/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `shm:` transport: ranks are processes of one user and host, or threads of them.
 *
 * A link maps one anonymous file, the memory of its group, from which nothing is left once the
 * last process that has it is gone. It is handed over a Unix socket in a folder of the user's
 * while ranks meet (meet.c), and of a size that nobody can change. Only what is in use has
 * pages, and these are asked for before anything is written, so that memory that is full is an
 * error and not a signal:
 *
 *   room      who aborted and why, who survives
 *   seats     one a rank: its last two records, who sleeps, what became of it
 *   channels  one for each pair of ranks: a ring of frames, by which messages go
 *   arenas    one a rank: memory that this rank alone writes, and all read
 *
 * Other processes write there whatever they like. So all that is read is copied before it is
 * checked, and nothing found there says where this process writes.
 *
 * Whoever waits sleeps on the bell of its seat, a futex, and wakes ten times a second to see
 * who died (a pidfd for each process; what its finder writes to the seat, all see).
 */
#ifndef MLS_TRANSPORT_SHM_SHM_H
#define MLS_TRANSPORT_SHM_SHM_H

#include "base/alloc.h"
#include "base/thread.h"
#include "transport/shared/shared.h"

#include <mlscale/ext/transport.h>
#include <mlscale/group.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define SHM_RECORD_BYTES 4096
#define SHM_KEY_BYTES    512
#define SHM_REASON_BYTES 1024
#define SHM_OFFER_BYTES  36 /* "shm/" and 32 hex digits */
#define SHM_MAIL_WORDS   (MLS_GROUP_MAX_RANKS / 64)
#define SHM_CPU_WORDS    (CPU_SETSIZE / 64)
#define SHM_FRAMES       8
#define SHM_CHUNK_BYTES  32768
#define SHM_ARRIVALS_MAX 16384 /* of each rank, messages that nobody has received */

/* What became of a rank: MLS_PEER_* less one, so that fresh memory says alive. */
enum { SHM_ALIVE, SHM_LEFT, SHM_DEAD };

/* --- what lies in shared memory -------------------------------------------------------------- */

typedef struct shm_room {
    uint64_t magic, version, arena_span;
    unsigned char id[16];                     /* of no other room */
    _Alignas(64) _Atomic uint32_t abort_rank; /* plus 1; 0: not aborted */
    _Atomic uint32_t gone;                    /* how many have left or died */
    _Atomic uint32_t abort_told;              /* status and reason are written */
    int32_t abort_status;
    char abort_reason[SHM_REASON_BYTES];
    _Alignas(64) _Atomic uint64_t decider; /* who says who survives */
    _Atomic uint64_t decided;              /* agreements so far */
    uint64_t survivors[2][SHM_MAIL_WORDS]; /* the last one, and the one before */
} shm_room;

/* A record: few bytes of it are in the line of its round, which others look at. */
typedef struct shm_slot {
    _Alignas(64) _Atomic uint64_t round; /* that it is of; written last */
    uint64_t size;
    unsigned char record[SHM_RECORD_BYTES];
} shm_slot;

typedef struct shm_seat {
    _Alignas(64) _Atomic uint32_t bell; /* a futex */
    _Atomic uint32_t sleepers;          /* on the bell */
    _Atomic uint32_t waits_for;         /* the rank, plus 1, whose record it sleeps for */
    _Atomic uint32_t fate;
    _Atomic int32_t pid;                                /* 0: not taken */
    _Atomic uint64_t raised;                            /* its hand, so often: it survives */
    _Atomic uint64_t arena_end;                         /* how much of its arena has pages */
    uint64_t mapping;                                   /* where its process has this memory */
    uint64_t cpus[SHM_CPU_WORDS];                       /* where it may run, when it came */
    _Alignas(64) _Atomic uint64_t mail[SHM_MAIL_WORDS]; /* a bit for whose frames came */
    shm_slot slots[2];                                  /* of odd rounds and of even ones */
} shm_seat;

/* What frames say; `id` is always the sender's number of the message. */
enum {
    SHM_FRAME_SEND = 1, /* there is a message, and all its bytes if they are few */
    SHM_FRAME_WANT,     /* the receiver wants its bytes; `attempt` counts how often */
    SHM_FRAME_DATA,     /* bytes of that attempt, from `offset` */
    SHM_FRAME_DONE,     /* it is received, or its head differs */
    SHM_FRAME_CANCEL    /* the sender took it back */
};

typedef struct shm_frame {
    uint32_t kind, attempt;
    uint64_t id, tag, size, offset;
    uint32_t bytes, head_bytes;
    uint64_t reserved[2];
    unsigned char head[MLS_TRANSPORT_HEAD_MAX];
    unsigned char data[SHM_CHUNK_BYTES];
} shm_frame;

typedef struct shm_channel {
    _Alignas(64) _Atomic uint64_t written; /* frames so far, by the sender */
    _Alignas(64) _Atomic uint64_t taken;   /* by the receiver */
    _Alignas(64) shm_frame frames[SHM_FRAMES];
} shm_channel;

/* --- what a process has of it ---------------------------------------------------------------- */

/* The memory of a group, mapped. */
typedef struct shm_memory {
    unsigned char *base; /* NULL: none */
    size_t size;
    int fd;
    uint32_t ranks;
    size_t channels, arenas, arena_span; /* offsets, and bytes of each arena */
} shm_memory;

/* The transport of a context. */
typedef struct shm_hub {
    const mls_plugin_host *host;
} shm_hub;

typedef struct shm_parcel shm_parcel;   /* a message that was posted here */
typedef struct shm_arrival shm_arrival; /* a message that another rank announced */

/* The messages of a link; guarded by its mutex. */
typedef struct shm_mail {
    pthread_mutex_t mutex;
    mls__cond changed; /* for the helper: it is needed, or shall end */
    shm_parcel *parcels, **parcels_end;
    shm_arrival *arrivals, **arrivals_end;
    uint64_t next_id;
    uint32_t next_attempt;
    uint32_t waiters;
    bool has_helper, stops;
    pthread_t helper;
} shm_mail;

/* What a link knows of another rank by itself. */
typedef struct shm_lane {
    int watch;           /* a pidfd; -1: it is of this process, or gone */
    uint64_t mapping;    /* of its process */
    bool has_pages;      /* the channel to it */
    uint64_t sent, took; /* frames to it, and of it */
    uint32_t arrivals;   /* of it */
} shm_lane;

typedef struct shm_block shm_block;

/* The arena of this rank. */
typedef struct shm_arena {
    pthread_mutex_t mutex;
    shm_block *blocks; /* all of it, in order; NULL: not used yet */
    size_t reserved;   /* how much has pages */
} shm_arena;

typedef struct shm_link {
    shm_hub *hub;
    shm_memory memory;
    shm_room *room; /* NULL: not connected */
    uint32_t rank, size;
    uint64_t spin_ns, rounds;
    _Atomic uint64_t shrinks;
    shm_lane *lanes; /* one a rank */
    _Atomic uint64_t watched_ns;
    uint64_t arena_wanted;
    shm_arena arena;
    unsigned char token[MLS_GROUP_TOKEN_MAX];
    size_t token_size;
    shm_mail mail;
    char offer[SHM_OFFER_BYTES + 1];
    char name[]; /* of the URL */
} shm_link;

/* Who wants to meet whom. */
typedef struct shm_wanted {
    char key[SHM_KEY_BYTES];
    size_t key_size;
    uint32_t rank, size;
    uint64_t until_ns;
    const mls_transport_subset *subset; /* NULL: they are not split from others */
} shm_wanted;

/* --- memory.c --- */

/* New memory for so many ranks. Errors: MLS_ENOMEM, MLS_EIO. */
mls_status shm_memory_create(const shm_link *link, uint32_t ranks, shm_memory *ret_memory);
/* That of another process, which is held to its promises; takes `fd` over even if it fails. */
mls_status shm_memory_attach(const shm_link *link, uint32_t ranks, int fd, shm_memory *ret_memory);
void shm_memory_close(shm_memory *memory);
/* Gives pages to `size` bytes at `at`. Errors: MLS_ENOMEM. */
mls_status shm_memory_reserve(const shm_link *link, const void *at, size_t size);

static inline shm_seat *shm_memory_seat(const shm_memory *memory, uint32_t rank)
{
    unsigned char *seats = memory->base + mls__round_up(sizeof(shm_room), 64);
    return (shm_seat *) (void *) (seats + rank * sizeof(shm_seat));
}
shm_channel *shm_memory_channel(const shm_memory *memory, uint32_t from, uint32_t to);

static inline shm_seat *shm_seat_of(const shm_link *link, uint32_t rank)
{
    return shm_memory_seat(&link->memory, rank);
}

/* --- folder.c --- */

/* A folder that only this user can write, for sockets. */
typedef struct shm_folder {
    int fd;
    char path[75]; /* with a name behind it, that of a socket: 108 */
} shm_folder;

/* Errors: MLS_EIO. */
mls_status shm_folder_open(const mls_plugin_host *host, shm_folder *ret_folder);
void shm_folder_close(shm_folder *folder);

/*
 * A connection to who listens for `key`, or a listener for it where nobody does; both -1 if
 * somebody else is about to (MLS_OK, too). Errors: MLS_EIO, MLS_EPEER (of another user).
 */
mls_status shm_folder_find(const shm_folder *folder, const mls_plugin_host *host,
                           const shm_wanted *wanted, int *ret_connection, int *ret_listener);
/* Nobody finds the listener any more. */
void shm_folder_remove(const shm_folder *folder, const shm_wanted *wanted);

/* --- meet.c: a rank waits for the others; host.c: the first of them serves the others --- */

mls_status shm_meet(shm_link *link, const shm_wanted *wanted);
mls_status shm_host_serve(shm_link *link, const shm_wanted *wanted, int listener);

/* What goes over the socket. */
typedef struct shm_hello {
    uint64_t magic, version;
    uint32_t rank, size;
    int32_t pid;
    uint32_t key_size, token_size, reserved;
    char key[SHM_KEY_BYTES];
    unsigned char token[MLS_GROUP_TOKEN_MAX];
} shm_hello;

typedef struct shm_answer {
    uint64_t magic;
    int32_t status;
    uint32_t size; /* the host's group */
} shm_answer;

#define SHM_MAGIC    UINT64_C(0x6d68732d656c6163) /* "cale-shm" */
#define SHM_VERSION  2
#define SHM_ACCEPTED 1 /* an answer's status, with the memory */
#define SHM_READY    2 /* of the guest: it has mapped that */
#define SHM_COMPLETE 3 /* all are there */

/* Milliseconds for poll() until then, at most 100. */
int shm_poll_ms(uint64_t until_ns);
/* The effective user of the other end; false: unknown. */
bool shm_peer_of(int fd, uint32_t *ret_uid, int32_t *ret_pid);
/* MLS_EDEADLINE: who has not come. `memory` may have no base. */
mls_status shm_missing(const shm_link *link, const shm_wanted *wanted, const shm_memory *memory);

/* --- link.c --- */

mls_status shm_open_link(void *self, const char *config, void **ret_link);
mls_status shm_address(void *link, void *ret_address, size_t capacity, size_t *ret_size);
mls_status shm_connect(void *link, const mls_transport_join *join);
mls_status shm_split(void *link, const mls_transport_subset *subset, void **ret_link);
void shm_leave(void *link);
void shm_close_link(void *link);

/* --- wait.c --- */

void shm_ring(const shm_link *link, uint32_t rank);
void shm_ring_all(const shm_link *link);

/* Watches the processes of the other ranks, from now on. Errors: MLS_EIO, MLS_ENOMEM. */
mls_status shm_watch_begin(shm_link *link);
void shm_watch_end(shm_link *link);
/* Looks who died; the other one, unless that was done just now. */
void shm_watch(shm_link *link);
void shm_watch_soon(shm_link *link, uint64_t now_ns);

/*
 * To sleep: read the bell, look, and then sleep until it was rung since, or somebody may have
 * died. false: the time has passed, and it was looked for the dead.
 */
uint32_t shm_bell(const shm_link *link);
bool shm_sleep(shm_link *link, uint32_t seen, uint64_t until_ns);
/* Who has looked for so long lets others have the core: one that it waits for may be on it. */
void shm_lose_patience(uint64_t looked_ns);
/* Before that: whether it is rung while the rank may look out for it. */
bool shm_is_rung_soon(const shm_link *link, uint32_t seen, uint64_t until_ns);

/* What a rank says of itself before all are there: where it has the memory, and may run. */
void shm_introduce(const shm_memory *memory, uint32_t rank);
/* For the choice whether to look or to sleep: where all ranks together may run. */
uint64_t shm_spin_ns(const shm_link *link, uint32_t spin_us);

/* The fate of a rank, the first one that is told. */
void shm_fate_set(const shm_link *link, uint32_t rank, uint32_t fate);
uint32_t shm_fate_of(const shm_link *link, uint32_t rank);

/* --- round.c --- */

mls_status shm_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                     mls_transport_record *ret_records);
void shm_abort(void *link, mls_status status, const char *reason);
mls_status shm_aborted(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity);
void shm_peer(void *link, uint32_t rank, mls_transport_peer *ret_peer);
bool shm_is_aborted(const shm_link *link);

/* --- arena.c --- */

mls_status shm_allocate(void *link, size_t size_bytes, void **ret_data);
void shm_release(void *link, void *data);
void shm_arena_clear(shm_link *link);
mls_status shm_read_begin(void *link);
const void *shm_read(void *link, uint32_t rank, uint64_t address, size_t size_bytes);
void shm_read_end(void *link);

/* --- survivors.c --- */

mls_status shm_survivors(void *link, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count);

/* --- channel.c --- */

/* The next place of the channel to `to`, or NULL while it is full. Errors: MLS_ENOMEM. */
mls_status shm_channel_place(shm_link *link, uint32_t to, shm_frame **ret_frame);
/* Hands it over. */
void shm_channel_send(shm_link *link, uint32_t to);
/* The next frame of `from`, or NULL; and that it was read. */
const shm_frame *shm_channel_next(const shm_link *link, uint32_t from);
void shm_channel_took(shm_link *link, uint32_t from);
/* Calls for each rank whose frames have come since. */
void shm_channel_each(shm_link *link, void (*take)(shm_link *link, uint32_t from));
/* Lets rank `at` look at the frames of `from`, the next time. */
void shm_channel_keep_at(const shm_link *link, uint32_t at, uint32_t from);

/* --- messages.c --- */

mls_status shm_mail_init(shm_mail *mail);
void shm_mail_clear(shm_link *link);
mls_status shm_post(void *link, mls_transport_message *message);
mls_status shm_wait(void *link, mls_transport_message *message, uint64_t until_ns);
mls_status shm_retract(void *link, mls_transport_message *message);
/* Ends those of this rank, which leaves. */
void shm_mail_end(shm_link *link);

#endif
