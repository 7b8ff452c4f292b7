/* SPDX-License-Identifier: Apache-2.0 */
/* Making the kernel of FusedPointwise: its pieces, and where their values lie. */
#include "backend/cpu/ops/pointwise.h"

#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"

#include <stdio.h>
#include <string.h>

/* Elements of a tile: two registers, an input and the output fill a first cache of 32 KiB. */
#define MOST_ELEMENTS 2048
#define MULTIPLE      16 /* of which tiles are, where they can be */

/* Runs this long are worth calls of their own. */
#define LONG_RUN 256
/* Shorter rows are repeated: a tile of several costs one call a step. */
#define LONG_ROW 1024

/* A row that comes so often before the next one is worth being repeated in a register. */
#define OFTEN 8

static bool is_last(const mls__pointwise_kernel *k, int piece)
{
    return piece + 1 == k->program.count;
}

/* The piece that gives a value, or -1. */
static int piece_of(const mls__pointwise_kernel *k, int value)
{
    return value < k->program.inputs ? -1 : value - k->program.inputs;
}

/* --- what is whole --------------------------------------------------------------------------- */

/* Whether a piece runs as a whole at these dims; those before it are settled. */
static bool is_whole(const mls__pointwise_kernel *k, int piece, const mls_arg *result)
{
    const mls__pointwise_piece *p = &k->program.pieces[piece];
    if (k->pieces[piece].is_never_tiled)
        return true;
    if (mls__arg_count(result) >= k->count || mls__arg_bytes(result) > k->pieces[piece].bytes)
        return false;
    for (int i = 0; i < p->operand_count; i++) {
        const int giver = piece_of(k, p->operands[i]);
        if (giver >= 0 && !k->pieces[giver].is_whole)
            return false;
    }
    return true;
}

static mls_status follow_piece(mls__pointwise_kernel *k, int piece, const mls_op *op)
{
    mls__cpu_kernel *kernel = k->pieces[piece].kernel;
    k->pieces[piece].is_whole = is_whole(k, piece, &op->outputs[0]);
    if (!k->pieces[piece].is_whole)
        return MLS_OK;
    k->whole_count++;
    if (!is_last(k, piece) && mls__arg_bytes(&op->outputs[0]) > k->pieces[piece].bytes)
        return mls__op_error(op, MLS_ELIMIT, "a result is larger than planned");
    return kernel->base.reshape ? kernel->base.reshape(&kernel->base, op) : MLS_OK;
}

/* Works out the shapes of all values, and has `visit` see each piece with its own. */
typedef mls_status (*piece_fn)(mls__pointwise_kernel *k, int piece, const mls_op *op);
static mls_status visit_pieces(mls__pointwise_kernel *k, const mls_op *op, piece_fn visit,
                               mls_arg *values)
{
    mls_status status = MLS_OK;
    memcpy(values, op->inputs, op->input_count * sizeof *values);
    for (int i = 0; i < k->program.count && !status; i++) {
        mls__pointwise_view view;
        mls_arg *result = &values[k->program.inputs + i];
        mls__pointwise_view_piece(&k->program, i, op, values, &view);
        mls__pointwise_result(&k->program, i, &view, result);
        view.op.outputs = result;
        status = visit(k, i, &view.op);
    }
    return status;
}

/* --- places ---------------------------------------------------------------------------------- */

/* Where values lie at these dims, as it is found out. */
typedef struct layout {
    mls__pointwise_kernel *kernel;
    const mls_arg *values, *output;
    bool is_placed[MLS__POINTWISE_VALUES];
    bool is_one[MLS__POINTWISE_VALUES];    /* one element for a tile */
    bool is_walked[MLS__POINTWISE_VALUES]; /* by the steps that read it */
    /* Memory that broadcasts to the output. */
    int other_count;
    uint8_t others[MLS__POINTWISE_VALUES];
    mls_arg other_args[MLS__POINTWISE_VALUES];
    /* Where a step reads a value, who does so last, and which registers are taken. */
    uint8_t place[MLS__POINTWISE_VALUES];
    int last_reader[MLS__POINTWISE_VALUES];
    bool is_busy[MLS__POINTWISE_VALUES];
    size_t element_bytes;
} layout;

