/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions, pools and what else is for images, of one to three dims. */
#include "fuzz/generate/pattern.h"

#include <string.h>

/* A window over the dims behind the second: its sizes, steps, distances and edges. */
typedef struct window {
    size_t rank;
    int64_t kernel[3], strides[3], dilations[3], pads[6];
    const char *auto_pad; /* NULL: pads count */
} window;

/* One that lies within the image and its edges. */
static window draw_window(gen *g, const gen_value *image, bool has_dilations)
{
    static const char *const paddings[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
    static const int64_t sizes[] = {1, 3, 3, 2, 5, 4};
    window w = {.rank = (size_t) image->rank - 2};
    const bool is_square = !gen_chance(g, 4);
    for (size_t i = 0; i < w.rank; i++) {
        const int64_t dim = image->dims[i + 2];
        w.kernel[i] = i && is_square ? w.kernel[0] : sizes[gen_below(g, 6)];
        w.strides[i] = i && is_square ? w.strides[0] : gen_between(g, 1, 2);
        w.dilations[i] = has_dilations && gen_chance(g, 4) ? 2 : 1;
        while ((w.kernel[i] - 1) * w.dilations[i] + 1 > dim)
            w.kernel[i]--, w.dilations[i] = 1;
        for (size_t end = 0; end < 2; end++)
            w.pads[i + end * w.rank] =
                gen_chance(g, 2) ? w.kernel[i] / 2 : gen_between(g, 0, w.kernel[i] - 1);
    }
    if (gen_chance(g, 4))
        w.auto_pad = paddings[gen_below(g, 3)];
    return w;
}

static void add_window(onnx_node *node, const window *w, bool has_dilations)
{
    onnx_node_ints(node, "kernel_shape", w->rank, w->kernel);
    onnx_node_ints(node, "strides", w->rank, w->strides);
    if (has_dilations)
        onnx_node_ints(node, "dilations", w->rank, w->dilations);
    if (w->auto_pad)
        onnx_node_string(node, "auto_pad", w->auto_pad);
    else
        onnx_node_ints(node, "pads", 2 * w->rank, w->pads);
}

static const char *image_pattern(gen *g)
{
    static const char *const patterns[] = {"T[N,C,H,W]", "T[N,C,H,W]", "T[N,C,H,W]", "T[N,C,W]",
                                           "T[1,C,B,H,W]"};
    return patterns[gen_below(g, 5)];
}

/* Groups that divide the channels: often 1, or as many as there are. */
static int64_t draw_groups(gen *g, int64_t channels)
{
    if (gen_chance(g, 2))
        return 1;
    int64_t groups = gen_chance(g, 2) ? channels : gen_between(g, 1, channels);
    while (channels % groups)
        groups--;
    return groups;
}

static void convolution(gen *g, const gen_row *row)
{
    static const char *const activations[] = {"Relu", "Tanh", "Sigmoid"};
    int64_t dims[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    const bool is_transposed = strcmp(row->op, "ConvTranspose") == 0,
               is_fused = strcmp(row->op, "com.microsoft:FusedConv") == 0;
    gen_take_patterns(g, image_pattern(g), NULL);
    const gen_value image = *gen_first(g);
    window w = draw_window(g, &image, true);
    const int64_t groups = draw_groups(g, image.dims[1]), within = image.dims[1] / groups,
                  filters =
                      groups *
                      (within == 1 && gen_chance(g, 2) ? 1 : gen_between(g, 1, groups > 4 ? 2 : 9));
    dims[0] = is_transposed ? image.dims[1] : filters;
    dims[1] = is_transposed ? filters / groups : within;
    memcpy(dims + 2, w.kernel, sizeof w.kernel);
    if (is_transposed)
        for (size_t i = 0; i < w.rank; i++)
            w.pads[i] = w.pads[i + w.rank] = 0;
    gen_take_name(g, gen_constant(g, dtype, image.rank, dims, -1, 1));
    if (gen_chance(g, 2))
        gen_take_name(g, gen_constant(g, dtype, 1, &filters, -1, 1));
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    add_window(node, &w, true);
    onnx_node_int(node, "group", groups);
    if (is_fused)
        onnx_node_string(node, "activation", activations[gen_below(g, 3)]);
}

static void pool(gen *g, const gen_row *row)
{
    const bool is_max = strcmp(row->op, "MaxPool") == 0;
    const int32_t dtypes[] = {gen_dtype(g), is_max && gen_chance(g, 4) ? MLS_INT64 : 0};
    gen_take_patterns(g, image_pattern(g), NULL);
    const gen_value image = *gen_first(g);
    const window w = draw_window(g, &image, true);
    onnx_node *node = gen_node(g, row->op, row->flags, dtypes[1] ? 2 : 1, dtypes);
    add_window(node, &w, true);
    if (!w.auto_pad)
        gen_attrs(g, node, "?ceil_mode:0,1");
    gen_attrs(g, node, row->attrs ? row->attrs : "");
}

/* The places that a pool of 2 x 2 found. */
static void max_unpool(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {gen_dtype(g), MLS_INT64};
    static const int64_t two[] = {2, 2};
    int64_t dims[] = {gen_between(g, 1, 2), gen_between(g, 1, 5), 2 * gen_between(g, 1, 4),
                      2 * gen_between(g, 1, 4)};
    gen_take(g, gen_input(g, dtypes[0], 4, dims));
    onnx_node *node = gen_node(g, "MaxPool", 0, 2, dtypes);
    onnx_node_ints(node, "kernel_shape", 2, two);
    onnx_node_ints(node, "strides", 2, two);
    gen_take(g, gen_result(g, 0));
    gen_take(g, gen_result(g, 1));
    node = gen_node(g, row->op, 0, 1, dtypes);
    onnx_node_ints(node, "kernel_shape", 2, two);
    onnx_node_ints(node, "strides", 2, two);
}

static void resize(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,H,W]", NULL);
    const gen_value image = *gen_first(g);
    gen_take_name(g, NULL);
    if (gen_chance(g, 2)) {
        const int64_t sizes[] = {image.dims[0], image.dims[1], gen_between(g, 1, 14),
                                 gen_between(g, 1, 14)};
        gen_take_name(g, NULL);
        gen_take_name(g, gen_ints(g, MLS_INT64, 4, sizes));
    } else {
        const float scale = gen_chance(g, 2) ? 2.0f : gen_float(g, 0.4f, 2.3f),
                    scales[] = {1, 1, scale, gen_chance(g, 2) ? scale : 1.5f};
        gen_take_name(g, gen_floats(g, 0, 4, scales));
    }
    onnx_node *node = gen_node(g, row->op, GEN_ROUNDS, 1, &dtype);
    gen_attrs(g, node,
              gen_chance(g, 2) ? "mode:nearest ?nearest_mode:floor|ceil|round_prefer_floor"
                               : "mode:linear|cubic ?antialias:0,1");
    gen_attrs(g, node,
              "?coordinate_transformation_mode:half_pixel|asymmetric|align_corners|"
              "pytorch_half_pixel|half_pixel_symmetric");
}

/* Channels that are a multiple of 4. */
static void depth_to_space(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,4Z,H,W]", NULL);
    onnx_node *node = gen_node(g, row->op, 0, 1, &dtype);
    onnx_node_int(node, "blocksize", 2);
    gen_attrs(g, node, "?mode:DCR|CRD");
}

