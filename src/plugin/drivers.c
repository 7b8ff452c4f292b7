/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration checks a table once, so that callers need not. Tables stay registered
 * as long as the drivers live, so they are used without the lock. One mutex guards the
 * lists; it is a leaf while a driver is looked up, and held over a backend's or transport's
 * open so that each opens once. In a child of fork() another thread may have held it, so
 * nothing is to be had there but an error.
 */
#include "plugin/drivers.h"

#include "base/error.h"
#include "base/thread.h"
#include "base/vec.h"

#include <mlscale/ext/queue_driver.h>
#include <mlscale/ext/transport.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 32

typedef struct open_driver {
    const mls_plugin *plugin;
    void *self;
} open_driver;

struct mls__drivers {
    mls_context *context; /* not a reference: the context owns the drivers */
    mls_plugin_host host;
    uint64_t fork_generation;
    pthread_mutex_t mutex; /* guards the three lists */
    mls__vec plugins;      /* const mls_plugin * */
    mls__vec modules;      /* void * of dlopen */
    mls__vec open;         /* open_driver: backends and transports */
};

/* What each kind of driver must have, as the end of its last mandatory operation. */
static const struct {
    uint32_t kind;
    const char *noun;
    size_t mandatory_from, mandatory_to; /* bytes of the table that hold function pointers */
} kinds[] = {
    {MLS_PLUGIN_BACKEND, "backend", offsetof(mls_backend, has_op),
     offsetof(mls_backend, can_alias)},
    {MLS_PLUGIN_QUEUE_DRIVER, "queue driver", offsetof(mls_queue_driver, bind),
     offsetof(mls_queue_driver, stats) + sizeof(((mls_queue_driver *) 0)->stats)},
    {MLS_PLUGIN_TRANSPORT, "transport", offsetof(mls_transport, open_link),
     offsetof(mls_transport, survivors)},
};

static void *host_alloc(mls_context *context, size_t size_bytes)
{
    return mls__alloc(&context->allocator, size_bytes);
}

static void host_free(mls_context *context, void *ptr)
{
    mls__free(&context->allocator, ptr);
}

static mls_status host_transport(mls_context *context, const char *url,
                                 const struct mls_transport **ret_table, void **ret_self,
                                 const char **ret_config)
{
    mls__transport transport;
    const mls_status status = mls__drivers_transport(context->drivers, url, ret_config, &transport);
    if (status)
        return status;
    *ret_table = transport.ops;
    *ret_self = transport.self;
    return MLS_OK;
}

mls_status mls__drivers_create(mls_context *context, mls__drivers **ret_drivers)
{
    mls__drivers *drivers = mls__alloc_array(&context->allocator, 1, sizeof *drivers);
    if (!drivers)
        return mls__error_nomem(sizeof *drivers);
    drivers->context = context;
    drivers->fork_generation = mls__fork_generation();
    drivers->host = (mls_plugin_host){.size = sizeof(mls_plugin_host),
                                      .context = context,
                                      .alloc = host_alloc,
                                      .free = host_free,
                                      .error = mls__error,
                                      .transport = host_transport,
                                      .log = mls__log,
                                      .error_message = mls_error_message};
    mls_status status = mls__mutex_init(&drivers->mutex);
    if (status) {
        mls__free(&context->allocator, drivers);
        return status;
    }
    mls__vec_init(&drivers->plugins, &context->allocator, sizeof(const mls_plugin *));
    mls__vec_init(&drivers->modules, &context->allocator, sizeof(void *));
    mls__vec_init(&drivers->open, &context->allocator, sizeof(open_driver));
    for (size_t i = 0; !status && mls__builtin_plugins[i]; i++)
        status = mls__drivers_register(drivers, mls__builtin_plugins[i]);
    if (status) {
        mls__drivers_free(drivers);
        return status;
    }
    *ret_drivers = drivers;
    return MLS_OK;
}

/* A child must not close what its parent goes on using: connections, files, threads. */
static void close_all(mls__drivers *drivers)
{
    for (size_t i = drivers->open.count; i-- > 0;) {
        const open_driver *driver = mls__vec_at(&drivers->open, i);
        driver->plugin->close(driver->self);
    }
    for (size_t i = drivers->modules.count; i-- > 0;)
        dlclose(*(void **) mls__vec_at(&drivers->modules, i));
    pthread_mutex_destroy(&drivers->mutex);
}

