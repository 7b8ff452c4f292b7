/* SPDX-License-Identifier: Apache-2.0 */
/* New, empty stores of each kind for runs on a virtual clock, where this build has such. */
#ifndef MLS_TESTS_QUEUE_STORES_H
#define MLS_TESTS_QUEUE_STORES_H

#include <stdbool.h>

/* The URL of a new one. Static storage. */
typedef const char *(*store_url_fn)(void);

const char *store_memory_url(void);
const char *store_sqlite_url(void);
/* Its server goes by the virtual clock too. */
const char *store_postgres_url(void);

bool store_has_sqlite(void);
bool store_has_postgres(void);

/* In main(), before any test: starts the server that there is, if any. */
void stores_start(void);

#endif
