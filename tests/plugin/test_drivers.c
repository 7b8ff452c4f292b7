/* SPDX-License-Identifier: Apache-2.0 */
/* Registration refuses broken tables; modules come whole or not at all; backends open once. */
#include "support/test.h"

#include "base/context.h"
#include "plugin/drivers.h"

#include "config.h"

#include <mlscale/group.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE(name) MLS_TEST_MODULES "/" LT_OBJDIR name ".so"

static mls_test_heap *heap;
static mls_context *context;
static mls__drivers *drivers;

static void set_up(void)
{
    heap = mls_test_heap_create();
    ck_assert_ok(mls_test_heap_context(heap, &context));
    drivers = context->drivers;
}

static void tear_down(void)
{
    mls_context_free(context);
    ck_assert_uint_eq(mls_test_heap_live(heap), 0);
    mls_test_heap_free(heap);
}

/* A backend that counts, and can refuse to open. */
static atomic_int opened, closed;
static mls_status open_status;

static mls_status counting_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    opened++;
    ck_assert_str_eq(config, mls_context_isa(host->context));
    if (open_status)
        return host->error(open_status, "no such %s", "device");
    *ret_self = &opened;
    return MLS_OK;
}

static void counting_close(void *self)
{
    ck_assert_ptr_eq(self, &opened);
    closed++;
}

static int no_op(void *self, const char *domain, const char *type)
{
    (void) self;
    (void) domain;
    (void) type;
    return 0;
}

static mls_status no_kernel(void *self, const mls_op *op, mls_kernel **ret_kernel)
{
    (void) self;
    (void) op;
    (void) ret_kernel;
    return MLS_EUNSUPPORTED;
}

static const mls_backend counting = {
    .plugin = {sizeof(mls_backend), MLS_PLUGIN_ABI, MLS_PLUGIN_BACKEND, "counting", counting_open,
               counting_close},
    .has_op = no_op,
    .kernel_create = no_kernel,
};

static bool has_backend(const char *name)
{
    const mls_plugin *plugin;
    return !mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, name, strlen(name), &plugin);
}

START_TEST(built_in_drivers_are_there)
{
    const mls_plugin *plugin = NULL;
    ck_assert_ok(mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, "cpu:rest of a URL", 3, &plugin));
    ck_assert_str_eq(plugin->name, "cpu");
    for (size_t i = 0; mls__builtin_plugins[i]; i++) {
        const char *name = mls__builtin_plugins[i]->name;
        ck_assert_ok(
            mls__drivers_find(drivers, mls__builtin_plugins[i]->kind, name, strlen(name), &plugin));
        ck_assert_ptr_eq(plugin, mls__builtin_plugins[i]);
    }
}
END_TEST

START_TEST(what_is_not_there_lists_what_is)
{
    const mls_plugin *plugin = NULL;
    ck_assert_ok(mls__drivers_register(drivers, &counting.plugin));
    ck_assert_fails(mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, "cuda", 4, &plugin),
                    MLS_ENOTFOUND, "there is no backend 'cuda'; there are: cpu, counting");
    ck_assert_fails(mls__drivers_find(drivers, MLS_PLUGIN_BACKEND, "cpu", 2, &plugin),
                    MLS_ENOTFOUND, "'cp'");
    ck_assert_fails(mls__drivers_find(drivers, MLS_PLUGIN_TRANSPORT, "cpu", 3, &plugin),
                    MLS_ENOTFOUND, "'cpu'");
    ck_assert_fails(mls__drivers_find(drivers, 77, "cpu", 3, &plugin), MLS_ENOTFOUND,
                    "no driver 'cpu'");
    ck_assert_ptr_null(plugin);
}
END_TEST

/* A table that is broken in one place. */
static void expect_refused(const mls_backend *table, const char *words)
{
    ck_assert_fails(mls__drivers_register(drivers, &table->plugin), MLS_EABI, words);
    ck_assert(!has_backend("counting"));
}

START_TEST(broken_tables_are_refused)
{
    mls_backend table = counting;
    table.plugin.size = sizeof(mls_plugin) - 1;
    expect_refused(&table, "bytes small");
    table.plugin.size = offsetof(mls_backend, kernel_create);
    expect_refused(&table, "driver 'counting': its table");
    table = counting;
    table.plugin.abi++;
    expect_refused(&table, "plugin ABI 2; this library has 1");
    table = counting;
    table.plugin.kind = 99;
    expect_refused(&table, "kind 99");
    table = counting;
    table.plugin.open = NULL;
    expect_refused(&table, "lacks open or close");
    table = counting;
    table.plugin.close = NULL;
    expect_refused(&table, "lacks open or close");
    table = counting;
    table.has_op = NULL;
    expect_refused(&table, "lacks a mandatory operation");
    table = counting;
    table.kernel_create = NULL;
    expect_refused(&table, "lacks a mandatory operation");
}
END_TEST

