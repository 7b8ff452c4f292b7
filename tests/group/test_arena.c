/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors that the other ranks read where they lie: the same results, whoever has such and who not.
 */
#include "group/group.h"
#include "group/stream.h"
#include "support/test.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 3, COUNT = 3 * 70000 };

static mls_context *the_context;
static char the_url[64];
static uint32_t the_shards; /* 0: one a rank */

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
    snprintf(the_url, sizeof the_url, "shm:arena-%ld", (long) getpid());
    the_shards = 0;
}

static void teardown(void)
{
    mls_context_free(the_context);
}

typedef struct ranked {
    pthread_t thread;
    uint32_t rank;
    mls_group *group;
    void (*body)(struct ranked *r);
} ranked;

static void *run_rank(void *arg)
{
    ranked *r = arg;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = the_shards;
    ck_assert_ok(mls_group_create(the_context, the_url, r->rank, RANKS, &options, &r->group));
    r->body(r);
    mls_group_free(r->group);
    return NULL;
}

static void run_ranks(void (*body)(ranked *r))
{
    ranked ranks[RANKS];
    for (uint32_t i = 0; i < RANKS; i++) {
        ranks[i] = (ranked){.rank = i, .body = body};
        ck_assert_int_eq(pthread_create(&ranks[i].thread, NULL, run_rank, &ranks[i]), 0);
    }
    for (uint32_t i = 0; i < RANKS; i++)
        pthread_join(ranks[i].thread, NULL);
}

/* With bit i of `who`, rank i has it in its arena. */
static mls_tensor *make(const ranked *r, uint32_t who, int64_t count)
{
    mls_tensor *tensor;
    if (who >> r->rank & 1)
        ck_assert_ok(mls_group_create_tensor(r->group, MLS_INT32, 1, &count, &tensor));
    else
        ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 1, &count, &tensor));
    return tensor;
}

static mls_tensor *make_filled(const ranked *r, uint32_t who, int64_t count)
{
    mls_tensor *tensor = make(r, who, count);
    int32_t *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < count; i++)
        data[i] = (int32_t) (r->rank * 1000000 + i);
    return tensor;
}

static void check_reductions(ranked *r, uint32_t sources, uint32_t targets)
{
    mls_tensor *source = make_filled(r, sources, COUNT), *target = make(r, targets, COUNT);
    mls_tensor *part = make(r, targets, COUNT / RANKS);
    const int32_t *data = mls_tensor_data(target), *own = mls_tensor_data(part);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert_ok(mls_group_reduce_scatter(r->group, source, part, MLS_REDUCE_SUM, NULL, NULL));
    for (int i = 0; i < COUNT; i++)
        mls_test_expect(data[i] == 3000000 + 3 * i, "element %d is %d", i, data[i]);
    for (int i = 0; i < COUNT / RANKS; i++)
        mls_test_expect(own[i] == data[(int) r->rank * (COUNT / RANKS) + i], "element %d", i);
    ck_assert_ok(mls_group_allreduce(r->group, source, source, MLS_REDUCE_SUM, NULL, NULL));
    ck_assert_int_eq(memcmp(mls_tensor_data(source), data, COUNT * sizeof *data), 0);
    mls_tensor_free(source);
    mls_tensor_free(target);
    mls_tensor_free(part);
}

static void check_moves(ranked *r, uint32_t sources, uint32_t targets)
{
    enum { PIECE = COUNT / RANKS };
    mls_tensor *source = make_filled(r, sources, PIECE), *target = make(r, targets, COUNT);
    mls_tensor *back = make(r, targets, COUNT);
    const int32_t *data = mls_tensor_data(target), *other = mls_tensor_data(back);
    ck_assert_ok(mls_group_allgather(r->group, source, target, NULL, NULL));
    ck_assert_ok(mls_group_all_to_all(r->group, target, back, NULL, NULL));
    for (int i = 0; i < COUNT; i++) {
        mls_test_expect(data[i] == i / PIECE * 1000000 + i % PIECE, "element %d is %d", i, data[i]);
        mls_test_expect(other[i] == data[(int) r->rank * PIECE + i % PIECE], "element %d", i);
    }
    ck_assert_ok(mls_group_broadcast(r->group, source, 1, NULL, NULL));
    ck_assert_int_eq(((const int32_t *) mls_tensor_data(source))[PIECE - 1], 1000000 + PIECE - 1);
    mls_tensor_free(source);
    mls_tensor_free(target);
    mls_tensor_free(back);
}

