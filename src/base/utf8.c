/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Characters first, first + step, ..., last: their other case is `delta` further. */
typedef struct case_range {
    uint32_t first, last;
    uint8_t step;
    int32_t delta;
} case_range;

#include "base/utf8_tables.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static uint32_t look_up(const case_range *table, size_t count, uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const case_range *range = &table[middle];
        if (code > range->last)
            low = middle + 1;
        else if (code < range->first)
            high = middle;
        else
            return (code - range->first) % range->step ? code
                                                       : (uint32_t) ((int32_t) code + range->delta);
    }
    return code;
}

/* How many bytes a character takes: 0 where the text's next bytes are none. */
static size_t decode(const unsigned char *text, size_t size, uint32_t *ret_code)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 1; n <= 4; n++) {
        if ((text[0] & forms[n - 1].mask) != forms[n - 1].lead)
            continue;
        uint32_t code = text[0] & (unsigned char) ~forms[n - 1].mask;
        for (size_t i = 1; i < n; i++) {
            if (i >= size || (text[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[i] & 0x3f);
        }
        const bool is_surrogate = code >= 0xd800 && code < 0xe000;
        if (code < forms[n - 1].least || code > 0x10ffff || is_surrogate)
            return 0;
        *ret_code = code;
        return n;
    }
    return 0;
}

static size_t encode(uint32_t code, char *ret_text)
{
    if (code < 0x80) {
        ret_text[0] = (char) code;
        return 1;
    }
    const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        ret_text[i] = (char) (0x80 | (code & 0x3f));
    ret_text[0] = (char) (code | (0xf0u << (4 - n) & 0xffu));
    return n;
}

static uint32_t change(mls__text_case which, uint32_t code)
{
    if (code < 0x80) {
        if (which == MLS__CASE_LOWER)
            return code >= 'A' && code <= 'Z' ? code + 32 : code;
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    }
    return which == MLS__CASE_LOWER ? look_up(to_lower, COUNT(to_lower), code)
                                    : look_up(to_upper, COUNT(to_upper), code);
}

size_t mls__text_to_case(mls__text_case which, const char *text, size_t size, char *ret_text)
{
    size_t written = 0;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        const size_t n = decode((const unsigned char *) text + i, size - i, &code);
        if (n && which != MLS__CASE_AS_IS) {
            written += encode(change(which, code), ret_text + written);
            i += n;
        } else {
            ret_text[written++] = text[i++];
        }
    }
    return written;
}
