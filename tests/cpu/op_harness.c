/* SPDX-License-Identifier: Apache-2.0 */
/* See op_harness.h. Blocks are exact, so that sanitizers see the first byte past them. */
#include "cpu/op_harness.h"

#include "base/context.h"
#include "base/error.h"
#include "base/isa.h"
#include "graph/schema/schema.h"
#include "plugin/drivers.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INPUTS  32
#define MAX_OUTPUTS 16
#define MAX_ATTRS   64
#define GUARD_BYTES 64
#define GARBAGE     0xa5
#define THREADS     3

/* Memory that lives as long as the test. */
typedef struct block {
    struct block *next;
    void *memory;
} block;

typedef enum input_kind { INPUT_RUN, INPUT_CONSTANT, INPUT_KNOWN, INPUT_LEFT_OUT } input_kind;

typedef struct input {
    input_kind kind;
    mls_arg arg, planned; /* as the last run and as the kernel's creation see them */
    const void *data;     /* NULL when empty */
} input;

typedef struct output {
    mls_arg arg;
    void *data; /* deep for strings */
} output;

struct op_test {
    block *blocks;
    mls_op op;
    mls_attr attrs[MAX_ATTRS];
    input inputs[MAX_INPUTS];
    output outputs[MAX_OUTPUTS];
    bool has_results;
    mls_test_heap *heap;
    mls_context *context; /* of the instruction set being run; attributes' tensors have their own */
    mls_context *tensors;
};

/* ck_assert_msg() for inner loops: it tells the parent process of every success, too. */
#define expect(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

static void *checked(void *memory)
{
    expect(memory, "no memory for the test");
    return memory;
}

/* No better aligned than to `alignment`. */
static void *misaligned(size_t size, size_t alignment, void **ret_memory)
{
    expect(posix_memalign(ret_memory, 64, size + alignment) == 0, "no memory for the test");
    return (char *) *ret_memory + alignment;
}

static void *test_block(op_test *test, const void *data, size_t size, size_t alignment)
{
    block *fresh = checked(malloc(sizeof *fresh));
    fresh->next = test->blocks;
    test->blocks = fresh;
    void *bytes = misaligned(size, alignment, &fresh->memory);
    if (data && size)
        memcpy(bytes, data, size);
    return bytes;
}

op_test *op_test_create(const char *domain, const char *type)
{
    op_test *test = checked(calloc(1, sizeof *test));
    test->heap = checked(mls_test_heap_create());
    ck_assert_ok(mls_context_create(NULL, &test->tensors));
    test->op = (mls_op){.size = sizeof(mls_op),
                        .domain = domain,
                        .type = type,
                        .node = "tested",
                        .node_id = 1,
                        .attrs = test->attrs,
                        .output_count = 1};
    return test;
}

/* A deep copy, and its end. */
static void *copy_results(const mls_arg *arg, const void *data)
{
    const size_t size = mls__arg_bytes(arg);
    void *copy = checked(malloc(size + 1));
    if (size)
        memcpy(copy, data, size);
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++) {
        char *bytes = checked(malloc(strings[i].size + 1));
        if (strings[i].size)
            memcpy(bytes, strings[i].data, strings[i].size);
        strings[i].data = bytes;
    }
    return copy;
}

static void free_elements(const mls_arg *arg, void *copy)
{
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++)
        free((void *) (uintptr_t) strings[i].data);
    free(copy);
}

static void free_results(op_test *test)
{
    for (size_t i = 0; test->has_results && i < test->op.output_count; i++) {
        free_elements(&test->outputs[i].arg, test->outputs[i].data);
        test->outputs[i].data = NULL;
    }
    test->has_results = false;
}

void op_test_free(op_test *test)
{
    free_results(test);
    for (size_t i = 0; i < test->op.attr_count; i++)
        mls_tensor_free((mls_tensor *) (uintptr_t) test->attrs[i].tensor);
    mls_context_free(test->tensors);
    while (test->blocks) {
        block *next = test->blocks->next;
        free(test->blocks->memory);
        free(test->blocks);
        test->blocks = next;
    }
    mls_test_heap_free(test->heap);
    free(test);
}

