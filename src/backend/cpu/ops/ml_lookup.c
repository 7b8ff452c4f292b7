/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing, at most half full; the hash is safe from chosen keys. */
#include "backend/cpu/ops/ml_lookup.h"

#include "base/error.h"
#include "base/hash.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

typedef struct mls__lookup_table {
    uint64_t seed[2];
    size_t mask;
    uint32_t slots[]; /* position + 1; 0: empty */
} mls__lookup_table;

/* A key of any dtype as bytes that are equal when the keys are. */
typedef struct key_bytes {
    union {
        int64_t integer;
        double real;
    } number;
    const void *data; /* of a string; NULL: number */
    size_t size;
} key_bytes;

static double normal_real(double x)
{
    return isnan(x) ? (double) NAN : x + 0.0;
}

static key_bytes read_key(int32_t dtype, const void *element)
{
    key_bytes key = {.size = sizeof key.number};
    if (dtype == MLS_STRING) {
        const mls_string *string = element;
        key.data = string->size ? string->data : "";
        key.size = string->size;
    } else if (dtype == MLS_FLOAT32) {
        key.number.real = normal_real((double) *(const float *) element);
    } else if (dtype == MLS_FLOAT64) {
        key.number.real = normal_real(*(const double *) element);
    } else if (dtype == MLS_INT64) {
        key.number.integer = *(const int64_t *) element;
    } else if (dtype == MLS_INT32) {
        key.number.integer = *(const int32_t *) element;
    } else {
        key.number.integer = *(const int16_t *) element;
    }
    return key;
}

static const void *bytes_of(const key_bytes *key)
{
    return key->data ? key->data : &key->number;
}

static const void *key_at(const mls__lookup *lookup, size_t index)
{
    return (const char *) lookup->keys + index * mls_dtype_size((mls_dtype) lookup->dtype);
}

/* The slot that holds the key, or the empty one where it belongs. */
static size_t find_slot(const mls__lookup *lookup, const mls__lookup_table *table,
                        const key_bytes *key)
{
    size_t at = (size_t) mls__hash_bytes(table->seed, bytes_of(key), key->size) & table->mask;
    for (; table->slots[at]; at = (at + 1) & table->mask) {
        const key_bytes other = read_key(lookup->dtype, key_at(lookup, table->slots[at] - 1));
        if (other.size == key->size && memcmp(bytes_of(&other), bytes_of(key), key->size) == 0)
            break;
    }
    return at;
}

static size_t slot_count(size_t keys)
{
    size_t count = 4;
    while (count < 2 * keys)
        count *= 2;
    return count;
}

static void fill(void *block, void *arg)
{
    const mls__lookup *lookup = arg;
    mls__lookup_table *table = block;
    table->mask = slot_count(lookup->count) - 1;
    mls__hash_seed(table->seed, table);
    memset(table->slots, 0, (table->mask + 1) * sizeof *table->slots);
    for (size_t i = 0; i < lookup->count; i++) {
        const key_bytes key = read_key(lookup->dtype, key_at(lookup, i));
        table->slots[find_slot(lookup, table, &key)] = (uint32_t) i + 1;
    }
}

mls_status mls__lookup_init(mls__lookup *lookup, const mls_op *op, int32_t dtype, const void *keys,
                            size_t count)
{
    struct {
        char what[8];
        uint64_t node_id;
    } key = {"lookup", op->node_id};
    *lookup = (mls__lookup){.dtype = dtype, .count = count, .keys = keys};
    if (count > UINT32_MAX / 4)
        return mls__op_error(op, MLS_ELIMIT, "%zu keys are more than %u", count, UINT32_MAX / 4);
    const size_t size = sizeof(mls__lookup_table) + slot_count(count) * sizeof(uint32_t);
    lookup->table = op->weights_ops->get(op->weights, &key, sizeof key, size, fill, lookup);
    return lookup->table ? MLS_OK : mls__error_nomem(size);
}

size_t mls__lookup_find(const mls__lookup *lookup, const void *element)
{
    const key_bytes key = read_key(lookup->dtype, element);
    const uint32_t slot = lookup->table->slots[find_slot(lookup, lookup->table, &key)];
    return slot ? slot - 1 : MLS__LOOKUP_NONE;
}
