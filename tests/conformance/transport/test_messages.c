/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport that cannot read its peers' memory conforms too: the same algorithms, by
 * messages, as between processes and hosts.
 */
#include "conformance/transport/suite.h"

#include "plugin/drivers.h"

extern const mls_transport mls__transport_inproc;

static mls_transport messages;

static void register_messages(mls_context *context)
{
    messages = mls__transport_inproc;
    messages.plugin.name = "messages";
    messages.read = NULL;
    ck_assert_ok(mls__drivers_register(context->drivers, &messages.plugin));
}

int main(void)
{
    return conformance_transport_run("conformance/transport/messages", "messages:test",
                                     register_messages);
}
