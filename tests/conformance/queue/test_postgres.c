/* SPDX-License-Identifier: Apache-2.0 */
/* The postgres driver conforms. Its module is found by the scheme, as an installed one is. */
#include "conformance/queue/suite.h"

#include "support/postgres.h"

#include <stdlib.h>

int main(void)
{
    setenv("MLSCALE_DRIVERS", MLS_TEST_DRIVERS, 1);
    if (!mls_test_postgres_start())
        return mls_test_postgres_skip();
    return conformance_queue_run("conformance/queue/postgres", mls_test_postgres_url);
}