void op_test_outputs(op_test *test, size_t count)
{
    ck_assert_uint_le(count, MAX_OUTPUTS);
    test->op.output_count = count;
}

/* --- attributes ------------------------------------------------------------------------------ */

static mls_attr *next_attr(op_test *test, const char *name, mls_attr_type type)
{
    ck_assert_uint_lt(test->op.attr_count, MAX_ATTRS);
    mls_attr *attr = &test->attrs[test->op.attr_count++];
    *attr = (mls_attr){.name = name, .type = type, .count = 1};
    return attr;
}

void op_test_int(op_test *test, const char *name, int64_t value)
{
    next_attr(test, name, MLS_ATTR_INT)->i = value;
}

void op_test_float(op_test *test, const char *name, float value)
{
    next_attr(test, name, MLS_ATTR_FLOAT)->f = value;
}

static const mls_string *copy_strings(op_test *test, size_t count, const char *const *values)
{
    mls_string *strings = test_block(test, NULL, count * sizeof *strings, sizeof *strings);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(values[i]);
        strings[i] = (mls_string){test_block(test, values[i], size, 1), size};
    }
    return strings;
}

void op_test_string(op_test *test, const char *name, const char *value)
{
    next_attr(test, name, MLS_ATTR_STRING)->strings = copy_strings(test, 1, &value);
}

void op_test_ints(op_test *test, const char *name, size_t count, const int64_t *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_INTS);
    attr->ints = test_block(test, values, count * sizeof *values, sizeof *values);
    attr->count = count;
}

void op_test_floats(op_test *test, const char *name, size_t count, const float *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_FLOATS);
    attr->floats = test_block(test, values, count * sizeof *values, sizeof *values);
    attr->count = count;
}

void op_test_strings(op_test *test, const char *name, size_t count, const char *const *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_STRINGS);
    attr->strings = copy_strings(test, count, values);
    attr->count = count;
}

void op_test_tensor(op_test *test, const char *name, mls_dtype dtype, int rank, const int64_t *dims,
                    const void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(test->tensors, dtype, rank, dims, &tensor));
    if (mls_tensor_size_bytes(tensor))
        memcpy(mls_tensor_data(tensor), data, mls_tensor_size_bytes(tensor));
    next_attr(test, name, MLS_ATTR_TENSOR)->tensor = tensor;
}

/* --- inputs ---------------------------------------------------------------------------------- */

/* A copy that ends where its block ends: the deep bytes of strings too. */
static void *copy_elements(op_test *test, const mls_arg *arg, const void *data)
{
    const size_t size = mls__arg_bytes(arg);
    if (!size)
        return NULL;
    void *copy = test_block(test, data, size, mls_dtype_size((mls_dtype) arg->dtype));
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++)
        strings[i].data = test_block(test, strings[i].data, strings[i].size, 1);
    return copy;
}

static mls_arg make_arg(int32_t dtype, int rank, const int64_t *dims)
{
    mls_arg arg = {.dtype = dtype, .rank = rank};
    ck_assert_int_le(rank, MLS_MAX_RANK);
    if (rank)
        memcpy(arg.dims, dims, (size_t) rank * sizeof *dims);
    return arg;
}

static void add_input(op_test *test, input_kind kind, mls_dtype dtype, int rank,
                      const int64_t *dims, const void *data)
{
    const size_t index = test->op.input_count++;
    ck_assert_uint_lt(index, MAX_INPUTS);
    input *in = &test->inputs[index];
    in->kind = kind;
    in->arg = make_arg(dtype, rank, dims);
    in->data = kind == INPUT_LEFT_OUT ? NULL : copy_elements(test, &in->arg, data);
    if (kind == INPUT_CONSTANT || kind == INPUT_KNOWN)
        in->arg.data = in->data;
    if (kind == INPUT_CONSTANT)
        in->arg.weight_id = index + 1;
    in->planned = in->arg;
}

void op_test_input(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    add_input(test, INPUT_RUN, dtype, rank, dims, data);
}

void op_test_constant(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                      const void *data)
{
    add_input(test, INPUT_CONSTANT, dtype, rank, dims, data);
}

