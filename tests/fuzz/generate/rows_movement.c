/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that move elements. */
#include "fuzz/generate/pattern.h"

static void transpose(gen *g, const gen_row *row)
{
    int64_t perm[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, row->inputs, NULL);
    const int rank = gen_first(g)->rank;
    for (int i = 0; i < rank; i++)
        perm[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        const size_t other = gen_below(g, (size_t) i + 1);
        const int64_t kept = perm[i];
        perm[i] = perm[other];
        perm[other] = kept;
    }
    onnx_node *node = gen_node(g, row->op, 0, 1, &dtype);
    if (rank)
        onnx_node_ints(node, "perm", (size_t) rank, perm);
}

/* Neighbours joined, a dim cut, -1 and 0. */
static void reshape(gen *g, const gen_row *row)
{
    int64_t dims[GEN_RANK + 1];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, row->inputs, NULL);
    const gen_value value = *gen_first(g);
    size_t count = 0;
    for (int i = 0; i < value.rank; i++) {
        if (count && gen_chance(g, 3)) {
            dims[count - 1] *= value.dims[i];
        } else if (value.dims[i] % 2 == 0 && count < 4 && gen_chance(g, 2)) {
            dims[count++] = 2;
            dims[count++] = value.dims[i] / 2;
        } else {
            dims[count++] = value.dims[i];
        }
    }
    if (count && gen_chance(g, 2))
        dims[gen_below(g, count)] = -1;
    gen_take_name(g, gen_ints(g, MLS_INT64, count, dims));
    gen_node(g, row->op, 0, 1, &dtype);
}

/* Two to four, of which only the dim along the axis may differ. */
static void concat(gen *g, const gen_row *row)
{
    int64_t dims[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", gen_bind_axis);
    const gen_value first = *gen_first(g);
    const int64_t axis = gen_letter(g, 'a'), from = axis < 0 ? axis + first.rank : axis;
    for (size_t more = 1 + gen_below(g, 3); more; more--) {
        if (gen_chance(g, 2)) {
            gen_take_patterns(g, "T[=]", NULL);
            continue;
        }
        for (int i = 0; i < first.rank; i++)
            dims[i] = i == from ? gen_between(g, 1, 5) : first.dims[i];
        gen_take(g, gen_input(g, dtype, first.rank, dims));
    }
    onnx_node_int(gen_node(g, row->op, 0, 1, &dtype), "axis", axis);
}

static void split(gen *g, const gen_row *row)
{
    int64_t sizes[4];
    int32_t dtypes[4];
    gen_take_patterns(g, "T[+]", gen_bind_axis);
    int64_t left = gen_letter(g, 'X');
    size_t count = 0;
    for (; count < 3 && left > 1 && !gen_chance(g, 4); count++) {
        sizes[count] = gen_between(g, 1, left - 1);
        left -= sizes[count];
    }
    sizes[count++] = left;
    for (size_t i = 0; i < count; i++)
        dtypes[i] = gen_dtype(g);
    gen_take_name(g, gen_ints(g, MLS_INT64, count, sizes));
    onnx_node_int(gen_node(g, row->op, 0, count, dtypes), "axis", gen_letter(g, 'a'));
}

static void slice(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", gen_bind_axis);
    const int64_t dim = gen_letter(g, 'X'), begin = gen_between(g, 0, dim - 1),
                  end = gen_between(g, begin + 1, dim), step = gen_between(g, 1, 3);
    const bool is_backward = gen_chance(g, 3);
    const int64_t starts = is_backward ? end - 1 : begin,
                  ends = is_backward ? begin - 1 - (begin == 0 ? dim : 0)
                                     : (gen_chance(g, 4) ? INT64_MAX : end),
                  steps = is_backward ? -step : step, axis = gen_letter(g, 'a');
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &starts));
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &ends));
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &axis));
    if (is_backward || gen_chance(g, 2))
        gen_take_name(g, gen_ints(g, MLS_INT64, 1, &steps));
    gen_node(g, row->op, 0, 1, &dtype);
}

