/* SPDX-License-Identifier: Apache-2.0 */
/* A state machine over bytes. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

void csv_init(csv_reader *reader, FILE *file)
{
    *reader = (csv_reader){.file = file, .line = 1, .column = 1};
    /* Some programs begin UTF-8 files with a mark. */
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    for (size_t i = 0; i < sizeof mark; i++) {
        const int byte = getc_unlocked(file);
        if (byte != mark[i]) {
            if (byte != EOF)
                ungetc(byte, file);
            break;
        }
    }
}

void csv_clear(csv_reader *reader)
{
    free(reader->text);
    free(reader->fields);
    free(reader->starts);
}

static int next_byte(csv_reader *reader)
{
    const int byte = getc_unlocked(reader->file);
    if (byte == '\n') {
        reader->line++;
        reader->column = 1;
    } else if (byte != EOF) {
        reader->column++;
    }
    return byte;
}

static int peek_byte(csv_reader *reader)
{
    const int byte = getc_unlocked(reader->file);
    if (byte != EOF)
        ungetc(byte, reader->file);
    return byte;
}

static bool add_byte(csv_reader *reader, int byte)
{
    if (reader->text_size == reader->text_capacity) {
        const size_t capacity = reader->text_capacity ? 2 * reader->text_capacity : 4096;
        char *text = capacity > CSV_RECORD_MOST ? NULL : realloc(reader->text, capacity);
        if (!text)
            return false;
        reader->text = text;
        reader->text_capacity = capacity;
    }
    reader->text[reader->text_size++] = (char) byte;
    return true;
}

static bool begin_field(csv_reader *reader)
{
    if (reader->field_count == reader->field_capacity) {
        const size_t capacity = reader->field_capacity ? 2 * reader->field_capacity : 64;
        csv_field *fields = realloc(reader->fields, capacity * sizeof *fields);
        if (fields)
            reader->fields = fields;
        size_t *starts = realloc(reader->starts, capacity * sizeof *starts);
        if (starts)
            reader->starts = starts;
        if (!fields || !starts)
            return false;
        reader->field_capacity = capacity;
    }
    reader->fields[reader->field_count] = (csv_field){NULL, reader->line, reader->column};
    reader->starts[reader->field_count++] = reader->text_size;
    return true;
}

/* What ends a field that is not quoted. */
static bool is_end(int byte)
{
    return byte == ',' || byte == '\n' || byte == '\r' || byte == EOF;
}

/* The rest of a quoted field, up to and with its closing quote. */
static const char *read_quoted(csv_reader *reader)
{
    for (;;) {
        const int byte = next_byte(reader);
        if (byte == EOF)
            return "the file ends inside a quoted field";
        if (byte == '"') {
            if (peek_byte(reader) != '"')
                return is_end(peek_byte(reader)) ? NULL
                                                 : "there is text behind a field's closing quote";
            next_byte(reader);
        }
        if (!add_byte(reader, byte))
            return "the record is too long";
    }
}

static const char *read_field(csv_reader *reader)
{
    if (!begin_field(reader))
        return "the record has too many fields";
    if (peek_byte(reader) == '"') {
        next_byte(reader);
        const char *problem = read_quoted(reader);
        if (problem)
            return problem;
    } else {
        while (!is_end(peek_byte(reader)))
            if (!add_byte(reader, next_byte(reader)))
                return "the record is too long";
    }
    return add_byte(reader, '\0') ? NULL : "the record is too long";
}

static void skip_empty_lines(csv_reader *reader)
{
    while (peek_byte(reader) == '\n' || peek_byte(reader) == '\r')
        next_byte(reader);
}

csv_status csv_next(csv_reader *reader, const char **ret_problem)
{
    skip_empty_lines(reader);
    reader->text_size = reader->field_count = 0;
    if (peek_byte(reader) == EOF)
        return CSV_END;
    for (;;) {
        const char *problem = read_field(reader);
        if (problem) {
            *ret_problem = problem;
            return CSV_MALFORMED;
        }
        if (peek_byte(reader) != ',')
            break;
        next_byte(reader);
    }
    if (next_byte(reader) == '\r' && peek_byte(reader) == '\n')
        next_byte(reader);
    for (size_t i = 0; i < reader->field_count; i++)
        reader->fields[i].text = reader->text + reader->starts[i];
    return CSV_RECORD;
}
