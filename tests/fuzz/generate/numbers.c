/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of each dtype. */
#include "fuzz/generate/numbers.h"

#include "support/test.h"

#include <string.h>

static void put_float16(uint64_t *state, void *to)
{
    /* Of any sign, from 2^-3 to 2. */
    const uint16_t exponent = (uint16_t) (12 + mls_test_random_below(state, 4));
    const uint16_t half = (uint16_t) (mls_test_random_below(state, 2) << 15 | exponent << 10 |
                                      mls_test_random_below(state, 1024));
    memcpy(to, &half, sizeof half);
}

static double random_number(uint64_t *state, double least, double most)
{
    return least + (most - least) * (double) mls_test_random_below(state, 4097) / 4096;
}

static void put_bfloat16(float number, void *to)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    const uint16_t upper = (uint16_t) (bits >> 16);
    memcpy(to, &upper, sizeof upper);
}

static float wild_number(uint64_t *state)
{
    static const uint32_t bits[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x80000000,
                                    0x00000001, 0x807fffff, 0x7f7fffff, 0x00800000};
    float number;
    memcpy(&number, &bits[mls_test_random_below(state, 8)], sizeof number);
    return number;
}

static void put_text(uint64_t *state, mls_string *to)
{
    static const char *const texts[] = {"a", "b", "cat", "dog", "", "The Cat", "a b c", "z"};
    const char *text = texts[mls_test_random_below(state, 8)];
    *to = (mls_string){text, strlen(text)};
}

static void put_whole(uint64_t *state, int32_t dtype, double least, double most, void *to)
{
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    const int64_t span = (int64_t) most - (int64_t) least + 1;
    const int64_t number =
        (int64_t) least + (int64_t) mls_test_random_below(state, span < 1 ? 1 : (size_t) span);
    memcpy(to, &number, size); /* little endian, as all that this runs on */
}

void gen_put_number(uint64_t *state, int32_t dtype, double least, double most, bool is_wild,
                    void *to)
{
    const bool is_odd = is_wild && mls_test_random_below(state, 24) == 0;
    const double number = is_odd ? (double) wild_number(state) : random_number(state, least, most);
    switch (dtype) {
    case MLS_FLOAT32:
        memcpy(to, &(float){(float) number}, sizeof(float));
        return;
    case MLS_FLOAT64:
        memcpy(to, &number, sizeof number);
        return;
    case MLS_BFLOAT16:
        put_bfloat16((float) number, to);
        return;
    case MLS_FLOAT16:
        put_float16(state, to);
        if (least >= 0)
            ((unsigned char *) to)[1] &= 0x7f;
        return;
    default:
        put_whole(state, dtype, least, most, to);
    }
}

void gen_put_all(uint64_t state, const gen_value *value, unsigned char *data)
{
    size_t count = 1;
    const size_t size = mls_dtype_size((mls_dtype) value->dtype);
    for (int i = 0; i < value->rank; i++)
        count *= (size_t) value->dims[i];
    for (size_t i = 0; i < count; i++, data += size) {
        if (value->dtype == MLS_STRING)
            put_text(&state, (mls_string *) (void *) data);
        else
            gen_put_number(&state, value->dtype, value->least, value->most, value->is_wild, data);
    }
}
