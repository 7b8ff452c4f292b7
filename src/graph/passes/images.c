/* SPDX-License-Identifier: Apache-2.0 */
/* Follows images through a graph. A node that is not known here gives nothing that is known. */
#include "graph/passes/images.h"

#include "base/alloc.h"
#include "base/error.h"
#include "graph/passes/image_dims.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <string.h>

/* Attributes beyond this are for inference to refuse. */
#define MOST   MLS__IMAGE_DIM_MOST
#define NO_DIM MLS__IMAGE_NO_DIM

/* --- inputs ---------------------------------------------------------------------------------- */

static mls__image_dim input_dim(mls__images *m, const mls__value *value, int i)
{
    if (value->dims[i] >= 0)
        return mls__image_constant_dim(m, value->dims[i]);
    if (value->dim_names && value->dim_names[i])
        return mls__image_named_dim(m, value->dim_names[i]);
    return mls__image_other_dim(m);
}

static void set_input(mls__images *m, uint32_t v)
{
    const mls__value *value = mls__graph_value(m->graph, v);
    if (!mls__is_image_dtype(value->dtype) || value->rank < 3 ||
        value->rank > 2 + MLS__IMAGE_DIMS || value->dims[1] < 1)
        return;
    mls__image *image = &m->images[v];
    *image = (mls__image){.rank = value->rank - 2, .channels = value->dims[1]};
    image->batch = input_dim(m, value, 0);
    for (int i = 0; i < image->rank; i++)
        image->dims[i] = input_dim(m, value, 2 + i);
}

/* --- windows --------------------------------------------------------------------------------- */

/* Element i of an ints attribute with `count` of them; false if it has another number of them. */
static bool read_int(const mls__node *node, const char *name, size_t count, size_t i,
                     int64_t fallback, int64_t *ret_value)
{
    const mls_attr *attr = mls__node_attr(node, name);
    *ret_value = fallback;
    if (!attr || !attr->count)
        return true;
    if (attr->type != MLS_ATTR_INTS || attr->count != count)
        return false;
    *ret_value = attr->ints[i];
    return *ret_value >= 0 && *ret_value <= MOST;
}

static bool is_auto_pad(const mls__node *node, const char *prefix)
{
    const mls_attr *attr = mls__node_attr(node, "auto_pad");
    const size_t size = strlen(prefix);
    return attr && attr->type == MLS_ATTR_STRING && attr->strings[0].size >= size &&
           memcmp(attr->strings[0].data, prefix, size) == 0;
}

/* Spatial dim i behind a window of `kernel` elements; NO_DIM where it cannot be said. */
static mls__image_dim window_dim(mls__images *m, const mls__node *node, const mls__image *x, int i,
                                 int64_t kernel)
{
    const size_t rank = (size_t) x->rank, at = (size_t) i;
    int64_t stride, dilation, before, after, extra;
    if (!read_int(node, "strides", rank, at, 1, &stride) || stride < 1 ||
        !read_int(node, "dilations", rank, at, 1, &dilation) || dilation < 1 ||
        !read_int(node, "pads", 2 * rank, at, 0, &before) ||
        !read_int(node, "pads", 2 * rank, rank + at, 0, &after) ||
        !read_int(node, "output_padding", rank, at, 0, &extra) || kernel < 1 || kernel > MOST ||
        mls__node_attr(node, "output_shape"))
        return NO_DIM;
    const bool is_transposed = strstr(node->type, "ConvTranspose") != NULL;
    const int64_t extent = (kernel - 1) * dilation + 1;
    const int64_t pads = is_auto_pad(node, "VALID") ? 0 : before + after;
    mls__image_rule r = {
        .kind = MLS__DIM_WINDOW, .from = x->dims[i], .a = pads - extent, .b = stride};
    if (is_transposed)
        r = (mls__image_rule){MLS__DIM_TRANSPOSED, x->dims[i], extent - pads + extra, stride, NULL};
    else if (is_auto_pad(node, "SAME"))
        r = (mls__image_rule){MLS__DIM_SHARE, x->dims[i], 0, stride, NULL};
    else if (mls__node_int(node, "ceil_mode", 0))
        r.kind = MLS__DIM_CEILING;
    if (is_transposed && is_auto_pad(node, "SAME"))
        return NO_DIM;
    return mls__image_derived_dim(m, r);
}

static bool set_windows(mls__images *m, const mls__node *node, const mls__image *x,
                        const int64_t *kernel, mls__image *y)
{
    for (int i = 0; i < x->rank; i++) {
        y->dims[i] = window_dim(m, node, x, i, kernel[i]);
        if (y->dims[i] == NO_DIM)
            return false;
    }
    return true;
}