START_TEST(names_are_checked)
{
    static const char *const wrong[] = {
        NULL, "", "CPU", "a b", "cpu:", "a/b", "caf\303\251", "a234567890123456789012345678901234"};
    mls_backend table = counting;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        table.plugin.name = wrong[i];
        expect_refused(&table, "a driver's name is");
    }
    table.plugin.name = "a.b+c-d_9";
    ck_assert_ok(mls__drivers_register(drivers, &table.plugin));
}
END_TEST

START_TEST(names_are_taken_once)
{
    const mls_backend same_name = counting;
    ck_assert_ok(mls__drivers_register(drivers, &counting.plugin));
    ck_assert_fails(mls__drivers_register(drivers, &same_name.plugin), MLS_EEXIST,
                    "a backend named 'counting' is registered already");
}
END_TEST

static int never_alias(void *self, const mls_op *op, size_t input, size_t output)
{
    (void) self;
    (void) op;
    (void) input;
    (void) output;
    return 0;
}

START_TEST(table_may_end_before_optional_operations)
{
    mls_backend table = counting;
    table.can_alias = never_alias; /* past the size, so not there */
    table.plugin.size = offsetof(mls_backend, can_alias);
    ck_assert_ok(mls__drivers_register(drivers, &table.plugin));
    ck_assert(!MLS_HAS_OP(&table, mls_backend, can_alias));
    ck_assert(MLS_HAS_OP(&table, mls_backend, has_op));
    table.plugin.size = sizeof table;
    ck_assert(MLS_HAS_OP(&table, mls_backend, can_alias));
    table.can_alias = NULL;
    ck_assert(!MLS_HAS_OP(&table, mls_backend, can_alias));
}
END_TEST

START_TEST(backend_opens_once_and_closes_with_the_context)
{
    mls__backend a, b;
    mls_context *own;
    ck_assert_ok(mls_context_create(NULL, &own));
    ck_assert_ok(mls__drivers_register(own->drivers, &counting.plugin));
    ck_assert_int_eq(opened, 0);
    ck_assert_ok(mls__drivers_backend(own->drivers, "counting", &a));
    ck_assert_ok(mls__drivers_backend(own->drivers, "counting", &b));
    ck_assert_ptr_eq(a.ops, &counting);
    ck_assert_ptr_eq(a.self, b.self);
    ck_assert_int_eq(opened, 1);
    ck_assert_int_eq(closed, 0);
    mls_context_free(own);
    ck_assert_int_eq(closed, 1);
}
END_TEST

START_TEST(backend_that_does_not_open)
{
    mls__backend backend = {NULL, &heap};
    ck_assert_fails(mls__drivers_backend(drivers, "counting", &backend), MLS_ENOTFOUND, "counting");
    ck_assert_ok(mls__drivers_register(drivers, &counting.plugin));
    open_status = MLS_EIO;
    ck_assert_fails(mls__drivers_backend(drivers, "counting", &backend), MLS_EIO,
                    "backend 'counting': no such device");
    ck_assert_ptr_eq(backend.self, &heap);
    open_status = MLS_OK; /* it may be tried again */
    ck_assert_ok(mls__drivers_backend(drivers, "counting", &backend));
    ck_assert_int_eq(opened, 2);
}
END_TEST

enum { THREADS = 4, TABLES = 25 };

typedef struct registrar {
    mls_backend tables[TABLES];
    char names[TABLES][16];
    pthread_t thread;
} registrar;

static void *register_tables(void *arg)
{
    registrar *r = arg;
    for (int i = 0; i < TABLES; i++) {
        mls__backend backend;
        ck_assert_ok(mls__drivers_register(drivers, &r->tables[i].plugin));
        /* Refused as a whole, whatever others register at the same time. */
        ck_assert_int_eq(mls_context_load_driver(context, MODULE("module_mixed")), MLS_EABI);
        ck_assert_ok(mls__drivers_backend(drivers, "counting", &backend));
        ck_assert(has_backend(r->names[i]));
    }
    return NULL;
}