static void check_all(ranked *r)
{
    static const uint32_t who[][2] = {{7, 7}, {7, 0}, {0, 7}, {5, 3}, {0, 0}};
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
        check_reductions(r, who[i][0], who[i][1]);
        check_moves(r, who[i][0], who[i][1]);
    }
}

START_TEST(whoever_has_them)
{
    run_ranks(check_all);
}
END_TEST

START_TEST(other_transports_have_tensors_too)
{
    strcpy(the_url, "inproc:arena");
    run_ranks(check_all);
}
END_TEST

/* What a rank found: all of an allreduce, its piece of a reduce_scatter, what the root got. */
enum { HALVES = 2 * COUNT + COUNT / RANKS };

static uint16_t found[2][RANKS][HALVES];

/* Halves, whose sums depend on their order; -1: there is no dimension of shards. */
static mls_tensor *make_halves(const ranked *r, int64_t shards, int64_t count)
{
    const int64_t dims[2] = {shards, count};
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(the_context, MLS_BFLOAT16, shards < 0 ? 1 : 2,
                                   shards < 0 ? dims + 1 : dims, &tensor));
    uint16_t *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < tensor->count; i++) {
        const uint64_t mixed = (uint64_t) (i + r->rank * 977 + 1) * UINT64_C(0x9e3779b97f4a7c15);
        data[i] = (uint16_t) (0x3c00 + (mixed >> 55)); /* from 2^-7 to 2^-3 */
    }
    return tensor;
}

static void find_results(ranked *r)
{
    static const size_t places[] = {0, COUNT, 2 * COUNT};
    const bool is_shm = !strncmp(the_url, "shm:", 4);
    uint32_t own = 0;
    mls_group_shards(r->group, r->rank, NULL, &own);
    mls_tensor *source = make_halves(r, own, COUNT);
    mls_tensor *targets[] = {make_halves(r, -1, COUNT), make_halves(r, -1, COUNT),
                             make_halves(r, -1, COUNT / RANKS)};
    ck_assert_ok(mls_group_allreduce(r->group, source, targets[0], MLS_REDUCE_SUM, NULL, NULL));
    ck_assert_ok(mls_group_reduce(r->group, source, r->rank == 1 ? targets[1] : NULL,
                                  MLS_REDUCE_MEAN, 1, NULL, NULL));
    ck_assert_ok(
        mls_group_reduce_scatter(r->group, source, targets[2], MLS_REDUCE_PRODUCT, NULL, NULL));
    for (int i = 0; i < 3; i++) {
        memcpy(found[is_shm][r->rank] + places[i], mls_tensor_data(targets[i]),
               mls_tensor_size_bytes(targets[i]));
        mls_tensor_free(targets[i]);
    }
    mls_tensor_free(source);
    ck_assert(is_shm == (r->group->stage != NULL));
}

/* More shards than ranks, and fewer: sums of several, of one, of none. */
START_TEST(strides_change_no_bit)
{
    char shm_url[sizeof the_url];
    memcpy(shm_url, the_url, sizeof shm_url);
    for (the_shards = 2; the_shards <= 7; the_shards += 5) {
        memcpy(the_url, shm_url, sizeof shm_url);
        run_ranks(find_results);
        strcpy(the_url, "inproc:arena");
        run_ranks(find_results);
        ck_assert_int_eq(memcmp(found[0], found[1], sizeof found[0]), 0);
    }
}
END_TEST

/* Rank 1 has no room for a stage. */
static void check_full(ranked *r)
{
    const int64_t all = 2 << 20;
    mls_tensor *tensor = NULL;
    if (r->rank == 1)
        ck_assert_ok(mls_group_create_tensor(r->group, MLS_UINT8, 1, &all, &tensor));
    check_reductions(r, 0, 0);
    ck_assert((r->rank == 1) == (r->group->stage == NULL));
    mls_tensor_free(tensor);
}

