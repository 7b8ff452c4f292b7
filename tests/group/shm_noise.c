/* SPDX-License-Identifier: Apache-2.0 */
/* Another rank writes nonsense wherever it can, or more than anybody reads. */
#include "group/group.h"
#include "group/shm_ranks.h"
#include "transport/shm/shm.h"

#include <sched.h>
#include <string.h>

/* Rank 1 writes noise over everything that it can write without asking for memory. */
static void scribble(const mls_group *group, uint64_t *state)
{
    const shm_link *link = group->link;
    const size_t words = link->memory.channels / sizeof(uint64_t);
    uint64_t *room = (uint64_t *) (void *) link->memory.base;
    for (int i = 0; i < 3000; i++)
        room[mls_test_random_below(state, words)] =
            mls_test_random(state) >> mls_test_random_below(state, 64);
    shm_channel *channel = shm_memory_channel(&link->memory, 1, 0);
    ck_assert_ok(shm_memory_reserve(link, channel, sizeof *channel));
    for (uint32_t i = 0; i < SHM_FRAMES; i++) {
        shm_frame *frame = &channel->frames[i];
        frame->kind = 1 + (uint32_t) mls_test_random_below(state, 5);
        frame->id = mls_test_random_below(state, 3);
        frame->attempt = (uint32_t) mls_test_random_below(state, 3);
        frame->size = mls_test_random(state) >> mls_test_random_below(state, 64);
        frame->offset = mls_test_random(state) >> mls_test_random_below(state, 64);
        frame->bytes = (uint32_t) (mls_test_random(state) >> mls_test_random_below(state, 64));
        frame->head_bytes = (uint32_t) (mls_test_random(state) >> mls_test_random_below(state, 64));
    }
    atomic_store(&channel->written, 1 + mls_test_random_below(state, SHM_FRAMES));
    atomic_fetch_or(&shm_seat_of(link, 0)->mail[0], 2);
}

static void call_despite_noise(uint32_t rank)
{
    mls_group *group, *smaller;
    mls_tensor *tensor;
    const int64_t count = 5000;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    const mls_group_call call = ranks_within(20);
    options.timeout_ms = 20;
    uint64_t state = mls_test_seed(7);
    ck_assert_ok(mls_tensor_create(ranks_context, MLS_FLOAT32, 1, &count, &tensor));
    for (int i = 0; i < 8; i++) {
        ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
        pthread_barrier_wait(&ranks_stage->two);
        if (rank == 1) {
            scribble(group, &state);
        } else { /* whatever it says, it ends, and the process goes on */
            mls_group_receive(group, tensor, 1, &call, NULL);
            mls_group_send(group, tensor, 1, &call, NULL);
            mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, &call, NULL);
            mls_group_abort(group, "noise");
            mls_group_barrier(group, &call, NULL);
            if (!mls_group_shrink(group, &options, &smaller))
                mls_group_free(smaller);
        }
        mls_group_free(group);
    }
    mls_tensor_free(tensor);
}

START_TEST(noise_harms_nobody)
{
    ranks_run(2, call_despite_noise, UINT32_MAX, 0);
}
END_TEST

/* For rank 0, which waits for it, rank 1 says that both have a stage; rank 0 has none. */
static void lie_of_stages(const mls_group *group)
{
    const shm_link *link = group->link;
    const uint64_t shown = 1;
    const uint64_t round = link->rounds + 1;
    shm_slot *theirs = &shm_seat_of(link, 0)->slots[round % 2];
    shm_slot *own = &shm_seat_of(link, 1)->slots[round % 2];
    while (atomic_load(&theirs->round) != round)
        sched_yield();
    memcpy(theirs->record + offsetof(mls__mark, address), &shown, sizeof shown);
    memcpy(own->record, theirs->record, sizeof own->record);
    own->size = theirs->size;
    atomic_store(&own->round, round);
    shm_ring(link, 0);
}

static void reduce_despite_lies(uint32_t rank)
{
    mls_group *group;
    mls_tensor *tensor;
    const int64_t count = 5000;
    const mls_group_call call = ranks_within(SHORT_MS);
    ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
    if (rank == 1) {
        lie_of_stages(group);
    } else {
        ck_assert_ok(mls_group_create_tensor(group, MLS_FLOAT32, 1, &count, &tensor));
        const mls_status status =
            mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, &call, NULL);
        ck_assert_int_ne(status, MLS_OK);
        mls_tensor_free(tensor);
    }
    pthread_barrier_wait(&ranks_stage->two);
    mls_group_free(group);
}

