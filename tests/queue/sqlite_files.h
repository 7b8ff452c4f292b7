/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the file of a sqlite queue, by what they are about. */
#ifndef MLS_TESTS_QUEUE_SQLITE_FILES_H
#define MLS_TESTS_QUEUE_SQLITE_FILES_H

#include <check.h>

void sqlite_damages_add(TCase *tests);
void sqlite_schedules_add(TCase *tests);
void sqlite_stays_add(TCase *tests);

#endif
