/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the parts of the suite together for one driver. */
#include "conformance/queue/suite.h"

#include <time.h>

mls_queue *the_queue;
mls_claimer *the_claimer;

static conformance_url_fn make_url;

static void setup(void)
{
    the_queue = fixture_queue(make_url());
    the_claimer = fixture_claimer(the_queue, NULL);
}

static void teardown(void)
{
    mls_claimer_close(the_claimer);
    mls_queue_close(the_queue);
}

bool conformance_can(uint64_t capabilities)
{
    return (mls_queue_capabilities(the_queue) & capabilities) == capabilities;
}

int64_t conformance_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int conformance_queue_run(const char *name, conformance_url_fn url)
{
    static const struct {
        const char *name;
        void (*add)(TCase *tests);
    } parts[] = {
        {"basics", conformance_add_basics},   {"states", conformance_add_states},
        {"claims", conformance_add_claims},   {"threads", conformance_add_threads},
        {"times", conformance_add_times},     {"listing", conformance_add_listing},
        {"parents", conformance_add_parents}, {"pauses", conformance_add_pauses},
        {"limits", conformance_add_limits},   {"resources", conformance_add_resources},
        {"shares", conformance_add_shares},   {"schedules", conformance_add_schedules},
        {"needs", conformance_add_needs},
    };
    make_url = url;
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        TCase *tests = tcase_create(parts[i].name);
        tcase_add_checked_fixture(tests, setup, teardown);
        parts[i].add(tests);
        suite_add_tcase(suite, tests);
    }
    return mls_test_run(suite);
}
