/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_context: everything that would otherwise be global.
 *
 * It holds the allocator, the log sink, the executor and the drivers. Several
 * contexts live side by side in one process. Objects made from a context keep it
 * alive, so they may be freed in any order. All functions may be called from any
 * thread.
 *
 * fork(): threads and drivers stay the parent's. A child may free what it inherited
 * (drivers are left open), but what needs threads or looks up a driver fails there
 * with MLS_EFORKED: make a context in the child.
 */
#ifndef MLSCALE_CONTEXT_H
#define MLSCALE_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_context mls_context;

/*
 * Memory of `size` bytes (at least 1) aligned to `alignment` (a power of two), or
 * NULL. Called from any thread that uses the context.
 */
typedef void *(*mls_alloc_fn)(void *user, size_t size, size_t alignment);

/* Gives back `ptr` (never NULL), which mls_alloc_fn returned. */
typedef void (*mls_free_fn)(void *user, void *ptr);

/* Log levels, in the order of their weight. */
#define MLS_LOG_DEBUG   0
#define MLS_LOG_INFO    1
#define MLS_LOG_WARNING 2

/*
 * One line without a newline, on any thread, some of which others wait for: it calls nothing of
 * the library. Errors are returned, never logged.
 */
typedef void (*mls_log_fn)(void *user, int level, const char *message);

/* The body of a parallel loop; it is called once for each index. */
typedef void (*mls_task_fn)(void *arg, size_t index);

/*
 * Runs task(arg, i) for every i in [0, count), in any order and on any threads,
 * and returns when all are done. A host with a thread pool of its own gives one.
 */
typedef void (*mls_parallel_for_fn)(void *user, size_t count, mls_task_fn task, void *arg);

typedef struct mls_context_options {
    size_t size; /* sizeof(mls_context_options) */

    /* Allocator; both or neither. The default is aligned_alloc and free. */
    mls_alloc_fn alloc;
    mls_free_fn free;
    void *alloc_user;

    /* Log sink; the default drops every line. */
    mls_log_fn log;
    void *log_user;

    /*
     * Where parallel work runs. The default makes threads of its own, and only
     * when a session or worker asks for more than one.
     */
    mls_parallel_for_fn parallel_for;
    void *parallel_user;

    /*
     * The instruction set of the CPU kernels: "portable", "avx2", "avx2vnni",
     * "avx512", "avx512vnni", "avx512bf16", "amx", "neon", or NULL for the environment's
     * MLS_ISA and else the best that the machine has. Results are the same bytes for each,
     * but for those of sessions with MLS_NUMERICS_FAST.
     */
    const char *isa;

    /*
     * How long the context's own threads, once a session asked for more than one,
     * spin for the next parallel loop of a run before they sleep, in microseconds.
     * Waking one takes 30 us, longer than most loops; so this is the difference
     * between a second thread that helps small models and one that slows them.
     * 0 never spins, and without a core for each thread none does.
     */
    uint32_t spin_us;
    uint32_t reserved; /* 0 */
} mls_context_options;

#define MLS_SPIN_US_DEFAULT 200

#define MLS_CONTEXT_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(mls_context_options), 0, 0, 0, 0, 0, 0, 0, 0, MLS_SPIN_US_DEFAULT, 0                \
    }

/*
 * A new context; `options` may be NULL. Free it with mls_context_free().
 * Errors: MLS_EINVAL (options, unknown instruction set), MLS_EUNSUPPORTED
 * (instruction set that this machine lacks), MLS_ENOMEM.
 */
MLS_API mls_status mls_context_create(const mls_context_options *options,
                                      mls_context **ret_context);

/* Drops the caller's hold; the last object made from the context ends it. */
MLS_API void mls_context_free(mls_context *context);

/*
 * Loads a driver module: the absolute path of a shared object that exports
 * `mls_plugin_entry` (see mlscale/ext/plugin.h). All of its drivers are registered
 * or, on an error, none. It stays loaded as long as the context lives.
 * Errors: MLS_EINVAL (a relative path), MLS_ENOTFOUND (no such file), MLS_EIO (the
 * system cannot load it), MLS_EABI (not a driver, or of an incompatible build),
 * MLS_EEXIST (the name of a driver is taken), MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_context_load_driver(mls_context *context, const char *path);

/* The instruction set in use, such as "avx512". Static storage. */
MLS_API const char *mls_context_isa(const mls_context *context);

/* The library's version, such as "0.1.0". Static storage. */
MLS_API const char *mls_version(void);

#ifdef __cplusplus
}
#endif
#endif
