/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way a tensor with terms takes to another layout. Terms are added up to blocks for half of
 * what it takes to have the sum everywhere, and what all have is cut for nothing; behind that one
 * exchange brings the elements to where they belong. So where the sums are cut meanwhile, and along
 * which dimensions, decides how many bytes move: all ways are tried, by what ranks would get.
 */
#include "sharded/sharded.h"

#include <string.h>

/* So many boxes are looked at; of more, sums are cut as the target is, if at all. */
#define MOST_BOXES (INT64_C(1) << 14)
/* So are they of a tensor of fewer bytes, where it is steps that take the time. */
#define LEAST_BYTES (INT64_C(16) * 1024)

bool mls__route_cuts(const mls_mesh *mesh, const int32_t *layout, int axis, int32_t wanted)
{
    return layout[axis] == MLS_LAYOUT_REPLICATED && wanted >= 0 &&
           !mls__layout_cut_later(mesh, layout, axis, wanted);
}

int32_t mls__route_sum(const mls_mesh *mesh, const int32_t *layout, int axis, int32_t wanted)
{
    const bool cuts = wanted >= 0 && !mls__layout_cut_later(mesh, layout, axis, wanted) &&
                      !mls__layout_cut_later(mesh, layout, axis, MLS_LAYOUT_PARTIAL);
    return cuts ? wanted : MLS_LAYOUT_REPLICATED;
}

void mls__route_before_terms(const mls_mesh *mesh, const int32_t *layout, const int32_t *target,
                             int32_t *ret_layout)
{
    for (int i = 0; i < mesh->axis_count; i++) {
        const int32_t now = layout[i];
        const bool becomes = target[i] == MLS_LAYOUT_PARTIAL && now != MLS_LAYOUT_PARTIAL;
        const bool stays = now >= 0 && !mls__layout_cut_later(mesh, target, i, now) &&
                           !mls__layout_cut_later(mesh, layout, i, now);
        ret_layout[i] = !becomes ? target[i] : stays ? now : MLS_LAYOUT_REPLICATED;
    }
}

/* --- what a way costs, in elements ----------------------------------------------------------- */

/* Elements that all ranks get while terms along `axis` are added up. */
static int64_t sum_cost(const mls_mesh *mesh, const mls__spread *to, int axis)
{
    const int64_t ranks = mesh->axes[axis].size;
    int64_t cost = 0;
    for (uint32_t i = 0; i < mesh->size; i++) {
        const mls__box box = mls__box_of(mesh, to, i);
        const int64_t count = mls__box_count(to->rank, &box) * mls__slots_of(mesh, to->layout, i);
        cost += to->layout[axis] >= 0 ? (ranks - 1) * count : 2 * (ranks - 1) * count / ranks;
    }
    return cost;
}

/* Elements that ranks lack of what they are to have. */
static int64_t move_cost(const mls_mesh *mesh, const mls__spread *from, const mls__spread *to)
{
    int64_t cost = 0;
    for (uint32_t i = 0; i < mesh->size; i++) {
        const mls__box has = mls__box_of(mesh, from, i), gets = mls__box_of(mesh, to, i);
        const mls__box both = mls__box_meet(to->rank, &has, &gets);
        cost += (mls__box_count(to->rank, &gets) - mls__box_count(to->rank, &both)) *
                mls__slots_of(mesh, from->layout, i);
    }
    return cost;
}

static int64_t cost_of(const mls_mesh *mesh, const mls__spread *from, const int32_t *target,
                       const int32_t *by)
{
    mls__spread now = *from, next;
    int64_t cost = 0;
    for (int i = 0; i < mesh->axis_count; i++)
        if (mls__route_cuts(mesh, now.layout, i, by[i]))
            now.layout[i] = by[i];
    for (int i = mesh->axis_count - 1; i >= 0; i--) {
        if (now.layout[i] != MLS_LAYOUT_PARTIAL || target[i] == MLS_LAYOUT_PARTIAL)
            continue;
        next = now;
        next.layout[i] = mls__route_sum(mesh, now.layout, i, by[i]);
        cost += sum_cost(mesh, &next, i);
        now = next;
    }
    next = now;
    mls__route_before_terms(mesh, now.layout, target, next.layout);
    return cost + move_cost(mesh, &now, &next);
}

/* --- all ways -------------------------------------------------------------------------------- */

/* Whether there is a choice along the axis: it is cut or added up on the way. */
static bool is_open(const int32_t *from, const int32_t *target, int axis)
{
    return from[axis] < 0 && target[axis] != MLS_LAYOUT_PARTIAL;
}

static bool is_worth_it(const mls_mesh *mesh, const mls__spread *from, const int32_t *target)
{
    const mls__box whole = mls__box_whole(from);
    int64_t boxes = mesh->size;
    if (mls__box_count(from->rank, &whole) < LEAST_BYTES / (int64_t) mls__spread_size(from))
        return false;
    for (int i = 0; i < mesh->axis_count && boxes <= MOST_BOXES; i++)
        boxes *= is_open(from->layout, target, i) ? from->rank + 1 : 1;
    return mesh->axis_count > 1 && boxes <= MOST_BOXES;
}

/* The next choice, as a number is counted on; false behind the last one. */
static bool next_choice(const mls_mesh *mesh, const mls__spread *from, const int32_t *target,
                        int32_t *by)
{
    for (int i = 0; i < mesh->axis_count; i++) {
        if (!is_open(from->layout, target, i))
            continue;
        if (++by[i] < from->rank)
            return true;
        by[i] = MLS_LAYOUT_REPLICATED;
    }
    return false;
}

void mls__route_choose(const mls_mesh *mesh, const mls__spread *from, const int32_t *target,
                       int32_t *ret_by)
{
    int32_t by[MLS_MESH_MAX_AXES];
    memcpy(ret_by, target, (size_t) mesh->axis_count * sizeof *target);
    if (!is_worth_it(mesh, from, target))
        return;
    int64_t least = cost_of(mesh, from, target, target);
    for (int i = 0; i < mesh->axis_count; i++)
        by[i] = is_open(from->layout, target, i) ? MLS_LAYOUT_REPLICATED : target[i];
    do {
        const int64_t cost = cost_of(mesh, from, target, by);
        if (cost < least)
            memcpy(ret_by, by, (size_t) mesh->axis_count * sizeof *by);
        least = cost < least ? cost : least;
    } while (next_choice(mesh, from, target, by));
}
