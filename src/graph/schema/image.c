/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on images: [batch, channels, height, width], mostly of any number of dimensions. */
#include "graph/schema/families.h"

#include "op/image.h"
#include "op/movement.h"
#include "op/resize.h"

#include <inttypes.h>
#include <string.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

static mls_status infer_resize(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__resize resize;
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__op_resize(op, &resize);
    if (status)
        return status;
    if (mls__op_int(op, "antialias", 0) && resize.mode == MLS__RESIZE_NEAREST)
        return mls__op_error(op, MLS_EINVAL, "antialias goes with linear and cubic only");
    for (int i = 0; i < x->rank; i++)
        dims[i] = resize.axes[i].out;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

/* One of the names, which end with NULL; the first one where the attribute is left out. */
static mls_status check_name(const mls_op *op, const char *attribute, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (mls__op_string_is(op, attribute, names[i], names[0]))
            return MLS_OK;
    const mls_string given = mls__op_string(op, attribute);
    return mls__op_error(op, MLS_EINVAL, "%s '%.*s' is not known", attribute,
                         given.size > 64 ? 64 : (int) given.size, given.data);
}

static mls_status check_rank(const mls_op *op, size_t index, int rank)
{
    if (op->inputs[index].rank == rank)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has rank %d, expected %d", index,
                         op->inputs[index].rank, rank);
}

/* --- between channels and pixels -------------------------------------------------------------- */

static mls_status read_block(const mls_op *op, int64_t *ret_block)
{
    const int64_t block = mls__op_int(op, "blocksize", 0);
    if (block < 1 || block > INT32_MAX)
        return mls__op_error(op, MLS_EINVAL, "blocksize is %" PRId64 ", expected 1 or more", block);
    *ret_block = block;
    return check_rank(op, 0, 4);
}

static mls_status infer_to_space(const mls_op *op, mls_arg *ret_outputs)
{
    static const char *const modes[] = {"DCR", "CRD", NULL};
    const mls_arg *x = &op->inputs[0];
    int64_t b;
    mls_status status = read_block(op, &b);
    if (!status)
        status = check_name(op, "mode", modes);
    if (status)
        return status;
    if (x->dims[1] % (b * b))
        return mls__op_error(op, MLS_ESHAPE,
                             "%" PRId64 " channels are no blocks of %" PRId64 " by %" PRId64,
                             x->dims[1], b, b);
    const int64_t dims[] = {x->dims[0], x->dims[1] / (b * b), x->dims[2] * b, x->dims[3] * b};
    return mls__infer_set(op, &ret_outputs[0], x->dtype, 4, dims);
}

static mls_status infer_to_depth(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t b;
    const mls_status status = read_block(op, &b);
    if (status)
        return status;
    if (x->dims[2] % b || x->dims[3] % b)
        return mls__op_error(op, MLS_ESHAPE,
                             "%" PRId64 " by %" PRId64 " pixels are no blocks of %" PRId64,
                             x->dims[2], x->dims[3], b);
    const int64_t dims[] = {x->dims[0], x->dims[1] * b * b, x->dims[2] / b, x->dims[3] / b};
    return mls__infer_set(op, &ret_outputs[0], x->dtype, 4, dims);
}

/* --- samples --------------------------------------------------------------------------------- */

static mls_status check_grid(const mls_op *op)
{
    const mls_arg *x = &op->inputs[0], *grid = &op->inputs[1];
    if (x->rank < 3)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has rank %d, expected 3 or more", x->rank);
    if (grid->rank != x->rank || grid->dims[0] != x->dims[0] ||
        grid->dims[grid->rank - 1] != x->rank - 2)
        return mls__op_error(op, MLS_ESHAPE,
                             "the grid does not go with the images: expected rank %d, %" PRId64
                             " batches and %d coordinates",
                             x->rank, x->dims[0], x->rank - 2);
    for (int i = 2; i < x->rank; i++)
        if (x->dims[i] == 0)
            return mls__op_error(op, MLS_ESHAPE, "the images have no elements");
    return MLS_OK;
}

