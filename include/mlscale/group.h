/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_group: p ranks, numbered from 0, that work on tensors together.
 *
 * A group is made by URL; the scheme names the transport:
 *   inproc:NAME          threads of one process, each of which makes its own mls_group with
 *                        the same context. Ranks of one NAME meet; once all are there, the
 *                        name is free again. Tensors are read where they lie.
 *   shm:NAME             processes of one user and host, or threads of them. Ranks meet in a
 *                        folder of the user's ("mlscale" in XDG_RUNTIME_DIR, or
 *                        /tmp/mlscale-UID), from which the last one removes what was there.
 *                        A group takes a few KiB of memory for each rank, and some hundred for
 *                        each pair of ranks that send each other messages. Memory that is full
 *                        is MLS_ENOMEM; but past the limit of a control group (a container's)
 *                        the kernel kills instead, a process of its choice, and nobody can
 *                        catch that. It does so where memory is asked for: with tensors that is
 *                        mls_group_create_tensor(), of ordinary ones the first large reduction.
 *   tcp://HOST:PORT/NAME processes, of one host or of several. Rank 0 listens at HOST:PORT, where
 *                        its context may have more groups, of other names; the others ask there.
 *   tcp:///FOLDER        the same, where rank 0 is found by a file in a folder that all share,
 *                        which is gone once all have come.
 *                        Offers: tcp: or tcp://HOST, which is where the rank can be found.
 *                        Behind '?' and separated by '&': bind=ADDRESS is where this rank listens
 *                        (else loopback, or the address by which it reaches rank 0), and
 *                        encrypt=off only shakes hands, for a network that is trusted. With a
 *                        token both ends of each connection prove that they have it, and what
 *                        goes over it is encrypted; without one only loopback is possible.
 *                        A port stays taken until the context is freed. To look up the name of
 *                        a host may take longer than the deadline; addresses do not.
 *   mpi:NAME             processes that an MPI launcher started: the first ranks of
 *                        MPI_COMM_WORLD, in its order; all its processes make or offer a group.
 *                        By Open MPI or MPICH, whichever the process has, was launched by, or is
 *                        installed; openmpi: and mpich: say which. MPI is started if the host has
 *                        not; if it has, then by MPI_Init_thread() with MPI_THREAD_MULTIPLE, or
 *                        with MPI_THREAD_SERIALIZED if only one thread uses MPI and groups. MPI
 *                        moves elements and reduces integers; with ?sums=engine it adds up floats,
 *                        too. Such a group cannot be shrunk. A module, loaded when it is first
 *                        asked for; MLSCALE_DRIVERS in the environment names another folder to
 *                        look for it, by an absolute path.
 *   nccl:URL             the group of URL, with a GPU for each rank, over which NCCL (2.14 and
 *                        later, opened at run time) moves what is large, and reduces it: also
 *                        floats of 32 and 64 bits, unless shards are stated. Tensors are the
 *                        host's. Such as nccl:tcp://HOST:PORT/NAME. A module, too. MLSCALE_NCCL
 *                        and MLSCALE_CUDA in the environment are paths of libnccl and libcuda,
 *                        where the system does not find libnccl.so.2 and libcuda.so.1 itself.
 *
 * Collectives. All ranks call the same ones in the same order, and none ends before all
 * ranks have begun it. Each rank says what it calls before any data moves: another op,
 * reduction, dtype, count, root or name on one rank is MLS_EMISMATCH on all of them, with a
 * message that says who called what. The call then counts as done, and the group is as good
 * as before; arguments that are wrong by themselves (MLS_EINVAL, MLS_EDTYPE, MLS_ESHAPE) are
 * found before the others are told anything, and do not count.
 *
 * Nothing hangs. Every call has a deadline, and at the latest then ends on this rank, with
 * a message such as
 *   seq 812 allreduce 'grad.3' after 4.2 s: rank 5 has not arrived; it is alive and last did
 *   seq 811 allreduce 'grad.2'
 * A rank is alive if its process was seen, or its system heard of, within the last second; else
 * the message says when it was, or that it is not known.
 * A rank that has freed its group or died ends the calls of the others within a second
 * (MLS_EPEER). Deaths are not seen where a host is cut off or loses its power, which the deadline
 * ends, and by mpi:, where the launcher ends all processes when one dies; under one that does not,
 * the deadline does. A collective that fails so breaks the group: all its ranks fail then, with the
 * same status and reason, now or at their next call. Those that are left make a new group
 * with mls_group_shrink() and go on. (A thread that ends without freeing its group has not
 * left it: then it is the deadline that names it.)
 *
 * Same bits. A reduction adds up shards, not ranks: by a binary tree over the shards of the
 * group that is always the same (docs/numerics.md). There is one shard a rank unless
 * mls_group_options.shards says how many: then rank r of p has those from r * shards / p to
 * (r + 1) * shards / p, and the results are the same bytes for any number of ranks, on any
 * transport, whatever the size of the message. (Which of two NaN a sum takes its payload from is
 * not said.) A transport that is an engine of its own adds up floats in an order of its own if the
 * URL asks for it and no shards are stated.
 *
 * Tensors may be views of any strides. Messages are elements in row-major order; of shapes
 * only the number of elements counts. All element types but strings can be moved, and reduced
 * by a function of the caller's; float32, float64, float16, bfloat16, int32 and int64 by the
 * library's. Those of 16 bits are added in float32 and rounded once. Integers wrap.
 *
 * Threads. A group may be used from several threads; its collectives then take turns, and
 * whose is first must be the same on all ranks. Collectives with a handle run on a thread
 * that the group makes for them. Functions fail with MLS_EFORKED in a child of fork(), where
 * freeing only forgets.
 */
#ifndef MLSCALE_GROUP_H
#define MLSCALE_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/context.h>
#include <mlscale/status.h>
#include <mlscale/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_group mls_group;
typedef struct mls_work mls_work;

#define MLS_GROUP_MAX_RANKS  1024
#define MLS_GROUP_MAX_SHARDS 4096
#define MLS_GROUP_NAME_MAX   63 /* bytes of a call's name */
#define MLS_GROUP_TOKEN_MAX  64 /* bytes */
/* Calls and openings that say nothing end after a minute. */
#define MLS_GROUP_TIMEOUT_MS_DEFAULT 60000

typedef struct mls_group_options {
    size_t size; /* sizeof(mls_group_options) */
    /* The deadline of opening, and of calls that state none. 1 and more. */
    int64_t timeout_ms;
    /* A secret of the ranks: who has another one is refused. NULL: none. */
    const void *token;
    size_t token_bytes;
    /* What reductions add up: 0, one a rank. The same on all ranks. */
    uint32_t shards;
    /*
     * How long a call looks for the other ranks before it sleeps. Without a core for each
     * rank of this machine none looks.
     */
    uint32_t spin_us;
    /* Of mls_group_shrink(), which says why: with fewer ranks there is no new group. */
    uint32_t min_ranks;
    uint32_t reserved; /* 0 */
} mls_group_options;

#define MLS_GROUP_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(mls_group_options), MLS_GROUP_TIMEOUT_MS_DEFAULT, NULL, 0, 0, MLS_SPIN_US_DEFAULT,  \
            0, 0                                                                                   \
    }

