/* SPDX-License-Identifier: Apache-2.0 */
/* A module whose first table is fine and whose second is of a later ABI. */
#include <mlscale/ext/backend.h>

static mls_status mixed_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    *ret_self = host->context;
    return MLS_OK;
}

static void mixed_close(void *self)
{
    (void) self;
}

static int mixed_has_op(void *self, const char *domain, const char *type)
{
    (void) self;
    (void) domain;
    (void) type;
    return 0;
}

static mls_status mixed_kernel_create(void *self, const mls_op *op, mls_kernel **ret_kernel)
{
    (void) self;
    (void) op;
    (void) ret_kernel;
    return MLS_EUNSUPPORTED;
}

static const mls_backend good = {
    .plugin = {sizeof(mls_backend), MLS_PLUGIN_ABI, MLS_PLUGIN_BACKEND, "good", mixed_open,
               mixed_close},
    .has_op = mixed_has_op,
    .kernel_create = mixed_kernel_create,
};

static const mls_backend later = {
    .plugin = {sizeof(mls_backend), MLS_PLUGIN_ABI + 1, MLS_PLUGIN_BACKEND, "later", mixed_open,
               mixed_close},
    .has_op = mixed_has_op,
    .kernel_create = mixed_kernel_create,
};

MLS_API const mls_plugin *const *mls_plugin_entry(void);

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&good.plugin, &later.plugin, NULL};
    return plugins;
}
