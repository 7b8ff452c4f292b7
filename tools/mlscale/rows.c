/* SPDX-License-Identifier: Apache-2.0 */
/* Files differ in how a row is found; what a cell becomes is the same for both. */
#include "rows.h"

#include "common.h"
#include "csv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Bad rows that are shown one by one; the rest are counted. */
#define SHOWN_MOST 10

struct row_source {
    const char *path;
    const row_layout *layout;
    row_options options;
    uint64_t skipped;
    /* CSV */
    FILE *file;
    csv_reader csv;
    bool has_record; /* the first data record is read already */
    int64_t file_bytes;
    size_t column_count; /* of every record */
    size_t *columns;     /* which field each of the layout's columns is */
    char **names;        /* of the file's columns, or NULL without a header */
    /* .npy */
    mls_tensor *tensor;
    int64_t next_row;
};

/* --- the layout --- */

static bool read_group(const mls_model *model, size_t index, row_group *group, bool *ret_is_one)
{
    char shape[256];
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    mls_model_input(model, index, &value);
    const mls_dtype dtype = (mls_dtype) value.dtype;
    const bool is_number =
        dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64 || dtype == MLS_INT64 || dtype == MLS_INT32;
    *group = (row_group){.name = value.name, .dtype = dtype, .width = 1};
    bool fits = is_number && value.rank >= 1 && (value.dims[0] < 0 || value.dims[0] == 1);
    for (int i = 1; fits && i < value.rank; i++) {
        fits = value.dims[i] > 0 && value.dims[i] < (1 << 24) && group->width < (1 << 24);
        group->width *= fits ? value.dims[i] : 1;
    }
    if (!fits) {
        failure("input '%s' is %s %s: rows fit inputs of float32, float64, int32 or int64 whose "
                "first dimension is the row and whose others are fixed; 'mlscale run' takes any",
                value.name, mls_dtype_name(dtype), value_shape_text(&value, shape, sizeof shape));
        return false;
    }
    *ret_is_one = value.dims[0] == 1;
    return true;
}