/* To dims in which those of 1 are more, with new ones in front. */
static void expand(gen *g, const gen_row *row)
{
    int64_t dims[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[*]", NULL);
    const gen_value first = *gen_first(g);
    size_t count = 0;
    if (first.rank < 4 && gen_chance(g, 2))
        dims[count++] = gen_between(g, 1, 3);
    for (int i = 0; i < first.rank; i++)
        dims[count++] =
            first.dims[i] == 1 ? gen_between(g, 1, 5) : (gen_chance(g, 3) ? 1 : first.dims[i]);
    gen_take_name(g, gen_ints(g, MLS_INT64, count, dims));
    gen_node(g, row->op, 0, 1, &dtype);
}

static void tile(gen *g, const gen_row *row)
{
    int64_t repeats[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", NULL);
    const int rank = gen_first(g)->rank;
    for (int i = 0; i < rank; i++)
        repeats[i] = gen_chance(g, 2) ? 1 : gen_between(g, 1, 3);
    gen_take_name(g, gen_ints(g, MLS_INT64, (size_t) rank, repeats));
    gen_node(g, row->op, 0, 1, &dtype);
}

static void pad(gen *g, const gen_row *row)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    int64_t pads[2 * GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", NULL);
    const gen_value first = *gen_first(g);
    const size_t mode = gen_below(g, 4);
    for (int i = 0; i < 2 * first.rank; i++) {
        const int64_t most = first.dims[i % first.rank] - 1;
        pads[i] = gen_between(g, 0, mode == 0 || most > 2 ? 2 : most);
    }
    gen_take_name(g, gen_ints(g, MLS_INT64, 2 * (size_t) first.rank, pads));
    if (mode == 0 && gen_chance(g, 2))
        gen_take_name(g, gen_constant(g, dtype, 0, NULL, 1, 2));
    onnx_node_string(gen_node(g, row->op, 0, 1, &dtype), "mode", modes[mode]);
}

static void squeeze(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[1,*]", NULL);
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, (const int64_t[]){0}));
    gen_node(g, row->op, 0, 1, &dtype);
}

static void unsqueeze(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[*]", NULL);
    const int64_t axis = gen_between(g, -gen_first(g)->rank - 1, gen_first(g)->rank);
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &axis));
    gen_node(g, row->op, 0, 1, &dtype);
}

/* K: how many dims a row of indices names, X: the least of the dims. */
static void bind_nd(gen *g)
{
    const gen_value *first = gen_first(g);
    int64_t least = first->dims[0];
    for (int i = 1; i < first->rank; i++)
        least = first->dims[i] < least ? first->dims[i] : least;
    gen_set_letter(g, 'X', least);
    gen_set_letter(g, 'K', gen_between(g, 1, first->rank));
}

/* Rows of indices that are all different, as the standard wants without a reduction. */
static void scatter_nd(gen *g, const gen_row *row)
{
    static const char *const reductions[] = {"add", "mul", "max", "min"};
    int64_t dims[GEN_RANK], indices[3];
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", NULL);
    const gen_value first = *gen_first(g);
    const bool is_reduced = gen_chance(g, 2);
    const int64_t count = gen_between(g, 1, first.dims[0] < 3 ? first.dims[0] : 3);
    for (int64_t i = 0; i < count; i++)
        indices[i] = is_reduced ? gen_between(g, -first.dims[0], first.dims[0] - 1) : i;
    dims[0] = count;
    for (int i = 1; i < first.rank; i++)
        dims[i] = first.dims[i];
    gen_take_name(g, gen_table(g, MLS_INT64, 2, (const int64_t[]){count, 1}, indices));
    gen_take(g, gen_input(g, dtype, first.rank, dims));
    onnx_node *node = gen_node(g, row->op, 0, 1, &dtype);
    if (is_reduced)
        onnx_node_string(node, "reduction", reductions[gen_below(g, 4)]);
}

