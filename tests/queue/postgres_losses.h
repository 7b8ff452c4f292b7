/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what is lost between a queue and its server. */
#ifndef MLS_TESTS_QUEUE_POSTGRES_LOSSES_H
#define MLS_TESTS_QUEUE_POSTGRES_LOSSES_H

#include <check.h>

void postgres_losses_add(Suite *suite);
void postgres_stops_add(Suite *suite);
void postgres_deaths_add(TCase *tests); /* called by it */

#endif
