/* SPDX-License-Identifier: Apache-2.0 */
/* One table says how each dtype's elements read as numbers. */
#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double read_f32(const void *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

static double read_f64(const void *at)
{
    double value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* IEEE binary16: 1 sign, 5 exponent, 10 fraction bits. */
static double read_f16(const void *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    const int exponent = bits >> 10 & 31;
    const double fraction = bits & 1023;
    double value;
    if (exponent == 31)
        value = fraction != 0 ? (double) NAN : (double) INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, -24);
    else
        value = ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -value : value;
}

/* The upper half of a float32. */
static double read_bf16(const void *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    const uint32_t wide = (uint32_t) bits << 16;
    return read_f32(&wide);
}

static const struct {
    mls_dtype dtype;
    double (*read)(const void *at);
    double epsilon; /* a difference of one unit in the last place is no difference */
} floats[] = {
    {MLS_FLOAT32, read_f32, 0},
    {MLS_FLOAT64, read_f64, 0},
    {MLS_FLOAT16, read_f16, 1.0 / 1024},
    {MLS_BFLOAT16, read_bf16, 1.0 / 128},
};

/* "[1,2]" of the element at `index` in row-major order. */
static void index_text(const mls_tensor *tensor, int64_t index, char *text, size_t size)
{
    int64_t at[MLS_MAX_RANK];
    const int rank = mls_tensor_rank(tensor);
    for (int i = rank - 1; i >= 0; i--) {
        const int64_t dim = mls_tensor_dims(tensor)[i];
        at[i] = index % dim;
        index /= dim;
    }
    size_t used = (size_t) snprintf(text, size, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t) snprintf(text + used, size - used, i ? ",%" PRId64 : "%" PRId64, at[i]);
    snprintf(text + used, size - used, "]");
}

/* Of the finite elements; 0 when there is none. */
static double largest_of(const mls_tensor *want, size_t kind)
{
    const size_t step = mls_dtype_size(floats[kind].dtype);
    const unsigned char *at = mls_tensor_data(want);
    double largest = 0;
    for (int64_t i = 0; i < mls_tensor_element_count(want); i++) {
        const double x = fabs(floats[kind].read(at + (size_t) i * step));
        if (isfinite(x) && x > largest)
            largest = x;
    }
    return largest;
}

static bool compare_floats(const mls_tensor *want, const void *got, size_t kind, tolerance limit,
                           char *ret_difference, size_t size)
{
    const size_t step = mls_dtype_size(floats[kind].dtype);
    const double relative =
        limit.relative > floats[kind].epsilon ? limit.relative : floats[kind].epsilon;
    const double largest = limit.is_of_largest ? largest_of(want, kind) : 0;
    const unsigned char *a = mls_tensor_data(want), *b = got;
    for (int64_t i = 0; i < mls_tensor_element_count(want); i++) {
        const double x = floats[kind].read(a + (size_t) i * step);
        const double y = floats[kind].read(b + (size_t) i * step);
        const double scale = limit.is_of_largest ? largest : fabs(x);
        char where[128];
        if ((isnan(x) && isnan(y)) || x == y || fabs(x - y) <= limit.absolute + relative * scale)
            continue;
        if (fabs(x) <= limit.residue && fabs(y) <= limit.residue * 1e-6)
            continue;
        index_text(want, i, where, sizeof where);
        const int used =
            snprintf(ret_difference, size, "element %s is %.9g, expected %.9g", where, y, x);
        if (limit.is_of_largest && used > 0 && (size_t) used < size)
            snprintf(ret_difference + used, size - (size_t) used, " (the largest is %.9g)",
                     largest);
        return false;
    }
    return true;
}

static bool compare_strings(const mls_tensor *want, const mls_string *got, char *ret_difference,
                            size_t size)
{
    const mls_string *a = mls_tensor_data(want);
    for (int64_t i = 0; i < mls_tensor_element_count(want); i++) {
        char where[128];
        if (a[i].size == got[i].size &&
            (a[i].size == 0 || memcmp(a[i].data, got[i].data, a[i].size) == 0))
            continue;
        index_text(want, i, where, sizeof where);
        snprintf(ret_difference, size, "element %s is '%.*s', expected '%.*s'", where,
                 (int) got[i].size, got[i].data, (int) a[i].size, a[i].data);
        return false;
    }
    return true;
}

/* Little-endian bytes as a number, for messages. */
static long long integer_at(const unsigned char *at, size_t bytes, bool is_signed)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    const unsigned unused = 64 - 8 * (unsigned) bytes;
    if (is_signed && unused < 64)
        return (long long) ((int64_t) (value << unused) >> unused);
    return (long long) value;
}

