/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of meshes and sharded tensors.
 *
 * A rank's part of a tensor is a box of the whole, contiguous. Where the tensor is partial along
 * axes, there is a box a slot: one for each of the rank's shards of those axes. Everything that
 * ranks need to know of each other follows from mesh, dims and layout, so that all of them make
 * the same plans.
 */
#ifndef MLS_SHARDED_SHARDED_H
#define MLS_SHARDED_SHARDED_H

#include "base/refcount.h"
#include "group/group.h"
#include "tensor/tensor.h"

#include <mlscale/sharded.h>

typedef struct mls__axis {
    uint32_t size, coordinate;
    uint32_t stride; /* ranks from one coordinate to the next */
    uint32_t shards;
    bool is_stated;   /* the number of shards */
    mls_group *group; /* of this rank's line along the axis */
    mls_group *adder; /* the same, or the mesh's, in whose memory tensors are */
} mls__axis;

struct mls_mesh {
    mls__refcount refs;
    mls_context *context;
    mls_group *group; /* a reference */
    uint32_t rank, size;
    int axis_count;
    mls__axis axes[MLS_MESH_MAX_AXES];
};

/* What the whole is, and who has what of it. */
typedef struct mls__spread {
    int32_t dtype;
    int32_t rank;
    int64_t dims[MLS_MAX_RANK];
    int32_t layout[MLS_MESH_MAX_AXES];
} mls__spread;

struct mls_sharded {
    mls_mesh *mesh; /* a reference */
    mls__spread spread;
    mls_tensor *local;
};

/* Elements from `first`, `count` of them, along each dimension. */
typedef struct mls__box {
    int64_t first[MLS_MAX_RANK], count[MLS_MAX_RANK];
} mls__box;

/* --- mesh.c --- */

void mls__mesh_ref(mls_mesh *mesh);
void mls__mesh_unref(mls_mesh *mesh);

uint32_t mls__mesh_coordinate(const mls_mesh *mesh, int axis, uint32_t rank);

/* The shards of a rank along an axis. */
mls__range mls__mesh_shards(const mls_mesh *mesh, int axis, uint32_t rank);

/* Breaks all groups by `status` and the thread's message: no rank waits for this one. */
mls_status mls__mesh_break(mls_mesh *mesh, mls_status status);

/*
 * A call of several steps, which share its deadline. Every step's mls_group_call is that of
 * mls__steps_next().
 */
typedef struct mls__steps {
    mls_mesh *mesh;
    mls_group_call call;
    uint64_t until_ns;
    bool is_known; /* by all ranks: that it failed */
} mls__steps;

/* Errors: MLS_EINVAL, and what broke the group. */
mls_status mls__steps_begin(mls_mesh *mesh, const mls_group_call *given, mls__steps *ret_steps);
const mls_group_call *mls__steps_next(mls__steps *steps);

/* What a call that has passed its checks returns: a failure breaks the mesh. */
mls_status mls__steps_end(const mls__steps *steps, mls_status status);

/* --- layout.c --- */

/* Checks dtype, dims and layout. Errors: MLS_EINVAL, MLS_EDTYPE. */
mls_status mls__spread_make(const mls_mesh *mesh, int32_t dtype, int rank, const int64_t *dims,
                            const int32_t *layout, mls__spread *ret_spread);

/* The same with another layout. */
mls_status mls__spread_lay(const mls_mesh *mesh, const mls__spread *spread, const int32_t *layout,
                           mls__spread *ret_spread);

bool mls__layout_same(const mls_mesh *mesh, const int32_t *a, const int32_t *b);

/* Whether a later axis than `axis` cuts dimension `dim` too. */
bool mls__layout_cut_later(const mls_mesh *mesh, const int32_t *layout, int axis, int dim);

/* Where shard `shard` of `shards` begins in `length` elements. */
int64_t mls__shard_first(int64_t length, uint32_t shard, uint32_t shards);

mls__box mls__box_whole(const mls__spread *spread);
mls__box mls__box_of(const mls_mesh *mesh, const mls__spread *spread, uint32_t rank);
int64_t mls__box_count(int rank, const mls__box *box);
/* What both have; the count is 0 where there is nothing. */
mls__box mls__box_meet(int rank, const mls__box *a, const mls__box *b);
bool mls__box_same(int rank, const mls__box *a, const mls__box *b);