/*
 * Makes rank `rank` of a group of `group_size`, and waits until all ranks have.
 * `options` may be NULL.
 * Errors: MLS_EINVAL (URL, rank, options; ranks that say different sizes or shards),
 * MLS_ENOTFOUND (no such transport: the message lists those there are), MLS_EEXIST (the rank
 * is there already), MLS_EDEADLINE (the message says which ranks have not come), MLS_EPEER
 * (another token), MLS_EIO, MLS_ENOMEM.
 */
MLS_API mls_status mls_group_create(mls_context *context, const char *url, uint32_t rank,
                                    uint32_t group_size, const mls_group_options *options,
                                    mls_group **ret_group);

/*
 * The same for a program that was launched: its environment says which rank it is.
 *   MLSCALE_RANK, MLSCALE_SIZE, MLSCALE_GROUP, MLSCALE_GROUP_TOKEN
 *                        rank, size, URL, and a token of 64 hexadecimal digits, which may be
 *                        missing: mlscale-launch(1) sets them
 *   OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE, PMI_RANK and PMI_SIZE, SLURM_PROCID and
 *   SLURM_STEP_NUM_TASKS
 *                        of mpirun, mpiexec and srun; the URL is "mpi:" then
 * The first of these that are set count; without any the process is a group of one. A token in
 * `options` goes before that of the environment. Errors: as mls_group_create(); MLS_EINVAL names
 * the variable that is wrong.
 */