void op_test_known(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    add_input(test, INPUT_KNOWN, dtype, rank, dims, data);
}

void op_test_left_out(op_test *test)
{
    add_input(test, INPUT_LEFT_OUT, MLS_DTYPE_NONE, OP_SCALAR, NULL);
}

void op_test_planned(op_test *test, int rank, const int64_t *dims, const void *data)
{
    input *in = &test->inputs[test->op.input_count - 1];
    in->planned = make_arg(in->arg.dtype, rank, dims);
    if (in->kind == INPUT_KNOWN)
        in->planned.data = copy_elements(test, &in->planned, data);
}

/* --- inference ------------------------------------------------------------------------------- */

static mls_status infer(op_test *test, bool planned, mls_arg *inputs, mls_arg *ret_outputs)
{
    const mls__op_schema *schema = mls__op_schema_find(test->op.domain, test->op.type);
    ck_assert_msg(schema != NULL, "no schema for %s", test->op.type);
    const size_t count = test->op.input_count;
    if (count < schema->min_inputs ||
        (schema->max_inputs < MLS__VARIADIC && count > schema->max_inputs))
        return mls__op_error(&test->op, MLS_EINVAL, "%zu inputs", count);
    for (size_t i = 0; i < count; i++)
        inputs[i] = planned ? test->inputs[i].planned : test->inputs[i].arg;
    test->op.inputs = inputs;
    test->op.outputs = NULL;
    memset(ret_outputs, GARBAGE, MAX_OUTPUTS * sizeof *ret_outputs);
    return schema->infer(&test->op, ret_outputs);
}

mls_status op_test_infer(op_test *test)
{
    mls_arg inputs[MAX_INPUTS], outputs[MAX_OUTPUTS];
    free_results(test);
    const mls_status status = infer(test, false, inputs, outputs);
    for (size_t i = 0; !status && i < test->op.output_count; i++)
        test->outputs[i].arg = outputs[i];
    return status;
}

/* An assertion of Check's is a system call: those of every element come after an if. */

/* --- comparison ------------------------------------------------------------------------------ */

static bool is_nan(int32_t dtype, const void *element)
{
    uint16_t half;
    float single;
    double wide;
    switch (dtype) {
    case MLS_FLOAT32:
        return memcpy(&single, element, sizeof single), isnan(single);
    case MLS_FLOAT64:
        return memcpy(&wide, element, sizeof wide), isnan(wide);
    case MLS_FLOAT16:
        return memcpy(&half, element, sizeof half), (half & 0x7fff) > 0x7c00;
    case MLS_BFLOAT16:
        return memcpy(&half, element, sizeof half), (half & 0x7fff) > 0x7f80;
    default:
        return false;
    }
}

static bool same_element(int32_t dtype, const void *a, const void *b)
{
    if (dtype == MLS_STRING)
        return mls__string_equal(*(const mls_string *) a, *(const mls_string *) b);
    return memcmp(a, b, mls_dtype_size((mls_dtype) dtype)) == 0 ||
           (is_nan(dtype, a) && is_nan(dtype, b));
}

static const char *element_text(int32_t dtype, const void *element, char text[80])
{
    uint64_t bits = 0;
    if (dtype == MLS_FLOAT32)
        snprintf(text, 80, "%.9g", (double) *(const float *) element);
    else if (dtype == MLS_FLOAT64)
        snprintf(text, 80, "%.17g", *(const double *) element);
    else if (dtype == MLS_STRING)
        snprintf(text, 80, "'%.*s'", (int) ((const mls_string *) element)->size,
                 ((const mls_string *) element)->data);
    else {
        memcpy(&bits, element, mls_dtype_size((mls_dtype) dtype));
        snprintf(text, 80, "0x%" PRIx64, bits);
    }
    return text;
}

static void expect_same(const char *what, const mls_arg *arg, const void *got, const void *expected)
{
    char a[80], b[80];
    const size_t size = mls_dtype_size((mls_dtype) arg->dtype);
    if (!mls__arg_bytes(arg) || memcmp(got, expected, mls__arg_bytes(arg)) == 0)
        return;
    for (int64_t i = 0; i < mls__arg_count(arg); i++) {
        const char *x = (const char *) got + (size_t) i * size;
        const char *y = (const char *) expected + (size_t) i * size;
        expect(same_element(arg->dtype, x, y), "%s, element %" PRId64 ": %s, expected %s", what, i,
               element_text(arg->dtype, x, a), element_text(arg->dtype, y, b));
    }
}

