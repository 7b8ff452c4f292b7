/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that are set while jobs run. */
#ifndef MLS_TESTS_QUEUE_CLOCKS_H
#define MLS_TESTS_QUEUE_CLOCKS_H

#include <check.h>

void clocks_add(TCase *tests);

#endif