MLS_API mls_status mls_group_create_launched(mls_context *context, const mls_group_options *options,
                                             mls_group **ret_group);

/*
 * The same without a place to meet: the host brings the ranks together. Each rank makes an
 * offer, reads its address, hands that to all the others as it likes, and joins with the
 * addresses of all ranks in the order of ranks. Until then it can only be joined and freed.
 * The part of the URL behind the scheme says where to offer.
 */
MLS_API mls_status mls_group_offer(mls_context *context, const char *url,
                                   const mls_group_options *options, mls_group **ret_group);

/* The address of an offer: bytes, good as long as the group. NULL for one made by URL. */
MLS_API const void *mls_group_address(const mls_group *group, size_t *ret_size);

/*
 * `addresses` and `address_sizes` have `group_size` entries, that of `rank` being its own.
 * An offer can be joined once. Errors: as mls_group_create(), MLS_ESTATE (joined already).
 */
MLS_API mls_status mls_group_join(mls_group *group, uint32_t rank, uint32_t group_size,
                                  const void *const *addresses, const size_t *address_sizes);

/*
 * Leaves the group; calls of the others that need this rank then end with MLS_EPEER. No
 * blocking call may be in it; works that have not ended do so with MLS_ECANCELLED, and
 * their handles stay. NULL is fine.
 */
MLS_API void mls_group_free(mls_group *group);

/* 0 before an offer is joined. */
MLS_API uint32_t mls_group_rank(const mls_group *group);
MLS_API uint32_t mls_group_size(const mls_group *group);

/* How many shards reductions add up, and which of them are `rank`'s. Either may be NULL. */
MLS_API uint32_t mls_group_shards(const mls_group *group, uint32_t rank, uint32_t *ret_first,
                                  uint32_t *ret_count);

/*
 * Breaks the group, from any thread: what all its ranks wait for ends with MLS_ECANCELLED
 * and a message with `reason` (NULL: none), and so does whatever is called later. In
 * mls_group_join() it counts once the other ranks have come, or the deadline has passed.
 */
MLS_API mls_status mls_group_abort(mls_group *group, const char *reason);

/*
 * A collective: ranks that give the same `color` make a group of their own, ordered by `key`
 * and then by their rank here. With MLS_GROUP_NO_COLOR a rank is in none, and gets NULL.
 * `options` may be NULL; the token is that of this group and not read.
 * It is one call until the new group is there: who dies or aborts this group before that ends it on
 * the other ranks, whose numbers in messages are those of this group, and this group is broken.
 * Ranks whose own new group is complete by then have it, and fail at their next call here.
 * Errors: as collectives; MLS_EINVAL (options).
 */
#define MLS_GROUP_NO_COLOR UINT32_MAX
MLS_API mls_status mls_group_split(mls_group *group, uint32_t color, uint32_t key,
                                   const mls_group_options *options, mls_group **ret_group);

/*
 * A new group of those ranks of this one that are left, in the same order; this one is
 * broken by it, if it is not yet. All that are left call it. It waits for every rank that has
 * neither left nor died; those that have not come when the first deadline passes are left
 * out, and get MLS_EPEER should they come later. With `options` NULL the new group has the
 * timeout of this one, and its shards if they were stated: so results stay the same bytes.
 * When it failed, or ranks of the new group are lost before it is used, all that are left may
 * call it once more.
 *
 * Two groups. A network that is cut leaves ranks on both sides, and each side takes the other for
 * lost: then both go on, unless one of them may not. Where that matters, as to who writes a
 * checkpoint, set mls_group_options.min_ranks on all ranks to more than half of
 * mls_group_size(): at most one side has as many, and the others get MLS_EPEER and should end. It
 * is not the default, since of two ranks none would then outlive the other; processes of one host
 * (inproc, shm) cannot be cut off.
 * Errors: MLS_EPEER, MLS_EINVAL (options), MLS_ESTATE (it was never joined), MLS_EUNSUPPORTED (the
 * transport), MLS_ENOMEM.
 */