static bool set_conv(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const uint32_t w = mls__node_input(node, 1);
    if (!mls__is_known_weight(m->graph, w, x->rank + 2))
        return false;
    const int64_t *dims = mls__graph_value(m->graph, w)->dims;
    const bool is_transposed = strstr(node->type, "ConvTranspose") != NULL;
    const int64_t groups = mls__node_int(node, "group", 1);
    if (groups < 1 || groups > MOST || dims[0] > MOST || dims[1] > MOST)
        return false;
    y->channels = is_transposed ? dims[1] * groups : dims[0];
    return y->channels > 0 && set_windows(m, node, x, dims + 2, y);
}

/* What a convolution says of an input that nothing is known of: its rank and its channels. */
static void know_by_conv(mls__images *m, const mls__node *node)
{
    const uint32_t x = mls__node_input(node, 0), w = mls__node_input(node, 1);
    if (x == MLS__NO_VALUE || !mls__is_known_weight(m->graph, w, 0))
        return;
    const mls__value *weights = mls__graph_value(m->graph, w);
    const bool is_transposed = strstr(node->type, "ConvTranspose") != NULL;
    const int64_t groups = is_transposed ? 1 : mls__node_int(node, "group", 1);
    mls__image image = {.rank = weights->rank - 2};
    if (image.rank < 1 || image.rank > MLS__IMAGE_DIMS || groups < 1 || groups > MOST ||
        !mls__mul_i64(weights->dims[!is_transposed], groups, &image.channels) ||
        image.channels < 1 || image.channels > MOST)
        return;
    image.batch = mls__image_other_dim(m);
    for (int i = 0; i < image.rank; i++)
        image.dims[i] = mls__image_other_dim(m);
    m->images[x] = image;
}

static bool set_pool(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const mls_attr *kernel = mls__node_attr(node, "kernel_shape");
    return kernel && kernel->type == MLS_ATTR_INTS && kernel->count == (size_t) x->rank &&
           set_windows(m, node, x, kernel->ints, y);
}

static bool set_global_pool(mls__images *m, const mls__node *node, const mls__image *x,
                            mls__image *y)
{
    (void) node;
    for (int i = 0; i < x->rank; i++)
        y->dims[i] = mls__image_constant_dim(m, 1);
    return true;
}

/* --- other sizes ----------------------------------------------------------------------------- */

static bool set_pad(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const mls_tensor *pads = mls__node_constant(m->graph, node, 1, MLS_INT64);
    const int rank = x->rank + 2;
    if (!pads || pads->count != 2 * rank || mls__node_input(node, 3) != MLS__NO_VALUE)
        return false;
    const int64_t *values = pads->data;
    for (int i = 0; i < rank; i++) {
        const int64_t before = values[i], after = values[rank + i];
        if (before < -MOST || before > MOST || after < -MOST || after > MOST ||
            (i < 2 && (before || after)))
            return false;
        if (i >= 2)
            y->dims[i - 2] = mls__image_derived_dim(
                m, (mls__image_rule){MLS__DIM_WINDOW, x->dims[i - 2], before + after - 1, 1, NULL});
        if (i >= 2 && y->dims[i - 2] == NO_DIM)
            return false;
    }
    return true;
}

static bool set_scales(mls__images *m, const float *scales, const mls__image *x, mls__image *y)
{
    for (int i = 0; i < x->rank; i++) {
        y->dims[i] = mls__image_scaled_dim(m, x->dims[i], scales[2 + i]);
        if (y->dims[i] == NO_DIM)
            return false;
    }
    return scales[0] == 1 && scales[1] == 1;
}

static bool set_sizes(mls__images *m, const int64_t *sizes, const mls__image *x, mls__image *y)
{
    for (int i = 0; i < x->rank; i++) {
        y->dims[i] = mls__image_constant_dim(m, sizes[2 + i]);
        if (y->dims[i] == NO_DIM)
            return false;
    }
    y->batch = mls__image_constant_dim(m, sizes[0]);
    return y->batch != NO_DIM && sizes[1] == x->channels;
}

static bool set_resize(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const mls_tensor *scales = mls__node_constant(m->graph, node, 2, MLS_FLOAT32);
    const mls_tensor *sizes = mls__node_constant(m->graph, node, 3, MLS_INT64);
    if (mls__node_attr(node, "axes") || mls__node_attr(node, "keep_aspect_ratio_policy"))
        return false;
    if (scales && scales->count == x->rank + 2)
        return set_scales(m, scales->data, x, y);
    return sizes && sizes->count == x->rank + 2 && set_sizes(m, sizes->data, x, y);
}

/* --- elementwise ----------------------------------------------------------------------------- */

static bool set_same(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    (void) m, (void) node, (void) x, (void) y;
    return true;
}