const gen_row gen_rows_movement[] = {
    {.op = "Identity", .dtypes = GEN_ALL, .inputs = "T[*]", .outputs = "T"},
    {.op = "Dropout", .dtypes = GEN_FLOATS, .inputs = "T[*]", .outputs = "T-B"},
    {.op = "Transpose", .dtypes = GEN_ALL, .inputs = "T[*]", .make = transpose},
    {.op = "Reshape", .dtypes = GEN_ALL, .inputs = "T[*]", .make = reshape},
    {.op = "Flatten", .dtypes = GEN_ALL, .inputs = "T[+]", .outputs = "T", .attrs = "?axis:axis"},
    {.op = "Squeeze", .dtypes = GEN_ALL, .make = squeeze},
    {.op = "Unsqueeze", .dtypes = GEN_ALL, .make = unsqueeze},
    {.op = "Concat", .dtypes = GEN_ALL, .make = concat},
    {.op = "Split", .dtypes = GEN_ALL, .make = split},
    {.op = "Slice", .dtypes = GEN_ALL, .make = slice},
    {.op = "Expand", .dtypes = GEN_ALL, .make = expand},
    {.op = "Tile", .dtypes = GEN_ALL, .make = tile},
    {.op = "Pad", .dtypes = GEN_PLAIN, .make = pad},
    {.op = "Gather",
     .dtypes = GEN_ALL,
     .inputs = "T[+] I~X[*]",
     .outputs = "T",
     .attrs = "axis:*a",
     .bind = gen_bind_axis},
    {.op = "Gather",
     .dtypes = GEN_ALL,
     .inputs = "T[+] J<X[D]",
     .outputs = "T",
     .attrs = "axis:*a",
     .bind = gen_bind_axis},
    {.op = "GatherElements",
     .dtypes = GEN_ALL,
     .inputs = "T[+] I~X[=]",
     .outputs = "T",
     .attrs = "axis:*a",
     .bind = gen_bind_axis},
    {.op = "GatherND",
     .dtypes = GEN_ALL,
     .inputs = "T[+] I~X[D,K]",
     .outputs = "T",
     .bind = bind_nd},
    {.op = "ScatterElements",
     .dtypes = GEN_NUMBERS,
     .inputs = "T[+] I~X[=] T[=]",
     .outputs = "T",
     .attrs = "axis:*a reduction:add|mul|max|min",
     .bind = gen_bind_axis},
    {.op = "ScatterND", .dtypes = GEN_NUMBERS, .make = scatter_nd},
    {.op = "ReverseSequence",
     .dtypes = GEN_ALL,
     .inputs = "T[S,N,*] I<S[N]",
     .outputs = "T",
     .attrs = "time_axis:0,0 batch_axis:1,1"},
    {.op = "TensorScatter",
     .dtypes = GEN_ALL,
     .inputs = "T[N,C,S,D] T[N,C,1,D] I<S[N]",
     .outputs = "T",
     .attrs = "mode:linear|circular"},
    {.op = "Trilu", .dtypes = GEN_ALL, .inputs = "T[N,H,W]", .outputs = "T", .attrs = "?upper:0,1"},
    {.op = "EyeLike",
     .dtypes = GEN_NUMBERS,
     .inputs = "T[H,W]",
     .outputs = "T",
     .attrs = "?k:-2,2"},
    {.op = "Shape", .dtypes = GEN_ALL, .inputs = "T[*]", .outputs = "I", .attrs = "?start:0,1"},
    {.op = "Size", .dtypes = GEN_ALL, .inputs = "T[*]", .outputs = "I"},
    {.op = "OneHot",
     .dtypes = 0,
     .inputs = "I[*] i+[1] f[2]",
     .outputs = "F",
     .attrs = "axis:-1,0"},
    {.op = "NonZero", .dtypes = GEN_PLAIN, .inputs = "T[+]", .outputs = "I", .flags = GEN_JUMPS},
    {.op = "Compress",
     .dtypes = GEN_ALL,
     .inputs = "T[+] B[X]",
     .outputs = "T",
     .attrs = "axis:*a",
     .flags = GEN_JUMPS,
     .bind = gen_bind_axis},
    {.op = "Unique",
     .dtypes = GEN_NUMBERS,
     .inputs = "T[+]",
     .outputs = "T-I-I-I",
     .attrs = "?axis:axis ?sorted:0,1",
     .flags = GEN_JUMPS},
    {.op = NULL},
};