static uint8_t size_of(const layout *l, int value)
{
    return (uint8_t) mls_dtype_size((mls_dtype) l->values[value].dtype);
}

static void add_flat(mls__pointwise_kernel *k, int place, uint8_t size)
{
    k->flats[k->flat_count++] = (mls__tile_flat){(uint8_t) place, size};
}

/* A value in memory that a tiled piece reads. */
static void place_memory(layout *l, int value)
{
    const mls_arg *arg = &l->values[value];
    const int64_t count = mls__arg_count(arg);
    const int giver = piece_of(l->kernel, value);
    if (l->is_placed[value])
        return;
    l->is_placed[value] = true;
    l->place[value] = (uint8_t) (giver < 0 ? value : MLS__PLACE_WHOLE + giver);
    if (count == l->kernel->count) {
        add_flat(l->kernel, l->place[value], size_of(l, value));
    } else if (count == 1) {
        l->is_one[value] = true;
    } else {
        l->other_args[l->other_count] = *arg;
        l->others[l->other_count++] = (uint8_t) value;
    }
}

static void note_reads(layout *l)
{
    const mls__pointwise_kernel *k = l->kernel;
    for (int i = 0; i < k->program.count; i++) {
        const mls__pointwise_piece *p = &k->program.pieces[i];
        for (int o = 0; o < p->operand_count && !k->pieces[i].is_whole; o++) {
            const int giver = p->operands[o] < 0 ? -1 : piece_of(k, p->operands[o]);
            if (p->operands[o] < 0)
                continue;
            l->last_reader[p->operands[o]] = i;
            if (giver < 0 || k->pieces[giver].is_whole)
                place_memory(l, p->operands[o]);
        }
    }
}

/* The place of a register that nobody is in. */
static uint8_t take_register(layout *l, int value)
{
    int number = 0;
    while (l->is_busy[number])
        number++;
    l->is_busy[number] = true;
    if (number >= l->kernel->register_count)
        l->kernel->register_count = number + 1;
    if (size_of(l, value) > l->element_bytes)
        l->element_bytes = size_of(l, value);
    return (uint8_t) (MLS__PLACE_REGISTER + number);
}

/* Whether the output is this value's row again and again, or each of its rows in turn. */
static bool is_row(const layout *l, const mls_arg *arg, mls__tile_row *row)
{
    mls__broadcast plan;
    mls__broadcast_plan(&plan, l->output, arg, 1);
    row->length = plan.run;
    row->period = plan.loops == 2 ? plan.run * plan.dims[1] : plan.count;
    if (!plan.steps[0] || plan.loops > 2)
        return false;
    return plan.loops == 2 ? plan.run < LONG_RUN && plan.dims[1] >= OFTEN
                           : plan.loops == 1 && plan.run < LONG_ROW;
}

static bool are_rows(const layout *l)
{
    mls__tile_row row;
    for (int i = 0; i < l->other_count; i++)
        if (!is_row(l, &l->other_args[i], &row))
            return false;
    return true;
}

/* Reads what broadcasts where it is, if its runs are long and are not rows. */
static bool place_runs(layout *l)
{
    mls__pointwise_kernel *k = l->kernel;
    if (l->other_count > MLS__BROADCAST_INPUTS || are_rows(l))
        return false;
    mls__broadcast_plan(&k->run_plan, l->output, l->other_args, l->other_count);
    if (k->run_plan.run < LONG_RUN)
        return false;
    for (int i = 0; i < l->other_count; i++) {
        const int value = l->others[i];
        k->runs[i] = (mls__tile_flat){l->place[value], size_of(l, value)};
        l->is_one[value] = !k->run_plan.steps[i];
    }
    k->run_count = l->other_count;
    return true;
}