void mls__drivers_free(void *ptr)
{
    mls__drivers *drivers = ptr;
    if (drivers->fork_generation == mls__fork_generation())
        close_all(drivers);
    mls__vec_clear(&drivers->open);
    mls__vec_clear(&drivers->modules);
    mls__vec_clear(&drivers->plugins);
    mls__free(&drivers->context->allocator, drivers);
}

static mls_status check_fork(const mls__drivers *drivers)
{
    if (drivers->fork_generation != mls__fork_generation())
        return mls__error(MLS_EFORKED, "the context was made before fork(): its drivers are the "
                                       "parent's; make a context in the child");
    return MLS_OK;
}

static mls_status lock(mls__drivers *drivers)
{
    const mls_status status = check_fork(drivers);
    if (!status)
        pthread_mutex_lock(&drivers->mutex);
    return status;
}

static void unlock(mls__drivers *drivers)
{
    pthread_mutex_unlock(&drivers->mutex);
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
    return "driver";
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

/* Names are parts of URLs and messages. */
static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+-._";
    const size_t size = strspn(name, letters);
    return size > 0 && size <= MAX_NAME && !name[size];
}

static mls_status check_plugin(const mls_plugin *plugin)
{
    /* Of another ABI, only what comes before the name is known to be where it is here. */
    if (plugin->size < sizeof *plugin)
        return mls__error(MLS_EABI, "a driver's table is %zu bytes small; at least %zu",
                          plugin->size, sizeof *plugin);
    if (plugin->abi != MLS_PLUGIN_ABI)
        return mls__error(MLS_EABI, "a driver was built for plugin ABI %u; this library has %d",
                          plugin->abi, MLS_PLUGIN_ABI);
    if (!plugin->name || !is_name(plugin->name))
        return mls__error(
            MLS_EABI,
            "a driver's name is '%.64s'; it must be 1 to %d of a-z, 0-9, '+', '-', '.' "
            "and '_'",
            plugin->name ? plugin->name : "", MAX_NAME);
    if (!plugin->open || !plugin->close)
        return mls__error(MLS_EABI, "driver '%s' lacks open or close", plugin->name);
    return check_mandatory(plugin);
}

static mls_status register_locked(mls__drivers *drivers, const mls_plugin *plugin)
{
    const mls_status status = check_plugin(plugin);
    if (status)
        return status;
    if (find_plugin(drivers, plugin->kind, plugin->name, strlen(plugin->name)))
        return mls__error(MLS_EEXIST, "a %s named '%s' is registered already",
                          kind_noun(plugin->kind), plugin->name);
    const mls_plugin **slot = mls__vec_push(&drivers->plugins);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = plugin;
    return MLS_OK;
}

mls_status mls__drivers_register(mls__drivers *drivers, const mls_plugin *plugin)
{
    mls_status status = lock(drivers);
    if (status)
        return status;
    status = register_locked(drivers, plugin);
    unlock(drivers);
    return status;
}

/* All of a module's tables or none, and nobody sees some of them meanwhile. */
static mls_status register_all_locked(mls__drivers *drivers, const mls_plugin *const *plugins)
{
    const size_t before = drivers->plugins.count;
    for (size_t i = 0; plugins[i]; i++) {
        const mls_status status = register_locked(drivers, plugins[i]);
        if (status) {
            drivers->plugins.count = before;
            return status;
        }
    }
    return MLS_OK;
}

static mls_status register_module(mls__drivers *drivers, void *module)
{
    mls_plugin_entry_fn entry;
    void *symbol = dlsym(module, MLS_PLUGIN_ENTRY);
    if (!symbol)
        return mls__error(MLS_EABI, "it is no driver module: it does not export " MLS_PLUGIN_ENTRY);
    memcpy(&entry, &symbol, sizeof entry);
    const mls_plugin *const *plugins = entry();
    if (!plugins || !plugins[0])
        return mls__error(MLS_EABI, MLS_PLUGIN_ENTRY "() names no driver");
    mls_status status = lock(drivers);
    if (status)
        return status;
    status = register_all_locked(drivers, plugins);
    unlock(drivers);
    return status;
}

