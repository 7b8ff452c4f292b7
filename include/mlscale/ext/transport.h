/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transports: how the ranks of a group reach each other.
 *
 * A transport moves bytes; what they mean, the algorithms of collectives, the order of sums
 * and the words of errors are the library's. It is opened once for a context and closed with
 * it, so that all groups share what it owns (a port, a thread); `config` of open is "".
 * A group is a link of it. What a driver owes:
 *
 * - round(): every rank gives a record of up to record_bytes, and gets those of all ranks.
 *   Ranks make round after round; whoever has the records of one has read those of the one
 *   before. So two places for each rank are enough, and no rank can run ahead by more.
 *   Collectives of few bytes are one round and nothing else.
 * - Messages: a send and a receive of the same tag between two ranks meet in the order of
 *   their posts. Their heads are compared before data moves.
 * - Nothing waits longer than "until_ns", a time of the monotonic clock: 0 does not wait,
 *   UINT64_MAX waits forever. A rank that has left or died ends what waits for it within a
 *   second (MLS_EPEER; MPI tells of no death, so with mpi: the deadline does), abort() from any
 *   rank ends what waits on every rank.
 * - open_link to connect, and the calls of round, are by one thread at a time for a link; all
 *   else may be called from any thread at any time until close_link.
 * - In a child of fork() nothing is called: the library refuses before.
 */
#ifndef MLSCALE_EXT_TRANSPORT_H
#define MLSCALE_EXT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/ext/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The least record_bytes, and the most bytes of a head and of an address. */
#define MLS_TRANSPORT_RECORD_MIN  1024
#define MLS_TRANSPORT_HEAD_MAX    256
#define MLS_TRANSPORT_ADDRESS_MAX 1024

/* Who takes part. */
typedef struct mls_transport_join {
    size_t size;
    uint32_t rank, group_size;
    /*
     * Where to meet: the addresses of all ranks, or NULL: by the link's config. Bounds are
     * checked, contents are not.
     */
    const void *const *addresses;
    const size_t *address_sizes;
    const void *token; /* never NULL; of token_bytes, perhaps 0 */
    size_t token_bytes;
    uint64_t until_ns;
    uint32_t spin_us;
    uint32_t reserved;
} mls_transport_join;

/* Which ranks of a link make up another one: `ranks` of `count`, in their new order. */
typedef struct mls_transport_subset {
    size_t size;
    uint64_t id; /* the same on all of them, and of no other subset that has any of them */
    const uint32_t *ranks;
    uint32_t count;
    uint32_t rank; /* the caller's in the new link */
    uint64_t until_ns;
    uint32_t spin_us;
    uint32_t reserved;
    /*
     * As far as `size` says that they are there. Who waits for the others asks several times a
     * second, on the caller's thread and without a lock: not 0 says that they will not all come,
     * since one has died or the group is aborted. NULL: nobody knows.
     */
    int (*is_over)(void *user);
    void *user;
} mls_transport_subset;

typedef struct mls_transport_record {
    const void *data; /* aligned to 8 bytes; good until the caller's next round but one */
    size_t size_bytes;
} mls_transport_record; /* never grows */

/* What is known of a rank. */
#define MLS_PEER_ALIVE UINT32_C(1) /* it is not known to be gone */
#define MLS_PEER_LEFT  UINT32_C(2) /* it called leave() */
#define MLS_PEER_DEAD  UINT32_C(3) /* it ended, or cannot be reached, without that */

typedef struct mls_transport_peer {
    size_t size;
    uint32_t state; /* MLS_PEER_* */
    uint32_t reserved;
    uint64_t rounds; /* that it is known to have given its record for */
    /*
     * As far as `size` says that it is there: when it was last known to be alive, by the monotonic
     * clock; 0, as it was: that is not known.
     */
    uint64_t heard_ns;
} mls_transport_peer;

#define MLS_MESSAGE_SEND    UINT32_C(1)
#define MLS_MESSAGE_RECEIVE UINT32_C(2)

/*
 * Of `flags`: a round has shown that both sides mean the same, so that a send may end when its
 * memory is not read any more, before it is received. Both sides say so, or neither.
 */
