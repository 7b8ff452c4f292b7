/* SPDX-License-Identifier: Apache-2.0 */
/* Works, and messages between two ranks. */
#include "conformance/transport/suite.h"

#include <string.h>

/* Works run in their order, a blocking call behind them; tensors may be freed before. */
static void many_works(ranked *r)
{
    enum { WORKS = 20, COUNT = 1200 };
    static float memory[4][WORKS][COUNT];
    mls_work *works[WORKS];
    for (int k = 0; k < WORKS; k++) {
        for (int i = 0; i < COUNT; i++)
            memory[r->rank][k][i] = (float) (r->rank + k);
        mls_tensor *tensor = conformance_view(MLS_FLOAT32, k % 2 ? COUNT : 3, memory[r->rank][k]);
        ck_assert_ok(
            mls_group_allreduce(r->group, tensor, tensor, MLS_REDUCE_SUM, NULL, &works[k]));
        mls_tensor_free(tensor);
    }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
    for (int k = 0; k < WORKS; k++) {
        int has_ended;
        ck_assert_ok(mls_work_test(works[k], &has_ended));
        ck_assert_int_eq(has_ended, 1);
        ck_assert_ok(mls_work_wait(works[k], -1));
        mls_work_free(works[k]);
        ck_assert(memory[r->rank][k][2] == (float) (6 + 4 * k));
    }
}

START_TEST(works_run_in_order)
{
    conformance_ranks(4, NULL, many_works, NULL);
}
END_TEST

static pthread_barrier_t *meeting;

static void cancel_work(ranked *r)
{
    mls_work *work;
    int has_ended;
    if (r->rank == 0) {
        ck_assert_ok(mls_group_barrier(r->group, NULL, &work));
        ck_assert_fails(mls_work_wait(work, 1), MLS_ETIMEDOUT, "not ended");
        ck_assert_ok(mls_work_test(work, &has_ended));
        ck_assert_int_eq(has_ended, 0);
        ck_assert_ok(mls_work_cancel(work));
        ck_assert_fails(mls_work_wait(work, -1), MLS_ECANCELLED, "cancelled");
        mls_work_free(work);
    }
    conformance_meet(meeting);
    ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_ECANCELLED, "cancelled");
}

/* Freeing a group ends its works; the handle stays. */
static void free_with_work(ranked *r)
{
    mls_work *work = NULL;
    if (r->rank == 0) {
        ck_assert_ok(mls_group_barrier(r->group, NULL, &work));
        mls_group_free(r->group);
        r->group = NULL;
        ck_assert_fails(mls_work_wait(work, -1), MLS_ECANCELLED, "freed");
        mls_work_free(work);
        conformance_meet(meeting);
    } else {
        conformance_meet(meeting);
        ck_assert_int_eq(mls_group_barrier(r->group, NULL, NULL), MLS_EPEER);
    }
}

START_TEST(works_can_be_cancelled)
{
    meeting = conformance_meeting(2);
    conformance_ranks(2, NULL, cancel_work, NULL);
    conformance_ranks(2, NULL, free_with_work, NULL);
}
END_TEST

/* --- messages -------------------------------------------------------------------------------- */

/* Each sends to the next, tags in another order than they are received. */
static void ring(ranked *r)
{
    enum { COUNT = 5000 };
    static int32_t memory[5][4][COUNT];
    const uint32_t next = (r->rank + 1) % r->size, last = (r->rank + r->size - 1) % r->size;
    mls_work *works[4];
    mls_tensor *tensors[4];
    for (size_t k = 0; k < 4; k++) {
        mls_group_call call = conformance_call("ring", 0);
        call.tag = k % 2;
        for (int32_t i = 0; k < 2 && i < COUNT; i++)
            memory[r->rank][k][i] = (int32_t) (r->rank * 10 + k) * COUNT + i;
        tensors[k] = conformance_view(MLS_INT32, COUNT, memory[r->rank][k]);
        if (k < 2)
            ck_assert_ok(mls_group_send(r->group, tensors[k], next, &call, &works[k]));
    }
    for (size_t k = 4; k-- > 2;) {
        mls_group_call call = conformance_call("ring", 0);
        call.tag = k % 2;
        ck_assert_ok(mls_group_receive(r->group, tensors[k], last, &call, NULL));
        for (int32_t i = 0; i < COUNT; i++)
            mls_test_expect(memory[r->rank][k][i] == (int32_t) (last * 10 + k - 2) * COUNT + i,
                            "element %d", i);
    }
    for (size_t k = 0; k < 4; k++) {
        if (k < 2) {
            ck_assert_ok(mls_work_wait(works[k], -1));
            mls_work_free(works[k]);
        }
        mls_tensor_free(tensors[k]);
    }
}

START_TEST(messages_go_around)
{
    for (uint32_t ranks = 1; ranks <= 5; ranks += 2)
        conformance_ranks(ranks, NULL, ring, NULL);
}
END_TEST

