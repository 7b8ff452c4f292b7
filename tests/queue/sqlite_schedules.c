/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules of durable queues whose jobs are refused, which no driver's own bounds bring about:
 * so what fires, and what takes its jobs, are this file's.
 */
#include "queue/durable/schedules.h"
#include "queue/sqlite_files.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { DUE = 3, FIRST_MS = 10 };

/* Three are due: at 10, 20 and 30; then comes 40. */
static mls_status advance(const mls_plugin_host *host, mls_schedule *s, int64_t now_ms,
                          int64_t *ret_due_ms, size_t *ret_count)
{
    (void) host;
    if (now_ms < 0)
        return (mls_status) now_ms;
    for (int i = 0; i < DUE; i++)
        ret_due_ms[i] = FIRST_MS * (i + 1);
    s->next_ms = FIRST_MS * (DUE + 1);
    s->last_ms = FIRST_MS * DUE;
    *ret_count = DUE;
    return MLS_OK;
}

static void fire(const mls_schedule *s, int64_t due_ms, mls_queue_firing *ret_firing)
{
    (void) s;
    ret_firing->item = (mls_queue_item){.due_ms = due_ms};
}

typedef struct taker {
    int taken, most;
    mls_status refusal;
} taker;

static mls_status take(void *user, const mls_queue_item *item)
{
    taker *t = user;
    if (t->taken == t->most)
        return t->refusal;
    ck_assert_int_eq(item->due_ms, FIRST_MS * ++t->taken);
    return MLS_OK;
}

START_TEST(what_is_refused_is_still_to_come)
{
    static const struct {
        mls_status known; /* what working out what is due says */
        int taken;
        mls_status refusal;
        int64_t next_ms, last_ms;
    } rows[] = {
        {MLS_OK, DUE, MLS_OK, 40, 30},         {MLS_OK, 0, MLS_EFULL, 10, 5},
        {MLS_OK, 2, MLS_ELIMIT, 30, 20},       {MLS_OK, 1, MLS_EINVAL, INT64_MAX, 10},
        {MLS_ENOTFOUND, 0, MLS_OK, 7, 5},      {MLS_EFORMAT, 0, MLS_OK, 7, 5},
        {MLS_EINVAL, 0, MLS_OK, INT64_MAX, 5},
    };
    const mls_queue_host policy = {.schedule_advance = advance, .schedule_fire = fire};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        taker t = {.most = rows[i].taken, .refusal = rows[i].refusal};
        mls_schedule s = {.next_ms = 7, .last_ms = 5};
        const mls_status wanted = rows[i].known ? rows[i].known : rows[i].refusal;
        ck_assert_int_eq(mls__schedule_go_off(NULL, &policy, &s, rows[i].known, take, &t), wanted);
        ck_assert_int_eq(t.taken, rows[i].taken);
        ck_assert_int_eq(s.next_ms, rows[i].next_ms);
        ck_assert_int_eq(s.last_ms, rows[i].last_ms);
        ck_assert_int_eq(mls__schedule_may_pass(wanted), wanted != MLS_EINVAL);
    }
}
END_TEST

static void *get_memory(mls_context *context, size_t size)
{
    (void) context;
    return malloc(size);
}

static void give_memory(mls_context *context, void *ptr)
{
    (void) context;
    free(ptr);
}

START_TEST(pauses_are_found_and_end)
{
    enum { COUNT = 23, STEP = 7 }; /* in another order than that of names */
    const mls_plugin_host host = {.alloc = get_memory, .free = give_memory};
    mls__schedule_pauses pauses = {0};
    char name[8];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "s%d", i * STEP % COUNT);
        ck_assert_ptr_null(mls__schedule_pauses_find(&pauses, name));
        ck_assert(mls__schedule_pauses_add(&host, &pauses, name, i));
    }
    ck_assert_int_eq(mls__schedule_pauses_look(&pauses, MLS__SCHEDULE_PAUSE_MS + 4),
                     MLS__SCHEDULE_PAUSE_MS + 5);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "s%d", i * STEP % COUNT);
        const mls__schedule_pause *found = mls__schedule_pauses_find(&pauses, name);
        ck_assert(i < 5 ? !found : found && found->until_ms == MLS__SCHEDULE_PAUSE_MS + i);
    }
    ck_assert_int_eq(mls__schedule_pauses_look(&pauses, -1), 0); /* the clock was set back */
    mls__schedule_pauses_free(&host, &pauses);
}
END_TEST

void sqlite_schedules_add(TCase *tests)
{
    tcase_add_test(tests, what_is_refused_is_still_to_come);
    tcase_add_test(tests, pauses_are_found_and_end);
}
