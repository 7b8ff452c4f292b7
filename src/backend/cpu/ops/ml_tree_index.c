/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_tree_index.h. */
#include "backend/cpu/ops/ml_tree_index.h"

#include "base/error.h"

#include <inttypes.h>

static bool number_dense(mls__tree_index *index)
{
    for (uint32_t i = 0; i < index->node_count; i++) {
        if (i == 0 || index->tree_ids[i] != index->tree_ids[i - 1])
            index->first[index->tree_count++] = i;
        const uint32_t tree = index->tree_count - 1;
        if (index->tree_ids[i] != tree || index->node_ids[i] != (int64_t) i - index->first[tree])
            return false;
    }
    index->first[index->tree_count] = index->node_count;
    return true;
}

static mls_status add_node(mls__tree_index *index, const mls_op *op, uint32_t i)
{
    const char *tree = (const char *) &index->tree_ids[i];
    const char *key = (const char *) &index->keys[i];
    index->keys[i] = (mls__tree_name){index->tree_ids[i], index->node_ids[i]};
    if (mls__map_get(&index->nodes, key, sizeof *index->keys, NULL))
        return mls__op_error(op, MLS_EINVAL,
                             "tree %" PRId64 ", node %" PRId64 ": is there more than once",
                             index->tree_ids[i], index->node_ids[i]);
    if (!mls__map_set(&index->nodes, key, sizeof *index->keys, i))
        return mls__error_nomem(sizeof *index->keys);
    if (mls__map_get(&index->trees, tree, sizeof(int64_t), NULL))
        return MLS_OK;
    index->first[index->tree_count] = i;
    if (!mls__map_set(&index->trees, tree, sizeof(int64_t), index->tree_count++))
        return mls__error_nomem(sizeof *index->keys);
    return MLS_OK;
}

static mls_status number_all(mls__tree_index *index, const mls_op *op)
{
    mls_status status = MLS_OK;
    index->tree_count = 0;
    index->keys = mls__alloc_array(index->allocator, index->node_count, sizeof *index->keys);
    if (!index->keys)
        return mls__error_nomem(index->node_count * sizeof *index->keys);
    for (uint32_t i = 0; !status && i < index->node_count; i++)
        status = add_node(index, op, i);
    index->first[index->tree_count] = index->node_count;
    return status;
}

mls_status mls__tree_index_init(mls__tree_index *index, const mls_op *op,
                                const mls__allocator *allocator, const int64_t *tree_ids,
                                const int64_t *node_ids, uint32_t node_count)
{
    *index = (mls__tree_index){.allocator = allocator,
                               .tree_ids = tree_ids,
                               .node_ids = node_ids,
                               .node_count = node_count};
    mls__map_init(&index->nodes, allocator);
    mls__map_init(&index->trees, allocator);
    index->first = mls__alloc_array(allocator, (size_t) node_count + 1, sizeof *index->first);
    if (!index->first)
        return mls__error_nomem(node_count * sizeof *index->first);
    index->is_dense = number_dense(index);
    return index->is_dense ? MLS_OK : number_all(index, op);
}

void mls__tree_index_clear(mls__tree_index *index)
{
    if (!index->allocator)
        return;
    mls__map_clear(&index->nodes);
    mls__map_clear(&index->trees);
    mls__free(index->allocator, index->keys);
    mls__free(index->allocator, index->first);
}

uint32_t mls__tree_index_node(const mls__tree_index *index, int64_t tree, int64_t node)
{
    const mls__tree_name key = {tree, node};
    size_t found;
    if (!index->is_dense)
        return mls__map_get(&index->nodes, (const char *) &key, sizeof key, &found)
                   ? (uint32_t) found
                   : UINT32_MAX;
    if (tree < 0 || tree >= index->tree_count || node < 0)
        return UINT32_MAX;
    const uint32_t count = index->first[tree + 1] - index->first[tree];
    return node < count ? index->first[tree] + (uint32_t) node : UINT32_MAX;
}

uint32_t mls__tree_index_tree(const mls__tree_index *index, int64_t tree)
{
    size_t found = 0;
    if (index->is_dense)
        return (uint32_t) tree;
    (void) mls__map_get(&index->trees, (const char *) &tree, sizeof tree, &found);
    return (uint32_t) found;
}
