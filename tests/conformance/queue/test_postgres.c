/* SPDX-License-Identifier: Apache-2.0 */
/* The postgres driver conforms. Its module is found by the scheme, as an installed one is. */
#include "conformance/queue/suite.h"

#include "support/postgres.h"

#include <stdlib.h>

/*
 * The leak checker of Clang 14 faults itself, in the thread by which it stops others, at the end
 * of some of these tests and never when they run alone. Leaks of the driver are looked for in
 * tests/queue/test_postgres_server.
 */
MLS_API int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

int main(void)
{
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    if (!mls_test_postgres_start())
        return mls_test_postgres_skip();
    return conformance_queue_run("conformance/queue/postgres", mls_test_postgres_url);
}