static void affine_grid(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,2,3]", NULL);
    const int64_t dims[] = {gen_letter(g, 'N'), 3, gen_between(g, 1, 6), gen_between(g, 1, 6)};
    gen_take_name(g, gen_ints(g, MLS_INT64, 4, dims));
    gen_attrs(g, gen_node(g, row->op, 0, 1, &dtype), "?align_corners:0,1");
}

static void col_to_image(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    const int64_t image[] = {gen_between(g, 2, 6), gen_between(g, 2, 6)};
    gen_set_letter(g, 'L', (image[0] - 1) * (image[1] - 1));
    gen_take_patterns(g, "T[N,4C,L]", NULL);
    gen_take_name(g, gen_ints(g, MLS_INT64, 2, image));
    gen_take_name(g, gen_ints(g, MLS_INT64, 2, (const int64_t[]){2, 2}));
    gen_node(g, row->op, 0, 1, &dtype);
}

static void center_crop_pad(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    const int64_t sizes[] = {gen_between(g, 1, 9), gen_between(g, 1, 9)};
    gen_take_patterns(g, "T[C,H,W]", NULL);
    gen_take_name(g, gen_ints(g, MLS_INT64, 2, sizes));
    onnx_node_ints(gen_node(g, row->op, 0, 1, &dtype), "axes", 2, (const int64_t[]){1, 2});
}

