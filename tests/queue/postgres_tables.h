/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a queue on a server, looked at and changed past its driver; and clients whose
 * connections to it can be cut.
 */
#ifndef MLS_TESTS_QUEUE_POSTGRES_TABLES_H
#define MLS_TESTS_QUEUE_POSTGRES_TABLES_H

/* From now on they are those of the queue at `url`, which a test opens with `options` behind. */
void tables_use(const char *url, const char *options);
const char *tables_url(void); /* with those */
const char *tables_schema(void);

/* Runs statements. */
__attribute__((format(printf, 1, 2))) void tables_sql(const char *format, ...);

/* Fails the test program if it is not so. */
void tables_expect(const char *condition);

/* Until it is so. */
void tables_await(const char *condition);

/* As tables_use(), and how guests reach that queue, which is put into `url`. */
const char *guests_url(char url[700], const char *options);

/* Cuts guests' connections, and has new ones refused until "ALTER ROLE visitor LOGIN". */
void guests_cut(void);

#endif
