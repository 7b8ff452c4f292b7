/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of one context that meet at a port of this host conform. */
#include "conformance/transport/suite.h"
#include "support/port.h"

#include <stdio.h>

int main(void)
{
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d/test", mls_test_free_port());
    return conformance_transport_run("conformance/transport/tcp", url, NULL);
}