bool row_layout_read(const mls_model *model, row_layout *ret_layout)
{
    const size_t count = mls_model_input_count(model);
    row_layout layout = {.groups = calloc(count + 1, sizeof *layout.groups), .group_count = count};
    if (!layout.groups) {
        failure("out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool is_one;
        if (!read_group(model, i, &layout.groups[i], &is_one)) {
            free(layout.groups);
            return false;
        }
        layout.groups[i].offset = layout.row_bytes;
        layout.width += layout.groups[i].width;
        layout.row_bytes +=
            (size_t) layout.groups[i].width * mls_dtype_size(layout.groups[i].dtype);
        layout.one_by_one = layout.one_by_one || is_one;
    }
    *ret_layout = layout;
    return true;
}

void row_layout_free(row_layout *layout)
{
    free(layout->groups);
}

/* --- opening --- */

static bool is_number(const char *text)
{
    char *end;
    if (!text[0])
        return true; /* a missing value */
    strtod(text, &end);
    return end != text && *end == '\0';
}

static bool is_header(const csv_reader *csv)
{
    for (size_t i = 0; i < csv->field_count; i++)
        if (!is_number(csv->fields[i].text))
            return true;
    return false;
}

static bool keep_names(row_source *s)
{
    s->names = calloc(s->csv.field_count + 1, sizeof *s->names);
    for (size_t i = 0; s->names && i < s->csv.field_count; i++)
        if (!(s->names[i] = strdup(s->csv.fields[i].text)))
            return false;
    return s->names != NULL;
}

/* The position of a column by its name, or by its number where there are no names. */
static bool find_column(const row_source *s, const char *name, size_t *ret_column)
{
    for (size_t i = 0; s->names && i < s->column_count; i++)
        if (strcmp(s->names[i], name) == 0) {
            *ret_column = i;
            return true;
        }
    char *end;
    const unsigned long number = strtoul(name, &end, 10);
    if (!s->names && end != name && !*end && number >= 1 && number <= s->column_count) {
        *ret_column = number - 1;
        return true;
    }
    if (s->names)
        failure("%s has no column '%s'; its first line names %zu columns, the first is '%s'",
                s->path, name, s->column_count, s->names[0]);
    else
        failure("%s has no line of names: give --columns as numbers from 1 to %zu, not '%s'",
                s->path, s->column_count, name);
    return false;
}

static bool choose_named(row_source *s)
{
    char *list = strdup(s->options.columns), *rest = NULL;
    size_t count = 0;
    bool good = list != NULL;
    for (char *name = good ? strtok_r(list, ",", &rest) : NULL; good && name;
         name = strtok_r(NULL, ",", &rest), count++)
        if (count < (size_t) s->layout->width)
            good = find_column(s, name, &s->columns[count]);
    free(list);
    if (good && count != (size_t) s->layout->width) {
        failure("--columns names %zu columns; the model takes %" PRId64, count, s->layout->width);
        return false;
    }
    return good;
}

static bool choose_columns(row_source *s)
{
    s->columns = calloc((size_t) s->layout->width + 1, sizeof *s->columns);
    if (!s->columns) {
        failure("out of memory");
        return false;
    }
    if (s->options.columns)
        return choose_named(s);
    for (size_t i = 0; i < (size_t) s->layout->width; i++)
        s->columns[i] = i;
    if (s->column_count == (size_t) s->layout->width)
        return true;
    failure("%s has %zu columns; the model takes %" PRId64 ": choose them with --columns", s->path,
            s->column_count, s->layout->width);
    return false;
}

static bool open_csv(row_source *s)
{
    const char *problem;
    struct stat info;
    s->file = strcmp(s->path, "-") == 0 ? stdin : fopen(s->path, "re");
    if (!s->file) {
        failure("cannot open '%s': %s", s->path, strerror(errno));
        return false;
    }
    s->file_bytes = fstat(fileno(s->file), &info) == 0 && S_ISREG(info.st_mode) ? info.st_size : -1;
    csv_init(&s->csv, s->file);
    switch (csv_next(&s->csv, &problem)) {
    case CSV_END:
        failure("%s is empty", s->path);
        return false;
    case CSV_MALFORMED:
        failure("%s:%" PRIu64 ":%" PRIu64 ": %s", s->path, s->csv.line, s->csv.column, problem);
        return false;
    case CSV_RECORD:
        break;
    }
    s->column_count = s->csv.field_count;
    s->has_record = !is_header(&s->csv);
    if (!s->has_record && !keep_names(s)) {
        failure("out of memory");
        return false;
    }
    return choose_columns(s);
}

static bool open_npy(row_source *s, mls_context *context)
{
    if (mls_tensor_read_npy(context, s->path, &s->tensor)) {
        library_failure(NULL);
        return false;
    }
    const mls_dtype dtype = mls_tensor_dtype(s->tensor);
    if (s->options.columns) {
        failure("--columns is for CSV files; '%s' has no names", s->path);
        return false;
    }
    if (mls_tensor_rank(s->tensor) != 2 || mls_tensor_dims(s->tensor)[1] != s->layout->width ||
        (dtype != MLS_FLOAT32 && dtype != MLS_FLOAT64 && dtype != MLS_INT64)) {
        failure("'%s' holds %s of rank %d; expected float32, float64 or int64 of shape [rows, "
                "%" PRId64 "]",
                s->path, mls_dtype_name(dtype), mls_tensor_rank(s->tensor), s->layout->width);
        return false;
    }
    return true;
}

row_source *row_source_open(mls_context *context, const char *path, const row_layout *layout,
                            const row_options *options)
{
    row_source *s = calloc(1, sizeof *s);
    if (!s) {
        failure("out of memory");
        return NULL;
    }
    s->path = path;
    s->layout = layout;
    s->options = *options;
    const size_t size = strlen(path);
    const bool is_npy = size > 4 && strcmp(path + size - 4, ".npy") == 0;
    if (is_npy ? open_npy(s, context) : open_csv(s))
        return s;
    row_source_close(s);
    return NULL;
}

void row_source_close(row_source *s)
{
    if (!s)
        return;
    if (s->file) {
        csv_clear(&s->csv);
        if (s->file != stdin)
            fclose(s->file);
    }
    for (size_t i = 0; s->names && s->names[i]; i++)
        free(s->names[i]);
    free(s->names);
    free(s->columns);
    mls_tensor_free(s->tensor);
    free(s);
}

/* --- rows --- */

/* A cell of text as an element. NULL, or what is wrong with it. */
static const char *store_text(const row_source *s, mls_dtype dtype, const char *text, void *at)
{
    char *end;
    const bool is_float = dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64;
    if (!text[0] && !(s->options.empty_is_nan && is_float))
        return is_float ? "is empty (--empty-as-nan reads it as a missing value)" : "is empty";
    errno = 0;
    if (dtype == MLS_FLOAT32) {
        const float value = text[0] ? strtof(text, &end) : NAN;
        memcpy(at, &value, sizeof value);
        return !text[0] || *end == '\0' ? NULL : "is not a number";
    }
    if (dtype == MLS_FLOAT64) {
        const double value = text[0] ? strtod(text, &end) : (double) NAN;
        memcpy(at, &value, sizeof value);
        return !text[0] || *end == '\0' ? NULL : "is not a number";
    }
    const long long value = strtoll(text, &end, 10);
    if (*end)
        return "is not a whole number";
    if (errno || (dtype == MLS_INT32 && (value < INT32_MIN || value > INT32_MAX)))
        return "is out of range";
    const int32_t narrow = (int32_t) value;
    const int64_t wide = value;
    memcpy(at, dtype == MLS_INT32 ? (const void *) &narrow : &wide, mls_dtype_size(dtype));
    return NULL;
}

static unsigned char *cell_at(const row_group *group, void *data, int64_t capacity, int64_t row,
                              int64_t column)
{
    return (unsigned char *) data + group->offset * (size_t) capacity +
           (size_t) (row * group->width + column) * mls_dtype_size(group->dtype);
}

/* A message for a bad row; false when it stops everything. */
static bool report_bad(row_source *s, const csv_field *field, const char *format, const char *a,
                       const char *b)
{
    char text[512];
    snprintf(text, sizeof text, format, a, b);
    if (!s->options.skip_bad || s->skipped < SHOWN_MOST)
        failure("%s:%" PRIu64 ":%" PRIu64 ": %s%s", s->path, field->line, field->column, text,
                s->options.skip_bad ? " (row skipped)" : "");
    s->skipped += s->options.skip_bad;
    return s->options.skip_bad;
}

typedef enum row_result { ROW_GOOD, ROW_SKIPPED, ROW_STOP } row_result;

static row_result store_record(row_source *s, void *data, int64_t capacity, int64_t row)
{
    const csv_reader *csv = &s->csv;
    if (csv->field_count != s->column_count) {
        char have[32], want[32];
        snprintf(have, sizeof have, "%zu", csv->field_count);
        snprintf(want, sizeof want, "%zu", s->column_count);
        return report_bad(s, &csv->fields[csv->field_count - 1],
                          "the row has %s fields; expected %s", have, want)
                   ? ROW_SKIPPED
                   : ROW_STOP;
    }
    size_t column = 0;
    for (size_t g = 0; g < s->layout->group_count; g++) {
        const row_group *group = &s->layout->groups[g];
        for (int64_t k = 0; k < group->width; k++, column++) {
            const csv_field *field = &csv->fields[s->columns[column]];
            const char *problem =
                store_text(s, group->dtype, field->text, cell_at(group, data, capacity, row, k));
            if (!problem)
                continue;
            char cell[400];
            const char *name = s->names ? s->names[s->columns[column]] : "";
            snprintf(cell, sizeof cell, "%s%.100s%s'%.60s'", s->names ? "column '" : "", name,
                     s->names ? "': " : "", field->text);
            return report_bad(s, field, "%s %s", cell, problem) ? ROW_SKIPPED : ROW_STOP;
        }
    }
    return ROW_GOOD;
}

static csv_status next_record(row_source *s, const char **ret_problem)
{
    if (s->has_record) {
        s->has_record = false;
        return CSV_RECORD;
    }
    return csv_next(&s->csv, ret_problem);
}

static bool next_csv(row_source *s, void *data, int64_t capacity, row_chunk *chunk)
{
    const char *problem;
    while (chunk->count < capacity) {
        const csv_status status = next_record(s, &problem);
        if (status == CSV_END)
            return true;
        if (status == CSV_MALFORMED) {
            failure("%s:%" PRIu64 ":%" PRIu64 ": %s", s->path, s->csv.line, s->csv.column, problem);
            return false;
        }
        const row_result result = store_record(s, data, capacity, chunk->count);
        if (result == ROW_STOP)
            return false;
        if (result == ROW_SKIPPED)
            continue;
        if (!chunk->count)
            chunk->first_line = s->csv.fields[0].line;
        chunk->last_line = s->csv.fields[0].line;
        chunk->count++;
    }
    return true;
}

static void store_element(mls_dtype from, const void *source, mls_dtype to, void *at)
{
    double number = 0;
    int64_t whole = 0;
    if (from == MLS_FLOAT32)
        number = *(const float *) source;
    else if (from == MLS_FLOAT64)
        number = *(const double *) source;
    else
        number = (double) (whole = *(const int64_t *) source);
    if (from != MLS_INT64)
        whole = number >= -9.2e18 && number <= 9.2e18 ? (int64_t) number : 0;
    if (to == MLS_FLOAT32)
        *(float *) at = from == MLS_FLOAT32 ? *(const float *) source : (float) number;
    else if (to == MLS_FLOAT64)
        *(double *) at = number;
    else if (to == MLS_INT64)
        *(int64_t *) at = whole;
    else
        *(int32_t *) at = (int32_t) whole;
}

static void next_npy(row_source *s, void *data, int64_t capacity, row_chunk *chunk)
{
    const int64_t *dims = mls_tensor_dims(s->tensor), *strides = mls_tensor_strides(s->tensor);
    const mls_dtype dtype = mls_tensor_dtype(s->tensor);
    const size_t size = mls_dtype_size(dtype);
    chunk->first_line = (uint64_t) s->next_row + 1;
    for (; chunk->count < capacity && s->next_row < dims[0]; s->next_row++, chunk->count++) {
        const unsigned char *cell = (const unsigned char *) mls_tensor_data(s->tensor) +
                                    s->next_row * strides[0] * (int64_t) size;
        for (size_t g = 0; g < s->layout->group_count; g++) {
            const row_group *group = &s->layout->groups[g];
            for (int64_t k = 0; k < group->width; k++, cell += strides[1] * (int64_t) size)
                store_element(dtype, cell, group->dtype,
                              cell_at(group, data, capacity, chunk->count, k));
        }
    }
    chunk->last_line = (uint64_t) s->next_row;
}

bool row_source_next(row_source *s, void *data, int64_t capacity, row_chunk *ret_chunk)
{
    *ret_chunk = (row_chunk){0};
    if (!s->tensor)
        return next_csv(s, data, capacity, ret_chunk);
    next_npy(s, data, capacity, ret_chunk);
    return true;
}

uint64_t row_source_skipped(const row_source *s)
{
    return s->skipped;
}

double row_source_progress(const row_source *s)
{
    if (s->tensor) {
        const int64_t rows = mls_tensor_dims(s->tensor)[0];
        return rows ? (double) s->next_row / (double) rows : 1;
    }
    const long at = s->file_bytes > 0 ? ftell(s->file) : -1;
    return at < 0 ? -1 : (double) at / (double) s->file_bytes;
}