#define MLS_MESSAGE_AGREED UINT32_C(1)

/*
 * A message on its way: the caller's, the driver's to use from post() until wait() gives
 * something else than MLS_ETIMEDOUT, or retract() returns.
 */
typedef struct mls_transport_message {
    size_t size;
    uint32_t kind; /* MLS_MESSAGE_* */
    uint32_t peer;
    uint64_t tag;
    void *data; /* read by a send, written by a receive */
    size_t size_bytes;
    /*
     * Must be the same on both sides, like size_bytes: else nothing is moved, both
     * sides get MLS_EMISMATCH, and `other_head` the head of the other (zeros behind it).
     */
    const void *head;
    size_t head_bytes;
    unsigned char other_head[MLS_TRANSPORT_HEAD_MAX];
    /* The driver's. */
    struct mls_transport_message *next;
    void *owner;
    int32_t status;
    uint32_t phase;
    /* The caller's, as far as `size` says that they are there. */
    uint32_t flags; /* MLS_MESSAGE_AGREED, or 0; drivers may ignore it */
    uint32_t reserved;
} mls_transport_message;

/* Collectives that an engine may run: see mlscale/group.h for who gives and gets what. */
#define MLS_COLLECTIVE_BROADCAST      UINT32_C(1)
#define MLS_COLLECTIVE_REDUCE         UINT32_C(2)
#define MLS_COLLECTIVE_ALLREDUCE      UINT32_C(3)
#define MLS_COLLECTIVE_GATHER         UINT32_C(4)
#define MLS_COLLECTIVE_ALLGATHER      UINT32_C(5)
#define MLS_COLLECTIVE_SCATTER        UINT32_C(6)
#define MLS_COLLECTIVE_REDUCE_SCATTER UINT32_C(7)
#define MLS_COLLECTIVE_ALL_TO_ALL     UINT32_C(8)

/*
 * A collective as a whole. A piece has `count` elements. Sources of scatter, reduce_scatter and
 * all_to_all, and targets of gather, allgather and all_to_all, are a piece for each rank; all
 * others are one. A rank that gives nothing has no source, one that gets nothing no target: NULL
 * (of a broadcast, the root has no target, and the others have no source).
 * A source may be the target, but for all_to_all, or where a piece of the one is the other,
 * the caller's own piece.
 */
typedef struct mls_transport_collective {
    size_t size;
    uint32_t op;        /* MLS_COLLECTIVE_* */
    int32_t dtype;      /* mls_dtype */
    uint32_t reduction; /* MLS_REDUCE_SUM to MLS_REDUCE_MEAN, of one shard a rank; or 0 */
    uint32_t root;      /* 0 of those that have none */
    uint64_t count;
    const void *source; /* contiguous, in the host's memory, like the target */
    void *target;
    uint64_t until_ns;
} mls_transport_collective;

