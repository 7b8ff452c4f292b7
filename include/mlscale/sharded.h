/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_sharded: a tensor spread over the ranks of a group.
 *
 * A mesh arranges the ranks of a group as an array of one or several axes. The layout of a
 * tensor says for each axis of the mesh what its ranks have of the tensor:
 *   d, 0 or more           each has a block of dimension d
 *   MLS_LAYOUT_REPLICATED  all have the same
 *   MLS_LAYOUT_PARTIAL     each has a term, and the tensor is the sum of these
 * Several axes may cut one dimension; the later axis then cuts the blocks of the earlier one.
 * Coordinate c of an axis with p ranks has the elements from c * d / p to (c + 1) * d / p of a
 * dimension of length d, rounded down; blocks may so differ by one, and be empty.
 *
 *   mls_mesh_create(group, 1, &ranks, NULL, &mesh);
 *   mls_sharded_scatter(mesh, MLS_FLOAT32, 2, dims, &by_row, 0, whole, NULL, &a);
 *   mls_sharded_matmul(a, b, NULL, &c);
 *   mls_sharded_gather(c, 0, NULL, &product);
 *
 * Calls. All ranks call the same functions in the same order with the same arguments, but for
 * what is said to be a rank's own. A call that moves no data does not wait for the others. Every
 * other one has a deadline, that of its mls_group_call or of the group, and ends as collectives
 * of mlscale/group.h do, with their errors and messages. Other dims, dtypes or layouts on one
 * rank are MLS_EMISMATCH, as a rule before data moves. A call that has begun to move data and
 * fails on a rank breaks the group, so that no other rank waits for it; MLS_EMISMATCH of all
 * ranks does not.
 *
 * Same bits. What moves elements gives them as they are. Elementwise ops, and products and
 * reductions whose sums lie within one rank, give the bytes that one rank with the whole tensors
 * gives. Sums over ranks add up shards of an axis, in the order of docs/numerics.md: one a rank,
 * unless mls_mesh_options.shards says how many. With that, blocks are unions of shards, and sums
 * over a dimension that one axis cuts are the same bytes whatever its number of ranks.
 *
 * A mesh and its tensors belong to one thread at a time. Objects may be freed in any order, but
 * for the group: mls_group_free() leaves it, and ends what works on it.
 */
#ifndef MLSCALE_SHARDED_H
#define MLSCALE_SHARDED_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/group.h>
#include <mlscale/status.h>
#include <mlscale/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_mesh mls_mesh;
typedef struct mls_sharded mls_sharded;

#define MLS_MESH_MAX_AXES 4

#define MLS_LAYOUT_REPLICATED (-1)
#define MLS_LAYOUT_PARTIAL    (-2)

typedef struct mls_mesh_options {
    size_t size; /* sizeof(mls_mesh_options) */
    /*
     * How many shards each axis has, at most MLS_GROUP_MAX_SHARDS; 0: one a rank. Rank r of p
     * has those from r * shards / p to (r + 1) * shards / p, and of a dimension of length d
     * shard s is what lies from s * d / shards to (s + 1) * d / shards.
     */
    uint32_t shards[MLS_MESH_MAX_AXES];
} mls_mesh_options;

#define MLS_MESH_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(mls_mesh_options),                                                                  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/*
 * A collective of the group: its ranks as an array of `axis_count` axes, whose sizes multiply to
 * the group's; the last axis runs fastest. Each axis gets groups of its own by
 * mls_group_split(). `options` may be NULL.
 * Errors: MLS_EINVAL (axes, options), MLS_EMISMATCH (other axes on other ranks), those of
 * mls_group_split().
 */
MLS_API mls_status mls_mesh_create(mls_group *group, int axis_count, const uint32_t *axis_sizes,
                                   const mls_mesh_options *options, mls_mesh **ret_mesh);

/* Its tensors keep the mesh. NULL is fine. */
MLS_API void mls_mesh_free(mls_mesh *mesh);

MLS_API int mls_mesh_axis_count(const mls_mesh *mesh);
/* 0 for an axis that there is not. */
MLS_API uint32_t mls_mesh_axis_size(const mls_mesh *mesh, int axis);
/* This rank's coordinate. */
MLS_API uint32_t mls_mesh_coordinate(const mls_mesh *mesh, int axis);
/* The ranks that differ from this one along `axis` alone, by coordinate; borrowed. */
MLS_API mls_group *mls_mesh_axis_group(const mls_mesh *mesh, int axis);

