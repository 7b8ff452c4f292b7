/* SPDX-License-Identifier: Apache-2.0 */
/* Runs an op in every way that must give the same results. */
#include "cpu/op_parts.h"

#include "base/context.h"
#include "base/isa.h"
#include "graph/schema/schema.h"
#include "plugin/drivers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 64
#define THREADS     3

/* --- one run --------------------------------------------------------------------------------- */

/* Memory with garbage in it and a guard behind it. */
static void *guarded(size_t size, size_t alignment, void **ret_memory)
{
    void *bytes = op_part_misaligned(size + GUARD_BYTES, alignment, ret_memory);
    memset(bytes, OP_GARBAGE, size + GUARD_BYTES);
    return bytes;
}

static void check_guard(const char *what, const void *memory, size_t size)
{
    const unsigned char *guard = (const unsigned char *) memory + size;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        mls_test_expect(guard[i] == OP_GARBAGE, "%s: written %zu bytes past the end", what, i);
}

typedef struct weight {
    struct weight *next;
    void *key, *data;
    size_t key_bytes;
} weight;

struct mls_weight_cache {
    weight *first;
};

static const void *weight_get(mls_weight_cache *cache, const void *key, size_t key_bytes,
                              size_t size_bytes, void (*fill)(void *, void *), void *arg)
{
    for (weight *w = cache->first; w; w = w->next)
        if (w->key_bytes == key_bytes && memcmp(w->key, key, key_bytes) == 0)
            return w->data;
    weight *fresh = op_part_checked(malloc(sizeof *fresh));
    *fresh = (weight){cache->first, op_part_checked(malloc(key_bytes)),
                      op_part_checked(aligned_alloc(64, (size_bytes + 64) / 64 * 64)), key_bytes};
    memcpy(fresh->key, key, key_bytes);
    fill(fresh->data, arg);
    cache->first = fresh;
    return fresh->data;
}

static void weights_free(mls_weight_cache *cache)
{
    while (cache->first) {
        weight *next = cache->first->next;
        free(cache->first->key);
        free(cache->first->data);
        free(cache->first);
        cache->first = next;
    }
}

static const mls_weight_cache_ops weights_ops = {sizeof weights_ops, weight_get};

/* An op on one instruction set with a number of threads. */
typedef struct trial {
    op_test *test;
    const char *isa;
    uint32_t threads;
    mls_kernel *kernel; /* NULL for views */
    mls_arg inputs[OP_MAX_INPUTS], outputs[OP_MAX_OUTPUTS];
    char what[128];
} trial;

static bool is_late(const op_test *test)
{
    return mls__op_schema_find(test->op.domain, test->op.type)->flags & MLS__OP_LATE;
}

/* The first run's results are kept, and every other run's must be the same. */
static void take_results(const trial *tr, const mls_arg *args, void *const *outputs,
                         const char *what)
{
    op_test *test = tr->test;
    char text[192];
    for (size_t i = 0; i < test->op.output_count; i++) {
        snprintf(text, sizeof text, "output %zu with %s (%s)", i, tr->what, what);
        mls_test_expect(!test->has_results || memcmp(&args[i].dims, &test->outputs[i].arg.dims,
                                                     sizeof args[i].dims) == 0,
                        "%s: other dims", text);
        if (test->has_results)
            op_part_expect_same(text, &args[i], outputs[i], test->outputs[i].data);
        else
            test->outputs[i] = (op_output){args[i], op_part_copy_results(&args[i], outputs[i])};
    }
    test->has_results = true;
}

static mls_status copy_view(const trial *tr, void *const *buffers)
{
    void *const *outputs = buffers + tr->test->op.input_count;
    if (outputs[0])
        memcpy(outputs[0], buffers[0], mls__arg_bytes(&tr->outputs[0]));
    take_results(tr, tr->outputs, outputs, "a view");
    return MLS_OK;
}

/* Threads are made only when a kernel asks for them: most runs are too small to. */
typedef struct loop {
    mls_task_fn task;
    void *arg;
    size_t count;
    atomic_size_t next;
} loop;

static void *take_indices(void *arg)
{
    loop *work = arg;
    size_t index;
    while ((index = atomic_fetch_add(&work->next, 1)) < work->count)
        work->task(work->arg, index);
    return NULL;
}

static void parallel_for(void *executor, size_t count, mls_task_fn task, void *arg)
{
    const uint32_t helpers = *(const uint32_t *) executor - 1;
    pthread_t threads[THREADS];
    loop work = {task, arg, count, 0};
    for (uint32_t i = 0; i < helpers; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_indices, &work), 0);
    take_indices(&work);
    for (uint32_t i = 0; i < helpers; i++)
        pthread_join(threads[i], NULL);
}