/* --- one run --------------------------------------------------------------------------------- */

/* Memory with garbage in it and a guard behind it. */
static void *guarded(size_t size, size_t alignment, void **ret_memory)
{
    void *bytes = misaligned(size + GUARD_BYTES, alignment, ret_memory);
    memset(bytes, GARBAGE, size + GUARD_BYTES);
    return bytes;
}

static void check_guard(const char *what, const void *memory, size_t size)
{
    const unsigned char *guard = (const unsigned char *) memory + size;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        expect(guard[i] == GARBAGE, "%s: written %zu bytes past the end", what, i);
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
    weight *fresh = checked(malloc(sizeof *fresh));
    *fresh = (weight){cache->first, checked(malloc(key_bytes)),
                      checked(aligned_alloc(64, (size_bytes + 64) / 64 * 64)), key_bytes};
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
    mls_arg inputs[MAX_INPUTS], outputs[MAX_OUTPUTS];
    char what[128];
} trial;

/* The first run's results are kept, and every other run's must be the same. */
static void take_results(const trial *tr, void *const *outputs, const char *what)
{
    op_test *test = tr->test;
    char text[192];
    for (size_t i = 0; i < test->op.output_count; i++) {
        snprintf(text, sizeof text, "output %zu with %s (%s)", i, tr->what, what);
        if (test->has_results)
            expect_same(text, &tr->outputs[i], outputs[i], test->outputs[i].data);
        else
            test->outputs[i] = (output){tr->outputs[i], copy_results(&tr->outputs[i], outputs[i])};
    }
    test->has_results = true;
}

static mls_status copy_view(const trial *tr, void *const *buffers)
{
    void *const *outputs = buffers + tr->test->op.input_count;
    if (outputs[0])
        memcpy(outputs[0], buffers[0], mls__arg_bytes(&tr->outputs[0]));
    take_results(tr, outputs, "a view");
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
    const mls_kernel_call call = {buffers, workspace, parallel_for, &threads};
    const size_t allocations = mls_test_heap_calls(tr->test->heap);
    const mls_status status = kernel->run(kernel, &call);
    ck_assert_msg(mls_test_heap_calls(tr->test->heap) == allocations, "%s: the run allocates",
                  tr->what);
    check_guard("workspace", workspace, kernel->workspace_bytes);
    if (!status)
        take_results(tr, buffers + tr->test->op.input_count, kernel->name);
    free(memory);
    return status;
}

/* What the buffers of a call are made of. */
typedef struct run_memory {
    void *buffers[MAX_INPUTS + MAX_OUTPUTS];
    void *outputs[MAX_OUTPUTS]; /* to be freed */
    void *saved[MAX_INPUTS];    /* the inputs as they were */
} run_memory;