START_TEST(nobody_is_told_what_it_showed)
{
    ranks_run(2, reduce_despite_lies, UINT32_MAX, 0);
}
END_TEST

/* Announces a message of no bytes, and of a head that no call has; waits while there is no room. */
static void announce(shm_link *link, uint64_t tag)
{
    shm_frame *frame = NULL;
    while (!frame) {
        const uint32_t seen = shm_bell(link);
        ck_assert_ok(shm_channel_place(link, 0, &frame));
        if (!frame)
            shm_sleep(link, seen, MLS__FOREVER);
    }
    frame->kind = SHM_FRAME_SEND;
    frame->id = frame->tag = tag;
    frame->size = 0;
    frame->bytes = frame->head_bytes = 0;
    shm_channel_send(link, 0);
}

static uint64_t frames_taken(const mls_group *group)
{
    shm_link *link = group->link;
    pthread_mutex_lock(&link->mail.mutex);
    const uint64_t taken = link->lanes[1].took;
    pthread_mutex_unlock(&link->mail.mutex);
    return taken;
}

/* Rank 1 sends more than rank 0 has to keep: what is too much stays where it is. */
static void send_too_much(uint32_t rank)
{
    mls_group *group;
    mls_tensor *tensor;
    mls_work *work;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
    if (rank == 1) {
        for (uint64_t i = 0; i < SHM_ARRIVALS_MAX + SHM_FRAMES; i++)
            announce(group->link, i);
        pthread_barrier_wait(&ranks_stage->two);
        pthread_barrier_wait(&ranks_stage->two);
        mls_group_free(group);
        return;
    }
    ck_assert_ok(mls_tensor_create(ranks_context, MLS_FLOAT32, 0, NULL, &tensor));
    call.tag = UINT64_C(1) << 40; /* of none of them */
    ck_assert_ok(mls_group_receive(group, tensor, 1, &call, &work));
    while (frames_taken(group) < SHM_ARRIVALS_MAX)
        ck_assert_int_eq(mls_work_wait(work, 1), MLS_ETIMEDOUT);
    pthread_barrier_wait(&ranks_stage->two);
    ck_assert_int_eq(mls_work_wait(work, 1), MLS_ETIMEDOUT);
    ck_assert_uint_eq(frames_taken(group), SHM_ARRIVALS_MAX);
    call.tag = 5; /* makes room for the next one */
    ck_assert_fails(mls_group_receive(group, tensor, 1, &call, NULL), MLS_EMISMATCH, "rank 1");
    while (frames_taken(group) == SHM_ARRIVALS_MAX)
        ck_assert_int_eq(mls_work_wait(work, 1), MLS_ETIMEDOUT);
    ck_assert_uint_eq(frames_taken(group), SHM_ARRIVALS_MAX + 1);
    pthread_barrier_wait(&ranks_stage->two);
    mls_work_free(work);
    mls_tensor_free(tensor);
    mls_group_free(group);
}

START_TEST(unreceived_messages_are_bounded)
{
    ranks_run(2, send_too_much, UINT32_MAX, 0);
}
END_TEST

/* Names and reasons of other ranks are shown without what a terminal would obey. */
static void show_texts(uint32_t rank)
{
    mls_group *group;
    mls_tensor *tensor;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = rank ? "bell\a\033[31m" : "";
    ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
    ck_assert_ok(mls_tensor_create(ranks_context, MLS_FLOAT32, 0, NULL, &tensor));
    ck_assert_fails(mls_group_barrier(group, &call, NULL), MLS_EMISMATCH, "bell??[31m");
    ck_assert_fails(rank ? mls_group_send(group, tensor, 0, &call, NULL)
                         : mls_group_receive(group, tensor, 1, &call, NULL),
                    MLS_EMISMATCH, "bell??[31m");
    if (rank)
        ck_assert_ok(mls_group_abort(group, "line\nline"));
    else
        ck_assert_fails(mls_group_barrier(group, NULL, NULL), MLS_ECANCELLED, "line?line");
    pthread_barrier_wait(&ranks_stage->two);
    mls_tensor_free(tensor);
    mls_group_free(group);
}

START_TEST(texts_of_others_are_cleaned)
{
    ranks_run(2, show_texts, UINT32_MAX, 0);
}
END_TEST

void shm_noise_add(TCase *tests)
{
    tcase_add_test(tests, noise_harms_nobody);
    tcase_add_test(tests, nobody_is_told_what_it_showed);
    tcase_add_test(tests, unreceived_messages_are_bounded);
    tcase_add_test(tests, texts_of_others_are_cleaned);
}