START_TEST(a_full_arena_has_no_stage)
{
    strcat(the_url, "?arena=2m");
    run_ranks(check_full);
}
END_TEST

static const int64_t large_count = 3 * (int64_t) (MLS__STREAM_BYTES / sizeof(float)) + 5;

/* What is larger than the caches goes past them, and arrives all the same. */
static void reduce_large(ranked *r, mls_tensor *source, mls_tensor *target)
{
    const int64_t count = large_count;
    float *data = mls_tensor_data(source);
    const float *result = mls_tensor_data(target);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float) (3 * (i % 1000) + r->rank);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, MLS_REDUCE_SUM, NULL, NULL));
    for (int64_t i = 0; i < count; i++)
        mls_test_expect(result[i] == (float) (9 * (i % 1000) + 3), "element %lld is %g",
                        (long long) i, (double) result[i]);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, MLS_REDUCE_MEAN, NULL, NULL));
    for (int64_t i = 0; i < count; i++)
        mls_test_expect(result[i] == (float) (3 * (i % 1000) + 1), "element %lld is %g",
                        (long long) i, (double) result[i]);
}

static void check_large(ranked *r)
{
    mls_tensor *source, *target;
    ck_assert_ok(mls_group_create_tensor(r->group, MLS_FLOAT32, 1, &large_count, &source));
    ck_assert_ok(mls_group_create_tensor(r->group, MLS_FLOAT32, 1, &large_count, &target));
    reduce_large(r, source, target);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

START_TEST(large_ones_go_past_the_caches)
{
    run_ranks(check_large);
}
END_TEST

/* Both calls are trials, the second halves of which go the other way. */
static void check_stages(ranked *r)
{
    mls_tensor *source, *target;
    ck_assert_ok(mls_tensor_create(the_context, MLS_FLOAT32, 1, &large_count, &source));
    ck_assert_ok(mls_tensor_create(the_context, MLS_FLOAT32, 1, &large_count, &target));
    reduce_large(r, source, target);
    ck_assert_uint_eq(r->group->stage_ways.calls, 2);
    ck_assert(r->group->stage_ways.tries);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

START_TEST(stages_go_either_way)
{
    run_ranks(check_stages);
}
END_TEST

/* What lies in shared memory may change at any time; what was found out in the round does not. */
static void change_header(ranked *r)
{
    mls_tensor *tensor = make_filled(r, 7, COUNT);
    mls__call call = {.header = {.version = MLS__HEADER_VERSION, .op = MLS__CALL_BARRIER},
                      .until_ns = MLS__FOREVER};
    ck_assert_ok(mls__round(r->group, &call, 0, mls_tensor_data(tensor), 0));
    if (r->rank == 0) {
        void *record = (void *) (uintptr_t) r->group->records[1].data;
        memset((unsigned char *) record + offsetof(mls__mark, address), 0, sizeof(uint64_t));
        ck_assert(mls__reads_now(r->group));
    }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
    mls_tensor_free(tensor);
}

START_TEST(headers_are_read_once)
{
    run_ranks(change_header);
}
END_TEST

/* Rank 1 gives what is no record: too short, or with a tail longer than itself. */
static void give_nonsense(ranked *r)
{
    static const size_t sizes[] = {sizeof(mls__mark) - 1, sizeof(mls__mark)};
    const mls__mark mark = {.version = MLS__HEADER_VERSION, .tail_bytes = 1};
    if (r->rank == 1) {
        mls_transport_record records[RANKS];
        ck_assert_ok(r->group->transport.ops->round(
            r->group->link, &mark, sizes[strlen(the_url) % 2], MLS__FOREVER, records));
        return;
    }
    ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_EFORMAT, "too short");
}

START_TEST(records_of_nonsense_are_refused)
{
    run_ranks(give_nonsense);
    strcat(the_url, "-");
    run_ranks(give_nonsense);
}
END_TEST

START_TEST(streams_copy_what_they_should)
{
    unsigned char from[400], to[400];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char) (i % 251);
    for (size_t at = 0; at < 70; at++)
        for (size_t size = 0; size < 300; size += 7) {
            memset(to, 255, sizeof to);
            mls__stream_copy(to + at, from + size % 5, size);
            mls__stream_end();
            mls_test_expect(memcmp(to + at, from + size % 5, size) == 0, "%zu at %zu", size, at);
            mls_test_expect(to[at + size] == 255 && (!at || to[at - 1] == 255), "%zu at %zu", size,
                            at);
        }
}
END_TEST