/* `alias` is the input whose memory output 0 takes, or -1. */
static void open_memory(const trial *tr, int alias, run_memory *memory)
{
    op_test *test = tr->test;
    void **outputs = memory->buffers + test->op.input_count;
    for (size_t i = 0; i < test->op.input_count; i++) {
        const input *in = &test->inputs[i];
        memory->buffers[i] = (void *) (uintptr_t) in->data;
        if (in->data)
            memory->saved[i] = copy_results(&in->arg, in->data);
    }
    for (size_t i = 0; i < test->op.output_count; i++) {
        const size_t size = mls__arg_bytes(&tr->outputs[i]);
        if (size)
            outputs[i] = guarded(size, mls_dtype_size((mls_dtype) tr->outputs[i].dtype),
                                 &memory->outputs[i]);
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
        const input *in = &test->inputs[i];
        if (in->data)
            expect_same("input after the run", &in->arg, in->data, memory->saved[i]);
        free_elements(&in->arg, memory->saved[i]);
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

static mls_status run_often(trial *tr, const mls__backend *backend)
{
    op_test *test = tr->test;
    mls_status status = run_once(tr, -1);
    if (!status)
        status = run_once(tr, -1);
    if (!status)
        status = reshape(tr);
    if (!status)
        status = run_once(tr, -1);
    for (size_t i = 0; !status && tr->kernel && i < test->op.input_count; i++)
        if (test->inputs[i].kind == INPUT_RUN && test->inputs[i].data &&
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
    mls_status status = infer(test, true, tr->inputs, tr->outputs);
    if (status)
        return status;
    test->op.outputs = tr->outputs;
    if (!is_view(test, backend))
        status = backend->ops->kernel_create(backend->self, &test->op, &tr->kernel);
    if (status || !is_planned_otherwise(test))
        return status;
    status = infer(test, false, tr->inputs, tr->outputs);
    test->op.outputs = tr->outputs;
    return status ? status : reshape(tr);
}

static mls_status run_trial(op_test *test, const char *isa, uint32_t threads)
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
        status = run_often(&tr, &backend);
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

mls_status op_test_run(op_test *test)
{
    static const char *const sets[] = {"portable", "avx2", "avx512", "neon"};
    mls_status status = MLS_OK;
    free_results(test);
    for (size_t i = 0; !status && i < sizeof sets / sizeof sets[0]; i++) {
        if (!mls__isa_is_supported(sets[i]))
            continue;
        open_context(test, sets[i]);
        status = run_trial(test, sets[i], 1);
        if (!status)
            status = run_trial(test, sets[i], THREADS);
        mls_context_free(test->context);
        ck_assert_msg(mls_test_heap_live(test->heap) == 0, "%s: %zu blocks were not freed", sets[i],
                      mls_test_heap_live(test->heap));
    }
    return status;
}

/* --- expectations ---------------------------------------------------------------------------- */

const mls_arg *op_test_output(const op_test *test, size_t index)
{
    ck_assert_uint_lt(index, test->op.output_count);
    return &test->outputs[index].arg;
}

const void *op_test_data(const op_test *test, size_t index)
{
    ck_assert_uint_lt(index, test->op.output_count);
    ck_assert_msg(test->has_results, "there was no run that went well");
    return test->outputs[index].data;
}

static void expect_arg(const op_test *test, size_t index, int32_t dtype, int rank,
                       const int64_t *dims)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *arg = op_test_output(test, index);
    ck_assert_msg(arg->dtype == dtype, "output %zu is %s, expected %s", index,
                  mls_dtype_name((mls_dtype) arg->dtype), mls_dtype_name((mls_dtype) dtype));
    ck_assert_msg(mls__shape_equal(arg->rank, arg->dims, rank, dims),
                  "output %zu is %s, expected %s", index, mls__shape_text(arg->rank, arg->dims, a),
                  mls__shape_text(rank, dims, b));
}

void op_test_expect(const op_test *test, size_t index, mls_dtype dtype, int rank,
                    const int64_t *dims, const void *data)
{
    char what[32];
    expect_arg(test, index, dtype, rank, dims);
    snprintf(what, sizeof what, "output %zu", index);
    expect_same(what, op_test_output(test, index), op_test_data(test, index), data);
}

static double element_at(int32_t dtype, const void *data, int64_t i)
{
    return dtype == MLS_FLOAT32 ? (double) ((const float *) data)[i] : ((const double *) data)[i];
}

void op_test_expect_near(const op_test *test, size_t index, mls_dtype dtype, int rank,
                         const int64_t *dims, const void *data, double absolute, double relative)
{
    expect_arg(test, index, dtype, rank, dims);
    ck_assert(dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64);
    const void *results = op_test_data(test, index);
    for (int64_t i = 0; i < mls__arg_count(op_test_output(test, index)); i++) {
        const double got = element_at(dtype, results, i);
        const double expected = element_at(dtype, data, i);
        if (got == expected || (isnan(got) && isnan(expected)))
            continue;
        if (!isfinite(expected) || !(fabs(got - expected) <= absolute + relative * fabs(expected)))
            ck_abort_msg("output %zu, element %" PRId64 ": %.17g, expected %.17g", index, i, got,
                         expected);
    }
}