START_TEST(several_threads_register_and_open)
{
    static registrar registrars[THREADS];
    ck_assert_ok(mls__drivers_register(drivers, &counting.plugin));
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < TABLES; i++) {
            snprintf(registrars[t].names[i], sizeof registrars[t].names[i], "t%d.%d", t, i);
            registrars[t].tables[i] = counting;
            registrars[t].tables[i].plugin.name = registrars[t].names[i];
        }
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(
            pthread_create(&registrars[t].thread, NULL, register_tables, &registrars[t]), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(registrars[t].thread, NULL);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < TABLES; i++)
            ck_assert(has_backend(registrars[t].names[i]));
    ck_assert(!has_backend("good"));
    ck_assert_int_eq(opened, 1);
}
END_TEST

START_TEST(module_brings_a_backend_that_runs)
{
    const mls_arg input = {.dtype = MLS_FLOAT32, .rank = 1, .dims = {3}};
    mls_arg output = input;
    mls_op op = {.size = sizeof op,
                 .domain = "tiny",
                 .type = "Twice",
                 .node = "n",
                 .input_count = 1,
                 .output_count = 1,
                 .inputs = &input,
                 .outputs = &output};
    float x[] = {1, 2, 3}, y[3];
    void *buffers[] = {x, y};
    const mls_kernel_call call = {.buffers = buffers};
    mls__backend backend;
    mls_kernel *kernel;
    ck_assert_ok(mls_context_load_driver(context, MODULE("module_tiny")));
    ck_assert_ok(mls__drivers_backend(drivers, "tiny", &backend));
    ck_assert(backend.ops->has_op(backend.self, "tiny", "Twice"));
    ck_assert_ok(backend.ops->kernel_create(backend.self, &op, &kernel));
    ck_assert_ok(kernel->run(kernel, &call));
    ck_assert_float_eq(y[2], 6);
    kernel->free(kernel);
    mls_arg wrong = input;
    wrong.dtype = MLS_INT8;
    op.inputs = &wrong;
    ck_assert_fails(backend.ops->kernel_create(backend.self, &op, &kernel), MLS_EUNSUPPORTED,
                    "node 'n': Twice wants float32");
}
END_TEST

static bool is_loaded(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (module)
        dlclose(module);
    return module != NULL;
}

