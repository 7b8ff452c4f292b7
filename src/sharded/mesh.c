/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks as an array, a group for each line of it, and calls of several collectives. */
#include "sharded/sharded.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

static mls_status check_axes(const mls_group *group, int axis_count, const uint32_t *sizes)
{
    uint64_t ranks = 1;
    if (axis_count < 1 || axis_count > MLS_MESH_MAX_AXES)
        return mls__error(MLS_EINVAL, "a mesh of %d axes; it has 1 to %d", axis_count,
                          MLS_MESH_MAX_AXES);
    for (int i = 0; i < axis_count; i++) {
        if (sizes[i] < 1 || sizes[i] > MLS_GROUP_MAX_RANKS)
            return mls__error(MLS_EINVAL, "axis %d of the mesh has size %u; 1 to %d are possible",
                              i, sizes[i], MLS_GROUP_MAX_RANKS);
        ranks *= sizes[i];
    }
    if (ranks != group->size)
        return mls__error(MLS_EINVAL, "the axes of the mesh have %llu ranks; the group has %u",
                          (unsigned long long) ranks, group->size);
    return MLS_OK;
}

static mls_status read_options(const mls_mesh_options *given, mls_mesh_options *ret_options)
{
    mls_mesh_options options = MLS_MESH_OPTIONS_INIT;
    const mls_status status =
        mls__options_read("mls_mesh_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    for (int i = 0; i < MLS_MESH_MAX_AXES; i++)
        if (options.shards[i] > MLS_GROUP_MAX_SHARDS)
            return mls__error(MLS_EINVAL,
                              "mls_mesh_options.shards[%d] is %u; at most %d are "
                              "possible",
                              i, options.shards[i], MLS_GROUP_MAX_SHARDS);
    *ret_options = options;
    return MLS_OK;
}

static void set_axes(mls_mesh *mesh, const uint32_t *sizes, const mls_mesh_options *options)
{
    uint32_t stride = 1;
    for (int i = mesh->axis_count - 1; i >= 0; i--) {
        mls__axis *axis = &mesh->axes[i];
        axis->size = sizes[i];
        axis->stride = stride;
        axis->coordinate = mesh->rank / stride % sizes[i];
        axis->is_stated = options->shards[i] != 0;
        axis->shards = axis->is_stated ? options->shards[i] : sizes[i];
        stride *= sizes[i];
    }
}

/* A line is named by the rank of its first member; of other meshes, lines are of other ranks. */
static mls_status split(mls_mesh *mesh, mls__axis *axis)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = mesh->group->timeout_ms;
    options.spin_us = mesh->group->spin_us;
    options.shards = axis->is_stated ? axis->shards : 0;
    const mls_status status =
        mls_group_split(mesh->group, mesh->rank - axis->coordinate * axis->stride, axis->coordinate,
                        &options, &axis->group);
    if (status)
        return status;
    if (axis->group->size != axis->size || axis->group->rank != axis->coordinate)
        return mls__error(MLS_EMISMATCH,
                          "the ranks say different axes of a mesh: along one of %u "
                          "ranks there are %u",
                          axis->size, axis->group->size);
    /* Along an axis of all ranks the mesh's own group adds up the same shards. */
    const bool is_same =
        axis->size == mesh->size && mesh->group->stated_shards == axis->group->stated_shards;
    axis->adder = is_same ? mesh->group : axis->group;
    return MLS_OK;
}

mls_status mls_mesh_create(mls_group *group, int axis_count, const uint32_t *axis_sizes,
                           const mls_mesh_options *given, mls_mesh **ret_mesh)
{
    if (!group || !axis_sizes || !ret_mesh)
        return mls__error_null(__func__, "group, axis_sizes and ret_mesh");
    mls_mesh_options options;
    mls_status status = mls__group_check_fork(group);
    if (!status)
        status = mls__group_check(group, MLS__GROUP_ON_CALL);
    if (!status)
        status = check_axes(group, axis_count, axis_sizes);
    if (!status)
        status = read_options(given, &options);
    if (status)
        return status;
    mls_mesh *mesh = mls__alloc_array(&group->context->allocator, 1, sizeof *mesh);
    if (!mesh)
        return mls__error_nomem(sizeof *mesh);
    mls__refcount_init(&mesh->refs);
    mls__group_ref(group);
    mesh->group = group;
    mesh->context = group->context;
    mesh->rank = group->rank;
    mesh->size = group->size;
    mesh->axis_count = axis_count;
    set_axes(mesh, axis_sizes, &options);
    for (int i = 0; !status && i < axis_count; i++)
        status = split(mesh, &mesh->axes[i]);
    if (status) {
        mls__mesh_unref(mesh);
        return status;
    }
    *ret_mesh = mesh;
    return MLS_OK;
}