/* Whether a constant broadcasts to an image without changing its shape. */
static bool is_small_constant(const mls__images *m, uint32_t v, const mls__image *image)
{
    const mls__value *value = mls__graph_value(m->graph, v);
    const int rank = image->rank + 2;
    if (!value->constant || value->rank > rank)
        return false;
    for (int i = 0; i < value->rank; i++) {
        const bool is_channels = i + rank - value->rank == 1;
        if (value->dims[i] != 1 && !(is_channels && value->dims[i] == image->channels))
            return false;
    }
    return true;
}

static bool set_binary(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    if (node->input_count != 2 || node->inputs[0] == MLS__NO_VALUE ||
        node->inputs[1] == MLS__NO_VALUE)
        return false;
    const mls__image *a = mls__images_get(m, node->inputs[0]);
    const mls__image *b = mls__images_get(m, node->inputs[1]);
    if (!a || !b) {
        *y = *x;
        return is_small_constant(m, node->inputs[a ? 1 : 0], x);
    }
    if (a->rank != b->rank || a->channels != b->channels || a->batch != b->batch)
        return false;
    const bool is_b_point = mls__image_is_point(m, b);
    *y = is_b_point ? *a : *b;
    return is_b_point || mls__image_is_point(m, a) || mls__image_equal(a, b);
}

static bool set_concat(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    if (mls__node_int(node, "axis", 0) != 1)
        return false;
    y->channels = 0;
    for (size_t k = 0; k < node->input_count; k++) {
        const mls__image *other =
            node->inputs[k] == MLS__NO_VALUE ? NULL : mls__images_get(m, node->inputs[k]);
        if (!other)
            return false;
        mls__image same = *other;
        same.channels = x->channels;
        if (!mls__image_equal(&same, x) || y->channels > MOST)
            return false;
        y->channels += other->channels;
    }
    return true;
}

/* --- other shapes ---------------------------------------------------------------------------- */

/* Entry i of a tensor's dims: batch, channels, spatial ones. */
static mls__image_dim entry_of(mls__images *m, const mls__image *x, int i)
{
    return i == 0 ? x->batch : i == 1 ? mls__image_constant_dim(m, x->channels) : x->dims[i - 2];
}

static bool set_entry(const mls__images *m, mls__image *y, int i, mls__image_dim dim)
{
    if (dim == NO_DIM)
        return false;
    if (i == 0)
        y->batch = dim;
    else if (i == 1)
        y->channels = mls__image_dim_size(m, dim);
    else
        y->dims[i - 2] = dim;
    return i != 1 || y->channels > 0;
}

/* Elements of one of the batch; false where that is not known. */
static bool count_elements(mls__images *m, const mls__image *x, int64_t *ret_count)
{
    *ret_count = 1;
    for (int i = 1; i < x->rank + 2; i++) {
        const int64_t size = mls__image_dim_size(m, entry_of(m, x, i));
        if (size < 0 || !mls__mul_i64(*ret_count, size, ret_count))
            return false;
    }
    return true;
}

/* A shape that leaves the batch as it is, and says all that follows. */
static bool set_reshape(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const mls_tensor *shape = mls__node_constant(m->graph, node, 1, MLS_INT64);
    int64_t count, same = 1;
    if (!shape || shape->count < 3 || shape->count > 2 + MLS__IMAGE_DIMS ||
        mls__node_int(node, "allowzero", 0) || !count_elements(m, x, &count))
        return false;
    const int64_t *entries = shape->data, batch = mls__image_dim_size(m, x->batch);
    if (entries[0] != 0 && entries[0] != -1 && entries[0] != batch)
        return false;
    y->rank = (int) shape->count - 2;
    for (int i = 1; i < y->rank + 2; i++)
        if (entries[i] < 1 || entries[i] > MOST || !mls__mul_i64(same, entries[i], &same) ||
            !set_entry(m, y, i, mls__image_constant_dim(m, entries[i])))
            return false;
    return same == count;
}

/* Channels may become another dimension, the batch may not. */
static bool set_transpose(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y)
{
    const mls_attr *perm = mls__node_attr(node, "perm");
    const int rank = x->rank + 2;
    if (!perm || perm->type != MLS_ATTR_INTS || perm->count != (size_t) rank || perm->ints[0] != 0)
        return false;
    for (int i = 1; i < rank; i++)
        if (perm->ints[i] < 1 || perm->ints[i] >= rank ||
            !set_entry(m, y, i, entry_of(m, x, (int) perm->ints[i])))
            return false;
    return true;
}

/* --- the walk -------------------------------------------------------------------------------- */

/* y begins as a copy of x, the first input that is an image. */
typedef bool (*set_fn)(mls__images *m, const mls__node *node, const mls__image *x, mls__image *y);