/* Elements from the first of `box` to the first of `part`, which lies in it. */
int64_t mls__box_offset(int rank, const mls__box *box, const mls__box *part);
/* Elements of `box` from the first to the last one of `part`. */
int64_t mls__box_span(int rank, const mls__box *box, const mls__box *part);

/* Copies `part` from where it lies as a part of `from_box` to where it does of `to_box`. */
void mls__box_copy(int rank, size_t size, const mls__box *part, const mls__box *from_box,
                   const void *from, const mls__box *to_box, void *to);

/* How many shards a rank has of the axes along which the layout is partial; 1 where of none. */
int64_t mls__slots_of(const mls_mesh *mesh, const int32_t *layout, uint32_t rank);
/* Whether the local tensor has a dimension for them. */
bool mls__slots_counted(const mls_mesh *mesh, const int32_t *layout);

/* The dims of a rank's local tensor. Errors: MLS_ELIMIT (too many dimensions). */
mls_status mls__local_dims(const mls_mesh *mesh, const mls__spread *spread, int *ret_rank,
                           int64_t *ret_dims);

/* A digest of what ranks must agree on. */
uint64_t mls__spread_digest(const mls_mesh *mesh, const mls__spread *from, const mls__spread *to,
                            int64_t what);

/* --- tensor.c --- */

/* A tensor of its own; zeros. */
mls_status mls__sharded_make(mls_mesh *mesh, const mls__spread *spread, mls_sharded **ret_sharded);

/* Of this memory, whose dims are right; it is taken over even if this fails. */
mls_status mls__sharded_take(mls_mesh *mesh, const mls__spread *spread, mls_tensor *local,
                             mls_sharded **ret_sharded);

/* Another handle of the same part. */
mls_status mls__sharded_view(const mls_sharded *sharded, mls_sharded **ret_sharded);

/* Bytes of an element. */
size_t mls__spread_size(const mls__spread *spread);

/* Elements that a sum begins with without being changed: -0 of floats. */
void mls__fill_neutral(int32_t dtype, void *data, int64_t count);

/* --- swap.c --- */

/* All of a tensor is on one rank alone, before or behind an exchange. */
#define MLS__NO_ROOT (-1)

typedef struct mls__transfer {
    const mls_mesh *mesh;
    const mls__spread *from, *to; /* of one dtype and dims */
    int64_t from_root, to_root;   /* or MLS__NO_ROOT */
    const void *source;           /* this rank's part of `from` */
    void *target;                 /* and of `to` */
} mls__transfer;

/* Moves elements between layouts that are partial along the same axes. */
mls_status mls__transfer_run(const mls__transfer *transfer, mls__steps *steps);

/* --- route.c --- */

/* Whether what all ranks along an axis have can be cut where it lies. */
bool mls__route_cuts(const mls_mesh *mesh, const int32_t *layout, int axis, int32_t wanted);
/* Where the terms along an axis go: to blocks, if those are one piece of the present ones. */
int32_t mls__route_sum(const mls_mesh *mesh, const int32_t *layout, int axis, int32_t wanted);
/* The target, but for what becomes partial: that stays as it is where it can, and moves nothing. */
void mls__route_before_terms(const mls_mesh *mesh, const int32_t *layout, const int32_t *target,
                             int32_t *ret_layout);
/* How what all have is cut, and what terms are added up to, before elements move to `target`. */
void mls__route_choose(const mls_mesh *mesh, const mls__spread *from, const int32_t *target,
                       int32_t *ret_by);

/* --- redistribute.c --- */

/* Takes `from` as it is, if it has that layout. */
mls_status mls__redistribute(const mls_sharded *from, const int32_t *layout, mls__steps *steps,
                             mls_sharded **ret_sharded);

/* The same where terms are not added but reduced otherwise, and to all. */
mls_status mls__redistribute_by(const mls_sharded *from, const int32_t *layout, uint32_t reduction,
                                mls__steps *steps, mls_sharded **ret_sharded);

/* Whether groups can add up its terms. */
bool mls__can_add(int32_t dtype);
/* Errors: MLS_EDTYPE, where the layout has terms that they cannot. */
mls_status mls__check_terms(const mls_mesh *mesh, int32_t dtype, const int32_t *layout);

/* --- spread.c --- */

/* Replicated, where the layout is partial. */
mls__spread mls__without_terms(const mls_mesh *mesh, const mls__spread *spread);

/* The tensor without terms: these are added up to blocks of the longest dimension. */
mls_status mls__add_terms(const mls_sharded *sharded, mls__steps *steps, mls_sharded **ret_sharded);

#endif