MLS_API mls_status mls_group_shrink(mls_group *group, const mls_group_options *options,
                                    mls_group **ret_group);

/*
 * A tensor as of mls_tensor_create(), in memory that the other ranks can read where it lies, if
 * the transport has such: collectives of large tensors then copy nothing that need not be. With
 * shm: it is in the rank's arena, which may grow to the size of the machine's memory or, of p
 * ranks, a p-th of 128 GiB; "?arena=SIZE" behind the name says how far. Elsewhere it is a tensor
 * like others. It keeps what it needs of the group, which may be freed before.
 * Errors: MLS_EINVAL, MLS_EDTYPE (strings), MLS_ESTATE (an offer not joined), MLS_ENOMEM.
 */
MLS_API mls_status mls_group_create_tensor(mls_group *group, mls_dtype dtype, int rank,
                                           const int64_t *dims, mls_tensor **ret_tensor);

/* Reductions. MLS_REDUCE_MEAN divides the sum by the number of shards; floats only. */
#define MLS_REDUCE_SUM     UINT32_C(1)
#define MLS_REDUCE_PRODUCT UINT32_C(2)
#define MLS_REDUCE_MIN     UINT32_C(3) /* NaN, if any shard has one */
#define MLS_REDUCE_MAX     UINT32_C(4)
#define MLS_REDUCE_MEAN    UINT32_C(5)
#define MLS_REDUCE_USER    UINT32_C(6) /* mls_group_call.combine */

/*
 * Combines `count` elements of `left` with those of `right`, one by one, into `ret_result`,
 * which may be either of them. It need not be commutative: `left` is of earlier shards. All
 * in the tensors' own dtype. Called for parts of the tensors, from the thread of the call.
 * It has to return: neither a deadline nor an abort ends the call of its rank before, nor with
 * inproc, whose ranks read each other's memory, those of the others.
 */
typedef void (*mls_combine_fn)(void *user, mls_dtype dtype, const void *left, const void *right,
                               void *ret_result, size_t count);

/* How to call; NULL in place of a pointer to it is all defaults. */
typedef struct mls_group_call {
    size_t size;            /* sizeof(mls_group_call) */
    const char *name;       /* for messages, such as "grad.3"; NULL is "". The same on all ranks. */
    int64_t timeout_ms;     /* until the deadline; 0 is that of the group */
    uint64_t tag;           /* of mls_group_send() and mls_group_receive() */
    mls_combine_fn combine; /* with MLS_REDUCE_USER */
    void *combine_user;
} mls_group_call;

#define MLS_GROUP_CALL_INIT                                                                        \
    {                                                                                              \
        sizeof(mls_group_call), NULL, 0, 0, NULL, NULL                                             \
    }

/*
 * In all that follow: `call` may be NULL. With `ret_work` NULL the call blocks; else it
 * returns a handle at once, and the tensors' elements are the group's until the work has
 * ended (the tensors may be freed). Elements of a tensor that is written must not share memory.
 * Where a tensor may be source and target at once is said; other overlaps are MLS_EINVAL.
 *
 * Errors: MLS_EINVAL, MLS_EDTYPE, MLS_ESHAPE, MLS_EMISMATCH, MLS_EDEADLINE, MLS_EPEER,
 * MLS_ECANCELLED (mls_group_abort(), mls_work_cancel()), MLS_ESTATE (an offer not joined; a
 * combine function that waits for a call of its own group, and so for itself), MLS_EIO,
 * MLS_EFORKED, MLS_ENOMEM. When it failed otherwise than by its arguments or MLS_EMISMATCH, the
 * target may be partly written.
 */

/* Ends when all ranks have called it. */
MLS_API mls_status mls_group_barrier(mls_group *group, const mls_group_call *call,
                                     mls_work **ret_work);

/* Copies the elements of rank `root`'s tensor into those of the others. */
MLS_API mls_status mls_group_broadcast(mls_group *group, mls_tensor *tensor, uint32_t root,
                                       const mls_group_call *call, mls_work **ret_work);

