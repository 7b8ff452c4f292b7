/* SPDX-License-Identifier: Apache-2.0 */
/* A driver without any capability conforms too: all that it lacks is refused. */
#include "conformance/queue/suite.h"

#include "plugin/drivers.h"

#include <mlscale/ext/queue_driver.h>

extern const mls_queue_driver mls__queue_driver_memory;

static mls_queue_driver plain;

static void register_plain(mls_context *context)
{
    plain = mls__queue_driver_memory;
    plain.plugin.name = "plain";
    plain.capabilities = 0;
    ck_assert_ok(mls__drivers_register(context->drivers, &plain.plugin));
}

static const char *url(void)
{
    return "plain:";
}

int main(void)
{
    fixture_on_context = register_plain;
    return conformance_queue_run("conformance/queue/plain", url);
}
