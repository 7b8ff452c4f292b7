/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the layout of images once for the whole graph: convolutions, and what works on each
 * element or each channel alone, take and give images in blocks of 16 channels
 * ([N, C/16, spatial..., 16], see op/convolution.h). Nodes that reorder stand only where an image
 * comes from or goes to an op that does not know blocks. No byte of a result changes.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/model.h"
#include "graph/passes/images.h"
#include "graph/passes/matching.h"
#include "op/convolution.h"
#include "tensor/tensor.h"

#include <string.h>

/* Fewer filters are not worth a block that is mostly empty. */
#define LEAST_FILTERS 8

typedef struct blocker {
    mls__graph *graph;
    mls__images images;
    size_t count;      /* of values there were; those added later have no entries */
    uint32_t *blocked; /* the same image in blocks, or MLS__NO_VALUE */
    bool *is_plain;    /* whether something gives the value as it was */
    bool *is_wanted;   /* whether some reader takes it in blocks */
} blocker;

/* --- which nodes know blocks ----------------------------------------------------------------- */

typedef enum kind {
    KIND_OTHER,
    KIND_CONV,
    KIND_POINTWISE,
    KIND_BINARY,
    KIND_CONCAT,
    KIND_POOL,
    KIND_RESIZE
} kind;

static const mls__image *image_of(const blocker *b, uint32_t value)
{
    return value == MLS__NO_VALUE ? NULL : mls__images_get(&b->images, value);
}

static bool is_fused_conv(const mls__node *node)
{
    return strcmp(node->domain, MLS__DOMAIN_FUSED) == 0 &&
           strncmp(node->type, "FusedConv", strlen("FusedConv")) == 0;
}

static bool is_transposed(const mls__node *node)
{
    return strcmp(node->type, "FusedConvTranspose") == 0;
}

/* Channels and filters of one group. */
static void read_group(const blocker *b, const mls__node *node, int64_t *ret_groups,
                       int64_t *ret_channels, int64_t *ret_filters)
{
    *ret_groups = mls__node_int(node, "group", 1);
    *ret_channels = image_of(b, node->inputs[0])->channels / *ret_groups;
    *ret_filters = image_of(b, node->outputs[0])->channels / *ret_groups;
}

static bool is_depthwise(const blocker *b, const mls__node *node)
{
    int64_t groups, channels, filters;
    read_group(b, node, &groups, &channels, &filters);
    return groups > 1 && channels == 1 && filters == 1;
}

/* Groups must fill blocks, unless each is a channel. */
static bool has_fit_groups(const blocker *b, const mls__node *node)
{
    int64_t groups, channels, filters;
    read_group(b, node, &groups, &channels, &filters);
    return groups == 1 || is_depthwise(b, node) ||
           (channels % MLS__CHANNEL_BLOCK == 0 && filters % MLS__CHANNEL_BLOCK == 0);
}

/* So few filters that lanes along a row of plain outputs take less time; a point has no row. */
static bool is_thin(const blocker *b, const mls__node *node)
{
    int64_t groups, channels, filters;
    read_group(b, node, &groups, &channels, &filters);
    return groups == 1 && filters < LEAST_FILTERS &&
           !mls__image_is_point(&b->images, image_of(b, node->outputs[0]));
}

/* An image, or one number. */
static bool is_operand(const blocker *b, uint32_t value)
{
    if (value == MLS__NO_VALUE || image_of(b, value))
        return value != MLS__NO_VALUE;
    const mls_tensor *constant = mls__graph_value(b->graph, value)->constant;
    return constant && constant->count == 1 && constant->rank <= 3;
}

static bool is_binary(const blocker *b, const mls__node *node)
{
    static const char *const types[] = {"Sub", "Mul", "Div"};
    bool is_type = mls__node_adds(node);
    for (size_t i = 0; i < 3; i++)
        is_type = is_type || mls__node_is(node, types[i]);
    return is_type && node->input_count == 2 && is_operand(b, node->inputs[0]) &&
           is_operand(b, node->inputs[1]);
}

/* Whether each input but the last fills its blocks. */
static bool is_concat(const blocker *b, const mls__node *node)
{
    if (!mls__node_is(node, "Concat"))
        return false;
    for (size_t k = 0; k < node->input_count; k++) {
        const mls__image *image = image_of(b, node->inputs[k]);
        if (!image || (k + 1 < node->input_count && image->channels % MLS__CHANNEL_BLOCK != 0))
            return false;
    }
    return true;
}