/* Every second element, reversed on the other side; empty ones too. */
static void send_views(ranked *r)
{
    int16_t data[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    mls_tensor *whole = conformance_view(MLS_INT16, 10, data), *view, *none;
    ck_assert_ok(mls_tensor_slice(whole, 0, 0, 0, 1, &none));
    if (r->rank == 0) {
        ck_assert_ok(mls_tensor_slice(whole, 0, 1, 10, 2, &view));
        ck_assert_ok(mls_group_send(r->group, view, 1, NULL, NULL));
        ck_assert_ok(mls_group_send(r->group, none, 1, NULL, NULL));
    } else {
        ck_assert_ok(mls_tensor_slice(whole, 0, 4, -1, -1, &view));
        ck_assert_ok(mls_group_receive(r->group, view, 0, NULL, NULL));
        ck_assert_ok(mls_group_receive(r->group, none, 0, NULL, NULL));
        static const int16_t expected[10] = {9, 7, 5, 3, 1, 5, 6, 7, 8, 9};
        ck_assert_mem_eq(data, expected, sizeof data);
    }
    mls_tensor_free(none);
    mls_tensor_free(view);
    mls_tensor_free(whole);
}

START_TEST(messages_of_views)
{
    conformance_ranks(2, NULL, send_views, NULL);
}
END_TEST

static void fail_messages(ranked *r)
{
    float data[8] = {0};
    mls_tensor *a = conformance_view(MLS_FLOAT32, r->rank ? 8 : 7, data);
    const mls_group_call soon = conformance_call("late", 20);
    mls_work *work;
    int has_ended;
    if (r->rank == 0)
        ck_assert_fails(mls_group_send(r->group, a, 1, NULL, NULL), MLS_EMISMATCH,
                        "rank 0 sends a message of 7 float32, rank 1 receives a message of 8");
    else
        ck_assert_fails(mls_group_receive(r->group, a, 0, NULL, NULL), MLS_EMISMATCH,
                        "rank 1 receives a message of 8 float32, rank 0 sends a message of 7");
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
    if (r->rank == 0) {
        ck_assert_fails(mls_group_receive(r->group, a, 1, &soon, NULL), MLS_EDEADLINE,
                        "rank 1 has not sent it; it ");
        ck_assert_ok(mls_group_send(r->group, a, 1, NULL, &work));
        ck_assert_fails(mls_work_wait(work, 1), MLS_ETIMEDOUT, "not ended");
        ck_assert_ok(mls_work_test(work, &has_ended));
        ck_assert_int_eq(has_ended, 0);
        ck_assert_ok(mls_work_cancel(work));
        ck_assert_fails(mls_work_wait(work, -1), MLS_ECANCELLED, "cancelled");
        mls_work_free(work);
        ck_assert_ok(mls_group_send(r->group, a, 1, NULL, &work));
        mls_work_free(work); /* taken back */
    }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL)); /* no message breaks the group */
    if (r->rank == 0) {
        mls_group_free(r->group);
        r->group = NULL;
    } else {
        ck_assert_fails(mls_group_receive(r->group, a, 0, NULL, NULL), MLS_EPEER,
                        "rank 0 has not sent it; it has left the group");
    }
    mls_tensor_free(a);
}

START_TEST(messages_fail_alone)
{
    conformance_ranks(2, NULL, fail_messages, NULL);
}
END_TEST

/* The memory of who left is its own: nobody writes there any more. */
static void leave_with_message(ranked *r)
{
    static float memory[4];
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.timeout_ms = 60000;
    mls_tensor *a = conformance_view(MLS_FLOAT32, 4, memory);
    mls_work *work = NULL;
    if (r->rank == 0) {
        ck_assert_ok(mls_group_receive(r->group, a, 1, NULL, &work));
        mls_group_free(r->group);
        r->group = NULL;
        conformance_meet(meeting);
        ck_assert_fails(mls_work_wait(work, -1), MLS_ECANCELLED, "");
        mls_work_free(work);
    } else {
        conformance_meet(meeting);
        ck_assert_fails(mls_group_send(r->group, a, 0, &call, NULL), MLS_EPEER, "rank 0");
    }
    mls_tensor_free(a);
}

START_TEST(messages_end_with_their_rank)
{
    meeting = conformance_meeting(2);
    conformance_ranks(2, NULL, leave_with_message, NULL);
}
END_TEST

void conformance_add_handles(TCase *tests)
{
    tcase_add_test(tests, works_run_in_order);
    tcase_add_test(tests, works_can_be_cancelled);
    tcase_add_test(tests, messages_go_around);
    tcase_add_test(tests, messages_of_views);
    tcase_add_test(tests, messages_fail_alone);
    tcase_add_test(tests, messages_end_with_their_rank);
}
