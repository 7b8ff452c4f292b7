/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of several clients of one queue on a server, at once. */
#ifndef MLS_TESTS_QUEUE_POSTGRES_CLIENTS_H
#define MLS_TESTS_QUEUE_POSTGRES_CLIENTS_H

#include <check.h>

void postgres_claims_add(TCase *tests);
void postgres_clients_add(TCase *tests);
void postgres_plans_add(TCase *tests);

#endif
