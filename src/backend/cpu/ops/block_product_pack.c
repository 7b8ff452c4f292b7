/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of what block_product.h declares. Elements of 2 bits take 4. */
#include "backend/cpu/ops/block_product.h"

#include "backend/cpu/ops/half.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

#define LANES MLS__GEMM_PANEL

static int wide_bits(const mls__block_product *p)
{
    return p->bits == 8 ? 8 : 4;
}

/* Element `index` of a list of 2, 4 or 8 bits, the first in the lowest bits. */
static uint8_t element_at(const uint8_t *list, int64_t bits, int64_t index)
{
    const int64_t in_byte = 8 / bits;
    const int shift = (int) (index % in_byte * bits);
    return (uint8_t) ((list[index / in_byte] >> shift) & ((1 << bits) - 1));
}

typedef struct job {
    const mls__block_product *p;
    const mls__block_pack *pack;
    const uint8_t *b;
    const void *scales, *zeros; /* zeros: NULL where there are none */
    int32_t dtype;              /* of scales, and of zeros that are floats */
    mls__half half;
} job;

static float float_at(const job *j, const void *list, int64_t index)
{
    float value;
    if (j->dtype == MLS_FLOAT32)
        return ((const float *) list)[index];
    j->half.to_f32(&value, (const uint16_t *) list + index, 1);
    return value;
}

static float zero_at(const job *j, int64_t column, int64_t block)
{
    const mls__block_product *p = j->p;
    if (!j->zeros)
        return (float) (1 << (p->bits - 1));
    if (!p->has_packed_zeros)
        return float_at(j, j->zeros, column * p->blocks + block);
    return (float) element_at((const uint8_t *) j->zeros + column * p->zero_bytes, p->bits, block);
}

static void fill_column(const job *j, int64_t column, char *panel)
{
    const mls__block_product *p = j->p;
    const int64_t lane = column % LANES;
    const uint8_t *from = j->b + column * p->blocks * p->block_bytes;
    float *scales = (float *) (void *) panel;
    float *zeros = (float *) (void *) (panel + j->pack->zeros);
    uint8_t *elements = (uint8_t *) panel + j->pack->elements;
    for (int64_t i = 0; i < p->blocks; i++) {
        scales[i * LANES + lane] = float_at(j, j->scales, column * p->blocks + i);
        zeros[i * LANES + lane] = zero_at(j, column, i);
    }
    /* Blocks are whole bytes, so that elements count on from one to the next. */
    for (int64_t i = 0; i < p->k; i++) {
        const uint8_t q = element_at(from, p->bits, i);
        if (wide_bits(p) == 8)
            elements[i * LANES + lane] = q;
        else
            elements[i / 2 * LANES + lane] |= (uint8_t) (i % 2 ? q << 4 : q);
    }
}

static void fill(void *block, void *arg)
{
    const job *j = arg;
    const int64_t panels = mls__gemm_panels(j->p->n);
    memset(block, 0, (size_t) panels * j->pack->panel_bytes);
    for (int64_t i = 0; i < j->p->n; i++)
        fill_column(j, i, (char *) block + (size_t) (i / LANES) * j->pack->panel_bytes);
}

static bool lay_out(const mls__block_product *p, mls__block_pack *pack, size_t *ret_bytes)
{
    const size_t rows = (size_t) (wide_bits(p) == 8 ? p->k : p->k / 2 + p->k % 2);
    size_t scales, elements;
    const bool fits = mls__mul_size((size_t) p->blocks, LANES * sizeof(float), &scales) &&
                      mls__mul_size(rows, LANES, &elements) &&
                      mls__mul_size(scales, 2, &pack->elements) &&
                      mls__add_size(pack->elements, elements, &pack->panel_bytes) &&
                      mls__align_size(pack->panel_bytes, &pack->panel_bytes);
    pack->zeros = scales;
    return fits && mls__mul_size(pack->panel_bytes, (size_t) mls__gemm_panels(p->n), ret_bytes);
}

mls_status mls__block_pack_make(const mls__cpu *cpu, const mls_op *op, const mls__block_product *p,
                                mls__block_pack *ret_pack)
{
    struct {
        char what[8];
        uint64_t node_id;
    } key = {"blocks", op->node_id};
    mls__block_pack pack;
    size_t bytes;
    for (size_t i = MLS__BLOCK_PRODUCT_B; i <= MLS__BLOCK_PRODUCT_ZEROS; i++) {
        const mls_arg *arg = mls__op_input(op, i);
        if (arg && (!arg->data || !arg->weight_id))
            return mls__op_error(op, MLS_EUNSUPPORTED, "input %zu is no constant", i);
    }
    if (!lay_out(p, &pack, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "its weights are larger than memory can be");
    const mls_arg *zeros = mls__op_input(op, MLS__BLOCK_PRODUCT_ZEROS);
    job j = {.p = p,
             .pack = &pack,
             .b = op->inputs[MLS__BLOCK_PRODUCT_B].data,
             .scales = op->inputs[MLS__BLOCK_PRODUCT_SCALES].data,
             .zeros = zeros ? zeros->data : NULL,
             .dtype = op->inputs[MLS__BLOCK_PRODUCT_SCALES].dtype};
    if (mls__is_half(j.dtype))
        j.half = mls__half_of(cpu, j.dtype);
    pack.memory = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill, &j);
    if (!pack.memory)
        return mls__error_nomem(bytes);
    *ret_pack = pack;
    return MLS_OK;
}

mls__block_weights mls__block_pack_panel(const mls__block_pack *pack, const mls__block_product *p,
                                         int64_t panel)
{
    const char *memory = pack->memory + (size_t) panel * pack->panel_bytes;
    return (mls__block_weights){
        .rows = p->k,
        .block = p->block,
        .bits = wide_bits(p),
        .packed = (const uint8_t *) memory + pack->elements,
        .scales = (const float *) (const void *) memory,
        .zeros = (const float *) (const void *) (memory + pack->zeros),
    };
}