static mls_status call_kernel(const trial *tr, void *const *buffers)
{
    const mls_kernel *kernel = tr->kernel;
    uint32_t threads = tr->threads;
    void *memory;
    void *workspace = guarded(kernel->workspace_bytes, 64, &memory);
    mls_arg outputs[OP_MAX_OUTPUTS];
    int64_t *dims[OP_MAX_OUTPUTS];
    for (size_t i = 0; i < tr->test->op.output_count; i++) {
        outputs[i] = tr->outputs[i];
        dims[i] = outputs[i].dims;
    }
    const mls_kernel_call call = {
        .buffers = buffers,
        .workspace = workspace,
        .parallel_for = parallel_for,
        .executor = &threads,
        .output_dims = is_late(tr->test) ? dims : NULL,
    };
    const size_t allocations = mls_test_heap_calls(tr->test->heap);
    const mls_status status = kernel->run(kernel, &call);
    ck_assert_msg(mls_test_heap_calls(tr->test->heap) == allocations, "%s: the run allocates",
                  tr->what);
    check_guard("workspace", workspace, kernel->workspace_bytes);
    if (!status)
        take_results(tr, outputs, buffers + tr->test->op.input_count, kernel->name);
    free(memory);
    return status;
}

/* What the buffers of a call are made of. */
typedef struct run_memory {
    void *buffers[OP_MAX_INPUTS + OP_MAX_OUTPUTS];
    void *outputs[OP_MAX_OUTPUTS]; /* to be freed */
    void *saved[OP_MAX_INPUTS];    /* the inputs as they were */
} run_memory;

/* `alias` is the input whose memory output 0 takes, or -1. */
static void open_memory(const trial *tr, int alias, run_memory *memory)
{
    static max_align_t nothing; /* as in a plan, what is empty has an address too */
    op_test *test = tr->test;
    void **outputs = memory->buffers + test->op.input_count;
    for (size_t i = 0; i < test->op.input_count; i++) {
        const op_input *in = &test->inputs[i];
        memory->buffers[i] = (void *) (uintptr_t) in->data;
        if (!in->data && in->kind != OP_INPUT_LEFT_OUT)
            memory->buffers[i] = &nothing;
        if (in->data)
            memory->saved[i] = op_part_copy_results(&in->arg, in->data);
    }
    for (size_t i = 0; i < test->op.output_count; i++) {
        outputs[i] = guarded(mls__arg_bytes(&tr->outputs[i]),
                             mls_dtype_size((mls_dtype) tr->outputs[i].dtype), &memory->outputs[i]);
    }
    if (alias >= 0) {
        memcpy(outputs[0], memory->buffers[alias], mls__arg_bytes(&tr->outputs[0]));
        memory->buffers[alias] = outputs[0];
    }
}

static void close_memory(const trial *tr, run_memory *memory)
{
    op_test *test = tr->test;
    for (size_t i = 0; i < test->op.input_count; i++) {
        const op_input *in = &test->inputs[i];
        if (in->data)
            op_part_expect_same("input after the run", &in->arg, in->data, memory->saved[i]);
        op_part_free_elements(&in->arg, memory->saved[i]);
    }
    for (size_t i = 0; i < test->op.output_count; i++) {
        if (memory->outputs[i])
            check_guard("output", memory->buffers[test->op.input_count + i],
                        mls__arg_bytes(&tr->outputs[i]));
        free(memory->outputs[i]);
    }
}

static mls_status run_once(const trial *tr, int alias)
{
    run_memory memory = {{0}, {0}, {0}};
    open_memory(tr, alias, &memory);
    const mls_status status =
        tr->kernel ? call_kernel(tr, memory.buffers) : copy_view(tr, memory.buffers);
    close_memory(tr, &memory);
    return status;
}

static mls_status reshape(trial *tr)
{
    if (!tr->kernel || !tr->kernel->reshape)
        return MLS_OK;
    const size_t allocations = mls_test_heap_calls(tr->test->heap);
    const mls_status status = tr->kernel->reshape(tr->kernel, &tr->test->op);
    ck_assert_msg(mls_test_heap_calls(tr->test->heap) == allocations, "%s: the reshape allocates",
                  tr->what);
    return status;
}

