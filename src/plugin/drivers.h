/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers of a context: a registry of tables by kind and name, the modules
 * that brought them, and the backends and transports that are open.
 */
#ifndef MLS_PLUGIN_DRIVERS_H
#define MLS_PLUGIN_DRIVERS_H

#include "base/context.h"

#include <mlscale/ext/backend.h>
#include <mlscale/ext/plugin.h>
#include <mlscale/ext/transport.h>

typedef struct mls__drivers mls__drivers;

/* With the built-in drivers registered. */
mls_status mls__drivers_create(mls_context *context, mls__drivers **ret_drivers);
void mls__drivers_free(void *drivers);

/*
 * All that follow fail with MLS_EFORKED in a child of the process that made the
 * context; there, mls__drivers_free() closes nothing.
 */

/*
 * Adds a table after checking its header and mandatory operations.
 * Errors: MLS_EABI, MLS_EEXIST, MLS_ENOMEM.
 */
mls_status mls__drivers_register(mls__drivers *drivers, const mls_plugin *plugin);

/* Opens a shared object and registers every table that it exports, or none of them. */
mls_status mls__drivers_load(mls__drivers *drivers, const char *path);

/* The table of `kind` whose name is the `name_size` bytes. MLS_ENOTFOUND lists what there is. */
mls_status mls__drivers_find(mls__drivers *drivers, uint32_t kind, const char *name,
                             size_t name_size, const mls_plugin **ret_plugin);

/*
 * That of queues or of transports whose URL begins so; a module that is installed for it is
 * loaded first. Errors: as of finding and loading.
 */
mls_status mls__drivers_find_scheme(mls__drivers *drivers, uint32_t kind, const char *name,
                                    size_t name_size, const mls_plugin **ret_plugin);

/* The folder of the library's own modules (src/plugin/folder.c). */
extern const char mls__driver_folder[];

/* What drivers get from the library. */
const mls_plugin_host *mls__drivers_host(const mls__drivers *drivers);

/* A backend, opened once for the context and closed with it. */
typedef struct mls__backend {
    const mls_backend *ops;
    void *self;
} mls__backend;

mls_status mls__drivers_backend(mls__drivers *drivers, const char *name, mls__backend *ret_backend);

/*
 * The transport that a group's URL names, likewise, and what follows the scheme; its module is
 * loaded if it has one.
 */
typedef struct mls__transport {
    const mls_transport *ops;
    void *self;
} mls__transport;

mls_status mls__drivers_transport(mls__drivers *drivers, const char *url, const char **ret_config,
                                  mls__transport *ret_transport);

/* The built-in tables, ended by NULL (src/plugin/builtin.c). */
extern const mls_plugin *const mls__builtin_plugins[];

#endif
