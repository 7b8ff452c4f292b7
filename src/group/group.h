/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a group: a link of a transport, whose turn it is, and what collectives need.
 *
 * Collectives take turns by tickets, in the order of their calls: blocking ones run on the
 * caller's thread when their turn comes, those with a handle on the group's thread. What is
 * marked so belongs to the one whose turn it is; the rest is guarded by the mutex, which is
 * a leaf but for the transport's locks.
 */
#ifndef MLS_GROUP_GROUP_H
#define MLS_GROUP_GROUP_H

#include "base/refcount.h"
#include "base/thread.h"
#include "group/choice.h"
#include "group/header.h"
#include "group/reduction.h"
#include "group/state.h"
#include "group/tree.h"
#include "plugin/drivers.h"
#include "tensor/tensor.h"

#include <mlscale/ext/transport.h>
#include <mlscale/group.h>

#define MLS__HEADER_VERSION 2
#define MLS__FAILURE_TEXT   1024

/* What headers name; the values go over the wire. */
enum {
    MLS__CALL_OPEN = 1,
    MLS__CALL_BARRIER,
    MLS__CALL_BROADCAST,
    MLS__CALL_REDUCE,
    MLS__CALL_ALLREDUCE,
    MLS__CALL_GATHER,
    MLS__CALL_ALLGATHER,
    MLS__CALL_SCATTER,
    MLS__CALL_REDUCE_SCATTER,
    MLS__CALL_ALL_TO_ALL,
    MLS__CALL_SPLIT,
    MLS__CALL_MESSAGE,
    MLS__CALL_SWAP,         /* of the library's own: pieces of any size */
    MLS__CALL_REDUCE_BLOCKS /* likewise: a reduce_scatter to blocks of any size */
};

/* One call of one rank, its arguments checked. */
typedef struct mls__call {
    mls__header header;
    const mls_tensor *source; /* NULL where the rank gives nothing */
    mls_tensor *target;       /* NULL where it gets nothing */
    mls_combine_fn combine;
    void *combine_user;
    uint64_t started_ns, until_ns;
    uint32_t *colors; /* of a split: color and key of each rank; its own are set */
    const struct mls__swap *swap;
    bool stages; /* shows nothing in the round of phase 0, but could reduce in strides */
    const void *source_data; /* of blocks, in place of tensors */
    void *target_data;
    const uint64_t *bounds; /* of blocks: the first element of each rank, and one past the last */
} mls__call;

/* What a collective is: who gives and gets, and how it is done. */
typedef struct mls__family {
    const char *name;
    bool moves; /* elements */
    bool reduces;
    bool from_root, to_root; /* only the root gives; only the root gets */
    bool source_is_all;      /* a source has a piece for each rank */
    bool target_is_all;      /* a target has a piece of each rank */
    mls_status (*run)(mls_group *group, mls__call *call);
} mls__family;

const mls__family *mls__family_get(uint32_t op);

/* Memory that grows with what is asked of it, kept for the next call. */
enum {
    MLS__SCRATCH_SOURCE, /* a source that is not contiguous, or that the result would overwrite */
    MLS__SCRATCH_TARGET, /* a result whose target is not contiguous, or elsewhere */
    MLS__SCRATCH_PARTS,  /* what the rank's shards were reduced to */
    MLS__SCRATCH_TAKEN,  /* what messages brought */
    MLS__SCRATCH_MADE,   /* results of a few elements, before they go to two places */
    MLS__SCRATCHES
};

typedef struct mls__scratch {
    void *data;
    size_t size_bytes;
} mls__scratch;

/* A piece of what a rank lets another have, or wants of it. */
typedef struct mls__piece {
    size_t offset, size_bytes;
    void *into;        /* of what is taken: where to, or NULL where reading is enough */
    const void *found; /* set by the exchange, of what is taken: where it is */
} mls__piece;

/* What a reduction of so many elements is, for this rank (reduce.h). */
typedef struct mls__reduce_plan {
    const mls__family *family; /* NULL: none has been made */
    mls__reduction reduction;
    uint32_t ranks, rank;
    size_t piece;           /* elements of the call */
    size_t count;           /* elements of a reduced shard */
    size_t slice;           /* elements of a slice; of the last ones there may be fewer */
    const uint64_t *bounds; /* of slices of any size; NULL: all but the last ones are of one */
    const uint32_t *first_part;
    bool wants;    /* this rank gets results */
    bool is_small; /* the parts of each rank have room in its record */
    bool is_plain; /* and each of them has one part, as it lies, of all elements */
} mls__reduce_plan;