/* The lock is not held over dlopen, which has one of its own and runs foreign code. */
static mls_status open_module(mls__drivers *drivers, const char *path, void **ret_module)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return mls__error(access(path, F_OK) ? MLS_ENOTFOUND : MLS_EIO,
                          "cannot load driver module: %s", dlerror());
    mls_status status = lock(drivers);
    if (!status) {
        void **slot = mls__vec_push(&drivers->modules);
        if (slot)
            *slot = module;
        else
            status = mls__error_nomem(sizeof *slot);
        unlock(drivers);
    }
    if (status) {
        dlclose(module);
        return status;
    }
    *ret_module = module;
    return MLS_OK;
}

mls_status mls__drivers_load(mls__drivers *drivers, const char *path)
{
    void *module;
    mls_status status = check_fork(drivers);
    if (status)
        return status;
    if (path[0] != '/')
        return mls__error(MLS_EINVAL, "driver module '%s': give an absolute path", path);
    status = open_module(drivers, path, &module);
    if (status)
        return status;
    /* A refused module stays open until the context goes: threads of it may run. */
    status = register_module(drivers, module);
    return status ? mls__error_at(status, "driver module '%s'", path) : MLS_OK;
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
    const mls_status status = lock(drivers);
    if (status)
        return status;
    const mls_plugin *plugin = find_plugin(drivers, kind, name, name_size);
    if (!plugin)
        list_names(drivers, kind, names, sizeof names);
    unlock(drivers);
    if (!plugin)
        return mls__error(MLS_ENOTFOUND, "there is no %s '%.*s'; there are: %s", kind_noun(kind),
                          name_size > 64 ? 64 : (int) name_size, name, names);
    *ret_plugin = plugin;
    return MLS_OK;
}

static mls_status open_locked(mls__drivers *drivers, const mls_plugin *plugin, const char *config,
                              void **ret_self)
{
    for (size_t i = 0; i < drivers->open.count; i++) {
        const open_driver *open = mls__vec_at(&drivers->open, i);
        if (open->plugin == plugin) {
            *ret_self = open->self;
            return MLS_OK;
        }
    }
    open_driver *open = mls__vec_push(&drivers->open);
    if (!open)
        return mls__error_nomem(sizeof *open);
    open->plugin = plugin;
    const mls_status status = plugin->open(&drivers->host, config, &open->self);
    if (status) {
        drivers->open.count--;
        return mls__error_at(status, "%s '%s'", kind_noun(plugin->kind), plugin->name);
    }
    *ret_self = open->self;
    return MLS_OK;
}

/* The driver's instance for the context, opened when it is first asked for. */
static mls_status open_once(mls__drivers *drivers, const mls_plugin *plugin, const char *config,
                            void **ret_self)
{
    mls_status status = lock(drivers);
    if (status)
        return status;
    status = open_locked(drivers, plugin, config, ret_self);
    unlock(drivers);
    return status;
}

mls_status mls__drivers_backend(mls__drivers *drivers, const char *name, mls__backend *ret_backend)
{
    const mls_plugin *plugin;
    void *self;
    mls_status status = mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, name, strlen(name), &plugin);
    if (!status)
        status = open_once(drivers, plugin, drivers->context->isa, &self);
    if (status)
        return status;
    *ret_backend = (mls__backend){(const mls_backend *) (const void *) plugin, self};
    return MLS_OK;
}

mls_status mls__drivers_transport(mls__drivers *drivers, const char *url, const char **ret_config,
                                  mls__transport *ret_transport)
{
    const char *colon = strchr(url, ':');
    const mls_plugin *plugin;
    void *self;
    if (!colon || colon == url)
        return mls__error(MLS_EINVAL, "group URL '%.200s' has no scheme; write \"inproc:NAME\"",
                          url);
    mls_status status = mls__drivers_find_scheme(drivers, MLS_PLUGIN_TRANSPORT, url,
                                                 (size_t) (colon - url), &plugin);
    if (!status)
        status = open_once(drivers, plugin, "", &self);
    if (status)
        return status;
    const mls_transport *ops = (const mls_transport *) (const void *) plugin;
    if (ops->record_bytes < MLS_TRANSPORT_RECORD_MIN || ops->record_bytes > SIZE_MAX / 2)
        return mls__error(MLS_EABI,
                          "transport '%s' has records of %" PRIu64 " bytes; it needs at least %d",
                          plugin->name, ops->record_bytes, MLS_TRANSPORT_RECORD_MIN);
    *ret_config = colon + 1;
    *ret_transport = (mls__transport){ops, self};
    return MLS_OK;
}
