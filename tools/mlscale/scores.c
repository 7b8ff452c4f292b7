/* SPDX-License-Identifier: Apache-2.0 */
/* CSV keeps every digit that matters; .npy gets its row count when all rows are there. */
#include "scores.h"

#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for the header of an .npy file, whose row count is not known at first. */
#define NPY_HEADER_BYTES 128

struct score_sink {
    FILE *file;
    const char *path;
    const score_group *groups;
    size_t group_count;
    bool is_npy, is_broken;
    int64_t rows, width;
};

/* How a dtype is printed, and what NumPy calls it. */
typedef struct format {
    mls_dtype dtype;
    const char *descr;
    void (*print)(FILE *file, const void *at);
} format;

/* The fewest digits from which the same number is read back. */
static void print_real(FILE *file, double value, int digits, bool is_single)
{
    char text[40];
    for (int i = digits - 3; i <= digits; i++) {
        snprintf(text, sizeof text, "%.*g", i, value);
        if (isnan(value) ||
            (is_single ? strtof(text, NULL) == (float) value : strtod(text, NULL) == value))
            break;
    }
    fputs(isnan(value) ? "nan" : text, file);
}

static void print_f32(FILE *file, const void *at)
{
    print_real(file, (double) *(const float *) at, 9, true);
}

static void print_f64(FILE *file, const void *at)
{
    print_real(file, *(const double *) at, 17, false);
}

static void print_i64(FILE *file, const void *at)
{
    fprintf(file, "%" PRId64, *(const int64_t *) at);
}

static void print_i32(FILE *file, const void *at)
{
    fprintf(file, "%" PRId32, *(const int32_t *) at);
}

static void print_bool(FILE *file, const void *at)
{
    putc(*(const unsigned char *) at ? '1' : '0', file);
}

/* Quoted where CSV needs it. */
static void print_string(FILE *file, const void *at)
{
    const mls_string *string = at;
    bool quote = false;
    for (size_t i = 0; i < string->size; i++)
        quote = quote || strchr(",\"\r\n", string->data[i]);
    if (quote)
        putc('"', file);
    for (size_t i = 0; i < string->size; i++) {
        if (string->data[i] == '"')
            putc('"', file);
        putc(string->data[i], file);
    }
    if (quote)
        putc('"', file);
}

static const format formats[] = {
    {MLS_FLOAT32, "<f4", print_f32}, {MLS_FLOAT64, "<f8", print_f64},
    {MLS_INT64, "<i8", print_i64},   {MLS_INT32, "<i4", print_i32},
    {MLS_BOOL, "|b1", print_bool},   {MLS_STRING, NULL, print_string},
};

static const format *find_format(mls_dtype dtype)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].dtype == dtype)
            return &formats[i];
    return NULL;
}

static bool check_groups(const score_sink *sink)
{
    for (size_t g = 0; g < sink->group_count; g++) {
        const score_group *group = &sink->groups[g];
        const format *f = find_format(group->dtype);
        if (!f) {
            failure("output '%s' is %s, which cannot be written as scores; 'mlscale run' writes "
                    "any",
                    group->name, mls_dtype_name(group->dtype));
            return false;
        }
        if (sink->is_npy && (!f->descr || group->dtype != sink->groups[0].dtype)) {
            failure("an .npy file holds numbers of one type, and output '%s' is %s: write CSV",
                    group->name, mls_dtype_name(group->dtype));
            return false;
        }
    }
    return true;
}

static void print_names(score_sink *sink)
{
    const char *comma = "";
    for (size_t g = 0; g < sink->group_count; g++)
        for (int64_t k = 0; k < sink->groups[g].width; k++, comma = ",") {
            const mls_string name = {sink->groups[g].name, strlen(sink->groups[g].name)};
            fputs(comma, sink->file);
            print_string(sink->file, &name);
            if (sink->groups[g].width > 1)
                fprintf(sink->file, "_%" PRId64, k);
        }
    putc('\n', sink->file);
}

/* Format 1.0 of numpy.lib.format, padded to a fixed size. */
static void print_npy_header(score_sink *sink)
{
    char text[NPY_HEADER_BYTES];
    memset(text, ' ', sizeof text);
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    text[8] = (char) (NPY_HEADER_BYTES - 10);
    text[9] = 0;
    const int size =
        snprintf(text + 10, sizeof text - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                 find_format(sink->groups[0].dtype)->descr, sink->rows, sink->width);
    text[10 + size] = ' ';
    text[sizeof text - 1] = '\n';
    fwrite(text, 1, sizeof text, sink->file);
}

score_sink *score_sink_open(const char *path, const score_group *groups, size_t group_count)
{
    score_sink *sink = calloc(1, sizeof *sink);
    if (!sink) {
        failure("out of memory");
        return NULL;
    }
    const size_t size = path ? strlen(path) : 0;
    sink->path = path ? path : "standard output";
    sink->groups = groups;
    sink->group_count = group_count;
    sink->is_npy = size > 4 && strcmp(path + size - 4, ".npy") == 0;
    for (size_t g = 0; g < group_count; g++)
        sink->width += groups[g].width;
    if (!check_groups(sink)) {
        free(sink);
        return NULL;
    }
    sink->file = path ? fopen(path, "we") : stdout;
    if (!sink->file) {
        failure("cannot write '%s': %s", path, strerror(errno));
        free(sink);
        return NULL;
    }
    if (sink->is_npy)
        print_npy_header(sink);
    else
        print_names(sink);
    return sink;
}

static void write_row(score_sink *sink, const unsigned char *data, int64_t rows, int64_t row)
{
    const char *comma = "";
    for (size_t g = 0; g < sink->group_count; g++) {
        const score_group *group = &sink->groups[g];
        const size_t element = mls_dtype_size(group->dtype);
        const size_t row_bytes = (size_t) group->width * element;
        const unsigned char *cell = data + (size_t) row * row_bytes;
        const format *f = find_format(group->dtype);
        if (sink->is_npy)
            fwrite(cell, 1, row_bytes, sink->file);
        for (int64_t k = 0; !sink->is_npy && k < group->width; k++, comma = ",") {
            fputs(comma, sink->file);
            f->print(sink->file, cell + (size_t) k * element);
        }
        data += (size_t) rows * row_bytes;
    }
    if (!sink->is_npy)
        putc('\n', sink->file);
}

/* Whether all went well; said once if not. */
static bool check_sink(score_sink *sink, bool is_good)
{
    if (!is_good && !sink->is_broken)
        failure("cannot write to %s: %s", sink->path, strerror(errno));
    sink->is_broken |= !is_good;
    return !sink->is_broken;
}

bool score_sink_write(score_sink *sink, const void *data, int64_t rows)
{
    if (sink->is_broken)
        return false;
    for (int64_t row = 0; row < rows; row++)
        write_row(sink, data, rows, row);
    sink->rows += rows;
    return check_sink(sink, !ferror(sink->file));
}

bool score_sink_close(score_sink *sink)
{
    if (!sink)
        return true;
    if (sink->is_npy && fseek(sink->file, 0, SEEK_SET) == 0)
        print_npy_header(sink);
    bool good = fflush(sink->file) == 0 && !ferror(sink->file);
    if (sink->file != stdout)
        good = fclose(sink->file) == 0 && good;
    good = check_sink(sink, good);
    free(sink);
    return good;
}