struct mls_group {
    mls__refcount refs;
    mls_context *context;
    mls__transport transport;
    bool has_reading; /* ranks show where their memory is: some of it can be read */
    bool has_arenas;  /* that of the transport, and no other */
    void *link;
    uint64_t fork_generation;
    int64_t timeout_ms;
    uint32_t spin_us, stated_shards;
    unsigned char token[MLS_GROUP_TOKEN_MAX];
    size_t token_bytes;
    unsigned char address[MLS_TRANSPORT_ADDRESS_MAX];
    size_t address_bytes;
    uint32_t rank, size, shards, epoch; /* since it is open; before 0 */
    const uint32_t *names; /* of its ranks in the group that it is made of; NULL once it is open */

    pthread_mutex_t mutex;
    mls__cond changed; /* the turn, the end of a work, the coming of one */
    /* Written under the mutex, behind what tells why. */
    _Atomic mls__group_state state;
    bool is_connected;  /* the link is: it can be left and aborted */
    mls_status failure; /* why it is broken */
    char failure_text[MLS__FAILURE_TEXT];
    /* Whose turn it is; who waits for one counts itself before it looks (call.c). */
    _Atomic uint64_t next_ticket, serving;
    _Atomic uint32_t turn_waiters;
    uint64_t shrinks;             /* asked for so far */
    mls_work *works, **works_end; /* for the thread */
    bool has_thread, stops;
    pthread_t thread;

    /* Of the one whose turn it is. */
    uint64_t seq, rounds;
    bool is_reading;        /* others' memory, until the next round */
    bool reads_now;         /* mls__reads_now(), by the last round */
    bool stages_now;        /* mls__stages_now(), likewise */
    unsigned char *stage;   /* of reductions in strides, where all can read it; NULL: none yet */
    mls__choice stage_ways; /* past the caches, or not */
    mls__header last;       /* of the last collective; op 0: none */
    mls__reduce_plan plan;  /* of the last reduction: the next one is mostly like it */
    mls__tree tree;
    unsigned char *record; /* the one to be given: a mark, a payload and a tail */
    mls_transport_record *records;
    mls_transport_message *messages; /* two a rank */
    mls__piece *give, *take;         /* one a rank */
    mls__leaf *leaves;               /* of parts, or of the rank's shards */
    unsigned char *stack;
    mls__scratch scratch[MLS__SCRATCHES];
};

/* --- group.c --- */

void mls__group_ref(mls_group *group);
void mls__group_unref(mls_group *group);

/* MLS_EFORKED in a child of the process that made it. */
mls_status mls__group_check_fork(const mls_group *group);

/* The time `timeout_ms` from now. */
uint64_t mls__group_until(uint64_t now_ns, int64_t timeout_ms);

/* Whether the event is possible now; what broke the group otherwise. */
mls_status mls__group_check(mls_group *group, mls__group_event event);

/* The same, and then it happens. */
mls_status mls__group_enter(mls_group *group, mls__group_event event);

/* Whether the link is connected, or was until the group broke. Takes the mutex. */
bool mls__group_is_connected(mls_group *group);

/* --- open.c --- */

/* A group over a connected link of its parent's transport, which it takes over even if it fails. */
mls_status mls__group_adopt(const mls_group *parent, const mls_group_options *options, void *link,
                            const mls_transport_subset *subset, uint32_t epoch,
                            mls_group **ret_group);

/* `defaults` are those where `given` is NULL. */
mls_status mls__group_read_options(const mls_group_options *given,
                                   const mls_group_options *defaults,
                                   mls_group_options *ret_options);

/* --- failure.c --- */

/* Breaks the group by `status` and the thread's message, here and on all ranks. Gives `status`. */
mls_status mls__group_break(mls_group *group, mls_status status);

/* Words for a round that failed without a message, or for an exchange with `peer`. */
mls_status mls__call_lost(const mls_group *group, const mls__call *call, mls_status status);
mls_status mls__call_lost_peer(const mls_group *group, const mls__call *call, uint32_t peer,
                               mls_status status, const char *missing);