static mls_status infer_grid_sample(const mls_op *op, mls_arg *ret_outputs)
{
    static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "bicubic", NULL};
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    const mls_arg *x = &op->inputs[0], *grid = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK] = {x->dims[0], x->dims[1]};
    mls_status status = mls__infer_dtype(op, 1, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = check_name(op, "mode", modes);
    if (!status)
        status = check_name(op, "padding_mode", paddings);
    if (!status)
        status = check_grid(op);
    if (status)
        return status;
    memcpy(dims + 2, grid->dims + 1, (size_t) (x->rank - 2) * sizeof *dims);
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

static mls_status infer_affine_grid(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *theta = &op->inputs[0];
    int64_t size[MLS_MAX_RANK], dims[MLS_MAX_RANK];
    size_t count;
    bool is_given;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = mls__op_known_ints(op, 1, size, MLS_MAX_RANK, &count, &is_given);
    if (status)
        return status;
    if (count != 4 && count != 5)
        return mls__op_error(op, MLS_ESHAPE, "%zu sizes, expected 4 or 5", count);
    const int64_t space = (int64_t) count - 2;
    if (theta->rank != 3 || theta->dims[0] != size[0] || theta->dims[1] != space ||
        theta->dims[2] != space + 1)
        return mls__op_error(op, MLS_ESHAPE,
                             "the matrices are not %" PRId64 " of %" PRId64 " by %" PRId64, size[0],
                             space, space + 1);
    dims[0] = size[0];
    for (int64_t i = 0; i < space; i++)
        if ((dims[1 + i] = size[2 + i]) < 0)
            return mls__op_error(op, MLS_EINVAL, "a size of %" PRId64, dims[1 + i]);
    dims[1 + space] = space;
    return mls__infer_set(op, &ret_outputs[0], theta->dtype, (int64_t) count, dims);
}

static mls_status infer_roi_align(const mls_op *op, mls_arg *ret_outputs)
{
    static const char *const modes[] = {"avg", "max", NULL};
    static const char *const transforms[] = {"half_pixel", "output_half_pixel", NULL};
    const mls_arg *x = &op->inputs[0], *regions = &op->inputs[1], *batches = &op->inputs[2];
    const int64_t rows = mls__op_int(op, "output_height", 1);
    const int64_t columns = mls__op_int(op, "output_width", 1);
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = mls__infer_same_dtype(op, 1, 0);
    if (!status)
        status = mls__infer_dtype(op, 2, BIT(MLS_INT64), "int64");
    if (!status)
        status = check_name(op, "mode", modes);
    if (!status)
        status = check_name(op, "coordinate_transformation_mode", transforms);
    for (size_t i = 0; !status && i < 3; i++)
        status = check_rank(op, i, i == 0 ? 4 : i == 1 ? 2 : 1);
    if (status)
        return status;
    if (regions->dims[1] != 4 || batches->dims[0] != regions->dims[0])
        return mls__op_error(op, MLS_ESHAPE,
                             "%" PRId64 " regions of %" PRId64 " numbers for %" PRId64
                             " images; expected 4 numbers and as many images as regions",
                             regions->dims[0], regions->dims[1], batches->dims[0]);
    if (rows < 1 || columns < 1)
        return mls__op_error(op, MLS_EINVAL, "an output of %" PRId64 " by %" PRId64, rows, columns);
    if (regions->dims[0] && (x->dims[2] == 0 || x->dims[3] == 0))
        return mls__op_error(op, MLS_ESHAPE, "the images have no elements");
    const int64_t dims[] = {regions->dims[0], x->dims[1], rows, columns};
    return mls__infer_set(op, &ret_outputs[0], x->dtype, 4, dims);
}

static mls_status infer_max_roi_pool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0], *regions = &op->inputs[1];
    size_t count;
    const int64_t *bins = mls__op_ints(op, "pooled_shape", &count);
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = mls__infer_same_dtype(op, 1, 0);
    for (size_t i = 0; !status && i < 2; i++)
        status = check_rank(op, i, i == 0 ? 4 : 2);
    if (status)
        return status;
    if (regions->dims[1] != 5)
        return mls__op_error(op, MLS_ESHAPE, "regions of %" PRId64 " numbers, expected 5",
                             regions->dims[1]);
    if (count != 2)
        return mls__op_error(op, MLS_EINVAL, "pooled_shape has %zu elements, expected 2", count);
    if (bins[0] < 1 || bins[1] < 1)
        return mls__op_error(op, MLS_EINVAL, "an output of %" PRId64 " by %" PRId64, bins[0],
                             bins[1]);
    const int64_t dims[] = {regions->dims[0], x->dims[1], bins[0], bins[1]};
    return mls__infer_set(op, &ret_outputs[0], x->dtype, 4, dims);
}

/* --- blocks ---------------------------------------------------------------------------------- */

static mls_status infer_col2im(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__blocks blocks;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = check_rank(op, 0, 3);
    if (!status)
        status = mls__op_blocks(op, &blocks);
    if (status)
        return status;
    if (x->dims[1] % blocks.block_count || x->dims[2] != blocks.position_count)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 0 has %" PRId64 " elements in %" PRId64 " blocks; expected a "
                             "multiple of %" PRId64 " in %" PRId64,
                             x->dims[1], x->dims[2], blocks.block_count, blocks.position_count);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1] / blocks.block_count;
    memcpy(dims + 2, blocks.image, (size_t) blocks.rank * sizeof *dims);
    return mls__infer_set(op, &ret_outputs[0], x->dtype, 2 + blocks.rank, dims);
}

static mls_status infer_center(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__pad pads[MLS_MAX_RANK];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__op_center(op, pads);
    if (status)
        return status;
    for (int i = 0; i < x->rank; i++)
        dims[i] = pads[i].dim;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

mls__op_schema_table mls__schemas_image = {
    {"", "Resize", 1, 4, 1, 1, 0, 0xeu, infer_resize,
     "antialias:int axes:ints coordinate_transformation_mode:string cubic_coeff_a:float "
     "exclude_outside:int extrapolation_value:float keep_aspect_ratio_policy:string "
     "mls_asymmetric:int mode:string nearest_mode:string"},
    {"", "DepthToSpace", 1, 1, 1, 1, 0, 0, infer_to_space, "blocksize:int! mode:string"},
    {"", "SpaceToDepth", 1, 1, 1, 1, 0, 0, infer_to_depth, "blocksize:int!"},
    {"", "GridSample", 2, 2, 1, 1, 0, 0, infer_grid_sample,
     "align_corners:int mode:string padding_mode:string"},
    {"", "AffineGrid", 2, 2, 1, 1, 0, 1u << 1, infer_affine_grid, "align_corners:int"},
    {"", "RoiAlign", 3, 3, 1, 1, 0, 0, infer_roi_align,
     "coordinate_transformation_mode:string mode:string output_height:int output_width:int "
     "sampling_ratio:int spatial_scale:float"},
    {"", "MaxRoiPool", 2, 2, 1, 1, 0, 0, infer_max_roi_pool,
     "pooled_shape:ints! spatial_scale:float"},
    {"", "Col2Im", 3, 3, 1, 1, 0, 3u << 1, infer_col2im, "dilations:ints pads:ints strides:ints"},
    {"", "CenterCropPad", 2, 2, 1, 1, 0, 1u << 1, infer_center, "axes:ints"},
    {.type = NULL},
};
