/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues with schedules go a random way on a clock that stands still between steps: set, taken
 * back, missed while nobody had the queue open, past clocks that are set either way, with two who
 * have the queue open and processes that are killed. What fires is compared with a model that
 * walks from one instant to the next.
 */
#include "queue/schedules.h"

#include "job/cron.h"
#include "job/fixture.h"
#include "queue/processes.h"
#include "queue/stores.h"
#include "queue/virtual_clock.h"
#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS = 3, STEPS = 100, SCHEDULES = 6, MOST = SCHEDULES * MLS_MISSED_MOST, KILLS = 25 };

#define MINUTE_MS INT64_C(60000)
#define LOOK_MS   10001 /* after which a memory queue has seen that its clock was set */

static const char *const lines[] = {"* * * * *",          "*/7 * * * *",    "30 */2 * * *",
                                    "15 2 * * *",         "0 0 1 * *",      "@hourly",
                                    "0 9-17 * * mon-fri", "20,50 1-3 * * *"};
static const char *const zones[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe"};

/* One of the model. */
typedef struct known {
    bool is_set;
    const char *line, *zone_name;
    mls__cron cron;
    mls__zone *zone;
    uint32_t missed;
    int64_t next_ms, last_ms;
} known;

static const char *the_url;
static uint64_t the_state;
static mls_queue *the_queues[2]; /* of one store, where it can be shared */
static mls_claimer *the_claimers[2];
static size_t the_openings;
static known m[SCHEDULES];
static char expected[MOST][64]; /* keys of firings that are still to be seen */
static size_t expected_count;

static size_t below(size_t count)
{
    return mls_test_random_below(&the_state, count);
}

static bool has_zones(void)
{
    mls__zone *zone;
    if (mls__zone_load(&mls__allocator_default, zones[1], &zone))
        return false;
    mls__zone_free(&mls__allocator_default, zone);
    return true;
}

static void open_all(void)
{
    for (size_t i = 0; i < the_openings; i++) {
        the_queues[i] = fixture_queue(the_url);
        the_claimers[i] = fixture_claimer(the_queues[i], NULL);
    }
}

static void close_all(void)
{
    for (size_t i = 0; i < the_openings; i++) {
        mls_claimer_close(the_claimers[i]);
        mls_queue_close(the_queues[i]);
    }
}

/* Setting */

static void name_of(size_t index, char name[16])
{
    snprintf(name, 16, "s%zu", index);
}

static void set(size_t index, const char *line, const char *zone_name, uint32_t missed)
{
    char name[16];
    name_of(index, name);
    mls_job_options job = fixture_options("t", name);
    job.retention_ms = 0; /* so that no key keeps a firing from being one twice */
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    schedule.name = name;
    schedule.cron = line;
    schedule.zone = zone_name;
    schedule.missed = missed;
    schedule.source = "here";
    schedule.job = &job;
    ck_assert_ok(mls_queue_schedule(the_queues[below(the_openings)], &schedule));
}

static void forget(known *k)
{
    if (k->zone)
        mls__zone_free(&mls__allocator_default, k->zone);
    *k = (known){.is_set = false};
}

static void model_set(known *k, const char *line, const char *zone_name, uint32_t missed)
{
    const bool goes_on =
        k->is_set && strcmp(k->line, line) == 0 && strcmp(k->zone_name, zone_name) == 0;
    if (!goes_on) {
        forget(k);
        *k = (known){.is_set = true, .line = line, .zone_name = zone_name};
        ck_assert_ok(mls__cron_parse(line, &k->cron));
        ck_assert_ok(mls__zone_load(&mls__allocator_default, zone_name, &k->zone));
        k->next_ms = mls__cron_next(&k->cron, k->zone, virtual_clock_ms());
    }
    k->missed = missed;
}

static void set_both(size_t index)
{
    const char *line = lines[below(sizeof lines / sizeof lines[0])];
    const char *zone_name = zones[has_zones() ? below(3) : 0];
    const uint32_t missed = (uint32_t) below(3);
    set(index, line, zone_name, missed);
    model_set(&m[index], line, zone_name, missed);
}

static void unset_both(size_t index)
{
    char name[16];
    name_of(index, name);
    ck_assert_ok(mls_queue_unschedule(the_queues[below(the_openings)], name));
    forget(&m[index]);
}

/* Firing */

static void expect(size_t index, int64_t due_ms)
{
    m[index].last_ms = due_ms;
    snprintf(expected[expected_count++], sizeof expected[0], "cron:s%zu@%lld", index,
             (long long) due_ms);
}

/* From one instant to the next: so it keeps the latest of those that were missed. */
static void model_fire(size_t index)
{
    static int64_t due_ms[MLS_MISSED_MOST];
    known *k = &m[index];
    const int64_t now_ms = virtual_clock_ms();
    size_t count = 0;
    for (; k->is_set && k->next_ms <= now_ms;
         k->next_ms = mls__cron_next(&k->cron, k->zone, k->next_ms))
        due_ms[count++ % MLS_MISSED_MOST] = k->next_ms;
    if (!count)
        return;
    const int64_t last_ms = due_ms[(count - 1) % MLS_MISSED_MOST];
    const size_t kept = count < MLS_MISSED_MOST ? count : MLS_MISSED_MOST;
    if (k->missed == MLS_MISSED_ALL)
        for (size_t i = count - kept; i < count; i++)
            expect(index, due_ms[i % MLS_MISSED_MOST]);
    else if (k->missed == MLS_MISSED_ONCE || now_ms - last_ms < MLS_SCHEDULE_LATE_MS)
        expect(index, last_ms);
}

static void check_job(const mls_job_info *info)
{
    char payload[16] = "";
    long long due_ms;
    size_t i = 0;
    while (i < expected_count && strcmp(expected[i], info->key) != 0)
        i++;
    mls_test_expect(i < expected_count, "'%s' fired at %lld", info->key,
                    (long long) virtual_clock_ms());
    memcpy(expected[i], expected[--expected_count], sizeof expected[i]);
    memcpy(payload, info->payload, info->payload_bytes);
    mls_test_expect(sscanf(info->key, "cron:%*[^@]@%lld", &due_ms) == 1 &&
                        due_ms == info->run_at_ms &&
                        !strncmp(info->key + 5, payload, strlen(payload)),
                    "%s", info->key);
}

static void check_schedule(void *user, const mls_schedule *shown)
{
    size_t *count = user, index;
    ck_assert_int_eq(sscanf(shown->name, "s%zu", &index), 1);
    const known *k = &m[index];
    mls_test_expect(k->is_set && shown->next_ms == k->next_ms && shown->last_ms == k->last_ms &&
                        shown->missed == k->missed && !strcmp(shown->cron, k->line) &&
                        !strcmp(shown->zone, k->zone_name) && !strcmp(shown->source, "here") &&
                        !strcmp(shown->job->type, "t"),
                    "%s: next %lld, not %lld; last %lld, not %lld", shown->name,
                    (long long) shown->next_ms, (long long) k->next_ms, (long long) shown->last_ms,
                    (long long) k->last_ms);
    ++*count;
}

/* All that fires now is there, once. */
static void compare(void)
{
    size_t set_count = 0, shown = 0, claimed;
    mls_job *jobs[8];
    for (size_t i = 0; i < SCHEDULES; i++) {
        model_fire(i);
        set_count += m[i].is_set;
    }
    for (;;) {
        const size_t by = below(the_openings);
        if (mls_claimer_claim(the_claimers[by], 0, 8, jobs, &claimed) == MLS_EEMPTY)
            break;
        for (size_t i = 0; i < claimed; i++) {
            const mls_job_info info = fixture_info(jobs[i]);
            check_job(&info);
            ck_assert_ok(mls_job_complete(jobs[i]));
            mls_job_free(jobs[i]);
        }
    }
    mls_test_expect(!expected_count, "'%s' did not fire at %lld", expected[0],
                    (long long) virtual_clock_ms());
    ck_assert_ok(mls_queue_visit_schedules(the_queues[0], check_schedule, &shown));
    ck_assert_uint_eq(shown, set_count);
}

/* The way */

/*
 * Mostly minutes, sometimes days; back too. A queue in a file goes by the wall clock alone: the
 * other stands, since its threads, which run on meanwhile, measure by that how long they took.
 */
static void move_clock(void)
{
    static const int64_t lengths_ms[] = {
        1000,           20000,           MINUTE_MS,        7 * MINUTE_MS,
        90 * MINUTE_MS, 300 * MINUTE_MS, 1440 * MINUTE_MS, 5000 * MINUTE_MS};
    const int64_t ms = (int64_t) below((size_t) lengths_ms[below(8)]) + 1;
    const size_t kind = below(8);
    if (the_openings == 1 && kind > 1) {
        virtual_clock_advance(ms);
        return;
    }
    virtual_clock_set(kind ? ms : -ms);
    if (the_openings == 1)
        virtual_clock_advance(LOOK_MS);
}

static void do_step(void)
{
    const size_t index = below(SCHEDULES), kind = below(20);
    if (kind < 3 || (kind < 5 && !m[index].is_set))
        set_both(index);
    else if (kind == 5 && m[index].is_set)
        unset_both(index);
    else if (kind == 6 && the_openings == 2) { /* nobody has it open */
        close_all();
        move_clock();
        open_all();
    } else
        move_clock();
    compare();
}

static void go(uint64_t seed)
{
    the_state = seed;
    expected_count = 0;
    open_all();
    for (int step = 0; step < STEPS; step++)
        do_step();
    for (size_t i = 0; i < SCHEDULES; i++)
        forget(&m[i]);
    close_all();
}

static void go_all(store_url_fn make_url, size_t openings)
{
    const uint64_t first = mls_test_seed(1);
    const uint64_t count = MLS_TEST_SANITIZED || mls_test_is_quick() ? 1 : SEEDS;
    the_openings = openings;
    virtual_clock_start();
    for (uint64_t seed = first; seed < first + count; seed++) {
        the_url = make_url();
        go(seed);
    }
    virtual_clock_stop();
}

START_TEST(memory_schedules_fire_as_the_model)
{
    go_all(store_memory_url, 1);
}
END_TEST

START_TEST(sqlite_schedules_fire_as_the_model)
{
    if (store_has_sqlite())
        go_all(store_sqlite_url, 2);
}
END_TEST

START_TEST(postgres_schedules_fire_as_the_model)
{
    if (store_has_postgres())
        go_all(store_postgres_url, 2);
}
END_TEST

/* Zones that are not there when they are needed */

/* What becomes of the file of a zone. */
static const struct {
    const char *target; /* of the link; NULL: there is none */
    const char *what;
} breaks[] = {{NULL, "missing"}, {"Z", "a loop"}, {"damaged", "damaged"}, {".", "a folder"}};

static void link_zone(const char *target)
{
    const char *path = mls_test_folder_path("Z");
    unlink(path);
    if (target)
        ck_assert_int_eq(symlink(target, path), 0);
}

/* How often each of the two fired since it was asked last. */
static void count_firings(size_t counts[2])
{
    mls_job *job;
    size_t claimed;
    counts[0] = counts[1] = 0;
    while (mls_claimer_claim(the_claimers[0], 0, 1, &job, &claimed) == MLS_OK) {
        counts[fixture_info(job).key[strlen("cron:s")] - '0']++;
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
}

static void expect_firings(size_t of_zone, size_t of_utc, const char *what)
{
    size_t counts[2];
    count_firings(counts);
    mls_test_expect(counts[0] == of_zone && counts[1] == of_utc,
                    "%s: %zu and %zu firings, not %zu and %zu", what, counts[0], counts[1], of_zone,
                    of_utc);
}

/* A queue in a file goes by the wall clock alone. */
static void pass_minute(bool is_file)
{
    if (is_file)
        virtual_clock_set(MINUTE_MS);
    else
        virtual_clock_advance(MINUTE_MS);
}

static void expect_due(void *user, const mls_schedule *shown)
{
    mls_test_expect(shown->next_ms < virtual_clock_ms() + 2 * MINUTE_MS, "%s: %s has stopped",
                    (const char *) user, shown->name);
}

static void break_zones(const char *good, bool is_file)
{
    link_zone(good);
    for (size_t i = 0; i < 2; i++)
        set(i, "* * * * *", i ? "UTC" : "Z", MLS_MISSED_ALL);
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        char what[32];
        snprintf(what, sizeof what, "%s", breaks[i].what);
        pass_minute(is_file);
        expect_firings(1, 1, what);
        link_zone(breaks[i].target);
        pass_minute(is_file);
        expect_firings(0, 1, what);
        ck_assert_ok(mls_queue_visit_schedules(the_queues[0], expect_due, what));
        link_zone(good);
        expect_firings(0, 0, what); /* not at each look */
        pass_minute(is_file);
        expect_firings(2, 1, what);
    }
    link_zone(NULL);
    pass_minute(is_file);
    expect_firings(0, 1, "gone");
    link_zone(good);
    set(1, "* * * * *", "UTC", MLS_MISSED_ALL);
    expect_firings(is_file, 0, "set"); /* who sets one may have mended what was wrong */
}

static void go_without_zone(const char *url, bool is_file)
{
    char good[256];
    const char *folder = getenv("TZDIR");
    if (!has_zones())
        return;
    snprintf(good, sizeof good, "%s/Europe/Berlin", folder ? folder : "/usr/share/zoneinfo");
    FILE *file = fopen(mls_test_folder_path("damaged"), "w");
    ck_assert(file && fputs("no zone", file) >= 0 && fclose(file) == 0);
    ck_assert_int_eq(setenv("TZDIR", mls_test_folder(), 1), 0);
    the_url = url;
    the_openings = 1;
    virtual_clock_start();
    open_all();
    break_zones(good, is_file);
    close_all();
    virtual_clock_stop();
}

START_TEST(memory_schedules_wait_for_their_zone)
{
    go_without_zone("memory:", false);
}
END_TEST

START_TEST(sqlite_schedules_wait_for_their_zone)
{
    if (store_has_sqlite())
        go_without_zone(store_sqlite_url(), true);
}
END_TEST

START_TEST(postgres_schedules_wait_for_their_zone)
{
    if (store_has_postgres())
        go_without_zone(store_postgres_url(), true);
}
END_TEST

/* Opens the queue, in which schedules are due, until it is killed. */
static void fire_and_hang(int up, int down, uint64_t arg)
{
    (void) down;
    (void) arg;
    child_say(up, 'o');
    the_queues[0] = fixture_queue(the_url);
    fixture_stats(the_queues[0]); /* the transaction in which they fire */
    child_say(up, 'f');
    for (;;)
        pause();
}

/* It is killed in the midst of it, or afterwards. */
START_TEST(firings_are_once_whoever_is_killed)
{
    if (!store_has_sqlite() || MLS_TEST_SANITIZED)
        return;
    the_openings = 1;
    the_url = store_sqlite_url();
    the_state = mls_test_seed(7);
    virtual_clock_start();
    open_all();
    for (size_t i = 0; i < SCHEDULES; i++) {
        set(i, "* * * * *", "UTC", MLS_MISSED_ALL);
        model_set(&m[i], "* * * * *", "UTC", MLS_MISSED_ALL);
    }
    for (int kill = 0; kill < KILLS; kill++) {
        close_all();
        virtual_clock_set((1 + (int64_t) below(40)) * MINUTE_MS);
        child c = child_start(fire_and_hang, 0);
        child_hear(c.from, 'o');
        if (below(4) == 0)
            child_hear(c.from, 'f');
        else
            for (volatile size_t i = 200000 * below(100); i; i--)
                continue; /* until somewhere in its transaction */
        child_kill(&c);
        open_all();
        compare();
    }
    close_all();
    for (size_t i = 0; i < SCHEDULES; i++)
        forget(&m[i]);
    virtual_clock_stop();
}
END_TEST

TCase *schedules_tests(void)
{
    TCase *tests = tcase_create("schedules");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, memory_schedules_fire_as_the_model);
    tcase_add_test(tests, sqlite_schedules_fire_as_the_model);
    tcase_add_test(tests, memory_schedules_wait_for_their_zone);
    tcase_add_test(tests, sqlite_schedules_wait_for_their_zone);
    tcase_add_test(tests, postgres_schedules_fire_as_the_model);
    tcase_add_test(tests, postgres_schedules_wait_for_their_zone);
    tcase_add_test(tests, firings_are_once_whoever_is_killed);
    return tests;
}