static void max_roi_pool(gen *g, const gen_row *row)
{
    static const float roi[] = {0, 1, 0, 5, 3};
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,H,W]", NULL);
    gen_take_name(g, gen_floats(g, 1, 5, roi));
    onnx_node *node = gen_node(g, row->op, 0, 1, &dtype);
    onnx_node_ints(node, "pooled_shape", 2, (const int64_t[]){2, 3});
}

static void deform(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,H,W]", NULL);
    const gen_value image = *gen_first(g);
    const int64_t weights[] = {gen_between(g, 1, 6), image.dims[1], 3, 3},
                  offsets[] = {image.dims[0], 18, image.dims[2], image.dims[3]};
    gen_take_name(g, gen_constant(g, dtype, 4, weights, -1, 1));
    gen_take(g, gen_input(g, dtype, 4, offsets));
    onnx_node *node = gen_node(g, row->op, GEN_JUMPS, 1, &dtype);
    onnx_node_ints(node, "kernel_shape", 2, (const int64_t[]){3, 3});
    onnx_node_ints(node, "pads", 4, (const int64_t[]){1, 1, 1, 1});
}

#define IMAGES GEN_FLOATS

const gen_row gen_rows_images[] = {
    {.op = "Conv", .dtypes = GEN_HALVES, .flags = GEN_ROUNDS, .make = convolution},
    {.op = "Conv", .dtypes = GEN_F32, .flags = GEN_ROUNDS, .make = convolution},
    {.op = "ConvTranspose", .dtypes = GEN_HALVES, .flags = GEN_ROUNDS, .make = convolution},
    {.op = "com.microsoft:FusedConv", .dtypes = GEN_F32, .flags = GEN_ROUNDS, .make = convolution},
    {.op = "MaxPool", .dtypes = IMAGES, .make = pool},
    {.op = "AveragePool", .dtypes = IMAGES, .attrs = "?count_include_pad:0,1", .make = pool},
    {.op = "LpPool", .dtypes = IMAGES, .attrs = "?p:1,3", .flags = GEN_JUMPS, .make = pool},
    {.op = "GlobalAveragePool", .dtypes = IMAGES, .inputs = "T[N,C,H,W]", .outputs = "T"},
    {.op = "GlobalMaxPool", .dtypes = IMAGES, .inputs = "T[N,C,H,W]", .outputs = "T"},
    {.op = "GlobalLpPool",
     .dtypes = IMAGES,
     .inputs = "T[N,C,H,W]",
     .outputs = "T",
     .attrs = "?p:1,3",
     .flags = GEN_JUMPS},
    {.op = "MaxUnpool", .dtypes = GEN_WIDE, .make = max_unpool},
    {.op = "Resize", .dtypes = GEN_F32, .make = resize},
    {.op = "DepthToSpace", .dtypes = IMAGES, .make = depth_to_space},
    {.op = "SpaceToDepth",
     .dtypes = IMAGES,
     .inputs = "T[N,C,2H,2W]",
     .outputs = "T",
     .attrs = "blocksize:2,2"},
    {.op = "GridSample",
     .dtypes = GEN_WIDE,
     .inputs = "T[N,C,H,W] T[N,A,B,2]",
     .outputs = "T",
     .attrs = "?align_corners:0,1 ?mode:linear|nearest|cubic ?padding_mode:zeros|border|reflection",
     .flags = GEN_JUMPS},
    {.op = "AffineGrid", .dtypes = GEN_WIDE, .make = affine_grid},
    {.op = "RoiAlign",
     .dtypes = GEN_WIDE,
     .inputs = "T[N,C,H,W] P[D,4] I<N[D]",
     .outputs = "T",
     .attrs = "?mode:avg|max output_height:1,3 output_width:1,3 ?sampling_ratio:0,2",
     .flags = GEN_JUMPS},
    {.op = "MaxRoiPool", .dtypes = GEN_F32, .make = max_roi_pool},
    {.op = "Col2Im", .dtypes = GEN_WIDE, .make = col_to_image},
    {.op = "CenterCropPad", .dtypes = GEN_WIDE, .make = center_crop_pad},
    {.op = "DeformConv", .dtypes = GEN_F32, .make = deform},
    {.op = NULL},
};