/* Memory comes back, is zero again, and outlives its group. */
START_TEST(memory_comes_back)
{
    enum { TENSORS = 8 };
    mls_group *group;
    mls_tensor *tensors[TENSORS], *last;
    const int64_t large = 1 << 20, whole = 4 << 20, more = whole + 1;
    strcat(the_url, "?arena=4m");
    ck_assert_ok(mls_group_create(the_context, the_url, 0, 1, NULL, &group));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < TENSORS; i++) {
            const int64_t count = large / (i + 2) - 100;
            ck_assert_ok(mls_group_create_tensor(group, MLS_UINT8, 1, &count, &tensors[i]));
            const unsigned char *data = mls_tensor_data(tensors[i]);
            ck_assert_uint_eq((uintptr_t) data % 64, 0);
            for (int64_t k = 0; k < count; k++)
                mls_test_expect(data[k] == 0, "byte %lld", (long long) k);
            memset(mls_tensor_data(tensors[i]), 255, (size_t) count);
        }
        for (int i = 0; i < TENSORS; i++)
            mls_tensor_free(tensors[i * 3 % TENSORS]);
    }
    ck_assert_fails(mls_group_create_tensor(group, MLS_UINT8, 1, &more, &last), MLS_ENOMEM,
                    "no room for");
    ck_assert_ok(mls_group_create_tensor(group, MLS_UINT8, 1, &whole, &last));
    ck_assert_fails(mls_group_create_tensor(group, MLS_STRING, 1, &large, &tensors[0]), MLS_EDTYPE,
                    "strings");
    mls_group_free(group);
    memset(mls_tensor_data(last), 7, (size_t) whole);
    mls_tensor_free(last);
}
END_TEST

START_TEST(offers_have_none_yet)
{
    mls_group *offer;
    mls_tensor *tensor;
    const int64_t count = 4;
    ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &offer));
    ck_assert_fails(mls_group_create_tensor(offer, MLS_INT32, 1, &count, &tensor), MLS_ESTATE,
                    "never joined");
    mls_group_free(offer);
}
END_TEST

static mls_status use_alone(mls_context *context, void *arg)
{
    mls_group *group;
    mls_tensor *tensor;
    const int64_t count = 5000;
    mls_status status = mls_group_create(context, arg, 0, 1, NULL, &group);
    if (status)
        return status;
    status = mls_group_create_tensor(group, MLS_FLOAT32, 1, &count, &tensor);
    if (!status)
        mls_tensor_free(tensor);
    mls_group_free(group);
    return status;
}

START_TEST(memory_may_run_out)
{
    mls_test_each_allocation(use_alone, the_url);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/arena");
    TCase *tests = mls_test_case(suite, "arena", setup, teardown);
    tcase_add_test(tests, whoever_has_them);
    tcase_add_test(tests, other_transports_have_tensors_too);
    tcase_add_test(tests, strides_change_no_bit);
    tcase_add_test(tests, a_full_arena_has_no_stage);
    tcase_add_test(tests, large_ones_go_past_the_caches);
    tcase_add_test(tests, stages_go_either_way);
    tcase_add_test(tests, headers_are_read_once);
    tcase_add_test(tests, records_of_nonsense_are_refused);
    tcase_add_test(tests, streams_copy_what_they_should);
    tcase_add_test(tests, memory_comes_back);
    tcase_add_test(tests, offers_have_none_yet);
    tcase_add_test(tests, memory_may_run_out);
    return mls_test_run(suite);
}
