/* SPDX-License-Identifier: Apache-2.0 */
/* The memory driver conforms. */
#include "conformance/queue/suite.h"

static const char *url(void)
{
    return "memory:";
}

int main(void)
{
    return conformance_queue_run("conformance/queue/memory", url);
}
