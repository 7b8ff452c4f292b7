/* SPDX-License-Identifier: Apache-2.0 */
/* Rows are kept until MOST_ROWS of them are there; columns only widen from then on. */
#include "table.h"

#include "options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROWS    1000
#define MOST_COLUMNS 12
#define GAP          "  "

struct table {
    const char *const *heads;
    size_t columns, count; /* cells, which are kept */
    size_t widths[MOST_COLUMNS];
    bool has_heads, is_short; /* their line was printed; memory ran out */
    char *cells[MOST_ROWS * MOST_COLUMNS];
};

/* Of UTF-8: bytes that go on with a character take no place. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char) *text & 0xc0) != 0x80;
    return width;
}

static bool is_number(const char *head)
{
    return *head == '>';
}

static void widen(table *t, size_t column, const char *text)
{
    const size_t width = width_of(text);
    if (t->widths[column] < width)
        t->widths[column] = width;
}

table *table_create(const char *const *heads)
{
    table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->heads = heads;
    for (; heads[t->columns]; t->columns++)
        widen(t, t->columns, heads[t->columns] + is_number(heads[t->columns]));
    return t;
}

/* The last column has no spaces behind it. */
static void print_cell(const table *t, size_t column, const char *text)
{
    const int pad = (int) (t->widths[column] - width_of(text));
    const bool is_last = column + 1 == t->columns;
    const bool is_right = is_number(t->heads[column]);
    printf("%*s%s%*s%s", is_right ? pad : 0, "", text, is_right || is_last ? 0 : pad, "",
           is_last ? "\n" : GAP);
}

static void print_rows(table *t)
{
    for (size_t i = 0; i < t->columns && t->count && !t->has_heads; i++)
        print_cell(t, i, t->heads[i] + is_number(t->heads[i]));
    t->has_heads |= t->count > 0;
    for (size_t i = 0; i < t->count; i++) {
        print_cell(t, i % t->columns, t->cells[i]);
        free(t->cells[i]);
    }
    t->count = 0;
}

/* `text` with its control characters visible; NULL: there is no memory. */
static char *visible(const char *text)
{
    char *cell = NULL;
    size_t size;
    FILE *stream = open_memstream(&cell, &size);
    if (!stream)
        return NULL;
    print_visible(stream, text);
    if (fclose(stream) == 0)
        return cell;
    free(cell);
    return NULL;
}

void table_add(table *t, const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (t->count == MOST_ROWS * t->columns)
        print_rows(t);
    char *cell = t->is_short ? NULL : visible(text);
    t->is_short |= !cell;
    if (!cell)
        return;
    widen(t, t->count % t->columns, cell);
    t->cells[t->count++] = cell;
}

int table_print(table *t)
{
    const bool is_short = t->is_short;
    t->count -= t->count % t->columns;
    print_rows(t);
    free(t);
    return is_short ? failure("out of memory") : EXIT_GOOD;
}