static const struct {
    const char *domain, *type;
    set_fn set;
} ops[] = {
    {"", "Conv", set_conv},
    {"", "ConvTranspose", set_conv},
    {"com.microsoft", "FusedConv", set_conv},
    {MLS__DOMAIN_FUSED, "FusedConv", set_conv},
    {MLS__DOMAIN_FUSED, "FusedConvTranspose", set_conv},
    {"", "MaxPool", set_pool},
    {"", "AveragePool", set_pool},
    {"", "LpPool", set_pool},
    {"", "GlobalAveragePool", set_global_pool},
    {"", "GlobalMaxPool", set_global_pool},
    {"", "Pad", set_pad},
    {"", "Resize", set_resize},
    {"", "Add", set_binary},
    {"", "Sum", set_binary},
    {"", "Sub", set_binary},
    {"", "Mul", set_binary},
    {"", "Div", set_binary},
    {"", "Concat", set_concat},
    {"", "Reshape", set_reshape},
    {"", "Transpose", set_transpose},
    {"", "BatchNormalization", set_same},
    {"", "InstanceNormalization", set_same},
    {"", "LRN", set_same},
};

static const char *const pointwise[] = {
    "Abs",         "Celu",      "Clip", "Dropout",  "Elu",       "Erf",        "Exp",
    "Gelu",        "HardSwish", "Mish", "Identity", "LeakyRelu", "Neg",        "Relu",
    "HardSigmoid", "Selu",      "Sqrt", "Sigmoid",  "Softplus",  "Softsign",   "Swish",
    "Tanh",        "Floor",     "Ceil", "Round",    "Sign",      "Reciprocal", "ThresholdedRelu",
};

bool mls__is_pointwise(const mls__node *node)
{
    for (size_t i = 0; i < sizeof pointwise / sizeof pointwise[0]; i++)
        if (mls__node_is(node, pointwise[i]))
            return true;
    return false;
}

static set_fn find_set(const mls__node *node)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(node->domain, ops[i].domain) == 0 && strcmp(node->type, ops[i].type) == 0)
            return ops[i].set;
    return mls__is_pointwise(node) ? set_same : NULL;
}

/* Some ops take an image only as their first input, others as any. */
static const mls__image *first_image(const mls__images *m, const mls__node *node, set_fn set)
{
    const size_t count = set == set_binary ? node->input_count : node->input_count > 0;
    for (size_t k = 0; k < count; k++) {
        const mls__image *image =
            node->inputs[k] == MLS__NO_VALUE ? NULL : mls__images_get(m, node->inputs[k]);
        if (image)
            return image;
    }
    return NULL;
}

static void follow(mls__images *m, const mls__node *node)
{
    const set_fn set = find_set(node);
    if (node->output_count && mls__images_get(m, node->outputs[0]))
        return;
    const mls__image *x = set ? first_image(m, node, set) : NULL;
    if (!x && set == set_conv && node->input_count) {
        know_by_conv(m, node);
        x = first_image(m, node, set);
    }
    if (!x || !node->output_count || node->outputs[0] == MLS__NO_VALUE)
        return;
    mls__image y = *x;
    if (set(m, node, x, &y))
        m->images[node->outputs[0]] = y;
}

mls_status mls__images_find(const mls__graph *graph, mls__images *ret_images)
{
    mls__images m = {.graph = graph, .count = graph->values.count};
    m.images = mls__alloc_array(graph->allocator, m.count, sizeof *m.images);
    if (!m.images)
        return mls__error_nomem(m.count * sizeof *m.images);
    mls__vec_init(&m.dims, graph->allocator, sizeof(mls__image_rule));
    for (size_t i = 0; i < graph->inputs.count; i++)
        set_input(&m, mls__graph_input(graph, i));
    /* Twice: others may read what a convolution knew, too. */
    for (size_t i = 0; i < 2 * graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i % graph->nodes.count);
        if (!node->is_dead)
            follow(&m, node);
    }
    if (m.is_short) {
        mls__images_free(&m);
        return mls__error_nomem(sizeof(mls__image_rule));
    }
    *ret_images = m;
    return MLS_OK;
}

void mls__images_free(mls__images *images)
{
    mls__free(images->graph->allocator, images->images);
    mls__vec_clear(&images->dims);
}

const mls__image *mls__images_get(const mls__images *images, uint32_t value)
{
    return value < images->count && images->images[value].rank ? &images->images[value] : NULL;
}

bool mls__image_equal(const mls__image *a, const mls__image *b)
{
    if (a->rank != b->rank || a->channels != b->channels || a->batch != b->batch)
        return false;
    return memcmp(a->dims, b->dims, (size_t) a->rank * sizeof *a->dims) == 0;
}

bool mls__image_is_point(const mls__images *images, const mls__image *image)
{
    for (int i = 0; i < image->rank; i++)
        if (mls__image_dim_size(images, image->dims[i]) != 1)
            return false;
    return true;
}
