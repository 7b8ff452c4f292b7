/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetime and log of the context; src/plugin/context.c builds it. */
#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>

void mls__context_ref(mls_context *context)
{
    mls__refcount_take(&context->refs);
}

void mls__context_unref(mls_context *context)
{
    if (!context || !mls__refcount_drop(&context->refs))
        return;
    if (context->drivers)
        context->drivers_free(context->drivers);
    mls__executor_free(context->executor);
    const mls__allocator allocator = context->allocator;
    mls__free(&allocator, context);
}

void mls_context_free(mls_context *context)
{
    mls__context_unref(context);
}

const char *mls_context_isa(const mls_context *context)
{
    return context ? context->isa : NULL;
}

void mls__log(const mls_context *context, int level, const char *format, ...)
{
    if (!context->log)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    context->log(context->log_user, level, line);
}