typedef struct mls_transport {
    mls_plugin plugin;
    uint64_t record_bytes; /* MLS_TRANSPORT_RECORD_MIN and more; the same for all ranks */

    /* All operations up to split are mandatory; those behind are read by MLS_HAS_OP. */

    /* A link that is not connected. `config` is what follows "name:" in the URL. */
    mls_status (*open_link)(void *self, const char *config, void **ret_link);

    /* The address by which others find the link: at most MLS_TRANSPORT_ADDRESS_MAX bytes. */
    mls_status (*address)(void *link, void *ret_address, size_t capacity, size_t *ret_size);

    /*
     * Waits for all ranks. Errors: MLS_EINVAL, MLS_EEXIST, MLS_EDEADLINE (the message names
     * who has not come), MLS_EPEER, MLS_EIO, MLS_ENOMEM; the link may then only be closed.
     */
    mls_status (*connect)(void *link, const mls_transport_join *join);

    /* The rank leaves: no call waits for it any more, and those of its own end. */
    void (*leave)(void *link);
    void (*close_link)(void *link);

    /*
     * See above. `ret_records` has as many entries as there are ranks, the caller's own among
     * them. Records that were given before an abort or a leave count; who comes later to a
     * link that is aborted gives none.
     * Errors, without a message: MLS_EDEADLINE, MLS_EPEER, MLS_ECANCELLED (aborted() says
     * why). Then the link has made its last round.
     */
    mls_status (*round)(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                        mls_transport_record *ret_records);

    mls_status (*post)(void *link, mls_transport_message *message);
    /*
     * MLS_OK: the data is moved. Errors, without a message: MLS_ETIMEDOUT (it goes on),
     * MLS_EMISMATCH, MLS_EPEER, MLS_ECANCELLED.
     */
    mls_status (*wait)(void *link, mls_transport_message *message, uint64_t until_ns);
    /* Takes a message back; what wait() gave before, or would give without waiting, is kept. */
    mls_status (*retract)(void *link, mls_transport_message *message);

    /*
     * Ends what every rank waits for, and all that comes later; the first one counts. The
     * reason has at most 1023 bytes. aborted: who did so, by what status, and the reason;
     * MLS_ENOTFOUND, without a message: nobody did.
     */
    void (*abort)(void *link, mls_status status, const char *reason);
    mls_status (*aborted)(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity);

    /* Never waits. */
    void (*peer)(void *link, uint32_t rank, mls_transport_peer *ret_peer);

    /*
     * Collective over the subset's ranks: a link that is connected. Errors: as connect, where the
     * message has the numbers that ranks have in `link`; MLS_ECANCELLED, without a message: it
     * is_over. What a caller gives up ends for those that wait for it in the new link, too.
     */
    mls_status (*split)(void *link, const mls_transport_subset *subset, void **ret_link);

    /*
     * Optional. Agrees with all ranks that are neither gone nor late on who they are,
     * ascending; also on a link that is aborted. When a caller's until_ns passes, those that
     * called it are it; others that call it later get MLS_EPEER, with a message. Called again
     * it agrees anew, among those of the last time that have not left or died since. Who is about
     * to say who is left when the time passes has a second more to do so.
     */
    mls_status (*survivors)(void *link, uint64_t until_ns, uint32_t *ret_ranks,
                            uint32_t *ret_count);

    /*
     * Optional, all three. read: where the `size_bytes` at `address` of another rank's
     * process can be read here, whatever its memory; NULL: nowhere. Rounds order writes there
     * and reads here; a place that was given is good until the next round, also after
     * another read_begin. Between read_begin and read_end nothing waits; once abort() has returned
     * on a rank nobody reads its memory any more, and read_begin fails: MLS_ECANCELLED, without
     * a message. With this, large collectives move no messages.
     *
     * With allocate, read finds only what lies in such memory, which is there until close_link and
     * may have changed since where a call was aborted; abort() then waits for nobody, and what was
     * found may be read without read_begin.
     */
    mls_status (*read_begin)(void *link);
    const void *(*read)(void *link, uint32_t rank, uint64_t address, size_t size_bytes);
    void (*read_end)(void *link);

    /*
     * Optional, both, with those of read. allocate: memory that all ranks can read, aligned to
     * 64 bytes, until release, from any thread. Collectives read where all ranks give what lies
     * in such memory; else they move messages. Errors: MLS_ENOMEM.
     */
    mls_status (*allocate)(void *link, size_t size_bytes, void **ret_data);
    void (*release)(void *link, void *data);

    /*
     * Optional, both: a transport that is an engine, such as MPI. can_run: whether it runs a
     * collective itself; a function of the link, op, dtype, reduction and count alone, for which
     * all ranks get the same answer. Reductions over stated shards are never asked for, nor is
     * what goes with a record. Sums of floats in an order of its own are for those whose URL says
     * so: the library's results are the same bytes on every transport.
     * run: is called on all ranks, behind a round in which all have said the same, in the order of
     * rounds and by the same thread. Errors: MLS_EDEADLINE, MLS_EPEER, MLS_ECANCELLED, without a
     * message; others with one. Once it has returned nobody uses source and target any more.
     */
    int (*can_run)(void *link, const mls_transport_collective *collective);
    mls_status (*run)(void *link, const mls_transport_collective *collective);
} mls_transport;

#ifdef __cplusplus
}
#endif
#endif
