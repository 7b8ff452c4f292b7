/* SPDX-License-Identifier: Apache-2.0 */
/* The only list of built-in drivers. A new one is a row here. */
#include "config.h"
#include "plugin/drivers.h"

#include <mlscale/ext/backend.h>
#include <mlscale/ext/queue_driver.h>
#include <mlscale/ext/transport.h>

extern const mls_backend mls__backend_cpu;
extern const mls_queue_driver mls__queue_driver_memory;
extern const mls_queue_driver mls__queue_driver_sqlite;
extern const mls_transport mls__transport_inproc;
extern const mls_transport mls__transport_shm;
extern const mls_transport mls__transport_tcp;

const mls_plugin *const mls__builtin_plugins[] = {
    &mls__backend_cpu.plugin,
    &mls__queue_driver_memory.plugin,
    &mls__transport_inproc.plugin,
    &mls__transport_shm.plugin,
#ifdef MLS_TCP
    &mls__transport_tcp.plugin,
#endif
#ifdef MLS_SQLITE
    &mls__queue_driver_sqlite.plugin,
#endif
    NULL,
};
