/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RotaryEmbedding of ai.onnx and of com.microsoft: rows of X, each with its position's cosines and
 * sines.
 */
#include "backend/cpu/ops/rotary.h"

#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

#include <inttypes.h>
#include <string.h>

/* Elements that are worth a second thread. */
#define GRAIN 16384
/* Pairs of a block; an even number, so that neighbours stay together. */
#define BLOCK 128

/* --- one head -------------------------------------------------------------------------------- */

static void load(const mls__rotary *r, float *to, const void *x, int64_t index, int64_t count)
{
    if (r->dtype == MLS_FLOAT32)
        memcpy(to, (const float *) x + index, (size_t) count * sizeof *to);
    else
        r->half.to_f32(to, (const uint16_t *) x + index, count);
}

static void store(const mls__rotary *r, void *y, int64_t index, const float *from, int64_t count)
{
    if (r->dtype == MLS_FLOAT32)
        memcpy((float *) y + index, from, (size_t) count * sizeof *from);
    else
        r->half.from_f32((uint16_t *) y + index, from, count);
}

static void turn(float *first, float *second, int64_t step, const float *cosines,
                 const float *sines, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i++) {
        const float a = first[i * step], b = second[i * step];
        first[i * step] = cosines[i] * a - sines[i] * b;
        second[i * step] = sines[i] * a + cosines[i] * b;
    }
}

void mls__rotary_head(const mls__rotary *r, void *y, const void *x, const void *cosines,
                      const void *sines)
{
    const int64_t half = r->turned / 2;
    const size_t size = mls_dtype_size((mls_dtype) r->dtype);
    float c[BLOCK], s[BLOCK], pairs[2 * BLOCK];
    for (int64_t i = 0; i < half; i += BLOCK) {
        const int64_t n = half - i < BLOCK ? half - i : BLOCK;
        load(r, c, cosines, i, n);
        load(r, s, sines, i, n);
        if (r->is_interleaved) {
            load(r, pairs, x, 2 * i, 2 * n);
            turn(pairs, pairs + 1, 2, c, s, n);
            store(r, y, 2 * i, pairs, 2 * n);
            continue;
        }
        load(r, pairs, x, i, n);
        load(r, pairs + BLOCK, x, half + i, n);
        turn(pairs, pairs + BLOCK, 1, c, s, n);
        store(r, y, i, pairs, n);
        store(r, y, half + i, pairs + BLOCK, n);
    }
    if (y != x)
        memcpy((char *) y + (size_t) r->turned * size, (const char *) x + (size_t) r->turned * size,
               (size_t) (r->size - r->turned) * size);
}

/* --- the op ---------------------------------------------------------------------------------- */

/* Where the two ops have their inputs. */
typedef struct form {
    size_t positions, cosines, sines;
} form;

static const form plain_form = {3, 1, 2}, contrib_form = {1, 2, 3};

typedef struct rotary_kernel {
    mls__cpu_kernel base;
    mls__rotary rotary;
    const form *form;
    uint32_t threads;
    size_t input_count;
    bool has_positions;
    bool is_offset;    /* there is one position: that of the first row of every batch */
    bool is_row_first; /* X has rows of heads, not heads of rows */
    int64_t batch, heads, rows;
    int64_t places; /* rows of the caches */
} rotary_kernel;

typedef struct work {
    const rotary_kernel *k;
    const mls_kernel_call *call;
} work;

/* The row of the caches that a row of X goes with. */
static int64_t place_of(const rotary_kernel *k, const int64_t *positions, int64_t row)
{
    if (k->is_offset)
        return positions[0] + row % k->rows;
    return positions ? positions[row] : row;
}

