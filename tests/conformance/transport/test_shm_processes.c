/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that share memory conform. */
#include "conformance/transport/suite.h"

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char url[64];
    snprintf(url, sizeof url, "shm:test-%ld", (long) getpid());
    return conformance_transport_run_processes("conformance/transport/shm_processes", url);
}
