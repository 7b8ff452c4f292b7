/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading CSV (RFC 4180) as a stream: one record in memory at a time, and every field
 * with the line and column where it began, which no small library gives.
 */
#ifndef MLSCALE_TOOL_CSV_H
#define MLSCALE_TOOL_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The longest record in bytes: a file without line ends must not fill memory. */
#define CSV_RECORD_MOST (16u << 20)

typedef struct csv_field {
    const char *text;      /* ends with a NUL; quotes are gone */
    uint64_t line, column; /* where it began, from 1; the column counts bytes */
} csv_field;

typedef struct csv_reader {
    FILE *file;
    uint64_t line, column; /* of the next byte */
    char *text;            /* the record's fields, each ended by a NUL */
    size_t text_size, text_capacity;
    csv_field *fields; /* .text is set when the record is complete */
    size_t *starts;    /* where in `text` each field begins */
    size_t field_count, field_capacity;
} csv_reader;

typedef enum csv_status {
    CSV_RECORD,   /* fields are there */
    CSV_END,      /* of the file */
    CSV_MALFORMED /* csv_reader.line and .column say where, *ret_problem what */
} csv_status;

void csv_init(csv_reader *reader, FILE *file);
void csv_clear(csv_reader *reader);

/* The next record; empty lines are passed over. */
csv_status csv_next(csv_reader *reader, const char **ret_problem);

#endif
