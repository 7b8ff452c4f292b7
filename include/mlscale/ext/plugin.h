/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every driver starts with: a backend, a queue driver and a transport are
 * each one const table whose first member is an mls_plugin.
 *
 * A table may grow at its end. MLS_HAS_OP() tells whether a table, as compiled,
 * has an optional operation; registration refuses one that lacks a mandatory one.
 */
#ifndef MLSCALE_EXT_PLUGIN_H
#define MLSCALE_EXT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/context.h>
#include <mlscale/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a mandatory operation changes its meaning or signature. */
#define MLS_PLUGIN_ABI 1

#define MLS_PLUGIN_BACKEND      1
#define MLS_PLUGIN_QUEUE_DRIVER 2
#define MLS_PLUGIN_TRANSPORT    3

struct mls_transport;

/* What the library lends to a driver; valid as long as the driver is open. */
typedef struct mls_plugin_host {
    size_t size;
    mls_context *context;
    /* The context's allocator: aligned to 64 bytes, NULL when there is no memory. */
    void *(*alloc)(mls_context *context, size_t size_bytes);
    void (*free)(mls_context *context, void *ptr);
    /* Sets the calling thread's error message and returns `status`. */
    mls_status (*error)(mls_status status, const char *format, ...)
#if defined(__GNUC__)
        __attribute__((format(printf, 2, 3)))
#endif
        ;
    /*
     * The transport of a group URL, opened for the context, and what follows its scheme: for
     * transports that are made of another one. Not to be called while a driver is opened. The
     * table lives as long as the context. Errors: MLS_EINVAL, MLS_ENOTFOUND, and those of open.
     */
    mls_status (*transport)(mls_context *context, const char *url,
                            const struct mls_transport **ret_table, void **ret_self,
                            const char **ret_config);
    /* Hands a message to the context's log, if it has one of that level (MLS_LOG_*). */
    void (*log)(const mls_context *context, int level, const char *format, ...)
#if defined(__GNUC__)
        __attribute__((format(printf, 3, 4)))
#endif
        ;
    /* mls_error_message() of the calling thread. */
    const char *(*error_message)(void);
} mls_plugin_host;

typedef struct mls_plugin {
    size_t size;   /* of the whole table, as compiled */
    uint32_t abi;  /* MLS_PLUGIN_ABI */
    uint32_t kind; /* MLS_PLUGIN_* */
    /*
     * "cpu", "sqlite", "tcp": the URL scheme or device name; 1 to 32 of a-z, 0-9, '+',
     * '-', '.' and '_'.
     */
    const char *name;
    /*
     * Opens an instance. `config` is what follows "name:" in a URL, or ""; for a
     * backend, the context's instruction set; for a transport "". `ret_self` is handed to
     * every other operation. Mandatory, with close. Neither may load drivers into the context or
     * create sessions of it; close is not called in a child of fork().
     */
    mls_status (*open)(const mls_plugin_host *host, const char *config, void **ret_self);
    void (*close)(void *self);
} mls_plugin;

/* Whether `table`, of struct type `type`, was compiled with operation `op` and has it. */
#define MLS_HAS_OP(table, type, op)                                                                \
    (((const mls_plugin *) (table))->size >= offsetof(type, op) + sizeof((table)->op) &&           \
     (table)->op != NULL)

/*
 * The one symbol of a loadable module: its tables, at least one, ended by NULL. Static
 * storage.
 */
#define MLS_PLUGIN_ENTRY "mls_plugin_entry"
typedef const mls_plugin *const *(*mls_plugin_entry_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