/* Repeats rows in registers; everything else is left to the steps that read it. */
static void place_rows(layout *l)
{
    mls__pointwise_kernel *k = l->kernel;
    for (int i = 0; i < l->other_count; i++) {
        const int value = l->others[i];
        mls__tile_row *row = &k->rows[k->row_count];
        l->is_walked[value] = !is_row(l, &l->values[value], row);
        if (l->is_walked[value])
            continue;
        row->source = l->place[value];
        row->target = take_register(l, value);
        row->size = size_of(l, value);
        k->row_count++;
        k->period = row->period < k->period ? row->period : k->period;
        l->place[value] = row->target;
    }
}

/* --- steps ----------------------------------------------------------------------------------- */

/* The registers of what this piece was the last to read. */
static void free_registers(layout *l, int piece)
{
    const mls__pointwise_kernel *k = l->kernel;
    const mls__pointwise_piece *p = &k->program.pieces[piece];
    for (int o = 0; o < p->operand_count; o++) {
        const int operand = p->operands[o], giver = operand < 0 ? -1 : piece_of(k, operand);
        if (giver >= 0 && !k->pieces[giver].is_whole && l->last_reader[operand] == piece)
            l->is_busy[l->place[operand] - MLS__PLACE_REGISTER] = false;
    }
}

static void set_walk_operand(const layout *l, const mls__tile_step *step, int operand, int value,
                             int input, mls__tile_walk *walk)
{
    const bool is_walked = input >= 0;
    const int64_t in_tile = value >= 0 && step->steps[operand];
    walk->inputs[operand] = (uint8_t) (is_walked ? input : MLS__WALK_TILE);
    walk->steps[operand] = is_walked ? walk->plan.steps[input] : in_tile;
    walk->element_bytes[operand] = is_walked || in_tile ? size_of(l, value) : 0;
    walk->is_one = walk->is_one && !walk->steps[operand];
}

/* Where operands are to be walked: a plan for them. */
static void add_walk(layout *l, const mls__pointwise_piece *p, mls__tile_step *step)
{
    mls__pointwise_kernel *k = l->kernel;
    mls__tile_walk *walk = &k->walks[k->walk_count];
    mls_arg args[MLS__POINTWISE_OPERANDS];
    int values[MLS__POINTWISE_OPERANDS], inputs[MLS__POINTWISE_OPERANDS], count = 0;
    for (int o = 0; o < MLS__POINTWISE_OPERANDS; o++) {
        values[o] = o < p->operand_count ? p->operands[o] : MLS__POINTWISE_NONE;
        inputs[o] = values[o] >= 0 && l->is_walked[values[o]] ? count++ : -1;
        if (inputs[o] >= 0)
            args[inputs[o]] = l->values[values[o]];
    }
    if (!count)
        return;
    mls__broadcast_plan(&walk->plan, l->output, args, count);
    walk->is_one = true;
    for (int o = 0; o < MLS__POINTWISE_OPERANDS; o++)
        set_walk_operand(l, step, o, values[o], inputs[o], walk);
    walk->result_bytes = size_of(l, k->program.inputs + (int) (p - k->program.pieces));
    k->walk_count++;
    step->walk = walk;
    step->unary = NULL;
    step->binary = NULL;
}

static void set_operands(const layout *l, const mls__pointwise_piece *p, mls__tile_step *step)
{
    step->is_one = true;
    for (int o = 0; o < p->operand_count; o++) {
        const int value = p->operands[o];
        if (value < 0)
            continue;
        step->operands[o] = l->place[value];
        step->steps[o] = !l->is_one[value];
        step->is_one = step->is_one && l->is_one[value];
    }
}