static bool compare_bytes(const mls_tensor *want, const void *got, char *ret_difference,
                          size_t size)
{
    const size_t step = mls_dtype_size(mls_tensor_dtype(want));
    const unsigned char *a = mls_tensor_data(want), *b = got;
    const char *name = mls_dtype_name(mls_tensor_dtype(want));
    for (int64_t i = 0; i < mls_tensor_element_count(want); i++) {
        char where[128];
        const unsigned char *x = a + (size_t) i * step, *y = b + (size_t) i * step;
        if (memcmp(x, y, step) == 0)
            continue;
        index_text(want, i, where, sizeof where);
        snprintf(ret_difference, size, "element %s is %lld, expected %lld%s", where,
                 integer_at(y, step, name[0] == 'i'), integer_at(x, step, name[0] == 'i'),
                 strncmp(name, "float", 5) == 0 ? " (as bits)" : "");
        return false;
    }
    return true;
}

bool compare_elements(const mls_tensor *want, const void *got, tolerance limit,
                      char *ret_difference, size_t size)
{
    for (size_t k = 0; k < sizeof floats / sizeof floats[0]; k++)
        if (floats[k].dtype == mls_tensor_dtype(want))
            return compare_floats(want, got, k, limit, ret_difference, size);
    if (mls_tensor_dtype(want) == MLS_STRING)
        return compare_strings(want, got, ret_difference, size);
    return compare_bytes(want, got, ret_difference, size);
}

/* --- draws ----------------------------------------------------------------------------------- */

/* An element of a float or bool type. */
static double number_at(const mls_tensor *like, const void *data, int64_t index)
{
    const mls_dtype dtype = mls_tensor_dtype(like);
    const unsigned char *at = (const unsigned char *) data + (size_t) index * mls_dtype_size(dtype);
    for (size_t k = 0; k < sizeof floats / sizeof floats[0]; k++)
        if (floats[k].dtype == dtype)
            return floats[k].read(at);
    return *at;
}

bool compare_draws(const mls_tensor *want, const void *got, tolerance limit, char *ret_difference,
                   size_t size)
{
    const int64_t count = mls_tensor_element_count(want);
    double wanted = 0, drawn = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = number_at(want, mls_tensor_data(want), i), y = number_at(want, got, i);
        char where[128];
        wanted += x != 0;
        drawn += y != 0;
        if (x == 0 || y == 0 || fabs(x - y) <= limit.absolute + limit.relative * fabs(x))
            continue;
        index_text(want, i, where, sizeof where);
        snprintf(ret_difference, size, "element %s is %.9g, expected %.9g or 0", where, y, x);
        return false;
    }
    /* The difference of two counts has twice the variance of one, at most count / 4. */
    if (fabs(wanted - drawn) <= 4 * sqrt((double) count / 2))
        return true;
    snprintf(ret_difference, size, "%.0f of %" PRId64 " elements are not 0, expected about %.0f",
             drawn, count, wanted);
    return false;
}

/* --- deviations ------------------------------------------------------------------------------ */

/* Of one tensor. */
typedef struct sums {
    double error, largest;              /* the largest difference, and |want| */
    double error_squares, want_squares; /* of all elements that are finite in both */
    int64_t at;                         /* of the largest difference */
} sums;

static void take_element(sums *s, int64_t index, double x, double y, deviation *d)
{
    if (!isfinite(x) || !isfinite(y)) {
        d->unmatched += !(x == y || (isnan(x) && isnan(y)));
        return;
    }
    const double error = fabs(x - y);
    s->error_squares += error * error;
    s->want_squares += x * x;
    if (fabs(x) > s->largest)
        s->largest = fabs(x);
    if (error > s->error) {
        s->error = error;
        s->at = index;
    }
}

/* Of what is 0 throughout, any error is beyond measure. */
static double share_of(double error, double whole)
{
    if (error == 0)
        return 0;
    return whole > 0 ? error / whole : (double) INFINITY;
}

static void keep_worst(const sums *s, const mls_tensor *want, deviation *d)
{
    const double share = share_of(s->error, s->largest);
    const double rms = share_of(sqrt(s->error_squares), sqrt(s->want_squares));
    if (share > d->share) {
        d->share = share;
        d->absolute = s->error;
        index_text(want, s->at, d->at, sizeof d->at);
    }
    if (rms > d->rms)
        d->rms = rms;
}

void measure_deviation(const mls_tensor *want, const void *got, deviation *d)
{
    const unsigned char *a = mls_tensor_data(want), *b = got;
    for (size_t k = 0; k < sizeof floats / sizeof floats[0]; k++) {
        const size_t step = mls_dtype_size(floats[k].dtype);
        sums s = {.error = 0};
        if (floats[k].dtype != mls_tensor_dtype(want))
            continue;
        for (int64_t i = 0; i < mls_tensor_element_count(want); i++)
            take_element(&s, i, floats[k].read(a + (size_t) i * step),
                         floats[k].read(b + (size_t) i * step), d);
        keep_worst(&s, want, d);
    }
}