/* Whether another rank has left or died; MLS_EPEER for that, where `call` may be NULL. */
bool mls__peer_is_gone(const mls_group *group, uint32_t rank);
mls_status mls__peer_lost(const mls_group *group, const mls__call *call, uint32_t rank);

/* Puts the call before the thread's message. Gives `status`. */
mls_status mls__call_failed(const mls__call *call, mls_status status);

/* --- exchange.c --- */

/*
 * Says what the call is, with `payload_bytes` that lie behind group->record's mark, and
 * lets others read at `base`; waits for all ranks, and that they say the same.
 */
mls_status mls__round(mls_group *group, mls__call *call, uint32_t phase, const void *base,
                      size_t payload_bytes);

/* Where the payload to be given is written, and how large it can be. */
void *mls__payload(const mls_group *group);
size_t mls__payload_room(const mls_group *group);

/* The payload of `rank`: its size, and where it is if that is right. */
size_t mls__payload_bytes(const mls_group *group, uint32_t rank);
mls_status mls__payload_of(const mls_group *group, uint32_t rank, size_t size_bytes,
                           const void **ret_payload);

/* What the transport can do, which a group asks once. */
void mls__ways_find(mls_group *group);

/*
 * Whether what all ranks showed in the last round can be: all of it, or because it lies in
 * memory of mls_group_create_tensor(). The same on all ranks.
 */
bool mls__reads_now(const mls_group *group);

/* Whether all of them would bring what they have in strides, each to its own stage. */
bool mls__stages_now(const mls_group *group);

/* Whether others could read what lies there. */
bool mls__shows(const mls_group *group, const void *base);

/* Finds a piece of what `rank` showed in the last round, if it can be read. */
mls_status mls__find(mls_group *group, uint32_t rank, mls__piece *piece);

/* Nothing is read any more; at the end of a call that failed, too. */
void mls__reading_end(mls_group *group);

/*
 * Between two strides of a long reading or computation: lets an abort through, which would
 * wait for its end, and fails if there was one.
 */
#define MLS__STRIDE_BYTES ((size_t) 256 * 1024)
mls_status mls__reading_pause(mls_group *group, const mls__call *call);

/*
 * Each rank lets rank i have give[i] of `base` and takes take[i] of what rank i has; sizes
 * agree by the algorithm. After the round of phase 0 `base` is the one said there; a later
 * phase says its own. Where memory can be read, pieces without `into` are found where they
 * are; else every piece of another rank needs one.
 */
mls_status mls__exchange(mls_group *group, mls__call *call, uint32_t phase, const void *base);

/*
 * For algorithms with messages of their own, where ranks read nothing of each other: a message of
 * the call, whose header stays as it is meanwhile, and waiting for some. When that fails, those
 * that have not ended are yet to be retracted.
 */
void mls__message_fill(const mls__call *call, uint32_t kind, uint32_t peer, void *data,
                       size_t size_bytes, mls_transport_message *message);
mls_status mls__messages_wait(mls_group *group, const mls__call *call,
                              mls_transport_message *messages, uint32_t count);

/* Waits until nobody reads this rank's memory any more. */
mls_status mls__exchange_end(mls_group *group, mls__call *call, uint32_t phase);

/* --- engine.c --- */

/* Whether the transport runs the call itself; the same on all ranks. */
bool mls__engine_can(const mls_group *group, const mls__call *call);

/* Has it do so: from and to contiguous memory. */
mls_status mls__engine_run(mls_group *group, mls__call *call, const void *source, void *target);

/* --- flat.c --- */

mls_status mls__scratch_get(mls_group *group, int which, size_t size_bytes, void **ret_data);

/* The elements of a tensor one behind another: as they lie, or a copy (always, if `copy`). */
mls_status mls__flat_source(mls_group *group, const mls_tensor *tensor, bool copy,
                            const void **ret_data);

/* Where a result is to be written, and how it gets from there to the target. */
mls_status mls__flat_target(mls_group *group, const mls_tensor *tensor, void **ret_data);
mls_status mls__flat_store(const void *data, mls_tensor *target);

/* Copies between tensors and contiguous memory of so many bytes. */
mls_status mls__flat_load(const mls_tensor *source, void *data);

bool mls__tensors_overlap(const mls_tensor *a, const mls_tensor *b);
bool mls__tensors_same(const mls_tensor *a, const mls_tensor *b);
/* Whether elements of the tensor share memory. */
bool mls__tensor_repeats(const mls_tensor *tensor);