static void add_step(layout *l, int piece)
{
    mls__pointwise_kernel *k = l->kernel;
    const mls__pointwise_piece *p = &k->program.pieces[piece];
    const mls__cpu_kernel *kernel = k->pieces[piece].kernel;
    const int result = k->program.inputs + piece;
    mls__tile_step *step = &k->steps[k->step_count++];
    *step = (mls__tile_step){.unary = kernel->unary,
                             .binary = kernel->binary,
                             .params = kernel->params,
                             .kernel = kernel};
    set_operands(l, p, step);
    add_walk(l, p, step);
    l->is_one[result] = step->is_one;
    if (is_last(k, piece)) {
        l->place[result] = (uint8_t) k->program.inputs; /* the output's buffer */
        add_flat(k, l->place[result], size_of(l, result));
    } else {
        l->place[result] = take_register(l, result);
    }
    step->result = l->place[result];
    free_registers(l, piece);
}

/* --- tiles ----------------------------------------------------------------------------------- */

/*
 * Tiles of whole rows, and of whole runs, where these are short enough. All are products of the
 * output's last dims, so that the longest is a multiple of the others.
 */
static void fit_tile(mls__pointwise_kernel *k)
{
    int64_t longest_row = 1, longest;
    for (int i = 0; i < k->row_count; i++)
        if (k->rows[i].length > longest_row)
            longest_row = k->rows[i].length;
    k->keeps_rows = longest_row <= k->tile;
    longest = k->keeps_rows ? longest_row : 1;
    for (int i = 0; i < k->walk_count; i++)
        if (k->walks[i].plan.run > longest && k->walks[i].plan.run <= k->tile)
            longest = k->walks[i].plan.run;
    k->tile -= k->tile % longest;
}

static void choose_tile(const layout *l)
{
    mls__pointwise_kernel *k = l->kernel;
    k->tile = MOST_ELEMENTS;
    if (k->register_count) {
        const size_t slot = MLS__REGISTER_BYTES / (size_t) k->register_count;
        const int64_t most = (int64_t) (slot / l->element_bytes) / MULTIPLE * MULTIPLE;
        if (most < k->tile)
            k->tile = most;
    }
    k->slot_bytes = (size_t) k->tile * l->element_bytes;
    fit_tile(k);
    k->is_simple =
        k->count <= k->tile && !k->whole_count && !k->run_count && !k->row_count && !k->walk_count;
}

/*
 * Whether the piece may give its result where those before it gave theirs. Functions of kernels are
 * of float32 alone.
 */
static bool is_step_direct(const layout *l, const mls__tile_step *step, int piece)
{
    const int first = l->kernel->program.inputs;
    for (int value = first; value < first + piece; value++)
        if (l->last_reader[value] > piece)
            return false;
    return (step->unary || step->binary) && !step->is_one;
}

/* There are no whole pieces: steps are pieces. */
static void choose_direct(const layout *l)
{
    mls__pointwise_kernel *k = l->kernel;
    const uint8_t output = (uint8_t) k->program.inputs;
    k->late_count = 0;
    k->is_direct = k->is_simple;
    for (int i = 0; k->is_direct && i < k->step_count; i++) {
        mls__tile_step *step = &k->steps[i];
        k->is_direct = is_step_direct(l, step, i);
        step->direct_result = output;
        for (int o = 0; o < k->program.pieces[i].operand_count; o++) {
            const uint8_t place = step->operands[o];
            step->direct[o] = place < MLS__PLACE_REGISTER ? place : output;
            if (i > 0 && place < output)
                k->late[k->late_count++] = place;
        }
    }
}

static mls_status pointwise_reshape(mls_kernel *base, const mls_op *op)
{
    mls__pointwise_kernel *k = (mls__pointwise_kernel *) base;
    mls_arg values[MLS__POINTWISE_VALUES];
    layout l = {.kernel = k, .values = values, .output = &op->outputs[0]};
    k->count = k->period = mls__arg_count(&op->outputs[0]);
    k->whole_count = k->step_count = k->flat_count = k->register_count = 0;
    k->run_count = k->row_count = k->walk_count = 0;
    const mls_status status = visit_pieces(k, op, follow_piece, values);
    k->is_simple = k->is_direct = false;
    if (status || !k->count)
        return status;
    note_reads(&l);
    if (!place_runs(&l))
        place_rows(&l);
    for (int i = 0; i < k->program.count; i++)
        if (!k->pieces[i].is_whole)
            add_step(&l, i);
    choose_tile(&l);
    choose_direct(&l);
    return MLS_OK;
}

