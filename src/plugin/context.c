/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a context: memory first, then the executor, then the drivers. */
#include "base/context.h"

#include "base/error.h"
#include "base/isa.h"
#include "base/options.h"
#include "plugin/drivers.h"

#include "config.h"

static mls_status read_options(const mls_context_options *given, mls_context_options *ret_options)
{
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    const mls_status status =
        mls__options_read("mls_context_options", given, offsetof(mls_context_options, spin_us),
                          sizeof options, &options);
    if (status)
        return status;
    if (!options.alloc != !options.free)
        return mls__error(MLS_EINVAL, "mls_context_options: give both alloc and free, or neither");
    *ret_options = options;
    return MLS_OK;
}

static mls_status fill_context(mls_context *context, const mls_context_options *options)
{
    mls_status status = mls__isa_select(options->isa, &context->isa);
    if (!status)
        status = mls__executor_create(&context->allocator, options->parallel_for,
                                      options->parallel_user, options->spin_us, &context->executor);
    mls__drivers *drivers;
    if (!status)
        status = mls__drivers_create(context, &drivers);
    if (status)
        return status;
    context->drivers = drivers;
    context->drivers_free = mls__drivers_free;
    return MLS_OK;
}

mls_status mls_context_create(const mls_context_options *given, mls_context **ret_context)
{
    if (!ret_context)
        return mls__error_null(__func__, "ret_context");
    mls_context_options options;
    mls_status status = read_options(given, &options);
    if (status)
        return status;
    mls__allocator allocator = mls__allocator_default;
    if (options.alloc)
        allocator = (mls__allocator){options.alloc, options.free, options.alloc_user};
    mls_context *context = mls__alloc_array(&allocator, 1, sizeof *context);
    if (!context)
        return mls__error_nomem(sizeof *context);
    mls__refcount_init(&context->refs);
    context->allocator = allocator;
    context->log = options.log;
    context->log_user = options.log_user;
    status = fill_context(context, &options);
    if (status) {
        mls__context_unref(context);
        return status;
    }
    *ret_context = context;
    return MLS_OK;
}

mls_status mls_context_load_driver(mls_context *context, const char *path)
{
    if (!context || !path)
        return mls__error_null(__func__, "context and path");
    return mls__drivers_load(context->drivers, path);
}

const char *mls_version(void)
{
    return PACKAGE_VERSION;
}
