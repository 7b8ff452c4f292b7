/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: each column is as wide as what is in it. */
#ifndef MLSCALE_TOOL_TABLE_H
#define MLSCALE_TOOL_TABLE_H

typedef struct table table;

/* `heads` is ended by NULL and lives as long; ">ID" is a column of numbers, to the right. */
table *table_create(const char *const *heads);

/* The next cell, row by row, with its control characters made visible. */
void table_add(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints what was added, if there are rows, and frees the table. Gives an exit code. */
int table_print(table *t);

#endif