static bool is_pool(const mls__node *node)
{
    return mls__node_is(node, "MaxPool") || mls__node_is(node, "AveragePool") ||
           mls__node_is(node, "GlobalAveragePool");
}

static bool has_text(const mls__node *node, const char *name, const char *text)
{
    const mls_attr *attr = mls__node_attr(node, name);
    return attr && attr->type == MLS_ATTR_STRING && attr->strings[0].size == strlen(text) &&
           memcmp(attr->strings[0].data, text, strlen(text)) == 0;
}

/* To the nearest element: each block moves as a whole. That images are known says the rest. */
static bool is_resize(const mls__node *node)
{
    return mls__node_is(node, "Resize") &&
           (!mls__node_attr(node, "mode") || has_text(node, "mode", "nearest")) &&
           !has_text(node, "coordinate_transformation_mode", "tf_crop_and_resize");
}

static bool has_one_output(const mls__node *node)
{
    for (size_t k = 1; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            return false;
    return node->output_count > 0 && node->outputs[0] != MLS__NO_VALUE;
}

static kind kind_of(const blocker *b, const mls__node *node)
{
    if (node->is_dead || !node->input_count || !has_one_output(node) ||
        !image_of(b, node->outputs[0]))
        return KIND_OTHER;
    if (is_binary(b, node))
        return KIND_BINARY;
    if (!image_of(b, node->inputs[0]))
        return KIND_OTHER;
    if (is_fused_conv(node))
        return has_fit_groups(b, node) ? KIND_CONV : KIND_OTHER;
    if (mls__is_pointwise(node))
        return KIND_POINTWISE;
    if (is_concat(b, node))
        return KIND_CONCAT;
    if (is_resize(node))
        return KIND_RESIZE;
    return is_pool(node) ? KIND_POOL : KIND_OTHER;
}

/* Whether a node wants images in blocks; what only moves one does where its readers do. */
static bool wants_blocks(const blocker *b, const mls__node *node)
{
    const kind kind_of_node = kind_of(b, node);
    if (kind_of_node == KIND_CONV)
        return !is_thin(b, node);
    if (kind_of_node == KIND_RESIZE)
        return b->is_wanted[node->outputs[0]];
    return kind_of_node != KIND_OTHER;
}

/* From the last node on. */
static void note_wanted(blocker *b)
{
    for (size_t i = b->graph->nodes.count; i-- > 0;) {
        const mls__node *node = mls__graph_node(b->graph, i);
        if (!wants_blocks(b, node))
            continue;
        for (size_t k = 0; k < node->input_count; k++)
            if (image_of(b, node->inputs[k]))
                b->is_wanted[node->inputs[k]] = true;
    }
}

/* --- values ---------------------------------------------------------------------------------- */

static uint32_t blocked_of(const blocker *b, uint32_t value)
{
    return value < b->count ? b->blocked[value] : MLS__NO_VALUE;
}

/* A value for the blocks of `value`. */
static mls_status add_blocked(blocker *b, uint32_t value)
{
    uint32_t added;
    const mls_status status =
        mls__graph_add_value(b->graph, mls__graph_value(b->graph, value)->name, &added);
    if (!status)
        b->blocked[value] = added;
    return status;
}

static mls_status add_reorder(blocker *b, const char *type, uint32_t from, uint32_t to,
                              int64_t channels)
{
    mls__node *node;
    const mls_status status = mls__graph_add_node(b->graph, MLS__DOMAIN_FUSED, type, 1, 1, &node);
    if (status)
        return status;
    node->inputs[0] = from;
    node->outputs[0] = to;
    return mls__node_set_ints(b->graph, node, 1, (const char *const[]){"channels"}, &channels);
}

static mls_status need_blocked(blocker *b, uint32_t value)
{
    if (blocked_of(b, value) != MLS__NO_VALUE)
        return MLS_OK;
    const mls_status status = add_blocked(b, value);
    if (status)
        return status;
    return add_reorder(b, "BlockChannels", value, b->blocked[value], image_of(b, value)->channels);
}

static mls_status need_plain(blocker *b, uint32_t value)
{
    if (value >= b->count || b->is_plain[value])
        return MLS_OK;
    b->is_plain[value] = true;
    return add_reorder(b, "UnblockChannels", b->blocked[value], value,
                       image_of(b, value)->channels);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static mls_status keep_plain(blocker *b, size_t index)
{
    mls_status status = MLS_OK;
    for (size_t k = 0; !status && k < mls__graph_node(b->graph, index)->input_count; k++) {
        const uint32_t value = mls__graph_node(b->graph, index)->inputs[k];
        if (value != MLS__NO_VALUE)
            status = need_plain(b, value);
    }
    return status;
}

/* From now on node `index` gives its first output in blocks. */
static mls_status give_blocked(blocker *b, size_t index)
{
    const uint32_t out = mls__graph_node(b->graph, index)->outputs[0];
    const mls_status status = add_blocked(b, out);
    if (status)
        return status;
    b->is_plain[out] = false;
    mls__graph_node(b->graph, index)->outputs[0] = b->blocked[out];
    return MLS_OK;
}

/* Whether input k, an image, is there in blocks. */
static bool is_blocked(const blocker *b, const mls__node *node, size_t k)
{
    return blocked_of(b, node->inputs[k]) != MLS__NO_VALUE;
}

/* Takes all inputs that are images in blocks, and gives blocks. */
static mls_status block_all(blocker *b, size_t index)
{
    const mls__node *node = mls__graph_node(b->graph, index);
    for (size_t k = 0; k < node->input_count; k++)
        if (image_of(b, node->inputs[k]) && !is_blocked(b, node, k))
            return keep_plain(b, index);
    mls__node *own = mls__graph_node(b->graph, index);
    for (size_t k = 0; k < own->input_count; k++)
        if (image_of(b, own->inputs[k]))
            own->inputs[k] = b->blocked[own->inputs[k]];
    return give_blocked(b, index);
}

static mls_status block_pool(blocker *b, size_t index)
{
    static const char *const types[][2] = {
        {"MaxPool", "BlockedMaxPool"},
        {"AveragePool", "BlockedAveragePool"},
        {"GlobalAveragePool", "BlockedGlobalAveragePool"},
    };
    const mls__node node = *mls__graph_node(b->graph, index);
    const char *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (mls__node_is(&node, types[i][0]))
            type = types[i][1];
    const mls__op_schema *schema = mls__op_schema_find(MLS__DOMAIN_FUSED, type);
    if (!is_blocked(b, &node, 0) || !schema)
        return keep_plain(b, index);
    mls__node *own = mls__graph_node(b->graph, index);
    own->domain = MLS__DOMAIN_FUSED;
    own->type = type;
    own->schema = schema;
    own->inputs[0] = b->blocked[node.inputs[0]];
    const int64_t channels = image_of(b, node.outputs[0])->channels;
    const mls_status status =
        mls__node_set_ints(b->graph, own, 1, (const char *const[]){"channels"}, &channels);
    return status ? status : give_blocked(b, index);
}

/* Scales or sizes, input k of a Resize, with those of the dims that blocks have. */
static mls_status add_factors(blocker *b, const mls__node *node, size_t k, uint32_t *ret_value)
{
    const mls_tensor *plain = mls__graph_value(b->graph, node->inputs[k])->constant;
    const int64_t rank = plain->count, count = rank + 1;
    mls_tensor *tensor;
    mls_status status =
        mls_tensor_create(b->graph->model->context, mls_tensor_dtype(plain), 1, &count, &tensor);
    if (status)
        return status;
    const size_t size = mls_dtype_size(mls_tensor_dtype(plain));
    memcpy(mls_tensor_data(tensor), plain->data, (size_t) rank * size);
    if (mls_tensor_dtype(plain) == MLS_FLOAT32) {
        ((float *) mls_tensor_data(tensor))[rank] = 1;
    } else {
        ((int64_t *) mls_tensor_data(tensor))[1] =
            mls__channel_blocks(image_of(b, node->inputs[0])->channels);
        ((int64_t *) mls_tensor_data(tensor))[rank] = MLS__CHANNEL_BLOCK;
    }
    status = mls__model_add_tensor(b->graph->model, tensor);
    if (!status)
        status = mls__graph_add_value(b->graph, mls__graph_value(b->graph, node->inputs[k])->name,
                                      ret_value);
    if (!status)
        mls__graph_set_constant(b->graph, *ret_value, tensor);
    return status;
}

/* A block's elements are one more dimension, of which nothing changes. */
static mls_status block_resize(blocker *b, size_t index)
{
    const mls__node node = *mls__graph_node(b->graph, index);
    if (!is_blocked(b, &node, 0) || !b->is_wanted[node.outputs[0]])
        return keep_plain(b, index);
    const mls_tensor *scales = mls__node_constant(b->graph, &node, 2, MLS_FLOAT32);
    const size_t k = scales && scales->count == image_of(b, node.inputs[0])->rank + 2 ? 2 : 3;
    uint32_t factors;
    const mls_status status = add_factors(b, &node, k, &factors);
    if (status)
        return status;
    mls__node *own = mls__graph_node(b->graph, index);
    own->inputs[0] = b->blocked[node.inputs[0]];
    own->inputs[1] = MLS__NO_VALUE;
    own->inputs[k] = factors;
    return give_blocked(b, index);
}

/*
 * The layouts of a convolution's input and output. Plain outputs of a transposed one lie apart, and
 * would be written one by one: to make its blocks plain afterwards takes less time.
 */
static void choose_layouts(const blocker *b, const mls__node *node, bool *ret_x, bool *ret_y)
{
    int64_t groups, channels, filters;
    read_group(b, node, &groups, &channels, &filters);
    *ret_x = is_blocked(b, node, 0) && !is_thin(b, node);
    *ret_y = (b->is_wanted[node->outputs[0]] || is_transposed(node)) &&
             filters * groups >= LEAST_FILTERS;
    if (groups > 1)
        *ret_x = *ret_y = filters * groups >= LEAST_FILTERS || *ret_x;
}

static mls_status block_conv(blocker *b, size_t index)
{
    const mls__node node = *mls__graph_node(b->graph, index);
    const uint32_t z = mls__node_input(&node, 3);
    bool is_x_blocked, is_y_blocked;
    choose_layouts(b, &node, &is_x_blocked, &is_y_blocked);
    mls_status status =
        is_x_blocked ? need_blocked(b, node.inputs[0]) : need_plain(b, node.inputs[0]);
    if (!status && z != MLS__NO_VALUE)
        status = is_y_blocked ? need_blocked(b, z) : need_plain(b, z);
    if (status)
        return status;
    mls__node *own = mls__graph_node(b->graph, index);
    if (is_x_blocked)
        own->inputs[0] = b->blocked[node.inputs[0]];
    if (is_y_blocked && z != MLS__NO_VALUE)
        own->inputs[3] = b->blocked[z];
    status = mls__node_set_ints(b->graph, own, 2, (const char *const[]){"x_blocked", "y_blocked"},
                                (const int64_t[]){is_x_blocked, is_y_blocked});
    return !status && is_y_blocked ? give_blocked(b, index) : status;
}

static mls_status block_node(blocker *b, size_t index)
{
    switch (kind_of(b, mls__graph_node(b->graph, index))) {
    case KIND_CONV:
        return block_conv(b, index);
    case KIND_POOL:
        return block_pool(b, index);
    case KIND_RESIZE:
        return block_resize(b, index);
    case KIND_POINTWISE:
    case KIND_BINARY:
    case KIND_CONCAT:
        return block_all(b, index);
    case KIND_OTHER:
        break;
    }
    return keep_plain(b, index);
}

static mls_status block_nodes(blocker *b)
{
    const size_t count = b->graph->nodes.count;
    mls_status status = MLS_OK;
    note_wanted(b);
    for (size_t i = 0; !status && i < count; i++)
        if (!mls__graph_node(b->graph, i)->is_dead)
            status = block_node(b, i);
    for (size_t i = 0; !status && i < b->graph->outputs.count; i++)
        status = need_plain(b, mls__graph_output(b->graph, i));
    return status;
}

static bool has_conv(const mls__graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (is_fused_conv(mls__graph_node(graph, i)))
            return true;
    return false;
}

mls_status mls__pass_block_channels(mls__graph *graph, bool *ret_changed)
{
    const mls__allocator *allocator = graph->allocator;
    const size_t count = graph->values.count;
    blocker b = {.graph = graph, .count = count};
    if (!has_conv(graph))
        return MLS_OK;
    mls_status status = mls__images_find(graph, &b.images);
    if (status)
        return status;
    b.blocked = mls__alloc_array(allocator, count, sizeof *b.blocked);
    b.is_plain = mls__alloc_array(allocator, count, sizeof *b.is_plain);
    b.is_wanted = mls__alloc_array(allocator, count, sizeof *b.is_wanted);
    if (!b.blocked || !b.is_plain || !b.is_wanted)
        status = mls__error_nomem(count * sizeof *b.blocked);
    for (size_t v = 0; !status && v < count; v++) {
        b.blocked[v] = MLS__NO_VALUE;
        b.is_plain[v] = true;
    }
    if (!status)
        status = block_nodes(&b);
    *ret_changed = true;
    mls__free(allocator, b.blocked);
    mls__free(allocator, b.is_plain);
    mls__free(allocator, b.is_wanted);
    mls__images_free(&b.images);
    return status;
}