/* Again with the same kernel, after a reshape, and in place. */
static mls_status run_again(trial *tr, const mls__backend *backend)
{
    op_test *test = tr->test;
    mls_status status = run_once(tr, -1);
    if (!status)
        status = reshape(tr);
    if (!status)
        status = run_once(tr, -1);
    for (size_t i = 0; !status && tr->kernel && i < test->op.input_count; i++)
        if (test->inputs[i].kind == OP_INPUT_RUN && test->inputs[i].data &&
            MLS_HAS_OP(backend->ops, mls_backend, can_alias) &&
            backend->ops->can_alias(backend->self, &test->op, i, 0))
            status = run_once(tr, (int) i);
    return status;
}

static bool is_view(const op_test *test, const mls__backend *backend)
{
    const mls__op_schema *schema = mls__op_schema_find(test->op.domain, test->op.type);
    return (schema->flags & MLS__OP_VIEW) &&
           !backend->ops->has_op(backend->self, test->op.domain, test->op.type);
}

static bool is_planned_otherwise(const op_test *test)
{
    for (size_t i = 0; i < test->op.input_count; i++)
        if (memcmp(&test->inputs[i].arg, &test->inputs[i].planned, sizeof(mls_arg)) != 0)
            return true;
    return false;
}

/* A kernel for the planned dims that has followed to the input's own. */
static mls_status prepare(trial *tr, const mls__backend *backend)
{
    op_test *test = tr->test;
    mls_status status = op_part_infer(test, true, tr->inputs, tr->outputs);
    if (status)
        return status;
    test->op.outputs = tr->outputs;
    if (!is_view(test, backend))
        status = backend->ops->kernel_create(backend->self, &test->op, &tr->kernel);
    if (status || !is_planned_otherwise(test))
        return status;
    status = op_part_infer(test, false, tr->inputs, tr->outputs);
    test->op.outputs = tr->outputs;
    return status ? status : reshape(tr);
}

static mls_status run_trial(op_test *test, const char *isa, uint32_t threads, bool is_thorough)
{
    trial tr = {.test = test, .isa = isa, .threads = threads};
    mls_weight_cache cache = {NULL};
    mls__backend backend;
    snprintf(tr.what, sizeof tr.what, "%s, %u threads", isa, threads);
    test->op.threads = threads;
    test->op.weights = &cache;
    test->op.weights_ops = &weights_ops;
    ck_assert_ok(mls__drivers_backend(test->context->drivers, "cpu", &backend));
    mls_status status = prepare(&tr, &backend);
    if (!status)
        status = run_once(&tr, -1);
    if (!status && is_thorough)
        status = run_again(&tr, &backend);
    if (tr.kernel)
        tr.kernel->free(tr.kernel);
    weights_free(&cache);
    return status;
}

static void open_context(op_test *test, const char *isa)
{
    mls_context_options options = mls_test_heap_options(test->heap);
    options.isa = isa;
    ck_assert_ok(mls_context_create(&options, &test->context));
}

/* An instruction set, and whether it has but a few kernels of its own beside those of another. */
typedef struct isa_set {
    const char *name;
    bool is_variant;
} isa_set;

static mls_status run_set(op_test *test, const isa_set *set)
{
    mls_status status = MLS_OK;
    if (!set->is_variant || op_part_wants_digests())
        status = run_trial(test, set->name, 1, !op_part_wants_digests());
    if (!status && !op_part_wants_digests())
        status = run_trial(test, set->name, THREADS, !set->is_variant && !MLS_TEST_SANITIZED);
    return status;
}

/*
 * All instruction sets and thread counts; where less will do, the last set. Plain C goes without
 * sanitizers, which it slows down most: its loads and stores are those of the other sets.
 */
static mls_status run_sets(op_test *test, const isa_set *sets, size_t count)
{
    const bool is_quick = op_part_wants_digests() || mls_test_is_quick();
    mls_status status = MLS_OK;
    for (size_t i = is_quick ? count - 1 : MLS_TEST_SANITIZED && count > 1; !status && i < count;
         i++) {
        open_context(test, sets[i].name);
        status = run_set(test, &sets[i]);
        mls_context_free(test->context);
        ck_assert_msg(mls_test_heap_live(test->heap) == 0, "%s: %zu blocks were not freed",
                      sets[i].name, mls_test_heap_live(test->heap));
    }
    return status;
}

mls_status op_test_run(op_test *test)
{
    static const isa_set all[] = {
        {"portable", false}, {"avx2", false},      {"avx2vnni", true},
        {"avx512", false},   {"avx512vnni", true}, {"neon", false},
    };
    isa_set sets[sizeof all / sizeof all[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (mls__isa_is_supported(all[i].name))
            sets[count++] = all[i];
    op_part_free_results(test);
    const mls_status status = run_sets(test, sets, count);
    if (!status)
        op_part_write_digests(test);
    return status;
}
