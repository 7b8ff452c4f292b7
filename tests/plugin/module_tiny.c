/* SPDX-License-Identifier: Apache-2.0 */
/* A driver module as others would write one: a backend whose one op doubles a float32. */
#include <mlscale/ext/backend.h>

#include <string.h>

typedef struct tiny {
    const mls_plugin_host *host;
} tiny;

typedef struct twice_kernel {
    mls_kernel base;
    const mls_plugin_host *host;
    int64_t count;
} twice_kernel;

static mls_status tiny_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    tiny *self = host->alloc(host->context, sizeof *self);
    if (!self)
        return host->error(MLS_ENOMEM, "tiny: no memory");
    self->host = host;
    *ret_self = self;
    return MLS_OK;
}

static void tiny_close(void *ptr)
{
    tiny *self = ptr;
    self->host->free(self->host->context, self);
}

static int tiny_has_op(void *self, const char *domain, const char *type)
{
    (void) self;
    return strcmp(domain, "tiny") == 0 && strcmp(type, "Twice") == 0;
}

static mls_status twice_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const twice_kernel *kernel = (const twice_kernel *) base;
    const float *x = call->buffers[0];
    float *y = call->buffers[1];
    for (int64_t i = 0; i < kernel->count; i++)
        y[i] = 2 * x[i];
    return MLS_OK;
}

static void twice_free(mls_kernel *base)
{
    twice_kernel *kernel = (twice_kernel *) base;
    kernel->host->free(kernel->host->context, kernel);
}

static mls_status tiny_kernel_create(void *ptr, const mls_op *op, mls_kernel **ret_kernel)
{
    const tiny *self = ptr;
    if (op->inputs[0].dtype != MLS_FLOAT32)
        return self->host->error(MLS_EUNSUPPORTED, "node '%s': Twice wants float32", op->node);
    twice_kernel *kernel = self->host->alloc(self->host->context, sizeof *kernel);
    if (!kernel)
        return self->host->error(MLS_ENOMEM, "tiny: no memory");
    *kernel = (twice_kernel){
        .base = {.run = twice_run, .free = twice_free, .name = "tiny.twice"},
        .host = self->host,
        .count = 1,
    };
    for (int i = 0; i < op->inputs[0].rank; i++)
        kernel->count *= op->inputs[0].dims[i];
    *ret_kernel = &kernel->base;
    return MLS_OK;
}

static const mls_backend backend = {
    .plugin = {sizeof(mls_backend), MLS_PLUGIN_ABI, MLS_PLUGIN_BACKEND, "tiny", tiny_open,
               tiny_close},
    .has_op = tiny_has_op,
    .kernel_create = tiny_kernel_create,
};

MLS_API const mls_plugin *const *mls_plugin_entry(void);

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&backend.plugin, NULL};
    return plugins;
}
