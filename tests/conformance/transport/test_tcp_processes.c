/* SPDX-License-Identifier: Apache-2.0 */
/* So do processes that have a token and encrypt what they say. */
#include "conformance/transport/suite.h"
#include "support/port.h"

#include <stdio.h>

int main(void)
{
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d/test", mls_test_free_port());
    the_token = "conformance";
    return conformance_transport_run_processes("conformance/transport/tcp_processes", url);
}
