/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a process conform. */
#include "conformance/transport/suite.h"

int main(void)
{
    return conformance_transport_run("conformance/transport/inproc", "inproc:test", NULL);
}