/* --- making ---------------------------------------------------------------------------------- */

static void pointwise_free(mls_kernel *base)
{
    mls__pointwise_kernel *k = (mls__pointwise_kernel *) base;
    for (int i = 0; i < k->program.count; i++)
        if (k->pieces[i].kernel)
            k->pieces[i].kernel->base.free(&k->pieces[i].kernel->base);
    mls__cpu_kernel_free(base);
}

static mls_status create_piece(mls__pointwise_kernel *k, int piece, const mls_op *op)
{
    const mls__cpu_op *row = mls__cpu_op_find(op->domain, op->type);
    mls_kernel *kernel;
    const mls_status status = row ? row->create(k->base.cpu, op, &kernel)
                                  : mls__op_error(op, MLS_EUNSUPPORTED, "there is no CPU kernel");
    if (!status)
        k->pieces[piece].kernel = (mls__cpu_kernel *) kernel;
    return status;
}

/* A piece without a tile function takes whole operands. */
static void note_untiled(mls__pointwise_kernel *k)
{
    for (int i = k->program.count - 1; i >= 0; i--) {
        const mls__pointwise_piece *p = &k->program.pieces[i];
        if (!k->pieces[i].kernel->tile)
            k->pieces[i].is_never_tiled = true;
        for (int o = 0; o < p->operand_count && k->pieces[i].is_never_tiled; o++) {
            const int giver = p->operands[o] < 0 ? -1 : piece_of(k, p->operands[o]);
            if (giver >= 0)
                k->pieces[giver].is_never_tiled = true;
        }
    }
}

/* Room for what is whole at the planned maximum. */
static mls_status reserve(mls__pointwise_kernel *k, const mls_op *op, const mls_arg *values)
{
    size_t total = 0;
    for (int i = 0; i + 1 < k->program.count; i++) {
        const mls_arg *result = &values[k->program.inputs + i];
        const int64_t count = mls__arg_count(result);
        if (!k->pieces[i].is_never_tiled && count >= mls__arg_count(&op->outputs[0]))
            continue;
        k->pieces[i].bytes = mls__arg_bytes(result);
        if (!mls__work_region(&total, count, mls_dtype_size((mls_dtype) result->dtype),
                              &k->pieces[i].offset))
            return mls__op_error(op, MLS_ELIMIT, "the pieces need more than memory can hold");
    }
    k->base.base.workspace_bytes = total;
    return MLS_OK;
}

/* "pointwise: Mul, Sigmoid, Add" */
static void set_name(mls__pointwise_kernel *k)
{
    int length = snprintf(k->name, sizeof k->name, "pointwise:");
    for (int i = 0; i < k->program.count && length < (int) sizeof k->name; i++)
        length += snprintf(k->name + length, sizeof k->name - (size_t) length, "%s %s",
                           i ? "," : "", k->program.pieces[i].op->type);
    k->base.base.name = k->name;
}

static mls_status pointwise_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__pointwise program;
    mls__pointwise_kernel *k;
    mls_arg values[MLS__POINTWISE_VALUES];
    mls_status status = mls__pointwise_read(op, &program);
    if (status)
        return status;
    const size_t size = sizeof *k + (size_t) program.count * sizeof k->walks[0];
    status = mls__cpu_kernel_create(cpu, op, size, "pointwise", mls__pointwise_run, &k);
    if (status)
        return status;
    k->base.base.reshape = pointwise_reshape;
    k->base.base.free = pointwise_free;
    k->program = program;
    k->threads = op->threads;
    set_name(k);
    status = visit_pieces(k, op, create_piece, values);
    if (!status) {
        note_untiled(k);
        status = reserve(k, op, values);
    }
    if (!status)
        status = pointwise_reshape(&k->base.base, op);
    if (status) {
        pointwise_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_pointwise = {
    {"mlscale", MLS__POINTWISE_TYPE, pointwise_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
