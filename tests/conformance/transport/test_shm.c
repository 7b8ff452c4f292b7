/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that share memory conform; here they are threads, each with a mapping of its own. */
#include "conformance/transport/suite.h"

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char url[64];
    snprintf(url, sizeof url, "shm:test-%ld", (long) getpid());
    return conformance_transport_run("conformance/transport/shm", url, NULL);
}