/*
 * Reductions. A rank gives its shards: where there is one shard a rank, that is `source`;
 * where mls_group_options.shards states another number, the first dimension of `source`
 * counts the rank's shards (it may be 0), and what follows is the shape of one.
 *
 * allreduce: every rank gets the reduced shard. `target` may be `source`, or a view of the
 * same elements, if that is one shard.
 * reduce: rank `root` gets it; on others `target` is not read and may be NULL.
 * reduce_scatter: of the reduced shard, p times as many elements as `target`, rank r gets
 * those from r times that number. `target` may be just that part of `source`.
 */
MLS_API mls_status mls_group_allreduce(mls_group *group, const mls_tensor *source,
                                       mls_tensor *target, uint32_t reduction,
                                       const mls_group_call *call, mls_work **ret_work);
MLS_API mls_status mls_group_reduce(mls_group *group, const mls_tensor *source, mls_tensor *target,
                                    uint32_t reduction, uint32_t root, const mls_group_call *call,
                                    mls_work **ret_work);
MLS_API mls_status mls_group_reduce_scatter(mls_group *group, const mls_tensor *source,
                                            mls_tensor *target, uint32_t reduction,
                                            const mls_group_call *call, mls_work **ret_work);

/*
 * gather: `target` of rank `root` gets the elements of all sources in the order of ranks; on
 * others it is not read and may be NULL. allgather: so does that of every rank. `source`
 * may be just this rank's part of `target`.
 * scatter: rank r gets the r-th part of rank `root`'s `source`, which on others is not read
 * and may be NULL. On the root `target` may be its part of `source`.
 * all_to_all: both tensors are p parts of one size; the r-th of rank s's `source` becomes
 * the s-th of rank r's `target`, which may be `source`.
 */
MLS_API mls_status mls_group_gather(mls_group *group, const mls_tensor *source, mls_tensor *target,
                                    uint32_t root, const mls_group_call *call, mls_work **ret_work);
MLS_API mls_status mls_group_allgather(mls_group *group, const mls_tensor *source,
                                       mls_tensor *target, const mls_group_call *call,
                                       mls_work **ret_work);
MLS_API mls_status mls_group_scatter(mls_group *group, const mls_tensor *source, mls_tensor *target,
                                     uint32_t root, const mls_group_call *call,
                                     mls_work **ret_work);
MLS_API mls_status mls_group_all_to_all(mls_group *group, const mls_tensor *source,
                                        mls_tensor *target, const mls_group_call *call,
                                        mls_work **ret_work);

/*
 * Messages between two ranks, outside the order of collectives. Those of one sender, one
 * receiver and one tag meet in the order in which they are called; a send ends when its
 * elements are received. If dtype, count or name differ no data moves, and both calls are
 * MLS_EMISMATCH. A message that fails does not break the group.
 */
MLS_API mls_status mls_group_send(mls_group *group, const mls_tensor *source, uint32_t to,
                                  const mls_group_call *call, mls_work **ret_work);
MLS_API mls_status mls_group_receive(mls_group *group, mls_tensor *target, uint32_t from,
                                     const mls_group_call *call, mls_work **ret_work);

/*
 * Waits for the end of a work, at most `timeout_ms` (negative: until its deadline), and
 * returns how it ended, again and again. The deadline of a work is counted from its call; that
 * of a message ends it when someone waits for it. Errors: MLS_ETIMEDOUT (it goes on), and those
 * of the call.
 */
MLS_API mls_status mls_work_wait(mls_work *work, int64_t timeout_ms);

/* Sets *ret_ended to 1 if the work has ended, else to 0, and does not wait. */
MLS_API mls_status mls_work_test(mls_work *work, int *ret_ended);

/*
 * Ends a work that has not ended, with MLS_ECANCELLED. A message is taken back. A collective
 * cannot be without this rank: the group is broken as by mls_group_abort().
 */
MLS_API mls_status mls_work_cancel(mls_work *work);

/* Frees the handle. A collective goes on; a message that has not ended is taken back. */
MLS_API void mls_work_free(mls_work *work);

#ifdef __cplusplus
}
#endif
#endif