/* --- check.c --- */

/* Checks arguments and fills in dtype and count. */
mls_status mls__call_check(const mls_group *group, mls__call *call);

/* Begins a call: options, name, deadline. */
mls_status mls__call_begin(mls_group *group, uint32_t op, const mls_group_call *given,
                           mls__call *ret_call);

/* --- call.c --- */

/* Waits until `ticket` has its turn; runs its call; lets the next one have it. */
void mls__turn_wait(mls_group *group, const mls__call *call, uint64_t ticket);
mls_status mls__turn_run(mls_group *group, mls__call *call);
/* The mutex is held. */
void mls__turn_end_locked(mls_group *group);

/* All three, with the next ticket. */
mls_status mls__call_run(mls_group *group, mls__call *call);

/*
 * Fails in a function that a call of the group calls on this thread: who waits there for
 * another call of the group waits for itself.
 */
mls_status mls__call_check_nested(const mls_group *group);

/* Checks the call, and then runs it or hands it to the thread. */
mls_status mls__call_start(mls_group *group, mls__call *call, mls_work **ret_work);

/* Takes a ticket, waits for its turn, and runs the call, which is checked. */
mls_status mls__call_queue(mls_group *group, mls__call *call);

/* --- tensor.c --- */

/* mls_group_create_tensor(), but in ordinary memory where the arena has no room. */
mls_status mls__group_create_readable(mls_group *group, mls_dtype dtype, int rank,
                                      const int64_t *dims, mls_tensor **ret_tensor);

/* --- swap.c --- */

/* A rank's pieces: those that it takes, and where messages are sent, those that others take. */
typedef struct mls__swap_pieces {
    const void *base;
    const mls__piece *give; /* of `base`; read where messages are */
    const mls__piece *take; /* `into` is needed where messages are */
} mls__swap_pieces;

/*
 * What sharded tensors exchange: each rank shows `base_bytes` at `base`, and takes pieces of what
 * the others show. Where that cannot be read, a piece is a message.
 */
typedef struct mls__swap {
    int32_t dtype;
    uint64_t count, digest; /* the same on all ranks, or no data moves */
    bool is_small;          /* likewise: no rank shows more than mls__payload_room() bytes */
    const void *base;
    size_t base_bytes;
    /* Called once it is known whether what is shown is read; what is small is. */
    mls_status (*prepare)(void *user, bool is_read, mls__swap_pieces *ret_pieces);
    /* Called for each piece that is found, which may go away behind it. */
    void (*store)(void *user, uint32_t from, const void *found);
    void *user;
} mls__swap;

mls_status mls__group_swap(mls_group *group, const mls__swap *swap, const mls_group_call *given);

/*
 * A reduce_scatter by which rank r gets the elements from bounds[r] to bounds[r + 1] of the
 * reduced shard. `source` is contiguous, a shard behind another as mls_group_shards() says, and
 * so is `target`. `digest` as of a swap.
 */
mls_status mls__group_reduce_blocks(mls_group *group, int32_t dtype, const void *source,
                                    void *target, const uint64_t *bounds, uint64_t digest,
                                    const mls_group_call *given);

/* --- families --- */

mls_status mls__run_barrier(mls_group *group, mls__call *call);
mls_status mls__run_move(mls_group *group, mls__call *call);
mls_status mls__run_reduce(mls_group *group, mls__call *call);
mls_status mls__run_split(mls_group *group, mls__call *call);
mls_status mls__run_swap(mls_group *group, mls__call *call);
mls_status mls__run_blocks(mls_group *group, mls__call *call);

/* --- work.c --- */

/* Takes the call over with views of its tensors, for the group's thread. */
mls_status mls__work_submit(mls_group *group, const mls__call *call, mls_work **ret_work);

/* Ends what waits for the thread, and the thread. */
void mls__works_stop(mls_group *group);

/* --- message.c --- */

typedef struct mls__letter mls__letter; /* a message on its way */

/* Waits until `until_ns`, or its own deadline if that is earlier; see mls_work_wait(). */
mls_status mls__letter_wait(mls__letter *letter, uint64_t until_ns);
mls_status mls__letter_cancel(mls__letter *letter);
void mls__letter_free(mls__letter *letter);

/* A handle for it. */
mls_status mls__work_of_letter(mls_group *group, mls__letter *letter, mls_work **ret_work);

#endif
