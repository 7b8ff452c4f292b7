/* SPDX-License-Identifier: Apache-2.0 */
/* A transport that counts what is sent through another one. */
#include "sharded/suite.h"

#include "plugin/drivers.h"

#include <stdatomic.h>

static mls_transport counted;
static mls_status (*post)(void *link, mls_transport_message *message);
static _Atomic uint64_t sent_bytes;

static mls_status post_counted(void *link, mls_transport_message *message)
{
    if (message->kind == MLS_MESSAGE_SEND)
        atomic_fetch_add(&sent_bytes, message->size_bytes);
    return post(link, message);
}

void counted_register(const mls_transport *transport, bool is_read)
{
    counted = *transport;
    counted.plugin.name = "counted";
    if (!is_read)
        counted.read = NULL;
    post = transport->post;
    counted.post = post_counted;
    ck_assert_ok(mls__drivers_register(the_context->drivers, &counted.plugin));
}

uint64_t counted_take(void)
{
    return atomic_exchange(&sent_bytes, 0);
}
