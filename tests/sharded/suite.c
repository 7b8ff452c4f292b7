/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the topics together. */
#include "sharded/suite.h"

#include "tensor/float_format.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

mls_context *the_context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
}

static void teardown(void)
{
    mls_context_free(the_context);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*add)(TCase *tests);
    } topics[] = {
        {"layouts", sharded_add_layouts},       {"bytes", sharded_add_bytes},
        {"products", sharded_add_products},     {"ops", sharded_add_ops},
        {"reductions", sharded_add_reductions}, {"files", sharded_add_files},
        {"hostile", sharded_add_hostile},       {"arenas", sharded_add_arenas},
        {"breaks", sharded_add_breaks},         {"processes", sharded_add_processes},
        {"halves", sharded_add_halves},         {"dtypes", sharded_add_dtypes},
    };
    Suite *suite = suite_create("sharded");
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        TCase *tests = tcase_create(topics[i].name);
        tcase_add_checked_fixture(tests, setup, teardown);
        topics[i].add(tests);
        suite_add_tcase(suite, tests);
    }
    return mls_test_run(suite);
}

/* --- ranks ----------------------------------------------------------------------------------- */

arrangement one_axis(uint32_t ranks, uint32_t shards)
{
    arrangement on = {.axis_count = 1, .axes = {ranks}, .ranks = ranks};
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    on.options.shards[0] = shards;
    return on;
}

arrangement random_arrangement(uint64_t *state)
{
    arrangement on = {.axis_count = 1 + (int) mls_test_random_below(state, 3), .ranks = 1};
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    for (int i = 0; i < on.axis_count; i++) {
        on.axes[i] = 1 + (uint32_t) mls_test_random_below(state, MAX_RANKS / on.ranks);
        on.ranks *= on.axes[i];
        if (mls_test_random_below(state, 2))
            on.options.shards[i] = 1 + (uint32_t) mls_test_random_below(state, 9);
    }
    return on;
}

typedef struct started {
    pthread_t thread;
    ranked rank;
    void (*body)(ranked *rank);
} started;

static void *run_rank(void *arg)
{
    started *s = arg;
    const arrangement *on = s->rank.on;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    static const char token[] = "sharded";
    if (on->timeout_ms)
        options.timeout_ms = on->timeout_ms;
    if (on->has_processes) {
        options.token = token;
        options.token_bytes = sizeof token - 1;
    }
    ck_assert_ok(mls_group_create(the_context, on->url ? on->url : "inproc:test", s->rank.rank,
                                  on->ranks, &options, &s->rank.group));
    ck_assert_ok(
        mls_mesh_create(s->rank.group, on->axis_count, on->axes, &on->options, &s->rank.mesh));
    s->body(&s->rank);
    mls_mesh_free(s->rank.mesh);
    mls_group_free(s->rank.group);
    return NULL;
}

static void run_threads(started *ranks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&ranks[i].thread, NULL, run_rank, &ranks[i]), 0);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(ranks[i].thread, NULL);
}

/* The parent's context is not for its children. */
static void run_child(started *rank)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
    run_rank(rank);
    mls_context_free(the_context);
    _exit(0);
}

static void run_processes(started *ranks, uint32_t count)
{
    pid_t children[MAX_RANKS];
    for (uint32_t i = 0; i < count; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            run_child(&ranks[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        mls_test_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "rank %u ended with %#x", i,
                        (unsigned) status);
    }
}

void on_mesh(const arrangement *on, void (*body)(ranked *rank), const void *arg)
{
    started ranks[MAX_RANKS];
    for (uint32_t i = 0; i < on->ranks; i++)
        ranks[i] = (started){.rank = {NULL, NULL, i, on, arg}, .body = body};
    if (on->has_processes)
        run_processes(ranks, on->ranks);
    else
        run_threads(ranks, on->ranks);
}

void random_layout(uint64_t *state, int axis_count, int rank, bool can_be_partial,
                   int32_t *ret_layout)
{
    const int least = can_be_partial ? MLS_LAYOUT_PARTIAL : MLS_LAYOUT_REPLICATED;
    for (int i = 0; i < axis_count; i++)
        ret_layout[i] = least + (int32_t) mls_test_random_below(state, (size_t) (rank - least));
}

void own_shards(const ranked *r, int axis, uint32_t *ret_first, uint32_t *ret_end)
{
    const uint32_t p = r->on->axes[axis], c = mls_mesh_coordinate(r->mesh, axis);
    const uint32_t shards = r->on->options.shards[axis] ? r->on->options.shards[axis] : p;
    *ret_first = c * shards / p;
    *ret_end = (c + 1) * shards / p;
}

/* --- tensors --------------------------------------------------------------------------------- */

int64_t made_up(uint64_t seed, int64_t i)
{
    uint64_t state = seed * 1000003 + (uint64_t) i;
    return (int64_t) (mls_test_random(&state) % 17) - 8;
}

/* Of the dtypes that tests use. */
double element(const mls_tensor *tensor, int64_t i)
{
    switch ((int) mls_tensor_dtype(tensor)) {
    case MLS_FLOAT32:
        return (double) ((const float *) mls_tensor_data(tensor))[i];
    case MLS_FLOAT64:
        return ((const double *) mls_tensor_data(tensor))[i];
    case MLS_INT32:
        return (double) ((const int32_t *) mls_tensor_data(tensor))[i];
    case MLS_INT64:
        return (double) ((const int64_t *) mls_tensor_data(tensor))[i];
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        return mls__float_decode(mls__float_format_of((int32_t) mls_tensor_dtype(tensor)),
                                 ((const uint16_t *) mls_tensor_data(tensor))[i]);
    default:
        return (double) ((const int8_t *) mls_tensor_data(tensor))[i];
    }
}

void set_element(mls_tensor *tensor, int64_t i, double value)
{
    switch ((int) mls_tensor_dtype(tensor)) {
    case MLS_FLOAT32:
        ((float *) mls_tensor_data(tensor))[i] = (float) value;
        break;
    case MLS_FLOAT64:
        ((double *) mls_tensor_data(tensor))[i] = value;
        break;
    case MLS_INT32:
        ((int32_t *) mls_tensor_data(tensor))[i] = (int32_t) value;
        break;
    case MLS_INT64:
        ((int64_t *) mls_tensor_data(tensor))[i] = (int64_t) value;
        break;
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        ((uint16_t *) mls_tensor_data(tensor))[i] = mls__float_encode(
            mls__float_format_of((int32_t) mls_tensor_dtype(tensor)), value, false);
        break;
    case MLS_BOOL:
        ((uint8_t *) mls_tensor_data(tensor))[i] = value > 0;
        break;
    default:
        ((int8_t *) mls_tensor_data(tensor))[i] = (int8_t) value;
    }
}

mls_tensor *made_up_tensor(mls_dtype dtype, int rank, const int64_t *dims, uint64_t seed)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(the_context, dtype, rank, dims, &tensor));
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++)
        set_element(tensor, i, (double) made_up(seed, i));
    return tensor;
}
