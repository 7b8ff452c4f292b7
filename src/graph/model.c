/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetime of a model and what readers add to it; model_info.c answers questions about it. */
#include "graph/model.h"

#include "base/error.h"
#include "graph/passes/passes.h"

#include <stdio.h>
#include <string.h>

mls_status mls__model_create(mls_context *context, mls_model **ret_model)
{
    const mls__allocator *allocator = &context->allocator;
    mls_model *model = mls__alloc_array(allocator, 1, sizeof *model);
    if (!model)
        return mls__error_nomem(sizeof *model);
    const mls_status status = mls__weights_init(&model->weights, allocator);
    if (status) {
        mls__free(allocator, model);
        return status;
    }
    mls__refcount_init(&model->refs);
    mls__context_ref(context);
    model->context = context;
    mls__graph_init(&model->graph, allocator, &model->next_id);
    mls__vec_init(&model->tensors, allocator, sizeof(mls_tensor *));
    mls__vec_init(&model->opsets, allocator, sizeof(mls__opset));
    mls__vec_init(&model->op_uses, allocator, sizeof(mls__op_uses));
    mls__vec_init(&model->metadata, allocator, sizeof(mls__metadata));
    mls__vec_init(&model->unsupported, allocator, sizeof(size_t));
    *ret_model = model;
    return MLS_OK;
}

void mls__model_ref(mls_model *model)
{
    mls__refcount_take(&model->refs);
}

void mls__model_unref(mls_model *model)
{
    if (!model || !mls__refcount_drop(&model->refs))
        return;
    mls_context *context = model->context;
    if (model->has_optimized)
        mls__graph_clear(&model->optimized);
    mls__weights_clear(&model->weights);
    mls__vec_clear(&model->unsupported);
    mls__vec_clear(&model->metadata);
    mls__vec_clear(&model->op_uses);
    mls__vec_clear(&model->opsets);
    mls__graph_clear(&model->graph);
    for (size_t i = 0; i < model->tensors.count; i++)
        mls_tensor_free(*(mls_tensor **) mls__vec_at(&model->tensors, i));
    mls__vec_clear(&model->tensors);
    mls__free(&context->allocator, model);
    mls__context_unref(context);
}

void mls_model_free(mls_model *model)
{
    mls__model_unref(model);
}

mls_status mls__model_add_tensor(mls_model *model, mls_tensor *tensor)
{
    mls_tensor **slot = mls__vec_push(&model->tensors);
    if (!slot) {
        mls_tensor_free(tensor);
        return mls__error_nomem(sizeof *slot);
    }
    *slot = tensor;
    return MLS_OK;
}

mls_status mls__model_add_opset(mls_model *model, const char *domain, int64_t version)
{
    const char *copy = mls__arena_string(&model->graph.arena, domain);
    mls__opset *opset = copy ? mls__vec_push(&model->opsets) : NULL;
    if (!opset)
        return mls__error_nomem(sizeof *opset);
    *opset = (mls__opset){copy, version};
    return MLS_OK;
}

mls_status mls__model_add_metadata(mls_model *model, const char *key, const char *value)
{
    const char *key_copy = mls__arena_string(&model->graph.arena, key);
    const char *value_copy = key_copy ? mls__arena_string(&model->graph.arena, value) : NULL;
    mls__metadata *metadata = value_copy ? mls__vec_push(&model->metadata) : NULL;
    if (!metadata)
        return mls__error_nomem(sizeof *metadata);
    *metadata = (mls__metadata){key_copy, value_copy};
    return MLS_OK;
}

/* The first entry that is not before `op`. */
static size_t find_op_uses(const mls_model *model, const char *op)
{
    size_t low = 0, high = model->op_uses.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mls__op_uses *entry = mls__vec_at(&model->op_uses, middle);
        if (strcmp(entry->op, op) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

mls_status mls__model_count_op(mls_model *model, const char *domain, const char *type)
{
    char op[512];
    snprintf(op, sizeof op, "%s%s%s", domain, domain[0] ? "." : "", type);
    const size_t at = find_op_uses(model, op);
    if (at < model->op_uses.count) {
        mls__op_uses *entry = mls__vec_at(&model->op_uses, at);
        if (strcmp(entry->op, op) == 0) {
            entry->uses++;
            return MLS_OK;
        }
    }
    const char *copy = mls__arena_string(&model->graph.arena, op);
    if (!copy || !mls__vec_push(&model->op_uses))
        return mls__error_nomem(sizeof(mls__op_uses));
    mls__op_uses *entry = mls__vec_at(&model->op_uses, at);
    memmove(entry + 1, entry, (model->op_uses.count - 1 - at) * sizeof *entry);
    *entry = (mls__op_uses){copy, 1};
    return MLS_OK;
}

static mls_status note_unsupported(mls_model *model)
{
    for (size_t i = 0; i < model->graph.nodes.count; i++) {
        if (mls__graph_node(&model->graph, i)->schema)
            continue;
        size_t *slot = mls__vec_push(&model->unsupported);
        if (!slot)
            return mls__error_nomem(sizeof *slot);
        *slot = i;
    }
    return MLS_OK;
}

static mls_status unsupported_error(const mls_model *model)
{
    const size_t first = *(const size_t *) mls__vec_at(&model->unsupported, 0);
    const mls__node *node = mls__graph_node(&model->graph, first);
    char rest[64] = "";
    if (model->unsupported.count > 1)
        snprintf(rest, sizeof rest, " (and %zu more nodes)", model->unsupported.count - 1);
    return mls__error(MLS_EUNSUPPORTED, "node '%.200s' (%.64s%s%.64s): %s%s", node->name,
                      node->domain, node->domain[0] ? "." : "", node->type,
                      node->unsupported ? node->unsupported : "the op is not supported", rest);
}

mls_status mls__model_finish(mls_model *model, bool allow_unsupported)
{
    mls_status status = mls__graph_sort(&model->graph);
    if (!status)
        status = note_unsupported(model);
    if (status)
        return status;
    if (model->unsupported.count)
        return allow_unsupported ? MLS_OK : unsupported_error(model);
    status = mls__graph_clone(&model->graph, &model->optimized);
    if (status)
        return status;
    model->has_optimized = true;
    model->optimized.model = model;
    return mls__passes_run(&model->optimized);
}