/* By the scheme of a group's URL, from the folder of modules. */
START_TEST(transports_are_loaded_by_scheme)
{
    mls_group *group;
    setenv("MLSCALE_DRIVERS", MLS_TEST_MODULES "/" LT_OBJDIR, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_fails(mls_group_create(context, "refusing:x", 0, 1, NULL, &group),
                        MLS_EUNSUPPORTED, "transport 'refusing': there is no wire");
    ck_assert_fails(mls_group_create(context, "missing:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "mls_transport_missing.so");
    ck_assert_fails(mls_group_create(context, "../refusing:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "there are: inproc");
    unsetenv("MLSCALE_DRIVERS");
}
END_TEST

/* Where it was looked for, how to look elsewhere, and what it is built with. */
START_TEST(missing_modules_are_explained)
{
    mls_group *group;
    setenv("MLSCALE_DRIVERS", "/nowhere", 1);
    ck_assert_fails(mls_group_create(context, "mpi:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "; and no module /nowhere/mls_transport_mpi.so (MLSCALE_DRIVERS says where); "
                    "it is built where there is Open MPI or MPICH");
    ck_assert_fails(mls_group_create(context, "mpi:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "there is no transport 'mpi'; there are: inproc");
    setenv("MLSCALE_DRIVERS", "build/.libs", 1);
    ck_assert_fails(
        mls_group_create(context, "missing:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
        "mls_transport_missing.so (MLSCALE_DRIVERS, 'build/.libs', is no absolute path");
    unsetenv("MLSCALE_DRIVERS");
    ck_assert_fails(mls_group_create(context, "missing:x", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "(MLSCALE_DRIVERS in the environment says another folder");
}
END_TEST

START_TEST(module_is_loaded_once)
{
    ck_assert_ok(mls_context_load_driver(context, MODULE("module_tiny")));
    ck_assert_fails(mls_context_load_driver(context, MODULE("module_tiny")), MLS_EEXIST,
                    "module_tiny.so': a backend named 'tiny' is registered already");
    ck_assert(has_backend("tiny"));
    /* Another context has drivers of its own. */
    mls_context *other;
    ck_assert_ok(mls_context_create(NULL, &other));
    ck_assert_ok(mls_context_load_driver(other, MODULE("module_tiny")));
    mls_context_free(other);
    ck_assert(is_loaded(MODULE("module_tiny")));
}
END_TEST

START_TEST(module_comes_whole_or_not_at_all)
{
    ck_assert_fails(mls_context_load_driver(context, MODULE("module_mixed")), MLS_EABI,
                    "plugin ABI 2");
    ck_assert(!has_backend("good"));
    ck_assert(has_backend("cpu"));
}
END_TEST

START_TEST(what_is_no_module)
{
    char path[] = "/tmp/mls-test-module-XXXXXX";
    ck_assert_fails(mls_context_load_driver(context, MODULE("module_none")), MLS_EABI,
                    "does not export mls_plugin_entry");
    ck_assert_fails(mls_context_load_driver(context, MODULE("module_empty")), MLS_EABI,
                    "names no driver");
    ck_assert_fails(mls_context_load_driver(context, "/nowhere/module.so"), MLS_ENOTFOUND,
                    "/nowhere/module.so");
    ck_assert_fails(mls_context_load_driver(context, "module_tiny.so"), MLS_EINVAL,
                    "absolute path");
    ck_assert_fails(mls_context_load_driver(context, ""), MLS_EINVAL, "absolute path");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_fails(mls_context_load_driver(context, path), MLS_EIO, path);
    unlink(path);
}
END_TEST

START_TEST(null_is_an_error)
{
    ck_assert_fails(mls_context_load_driver(NULL, "/x"), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_context_load_driver(context, NULL), MLS_EINVAL, "must not be NULL");
}
END_TEST

/* The exit code of a child that uses its parent's drivers. */
static int use_after_fork(void)
{
    mls__backend backend;
    if (mls_context_load_driver(context, MODULE("module_tiny")) != MLS_EFORKED ||
        mls__drivers_register(drivers, &counting.plugin) != MLS_EFORKED ||
        mls__drivers_backend(drivers, "cpu", &backend) != MLS_EFORKED || has_backend("cpu"))
        return 1;
    mls_context_free(context);
    return closed ? 2 : 0;
}

START_TEST(child_of_a_fork_gets_an_error_and_closes_nothing)
{
    mls__backend backend;
    ck_assert_ok(mls__drivers_register(drivers, &counting.plugin));
    ck_assert_ok(mls__drivers_backend(drivers, "counting", &backend));
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(use_after_fork());
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result));
    ck_assert_int_eq(WEXITSTATUS(result), 0);
    ck_assert(has_backend("cpu"));
}
END_TEST

/* A context of its own on the same heap, since registration keeps memory. */
static mls_status load_and_open(mls_context *tested, void *arg)
{
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    mls_context *own;
    mls__backend backend;
    (void) arg;
    options.alloc = tested->allocator.alloc;
    options.free = tested->allocator.free;
    options.alloc_user = tested->allocator.user;
    mls_status status = mls_context_create(&options, &own);
    if (status)
        return status;
    status = mls_context_load_driver(own, MODULE("module_tiny"));
    if (!status)
        status = mls__drivers_backend(own->drivers, "tiny", &backend);
    if (!status)
        status = mls__drivers_backend(own->drivers, "cpu", &backend);
    mls_context_free(own);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(load_and_open, NULL);
    ck_assert(!is_loaded(MODULE("module_tiny"))); /* nobody holds on to it */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin/drivers");
    TCase *tests = tcase_create("drivers");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, built_in_drivers_are_there);
    tcase_add_test(tests, what_is_not_there_lists_what_is);
    tcase_add_test(tests, broken_tables_are_refused);
    tcase_add_test(tests, names_are_checked);
    tcase_add_test(tests, names_are_taken_once);
    tcase_add_test(tests, table_may_end_before_optional_operations);
    tcase_add_test(tests, backend_opens_once_and_closes_with_the_context);
    tcase_add_test(tests, backend_that_does_not_open);
    tcase_add_test(tests, several_threads_register_and_open);
    tcase_add_test(tests, module_brings_a_backend_that_runs);
    tcase_add_test(tests, transports_are_loaded_by_scheme);
    tcase_add_test(tests, missing_modules_are_explained);
    tcase_add_test(tests, module_is_loaded_once);
    tcase_add_test(tests, module_comes_whole_or_not_at_all);
    tcase_add_test(tests, what_is_no_module);
    tcase_add_test(tests, null_is_an_error);
    tcase_add_test(tests, child_of_a_fork_gets_an_error_and_closes_nothing);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
