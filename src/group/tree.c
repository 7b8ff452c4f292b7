/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the tree's programs down once, when a group is made. */
#include "group/tree.h"

#include "base/error.h"

#include <stdbool.h>

mls__range mls__tree_range(uint32_t shards, uint32_t ranks, uint32_t rank)
{
    return (mls__range){(uint32_t) ((uint64_t) rank * shards / ranks),
                        (uint32_t) ((uint64_t) (rank + 1) * shards / ranks)};
}

/* The node of `level` at `first`, a multiple of its size. */
static mls__range node_at(uint32_t shards, uint32_t level, uint32_t first)
{
    const uint64_t end = (uint64_t) first + (UINT64_C(1) << level);
    return (mls__range){first, end < shards ? (uint32_t) end : shards};
}

/* The level of the node over all. */
static uint32_t top_level(uint32_t shards)
{
    uint32_t level = 0;
    while (UINT64_C(1) << level < shards)
        level++;
    return level;
}

/* The largest node that begins at range.first and lies in the range. */
static mls__range largest_node(uint32_t shards, mls__range range)
{
    uint32_t level = 0;
    while (level < top_level(shards) && range.first % (UINT32_C(2) << level) == 0 &&
           node_at(shards, level + 1, range.first).end <= range.end)
        level++;
    return node_at(shards, level, range.first);
}

/* Writes the parts of a range to `ret_parts` (NULL: only counts them). */
static uint32_t split_range(uint32_t shards, mls__range range, mls__range *ret_parts)
{
    uint32_t count = 0;
    while (range.first < range.end) {
        const mls__range part = largest_node(shards, range);
        if (ret_parts)
            ret_parts[count] = part;
        count++;
        range.first = part.end;
    }
    return count;
}

/* --- programs -------------------------------------------------------------------------------- */

typedef struct writer {
    uint32_t shards;
    const mls__range *parts; /* to push, ascending; NULL: single shards from first_shard */
    uint32_t first_shard;
    uint32_t next; /* the part that comes next */
    uint32_t height;
    mls__program *program;
} writer;

/* Whether the part that is next is all of the node. */
static bool is_part(const writer *w, mls__range node)
{
    const mls__range part =
        w->parts ? w->parts[w->next]
                 : (mls__range){w->first_shard + w->next, w->first_shard + w->next + 1};
    return part.first == node.first && part.end == node.end;
}

static void put(writer *w, int32_t step)
{
    w->program->steps[w->program->step_count++] = step;
    w->height = step == MLS__STEP_COMBINE ? w->height - 1 : w->height + 1;
    if (w->height > w->program->depth)
        w->program->depth = w->height;
}

/* As deep as the tree: at most 13 calls. */
static void write_node(writer *w, uint32_t level, uint32_t first)
{
    const mls__range node = node_at(w->shards, level, first);
    if (is_part(w, node)) {
        put(w, (int32_t) w->next++);
        return;
    }
    const uint64_t middle = (uint64_t) first + (UINT64_C(1) << level) / 2;
    write_node(w, level - 1, first);
    if (middle >= node.end)
        return;
    write_node(w, level - 1, (uint32_t) middle);
    put(w, MLS__STEP_COMBINE);
}

static uint32_t level_of(uint32_t shards, mls__range node)
{
    uint32_t level = 0;
    while (node_at(shards, level, node.first).end != node.end)
        level++;
    return level;
}

/* The program of `node`, a node, from `part_count` parts. */
static mls_status write_program(const mls__allocator *allocator, writer *w, mls__range node,
                                uint32_t part_count, mls__program *ret_program)
{
    const size_t size = 2 * (size_t) part_count;
    *ret_program = (mls__program){mls__alloc_array(allocator, size, sizeof(int32_t)), 0, 0};
    if (!ret_program->steps)
        return mls__error_nomem(size * sizeof(int32_t));
    w->program = ret_program;
    write_node(w, level_of(w->shards, node), node.first);
    return MLS_OK;
}

static mls_status write_whole(mls__tree *tree)
{
    writer w = {.shards = tree->shards, .parts = tree->parts};
    return write_program(tree->allocator, &w, (mls__range){0, tree->shards},
                         tree->first_part[tree->ranks], &tree->whole);
}

static mls_status write_local(mls__tree *tree, uint32_t rank)
{
    const uint32_t count = mls__tree_part_count(tree, rank);
    const uint32_t origin = mls__tree_range(tree->shards, tree->ranks, rank).first;
    tree->local = mls__alloc_array(tree->allocator, count, sizeof *tree->local);
    if (!tree->local)
        return mls__error_nomem(count * sizeof *tree->local);
    for (uint32_t i = 0; i < count; i++) {
        const mls__range part = tree->parts[tree->first_part[rank] + i];
        writer w = {.shards = tree->shards, .first_shard = origin, .next = part.first - origin};
        const mls_status status = write_program(tree->allocator, &w, part, part.end - part.first,
                                                &tree->local[tree->local_count]);
        if (status)
            return status;
        tree->local_count++;
    }
    return MLS_OK;
}

/* --- the tree -------------------------------------------------------------------------------- */

static mls_status find_parts(mls__tree *tree)
{
    uint32_t count = 0;
    for (uint32_t r = 0; r < tree->ranks; r++)
        count += split_range(tree->shards, mls__tree_range(tree->shards, tree->ranks, r), NULL);
    tree->parts = mls__alloc_array(tree->allocator, count, sizeof *tree->parts);
    tree->first_part =
        mls__alloc_array(tree->allocator, (size_t) tree->ranks + 1, sizeof *tree->first_part);
    tree->own_shards = mls__alloc_array(tree->allocator, tree->ranks, sizeof *tree->own_shards);
    if (!tree->parts || !tree->first_part || !tree->own_shards)
        return mls__error_nomem(count * sizeof *tree->parts);
    for (uint32_t r = 0, at = 0; r < tree->ranks; r++) {
        const mls__range range = mls__tree_range(tree->shards, tree->ranks, r);
        at += split_range(tree->shards, range, tree->parts + at);
        tree->first_part[r + 1] = at;
        tree->own_shards[r] = range.end - range.first;
    }
    return MLS_OK;
}

mls_status mls__tree_init(mls__tree *tree, const mls__allocator *allocator, uint32_t shards,
                          uint32_t ranks, uint32_t rank)
{
    *tree = (mls__tree){.allocator = allocator, .shards = shards, .ranks = ranks};
    mls_status status = find_parts(tree);
    if (!status)
        status = write_whole(tree);
    if (!status)
        status = write_local(tree, rank);
    if (status)
        mls__tree_clear(tree);
    return status;
}

void mls__tree_clear(mls__tree *tree)
{
    if (!tree->allocator)
        return;
    for (uint32_t i = 0; i < tree->local_count; i++)
        mls__free(tree->allocator, tree->local[i].steps);
    mls__free(tree->allocator, tree->local);
    mls__free(tree->allocator, tree->whole.steps);
    mls__free(tree->allocator, tree->own_shards);
    mls__free(tree->allocator, tree->first_part);
    mls__free(tree->allocator, tree->parts);
    *tree = (mls__tree){0};
}

uint32_t mls__tree_depth(const mls__tree *tree)
{
    uint32_t depth = tree->whole.depth;
    for (uint32_t i = 0; i < tree->local_count; i++)
        if (tree->local[i].depth > depth)
            depth = tree->local[i].depth;
    return depth;
}
