/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's own conversions are exact; around them is what it leaves open: how many
 * digits are enough, and what counts as a number.
 */
#include "backend/cpu/ops/number_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- writing --------------------------------------------------------------------------------- */

/* The digits of a dtype's numbers: so many always survive, so many always suffice. */
typedef struct digit_range {
    int32_t dtype;
    int least, most;
    double least_normal; /* below it, even `least` digits may be too many */
} digit_range;

static const digit_range digit_ranges[] = {
    {MLS_FLOAT64, 15, 17, 0x1p-1022},
    {MLS_FLOAT32, 6, 9, 0x1p-126},
    {MLS_FLOAT16, 3, 5, 0x1p-14},
    {MLS_BFLOAT16, 2, 4, 0x1p-126},
};

static const digit_range *digits_of(int32_t dtype)
{
    for (size_t i = 0; i < sizeof digit_ranges / sizeof digit_ranges[0]; i++)
        if (digit_ranges[i].dtype == dtype)
            return &digit_ranges[i];
    return &digit_ranges[1]; /* floats of 8 bits and fewer, written as float32 */
}

static bool gives_again(int32_t dtype, const char *text, double value)
{
    const mls__float_format *format = mls__float_format_of(dtype);
    if (dtype == MLS_FLOAT64)
        return strtod(text, NULL) == value;
    if (!mls__is_half(dtype))
        return (double) strtof(text, NULL) == value;
    return mls__float_encode(format, strtod(text, NULL), false) ==
           mls__float_encode(format, value, false);
}

/* "d.ddde+xx" of the fewest digits. */
static void write_scientific(int32_t dtype, double value, char *text, size_t size)
{
    const digit_range *range = digits_of(dtype);
    int digits = value < range->least_normal ? 1 : range->least;
    do
        snprintf(text, size, "%.*e", digits - 1, value);
    while (digits++ < range->most && !gives_again(dtype, text, value));
}

/* Takes the digits out of "d.ddde+xx", without zeros at the end. */
static int split_scientific(const char *text, char *ret_digits, int *ret_exponent)
{
    const char *exponent = strchr(text, 'e');
    int count = 0;
    for (const char *c = text; c < exponent; c++)
        if (*c != '.')
            ret_digits[count++] = *c;
    while (count > 1 && ret_digits[count - 1] == '0')
        count--;
    *ret_exponent = atoi(exponent + 1);
    return count;
}

static char *put(char *to, const char *from, int count)
{
    memcpy(to, from, (size_t) count);
    return to + count;
}

static char *put_zeros(char *to, int count)
{
    for (int i = 0; i < count; i++)
        *to++ = '0';
    return to;
}

/* The digits with their point after 1 + exponent of them, in -4 <= exponent < 16. */
static char *put_plain(char *to, const char *digits, int count, int exponent)
{
    const int whole = exponent + 1;
    if (whole <= 0) {
        to = put(to, "0.", 2);
        to = put_zeros(to, -whole);
        return put(to, digits, count);
    }
    const int inside = count < whole ? count : whole;
    to = put(to, digits, inside);
    to = put_zeros(to, whole - inside);
    *to++ = '.';
    return count > whole ? put(to, digits + whole, count - whole) : put(to, "0", 1);
}

static char *put_scientific(char *to, const char *digits, int count, int exponent)
{
    char text[16];
    to = put(to, digits, 1);
    if (count > 1) {
        *to++ = '.';
        to = put(to, digits + 1, count - 1);
    }
    return put(to, text, snprintf(text, sizeof text, "e%+03d", exponent));
}

static size_t write_float(int32_t dtype, double value, char *text)
{
    char scientific[40], digits[32];
    char *end = text;
    int exponent;
    if (isnan(value))
        return (size_t) (put(end, "nan", 3) - text);
    if (signbit(value))
        *end++ = '-';
    if (isinf(value))
        return (size_t) (put(end, "inf", 3) - text);
    write_scientific(dtype, fabs(value), scientific, sizeof scientific);
    const int count = split_scientific(scientific, digits, &exponent);
    if (exponent < -4 || exponent >= 16)
        end = put_scientific(end, digits, count, exponent);
    else
        end = put_plain(end, digits, count, exponent);
    return (size_t) (end - text);
}

