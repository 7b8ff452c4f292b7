/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration checks a table once, so that callers need not. One mutex guards the
 * lists; it is a leaf while a driver is looked up, and held over a backend's open so
 * that each opens once.
 */
#include "plugin/drivers.h"

#include "base/error.h"
#include "base/thread.h"
#include "base/vec.h"

#include <dlfcn.h>
#include <string.h>

typedef struct open_backend {
    const mls_backend *ops;
    void *self;
} open_backend;

struct mls__drivers {
    mls_context *context; /* not a reference: the context owns the drivers */
    mls_plugin_host host;
    pthread_mutex_t mutex; /* guards the three lists */
    mls__vec plugins;      /* const mls_plugin * */
    mls__vec modules;      /* void * of dlopen */
    mls__vec backends;     /* open_backend */
};

/* What each kind of driver must have, as the end of its last mandatory operation. */
static const struct {
    uint32_t kind;
    const char *noun;
    size_t mandatory_from, mandatory_to; /* bytes of the table that hold function pointers */
} kinds[] = {
    {MLS_PLUGIN_BACKEND, "backend", offsetof(mls_backend, has_op),
     offsetof(mls_backend, can_alias)},
};

static void *host_alloc(mls_context *context, size_t size_bytes)
{
    return mls__alloc(&context->allocator, size_bytes);
}

static void host_free(mls_context *context, void *ptr)
{
    mls__free(&context->allocator, ptr);
}

mls_status mls__drivers_create(mls_context *context, mls__drivers **ret_drivers)
{
    mls__drivers *drivers = mls__alloc_array(&context->allocator, 1, sizeof *drivers);
    if (!drivers)
        return mls__error_nomem(sizeof *drivers);
    drivers->context = context;
    drivers->host = (mls_plugin_host){sizeof(mls_plugin_host), context, host_alloc, host_free,
                                      mls__error};
    mls_status status = mls__mutex_init(&drivers->mutex);
    if (status) {
        mls__free(&context->allocator, drivers);
        return status;
    }
    mls__vec_init(&drivers->plugins, &context->allocator, sizeof(const mls_plugin *));
    mls__vec_init(&drivers->modules, &context->allocator, sizeof(void *));
    mls__vec_init(&drivers->backends, &context->allocator, sizeof(open_backend));
    for (size_t i = 0; !status && mls__builtin_plugins[i]; i++)
        status = mls__drivers_register(drivers, mls__builtin_plugins[i]);
    if (status) {
        mls__drivers_free(drivers);
        return status;
    }
    *ret_drivers = drivers;
    return MLS_OK;
}

void mls__drivers_free(void *ptr)
{
    mls__drivers *drivers = ptr;
    for (size_t i = 0; i < drivers->backends.count; i++) {
        const open_backend *backend = mls__vec_at(&drivers->backends, i);
        backend->ops->plugin.close(backend->self);
    }
    for (size_t i = 0; i < drivers->modules.count; i++)
        dlclose(*(void **) mls__vec_at(&drivers->modules, i));
    mls__vec_clear(&drivers->backends);
    mls__vec_clear(&drivers->modules);
    mls__vec_clear(&drivers->plugins);
    pthread_mutex_destroy(&drivers->mutex);
    mls__free(&drivers->context->allocator, drivers);
}

const mls_plugin_host *mls__drivers_host(const mls__drivers *drivers)
{
    return &drivers->host;
}

static const mls_plugin *find_plugin(const mls__drivers *drivers, uint32_t kind, const char *name,
                                     size_t name_size)
{
    for (size_t i = 0; i < drivers->plugins.count; i++) {
        const mls_plugin *plugin = *(const mls_plugin **) mls__vec_at(&drivers->plugins, i);
        if (plugin->kind == kind && strlen(plugin->name) == name_size &&
            memcmp(plugin->name, name, name_size) == 0)
            return plugin;
    }
    return NULL;
}

static const char *kind_noun(uint32_t kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].kind == kind)
            return kinds[i].noun;
    return NULL;
}

/* Whether every function pointer of the table's mandatory part is there. */
static mls_status check_mandatory(const mls_plugin *plugin)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (kinds[k].kind != plugin->kind)
            continue;
        if (plugin->size < kinds[k].mandatory_to)
            return mls__error(MLS_EABI, "driver '%s': its table of %zu bytes ends before %zu",
                              plugin->name, plugin->size, kinds[k].mandatory_to);
        for (size_t at = kinds[k].mandatory_from; at < kinds[k].mandatory_to;
             at += sizeof(void (*)(void))) {
            void (*op)(void);
            memcpy(&op, (const unsigned char *) plugin + at, sizeof op);
            if (!op)
                return mls__error(MLS_EABI, "driver '%s' lacks a mandatory operation (byte %zu)",
                                  plugin->name, at);
        }
        return MLS_OK;
    }
    return mls__error(MLS_EABI, "driver '%s' is of kind %u, which this version does not know",
                      plugin->name, plugin->kind);
}

static mls_status check_plugin(const mls_plugin *plugin)
{
    if (plugin->size < sizeof *plugin || !plugin->name || !plugin->name[0])
        return mls__error(MLS_EABI, "a driver's table has no name or is %zu bytes small",
                          plugin->size);
    if (plugin->abi != MLS_PLUGIN_ABI)
        return mls__error(MLS_EABI, "driver '%s' was built for plugin ABI %u; this library has %d",
                          plugin->name, plugin->abi, MLS_PLUGIN_ABI);
    if (!plugin->open || !plugin->close)
        return mls__error(MLS_EABI, "driver '%s' lacks open or close", plugin->name);
    return check_mandatory(plugin);
}