/* Heads begin .. end-1 in the order in which they lie. */
static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const rotary_kernel *k = w->k;
    void *const *buffers = w->call->buffers;
    const int64_t *positions = k->has_positions ? buffers[k->form->positions] : NULL;
    const char *cosines = buffers[k->form->cosines], *sines = buffers[k->form->sines];
    const size_t size = mls_dtype_size((mls_dtype) k->rotary.dtype);
    const size_t head_bytes = (size_t) k->rotary.size * size;
    const size_t cache_bytes = (size_t) (k->rotary.turned / 2) * size;
    char *y = buffers[k->input_count];
    for (int64_t i = begin; i < end; i++) {
        const int64_t row =
            k->is_row_first ? i / k->heads : i / k->heads / k->rows * k->rows + i % k->rows;
        const size_t place = (size_t) place_of(k, positions, row) * cache_bytes;
        mls__rotary_head(&k->rotary, y + (size_t) i * head_bytes,
                         (const char *) buffers[0] + (size_t) i * head_bytes, cosines + place,
                         sines + place);
    }
    return MLS_OK;
}

static mls_status check_positions(const mls_kernel *kernel, const int64_t *positions)
{
    const rotary_kernel *k = (const rotary_kernel *) kernel;
    const int64_t count = k->is_offset ? 1 : k->batch * k->rows;
    const int64_t places = k->is_offset ? k->places - k->rows + 1 : k->places;
    for (int64_t i = 0; i < count; i++)
        if (positions[i] < 0 || positions[i] >= places)
            return mls__cpu_run_error(kernel, MLS_EINVAL,
                                      "position_ids has %" PRId64 ", and the caches have %" PRId64
                                      " positions",
                                      positions[i], k->places);
    return MLS_OK;
}

static mls_status rotary_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const rotary_kernel *k = (const rotary_kernel *) kernel;
    work w = {k, call};
    if (k->rotary.size == 0 || k->batch == 0 || k->rows == 0)
        return MLS_OK;
    const mls_status status =
        k->has_positions ? check_positions(kernel, call->buffers[k->form->positions]) : MLS_OK;
    if (status)
        return status;
    return mls__cpu_row_ranges(call, k->threads, k->batch * k->rows * k->heads,
                               GRAIN / k->rotary.size + 1, run_range, &w);
}

static mls_status rotary_reshape(mls_kernel *kernel, const mls_op *op)
{
    rotary_kernel *k = (rotary_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    k->is_row_first = x->rank == 3;
    k->batch = x->dims[0];
    k->rows = k->is_row_first ? x->dims[1] : x->dims[2];
    k->heads = k->is_row_first ? mls__op_int(op, "num_heads", 0) : x->dims[1];
    if (k->heads == 0 && k->is_row_first) /* com.microsoft: a head is what the caches turn */
        k->heads = x->dims[2] / (2 * op->inputs[k->form->cosines].dims[1]);
    k->rotary.size = !k->is_row_first ? x->dims[3] : k->heads ? x->dims[2] / k->heads : 0;
    k->rotary.turned = mls__op_int(op, "rotary_embedding_dim", 0);
    if (k->rotary.turned == 0)
        k->rotary.turned = k->rotary.size;
    k->places = op->inputs[k->form->cosines].dims[0];
    k->is_offset = k->form == &contrib_form && op->inputs[k->form->positions].rank == 1;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    rotary_kernel *k;
    if (mls__op_int(op, "is_packed_batching", 0) || mls__op_float(op, "scale", 1) != 1)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "is_packed_batching and scale are not "
                             "supported");
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "rotary", rotary_run, &k);
    if (status)
        return status;
    k->base.base.reshape = rotary_reshape;
    k->rotary.dtype = op->inputs[0].dtype;
    k->rotary.is_interleaved = mls__op_int(op, "interleaved", 0) != 0;
    if (mls__is_half(k->rotary.dtype))
        k->rotary.half = mls__half_of(cpu, k->rotary.dtype);
    k->threads = op->threads;
    k->form = op->domain[0] == '\0' ? &plain_form : &contrib_form;
    k->input_count = op->input_count;
    k->has_positions = mls__op_input(op, k->form->positions) != NULL;
    *ret_kernel = &k->base.base;
    return rotary_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_rotary = {
    {"", "RotaryEmbedding", create, 0},
    {"com.microsoft", "RotaryEmbedding", create, 0},
    {.type = NULL},
};