size_t mls__number_write(int32_t dtype, const mls__wide *wide, int64_t i,
                         char text[MLS__NUMBER_TEXT])
{
    char buffer[MLS__NUMBER_TEXT + 1];
    if (mls__wide_kind_of(dtype) == MLS__WIDE_FLOAT)
        return write_float(dtype, wide->f[i], text);
    if (dtype == MLS_BOOL)
        snprintf(buffer, sizeof buffer, "%s", wide->i[i] ? "True" : "False");
    else if (dtype == MLS_UINT64)
        snprintf(buffer, sizeof buffer, "%" PRIu64, wide->u[i]);
    else
        snprintf(buffer, sizeof buffer, "%" PRId64, wide->i[i]);
    const size_t size = strlen(buffer);
    memcpy(text, buffer, size);
    return size;
}

/* --- reading --------------------------------------------------------------------------------- */

/* A number of more bytes than this has digits that cannot matter to anyone. */
#define MAX_TEXT 1023

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without white space at the ends, and ended by a NUL. */
static bool trim(mls_string text, char *ret_text)
{
    while (text.size && is_space(text.data[0]))
        text = (mls_string){text.data + 1, text.size - 1};
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    if (!text.size || text.size > MAX_TEXT || memchr(text.data, '\0', text.size))
        return false;
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return true;
}

static const char *skip_digits(const char *c)
{
    while (*c >= '0' && *c <= '9')
        c++;
    return c;
}

static const char *skip_sign(const char *c)
{
    return *c == '+' || *c == '-' ? c + 1 : c;
}

static bool is_integer(const char *text)
{
    const char *digits = skip_sign(text);
    const char *end = skip_digits(digits);
    return end > digits && !*end;
}

static bool is_decimal(const char *text)
{
    const char *whole = skip_sign(text);
    const char *c = skip_digits(whole);
    ptrdiff_t digits = c - whole;
    if (*c == '.') {
        const char *fraction = c + 1;
        c = skip_digits(fraction);
        digits += c - fraction;
    }
    if (digits && (*c == 'e' || *c == 'E')) {
        const char *exponent = skip_sign(c + 1);
        c = skip_digits(exponent);
        if (c == exponent)
            return false;
    }
    return digits && !*c;
}

/* Names of numbers: "-INF", "NaN", "True". */
static bool read_name(const char *text, double *ret_value)
{
    static const struct {
        const char *name;
        double value;
        bool is_signed;
    } names[] = {
        {"inf", (double) INFINITY, true},
        {"infinity", (double) INFINITY, true},
        {"nan", (double) NAN, true},
        {"true", 1.0, false},
        {"false", 0.0, false},
    };
    const char *name = skip_sign(text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(names[i].name, name) == 0 && (names[i].is_signed || name == text)) {
            *ret_value = *text == '-' ? -names[i].value : names[i].value;
            return true;
        }
    return false;
}

/* The bits of an integer in [INT64_MIN, UINT64_MAX]. */
static bool read_integer(const char *text, uint64_t *ret_bits)
{
    const bool negative = *text == '-';
    uint64_t magnitude = 0;
    for (const char *c = skip_sign(text); *c; c++) {
        if (__builtin_mul_overflow(magnitude, UINT64_C(10), &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t) (*c - '0'), &magnitude))
            return false;
    }
    if (negative && magnitude > UINT64_C(1) << 63)
        return false;
    *ret_bits = negative ? 0 - magnitude : magnitude;
    return true;
}

bool mls__number_read(int32_t dtype, mls_string text, mls__wide_kind *ret_kind, mls__wide *ret_wide,
                      int64_t i)
{
    char buffer[MAX_TEXT + 1];
    if (!trim(text, buffer))
        return false;
    *ret_kind = mls__wide_kind_of(dtype);
    if (*ret_kind != MLS__WIDE_FLOAT && is_integer(buffer))
        return read_integer(buffer, &ret_wide->u[i]);
    *ret_kind = MLS__WIDE_FLOAT;
    if (!is_decimal(buffer))
        return read_name(buffer, &ret_wide->f[i]);
    ret_wide->f[i] = dtype == MLS_FLOAT32 ? (double) strtof(buffer, NULL) : strtod(buffer, NULL);
    return true;
}