/*
 * A tensor of zeros, in a layout with an entry for each axis of the mesh. Moves nothing. All
 * dtypes but strings. Where the group's transport has memory that the other ranks can read, as
 * mls_group_create_tensor() says, this and what calls give is there, while there is room.
 * Errors: MLS_EINVAL (dims, layout), MLS_EDTYPE, MLS_ENOMEM.
 */
MLS_API mls_status mls_sharded_create(mls_mesh *mesh, mls_dtype dtype, int rank,
                                      const int64_t *dims, const int32_t *layout,
                                      mls_sharded **ret_sharded);

/*
 * A tensor of the ranks' parts, each in its own tensor, contiguous and of the dims that
 * mls_sharded_local() has. Its memory is used as it is, and kept. `dims` are those of the whole.
 * Moves nothing. Errors: MLS_EINVAL (dims, layout, not contiguous), MLS_EDTYPE, MLS_ESHAPE
 * (the dims of `local`), MLS_ENOMEM.
 */
MLS_API mls_status mls_sharded_wrap(mls_mesh *mesh, int rank, const int64_t *dims,
                                    const int32_t *layout, const mls_tensor *local,
                                    mls_sharded **ret_sharded);

/*
 * A tensor whose whole is `whole` of rank `root`; on others it is not read and may be NULL.
 * Errors: as above, and those of collectives.
 */
MLS_API mls_status mls_sharded_scatter(mls_mesh *mesh, mls_dtype dtype, int rank,
                                       const int64_t *dims, const int32_t *layout, uint32_t root,
                                       const mls_tensor *whole, const mls_group_call *call,
                                       mls_sharded **ret_sharded);

/* Frees this rank's part. NULL is fine. */
MLS_API void mls_sharded_free(mls_sharded *sharded);

MLS_API mls_dtype mls_sharded_dtype(const mls_sharded *sharded);
MLS_API int mls_sharded_rank(const mls_sharded *sharded);
/* Of the whole: mls_sharded_rank() entries. Layout: an entry for each axis. Borrowed. */
MLS_API const int64_t *mls_sharded_dims(const mls_sharded *sharded);
MLS_API const int32_t *mls_sharded_layout(const mls_sharded *sharded);

/*
 * This rank's part, to be read and written: the block that mls_sharded_block() says. Where the
 * tensor is partial along an axis whose shards are stated, a dimension in front counts the rank's
 * shards (of several such axes, their product). Borrowed.
 */
MLS_API mls_tensor *mls_sharded_local(const mls_sharded *sharded);

/* Where this rank's block begins in the whole, and its dims. Either may be NULL. */
MLS_API mls_status mls_sharded_block(const mls_sharded *sharded, int64_t *ret_first,
                                     int64_t *ret_dims);

/*
 * The same tensor in another layout; `sharded` stays. Each rank gets no element that it has, and
 * none twice: what is cut from what it has moves nothing, dimensions are exchanged by pieces, and
 * terms are added up block by block, so that p ranks move (p - 1) / p of a block to get it cut,
 * and twice that to get it whole. Where sums and elements move both, or sums along several axes,
 * the way by such steps that moves the fewest bytes is taken; of less than 16 KiB, that of the
 * fewest steps. From another layout to a partial one the terms are the elements and zeros. Terms
 * are added along the last axis first.
 * Errors: MLS_EINVAL (layout), MLS_EDTYPE (terms of a type that groups cannot add), those of
 * collectives.
 */
MLS_API mls_status mls_sharded_redistribute(const mls_sharded *sharded, const int32_t *layout,
                                            const mls_group_call *call, mls_sharded **ret_sharded);

/*
 * The whole tensor on rank `root`, to be freed; on others *ret_whole is NULL, and ret_whole may
 * be NULL. Errors: as mls_sharded_redistribute().
 */
MLS_API mls_status mls_sharded_gather(const mls_sharded *sharded, uint32_t root,
                                      const mls_group_call *call, mls_tensor **ret_whole);

/*
 * A B, of [..., M, K] and [K, N]; dimensions before M count as rows. By axis of the mesh:
 *   A \ B        replicated   K            columns      partial
 *   replicated   replicated   partial      columns      columns
 *   rows         rows         rows         either       either
 *   K            partial      partial      columns      partial
 *   partial      rows         partial      either       either
 * "Either" is rows or columns, whichever moves fewer bytes. Only what the result needs moves: what
 * is replicated is cut, K and K stay, and whoever has rows gets all of B.
 * float32, float64, float16, bfloat16, int32 and int64. Computed on the caller's thread.
 * Errors: MLS_EINVAL (two meshes), MLS_ESHAPE, MLS_EDTYPE, those of collectives.
 */