mls_status mls__drivers_register(mls__drivers *drivers, const mls_plugin *plugin)
{
    mls_status status = check_plugin(plugin);
    if (status)
        return status;
    pthread_mutex_lock(&drivers->mutex);
    if (find_plugin(drivers, plugin->kind, plugin->name, strlen(plugin->name))) {
        status = mls__error(MLS_EEXIST, "a %s named '%s' is registered already",
                            kind_noun(plugin->kind), plugin->name);
    } else {
        const mls_plugin **slot = mls__vec_push(&drivers->plugins);
        if (slot)
            *slot = plugin;
        else
            status = mls__error_nomem(sizeof *slot);
    }
    pthread_mutex_unlock(&drivers->mutex);
    return status;
}

static mls_status register_module(mls__drivers *drivers, void *module, const char *path)
{
    mls_plugin_entry_fn entry;
    void *symbol = dlsym(module, MLS_PLUGIN_ENTRY);
    if (!symbol)
        return mls__error(MLS_EABI, "'%s' is no driver module: it does not export " MLS_PLUGIN_ENTRY,
                          path);
    memcpy(&entry, &symbol, sizeof entry);
    const mls_plugin *const *plugins = entry();
    mls_status status = MLS_OK;
    const size_t before = drivers->plugins.count;
    for (size_t i = 0; !status && plugins && plugins[i]; i++)
        status = mls__drivers_register(drivers, plugins[i]);
    if (status) {
        pthread_mutex_lock(&drivers->mutex);
        drivers->plugins.count = before; /* none of a module's tables, or all */
        pthread_mutex_unlock(&drivers->mutex);
        return mls__error_at(status, "module '%s'", path);
    }
    return MLS_OK;
}

mls_status mls__drivers_load(mls__drivers *drivers, const char *path)
{
    if (path[0] != '/')
        return mls__error(MLS_EINVAL, "driver module '%s': give an absolute path", path);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return mls__error(MLS_ENOTFOUND, "cannot load driver module: %s", dlerror());
    pthread_mutex_lock(&drivers->mutex);
    void **slot = mls__vec_push(&drivers->modules);
    if (slot)
        *slot = module;
    pthread_mutex_unlock(&drivers->mutex);
    if (!slot) {
        dlclose(module);
        return mls__error_nomem(sizeof *slot);
    }
    /* A module that fails to register stays open until the context goes: code of it may run. */
    return register_module(drivers, module, path);
}

/* "cpu, cuda" into `text`; what does not fit is left out. */
static void list_names(const mls__drivers *drivers, uint32_t kind, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < drivers->plugins.count; i++) {
        const mls_plugin *plugin = *(const mls_plugin **) mls__vec_at(&drivers->plugins, i);
        const size_t used = strlen(text);
        if (plugin->kind != kind || used + strlen(plugin->name) + 3 > size)
            continue;
        if (used)
            strcat(text, ", ");
        strcat(text, plugin->name);
    }
}

mls_status mls__drivers_find(mls__drivers *drivers, uint32_t kind, const char *name,
                             size_t name_size, const mls_plugin **ret_plugin)
{
    char names[256];
    pthread_mutex_lock(&drivers->mutex);
    const mls_plugin *plugin = find_plugin(drivers, kind, name, name_size);
    if (!plugin)
        list_names(drivers, kind, names, sizeof names);
    pthread_mutex_unlock(&drivers->mutex);
    if (!plugin)
        return mls__error(MLS_ENOTFOUND, "there is no %s '%.*s'; there are: %s", kind_noun(kind),
                          name_size > 64 ? 64 : (int) name_size, name, names);
    *ret_plugin = plugin;
    return MLS_OK;
}

static mls_status open_locked(mls__drivers *drivers, const mls_backend *ops,
                              mls__backend *ret_backend)
{
    for (size_t i = 0; i < drivers->backends.count; i++) {
        const open_backend *open = mls__vec_at(&drivers->backends, i);
        if (open->ops == ops) {
            *ret_backend = (mls__backend){ops, open->self};
            return MLS_OK;
        }
    }
    open_backend *open = mls__vec_push(&drivers->backends);
    if (!open)
        return mls__error_nomem(sizeof *open);
    open->ops = ops;
    const mls_status status =
        ops->plugin.open(&drivers->host, drivers->context->isa, &open->self);
    if (status) {
        drivers->backends.count--;
        return mls__error_at(status, "backend '%s'", ops->plugin.name);
    }
    *ret_backend = (mls__backend){ops, open->self};
    return MLS_OK;
}

mls_status mls__drivers_backend(mls__drivers *drivers, const char *name, mls__backend *ret_backend)
{
    const mls_plugin *plugin;
    const mls_status found =
        mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, name, strlen(name), &plugin);
    if (found)
        return found;
    pthread_mutex_lock(&drivers->mutex);
    const mls_status status =
        open_locked(drivers, (const mls_backend *) (const void *) plugin, ret_backend);
    pthread_mutex_unlock(&drivers->mutex);
    return status;
}