void mls__mesh_ref(mls_mesh *mesh)
{
    mls__refcount_take(&mesh->refs);
}

void mls__mesh_unref(mls_mesh *mesh)
{
    if (!mls__refcount_drop(&mesh->refs))
        return;
    mls_group *group = mesh->group;
    for (int i = 0; i < mesh->axis_count; i++)
        mls_group_free(mesh->axes[i].group);
    mls__free(&mesh->context->allocator, mesh);
    mls__group_unref(group);
}

void mls_mesh_free(mls_mesh *mesh)
{
    if (mesh)
        mls__mesh_unref(mesh);
}

static bool has_axis(const mls_mesh *mesh, int axis)
{
    return mesh && axis >= 0 && axis < mesh->axis_count;
}

int mls_mesh_axis_count(const mls_mesh *mesh)
{
    return mesh ? mesh->axis_count : 0;
}

uint32_t mls_mesh_axis_size(const mls_mesh *mesh, int axis)
{
    return has_axis(mesh, axis) ? mesh->axes[axis].size : 0;
}

uint32_t mls_mesh_coordinate(const mls_mesh *mesh, int axis)
{
    return has_axis(mesh, axis) ? mesh->axes[axis].coordinate : 0;
}

mls_group *mls_mesh_axis_group(const mls_mesh *mesh, int axis)
{
    return has_axis(mesh, axis) ? mesh->axes[axis].group : NULL;
}

uint32_t mls__mesh_coordinate(const mls_mesh *mesh, int axis, uint32_t rank)
{
    return rank / mesh->axes[axis].stride % mesh->axes[axis].size;
}

mls__range mls__mesh_shards(const mls_mesh *mesh, int axis, uint32_t rank)
{
    const mls__axis *a = &mesh->axes[axis];
    return mls__tree_range(a->shards, a->size, mls__mesh_coordinate(mesh, axis, rank));
}

/* --- steps ----------------------------------------------------------------------------------- */

mls_status mls__mesh_break(mls_mesh *mesh, mls_status status)
{
    for (int i = 0; i < mesh->axis_count; i++)
        mls__group_break(mesh->axes[i].group, status);
    return mls__group_break(mesh->group, status);
}

mls_status mls__steps_begin(mls_mesh *mesh, const mls_group_call *given, mls__steps *ret_steps)
{
    mls__call checked;
    /* Any call without tensors would do: this reads the options and looks at the group. */
    const mls_status status = mls__call_begin(mesh->group, MLS__CALL_SWAP, given, &checked);
    if (status)
        return status;
    mls__steps steps = {mesh, MLS_GROUP_CALL_INIT, checked.until_ns, false};
    steps.call.name = given ? given->name : NULL;
    *ret_steps = steps;
    return MLS_OK;
}

const mls_group_call *mls__steps_next(mls__steps *steps)
{
    const uint64_t now_ns = mls__clock_monotonic_ns();
    const uint64_t left_ns = steps->until_ns > now_ns ? steps->until_ns - now_ns : 0;
    const uint64_t left_ms =
        left_ns / UINT64_C(1000000) + 1; /* rounded up; 0 would be the default */
    steps->call.timeout_ms = left_ms < INT64_MAX ? (int64_t) left_ms : INT64_MAX;
    return &steps->call;
}

mls_status mls__steps_end(const mls__steps *steps, mls_status status)
{
    return status && !steps->is_known ? mls__mesh_break(steps->mesh, status) : status;
}
