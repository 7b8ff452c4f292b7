/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module of `mpi:`: lends the table of another module, the one for the MPI that is meant. That
 * is the one that the process has already, else the one whose launcher started it, else the first
 * that is installed. It links no MPI itself: two of them in one process would take each other's
 * functions.
 */
#include <mlscale/ext/transport.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

MLS_API const mls_plugin *const *mls_plugin_entry(void);

typedef struct candidate {
    const char *scheme;
    const char *version_begins; /* what MPI_Get_library_version() says */
    const char *library;        /* Debian's name of it */
    const char *mark;           /* its launcher's, in the environment */
} candidate;

static const candidate candidates[] = {
    {"openmpi", "Open MPI", "libmpi.so.40", "OMPI_COMM_WORLD_RANK"},
    {"mpich", "MPICH", "libmpich.so.12", "PMI_RANK"},
};
enum { CANDIDATES = sizeof candidates / sizeof candidates[0] };

static mls_transport lent;
static const mls_plugin *lent_plugins[2];
static char failure[1024];

/* By the functions that programs of this process would call. */
static bool is_linked(const candidate *c)
{
    int (*get_version)(char *, int *);
    char version[8192] = ""; /* the most that any MPI says */
    int size;
    void *symbol = dlsym(RTLD_DEFAULT, "MPI_Get_library_version");
    if (!symbol)
        return false;
    memcpy(&get_version, &symbol, sizeof get_version);
    get_version(version, &size);
    return strncmp(version, c->version_begins, strlen(c->version_begins)) == 0;
}

static bool is_loaded(const candidate *c)
{
    void *library = dlopen(c->library, RTLD_LAZY | RTLD_NOLOAD);
    if (library)
        dlclose(library);
    return library != NULL;
}

static bool is_launched(const candidate *c)
{
    return getenv(c->mark) != NULL;
}

/* The module beside this one, "" if there is no such file. */
static void find_module(const candidate *c, char *path, size_t size)
{
    Dl_info own;
    path[0] = '\0';
    if (!dladdr(&candidates, &own) || !own.dli_fname)
        return;
    const char *slash = strrchr(own.dli_fname, '/');
    const int folder = slash ? (int) (slash - own.dli_fname) : 0;
    const int length =
        snprintf(path, size, "%.*s/mls_transport_%s.so", folder, own.dli_fname, c->scheme);
    if (length < 0 || (size_t) length >= size || access(path, R_OK) != 0)
        path[0] = '\0';
}

static const candidate *choose(void)
{
    char path[4096];
    bool (*const reasons[])(const candidate *) = {is_linked, is_loaded, is_launched};
    for (size_t r = 0; r < sizeof reasons / sizeof reasons[0]; r++)
        for (size_t i = 0; i < CANDIDATES; i++)
            if (reasons[r](&candidates[i]))
                return &candidates[i];
    for (size_t i = 0; i < CANDIDATES; i++) {
        find_module(&candidates[i], path, sizeof path);
        if (path[0])
            return &candidates[i];
    }
    return &candidates[0];
}

/* It stays loaded: MPI's threads and handlers do, too. */
static const mls_transport *load(const candidate *c)
{
    char path[4096];
    mls_plugin_entry_fn entry;
    find_module(c, path, sizeof path);
    if (!path[0]) {
        snprintf(failure, sizeof failure,
                 "the library was built without its module for %s, mls_transport_%s.so",
                 c->version_begins, c->scheme);
        return NULL;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *symbol = module ? dlsym(module, MLS_PLUGIN_ENTRY) : NULL;
    if (!symbol) {
        const char *reason = dlerror();
        snprintf(failure, sizeof failure, "%.1000s", reason ? reason : path);
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry);
    return (const mls_transport *) (const void *) entry()[0];
}

static mls_status fail_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    (void) ret_self;
    return host->error(MLS_ENOTFOUND, "%s", failure);
}

static void close_nothing(void *self)
{
    (void) self;
}

/* What cannot be opened is not called, but a table must have it all. */
static void unreachable(void)
{
}

static void lend_failure(void)
{
    void (*const op)(void) = unreachable;
    lent.plugin = (mls_plugin){.size = offsetof(mls_transport, survivors),
                               .abi = MLS_PLUGIN_ABI,
                               .kind = MLS_PLUGIN_TRANSPORT,
                               .open = fail_open,
                               .close = close_nothing};
    lent.record_bytes = MLS_TRANSPORT_RECORD_MIN;
    for (size_t at = offsetof(mls_transport, open_link); at < offsetof(mls_transport, survivors);
         at += sizeof op)
        memcpy((unsigned char *) &lent + at, &op, sizeof op);
}

static void lend(void)
{
    const mls_transport *table = load(choose());
    if (table)
        memcpy(&lent, table, table->plugin.size < sizeof lent ? table->plugin.size : sizeof lent);
    else
        lend_failure();
    lent.plugin.name = "mpi";
    lent_plugins[0] = &lent.plugin;
}

const mls_plugin *const *mls_plugin_entry(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, lend);
    return lent_plugins;
}
