/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of mls_context that every layer may use: memory, log and executor.
 * The drivers hang on it opaquely; src/plugin knows what they are.
 */
#ifndef MLS_BASE_CONTEXT_H
#define MLS_BASE_CONTEXT_H

#include "base/alloc.h"
#include "base/executor.h"
#include "base/refcount.h"

#include <mlscale/context.h>

struct mls_context {
    mls__refcount refs;
    mls__allocator allocator;
    mls_log_fn log;
    void *log_user;
    mls__executor *executor;
    const char *isa; /* static storage */
    void *drivers;   /* mls__drivers of src/plugin, which frees them */
    void (*drivers_free)(void *drivers);
};

void mls__context_ref(mls_context *context);
void mls__context_unref(mls_context *context);

/* Drops the line when the host gave no sink. Never for errors, which are returned. */
void mls__log(const mls_context *context, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