MLS_API mls_status mls_sharded_matmul(const mls_sharded *a, const mls_sharded *b,
                                      const mls_group_call *call, mls_sharded **ret_product);

/*
 * An op of ONNX, element by element, of `count` tensors, whose shapes broadcast:
 *   of one    Abs, Ceil, Erf, Exp, Floor, Log, Neg, Not, Relu, Round, Sigmoid, Sign, Sqrt, Tanh
 *   of two    Add, And, Div, Max, Min, Mul, Or, Pow, Sub, Xor
 *   to bool   Equal, Greater, GreaterOrEqual, Less, LessOrEqual, of two
 *   of three  Where: a condition, which is bool, what is taken where it holds, and what elsewhere
 * All tensors are of one dtype, but for the condition; And, Not, Or and Xor are of bool, Pow is of
 * the dtypes of mls_sharded_matmul(). Along each axis of the mesh the result is cut as the largest
 * of the tensors that are cut there, and what is not cut so moves. Terms are added up before, but
 * Add, Sub and Neg of tensors that are all partial along the same axes are partial too.
 * Errors: MLS_ENOTFOUND (op), MLS_EINVAL (count, two meshes), MLS_ESHAPE, MLS_EDTYPE,
 * MLS_EUNSUPPORTED (the dtype), MLS_ERANGE (a whole number is divided by 0, or is 0 and raised to
 * less than 0: on the ranks that have it, which break the group), those of collectives.
 */
MLS_API mls_status mls_sharded_apply(const char *op, const mls_sharded *const *inputs, size_t count,
                                     const mls_group_call *call, mls_sharded **ret_result);

/*
 * MLS_REDUCE_SUM, PRODUCT, MEAN, MIN or MAX over `dim_count` dimensions (negative ones count from
 * the last; NULL: all of them), which stay with length 1 if `keep_dims` is not 0. A sum is partial
 * along the axes that cut what is reduced, and moves nothing; others are replicated there. Along
 * all other axes the layout stays, but terms are added up before an extreme is looked for, or a
 * product made.
 * Dtypes as of mls_sharded_matmul(); a mean is of floats.
 * Errors: MLS_EINVAL (reduction, dims), MLS_ESHAPE (an extreme of nothing), MLS_EDTYPE, those of
 * collectives.
 */
MLS_API mls_status mls_sharded_reduce(const mls_sharded *sharded, uint32_t reduction,
                                      const int *dims, size_t dim_count, int keep_dims,
                                      const mls_group_call *call, mls_sharded **ret_result);

/*
 * Files: a folder that all ranks see, with a .npy file for each part and a manifest, which says
 * what they are and has a digest of each MiB of their elements. Floats of 16 and 8 bits that NumPy
 * does not know are stored as whole numbers of their size.
 *
 * save: makes the folder if it is not there, and takes the place of the tensor in it. A rank
 * writes its part unless one before it has the same; terms are added up before. Everything is
 * synced before the manifest is put in place by a rename, so that after a failure or a crash the
 * folder has the old tensor or the new one, whole: also where a save fails, since the last step may
 * have been done. One save at a time. After a crash, or a failure of the last step, files may stay
 * that no manifest names. No save removes them, as it cannot know that they are not those of
 * another job's, which is still under way: locks do not tell on every shared file system. Who knows
 * that none is may remove each .npy file whose first 16 digits are not the 'id' of the manifest.
 *
 * load: in any layout, on any mesh. A rank opens the files that have something of its block, and
 * reads and checks only those MiB of them that it needs. The files may be damaged, but must not be
 * cut short while they are read. Terms come as mls_sharded_redistribute() makes them.
 *
 * What fails on one rank fails on all, and breaks nothing. Errors: MLS_EIO, MLS_ENOTFOUND,
 * MLS_EFORMAT (what is wrong with which file), MLS_EUNSUPPORTED, MLS_EINVAL (layout, or a folder or
 * device in a file's place), MLS_EMISMATCH (ranks see other files), those of collectives.
 */
MLS_API mls_status mls_sharded_save(const mls_sharded *sharded, const char *folder,
                                    const mls_group_call *call);
MLS_API mls_status mls_sharded_load(mls_mesh *mesh, const char *folder, const int32_t *layout,
                                    const mls_group_call *call, mls_sharded **ret_sharded);

#ifdef __cplusplus
}
#endif
#endif
