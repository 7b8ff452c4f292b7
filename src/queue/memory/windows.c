/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims and ends without the mutex. A visit that claims picks what would be next after that
 * too, claims it in advance, and lays it out in the claimer's window: an array, and a word with
 * a generation, the end, and the next one to be taken. Who moves that word on by a compare and
 * swap has the jobs that it passed; who recalls the window, under the mutex, exchanges the word,
 * and has the rest, which are as if they had never left their lists. So a window decides nothing:
 * it is the head of the order that the mutex made, and closes when that may no longer be so.
 *
 * Whatever makes it so under the mutex recalls it. A submit that does moves on a counter, which
 * who takes from a window compares with that of the visit that laid it out, read before that
 * visit took in the inbox: a submit that came later moved it on. And a window ends when the next
 * scheduled job is due, or a deadline passes, whose children may go first then.
 *
 * Ends that say nothing but success go onto a stack, the outbox, and take effect in the next
 * visit. Those that wait for ends count themselves as watchers first, and then look into it; who
 * ends a claim pushes, and then looks for watchers, and visits if there are some.
 *
 * The taker of a job reads what was written before the window was laid out, and then notes when
 * it took it; later its end writes what only the outbox leads to. A visit settles what was taken
 * before it looks at any job, and so waits for takers that have not read theirs yet.
 */
#include "queue/memory/memory.h"

#include "base/clock.h"

#include <time.h>

#define NO_FLOOR    UINT32_MAX
#define TAKER_SPINS 1000

/* The word: the generation, the end, the next; each of the latter below 2^8. */

static uint64_t word_of(uint64_t generation, size_t end)
{
    return generation << 16 | (uint64_t) end << 8;
}

static size_t next_in(uint64_t word)
{
    return word & 0xff;
}

static size_t end_in(uint64_t word)
{
    return word >> 8 & 0xff;
}

static mls__mem_job *job_at(mls__mem_window *window, size_t index)
{
    return atomic_load_explicit(&window->jobs[index], memory_order_relaxed);
}

void mls__mem_windows_create(mls__mem_store *store)
{
    atomic_init(&store->window_floor, NO_FLOOR);
}

void mls__mem_window_create(mls__mem_claimer *claimer)
{
    claimer->window.size = MLS__MEM_WINDOW;
}

/* Under the mutex: settling and recalling */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * Since when it runs: its taker notes that when it has read of it what it shows. One that was
 * interrupted there may need this core, whatever our priority.
 */
static uint64_t await_taker(const mls__mem_job *job)
{
    static const struct timespec nap = {0, 20000};
    uint64_t taken_ns;
    for (int i = 0; !(taken_ns = atomic_load_explicit(&job->taken_ns, memory_order_acquire)); i++)
        if (i < TAKER_SPINS)
            mls__thread_pause();
        else
            nanosleep(&nap, NULL);
    return taken_ns;
}

/* A job that was taken runs. */
static void settle_job(const mls__mem_visit *visit, mls__mem_job *job)
{
    mls_queue_stats *stats = &job->lane->stats;
    job->claimed_ns = later(await_taker(job), job->ready_ns);
    stats->jobs[job->state]--;
    job->state = (uint8_t) visit->store->rules->next_state(job->state, MLS_JOB_ON_CLAIM);
    stats->jobs[job->state]++;
    stats->waiting_ns += job->claimed_ns - job->ready_ns;
    stats->claimed++;
}

static void settle(const mls__mem_visit *visit, mls__mem_window *window, size_t next)
{
    for (; window->settled < next; window->settled++)
        settle_job(visit, job_at(window, window->settled));
}

static void settle_all(const mls__mem_visit *visit)
{
    for (mls__mem_claimer *claimer = visit->store->claimers; claimer; claimer = claimer->next) {
        mls__mem_window *window = &claimer->window;
        if (window->is_open)
            settle(visit, window,
                   next_in(atomic_load_explicit(&window->word, memory_order_acquire)));
    }
}

/* Claims a ready job in advance. */
static void lay_out(mls__mem_store *store, mls__mem_claimer *claimer, mls__mem_job *job,
                    size_t index)
{
    mls__mem_window *window = &claimer->window;
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_relaxed);
    const uint64_t epoch = (claim >> MLS__MEM_EPOCH_SHIFT) + 1;
    mls__mem_unlink_ready(store, job);
    atomic_store_explicit(&job->claim, epoch << MLS__MEM_EPOCH_SHIFT | MLS__MEM_CLAIM_RUNS,
                          memory_order_relaxed);
    atomic_store_explicit(&job->taken_ns, 0, memory_order_relaxed);
    job->attempt++;
    job->pins++;
    job->owner = claimer;
    claimer->refs++;
    atomic_store_explicit(&window->jobs[index], job, memory_order_relaxed);
}

/* The opposite. From the last to the first, since each goes in front of its list. */
static void put_back(mls__mem_store *store, mls__mem_claimer *claimer, mls__mem_job *job)
{
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_relaxed);
    const uint64_t epoch = (claim >> MLS__MEM_EPOCH_SHIFT) - 1;
    atomic_store_explicit(&job->claim, epoch << MLS__MEM_EPOCH_SHIFT, memory_order_relaxed);
    job->attempt--;
    job->pins--;
    job->owner = NULL;
    claimer->refs--; /* it is open: there is one more */
    mls__mem_link_first(store, job);
}

static void put_back_all(mls__mem_store *store, mls__mem_claimer *claimer, size_t next, size_t end)
{
    while (end > next)
        put_back(store, claimer, job_at(&claimer->window, --end));
}

/* What submits must be above to close windows. */
static void set_floor(mls__mem_store *store)
{
    uint32_t floor = NO_FLOOR;
    for (const mls__mem_claimer *claimer = store->claimers; claimer; claimer = claimer->next)
        if (claimer->window.is_open && claimer->window.priority < floor)
            floor = claimer->window.priority;
    atomic_store_explicit(&store->window_floor, floor, memory_order_seq_cst);
}

/* The more of it was of no use the smaller is the next one. */
static void resize(mls__mem_window *window, size_t end, size_t left)
{
    if (left > end / 2)
        window->size = window->size > 4 ? window->size / 2 : 2;
    else if (!left && window->size < MLS__MEM_WINDOW)
        window->size *= 2;
}

void mls__mem_window_recall(mls__mem_visit *visit, mls__mem_claimer *claimer)
{
    mls__mem_window *window = &claimer->window;
    if (!window->is_open)
        return;
    const uint64_t word = atomic_exchange_explicit(&window->word, word_of(++window->generation, 0),
                                                   memory_order_acq_rel);
    const size_t next = next_in(word), end = end_in(word);
    settle(visit, window, next);
    put_back_all(visit->store, claimer, next, end);
    resize(window, end, end - next);
    window->is_open = false;
    set_floor(visit->store);
}

void mls__mem_windows_recall(mls__mem_visit *visit)
{
    for (mls__mem_claimer *claimer = visit->store->claimers; claimer; claimer = claimer->next)
        mls__mem_window_recall(visit, claimer);
}

/* Under the mutex: opening */

bool mls__mem_closes_windows(const mls__mem_store *store, bool has_extras, uint32_t priority)
{
    const uint32_t floor = atomic_load_explicit(&store->window_floor, memory_order_seq_cst);
    return floor != NO_FLOOR && (has_extras || priority > floor);
}

static bool may_open(const mls__mem_store *store, const mls__mem_claimer *claimer)
{
    return !store->rule_list && !store->has_needs && !store->fillers && !claimer->is_draining &&
           !claimer->is_stopped;
}

/* Whether no other claimer could want jobs of that lane in their turn. */
static bool serves_alone(const mls__mem_store *store, const mls__mem_claimer *claimer,
                         const mls__mem_lane *lane)
{
    for (const mls__mem_claimer *other = store->claimers; other; other = other->next)
        if (other != claimer && other->lanes[lane->index / 64] >> lane->index % 64 & 1)
            return false;
    return true;
}

/* Whether its claim has nothing but itself to think of. */
static bool is_plain(const mls__mem_job *job)
{
    return !job->has_extras && !job->owner && !job->lane->group->is_shared;
}

/* What came since the visit took in the inbox. Only visits take from it. */
static bool inbox_is_special(const mls__mem_store *store)
{
    const mls__mem_job *job = atomic_load_explicit(&store->inbox, memory_order_seq_cst);
    while (job && !mls__mem_closes_windows(store, job->has_extras, job->priority))
        job = job->next;
    return job != NULL;
}

void mls__mem_window_open(mls__mem_visit *visit, mls__mem_claimer *claimer)
{
    mls__mem_store *store = visit->store;
    mls__mem_window *window = &claimer->window;
    size_t count = 0;
    if (window->is_open || !may_open(store, claimer))
        return;
    while (count < window->size) {
        mls__mem_job *job = mls__mem_pick(visit, claimer);
        if (!job || !is_plain(job) || !serves_alone(store, claimer, job->lane) ||
            (count && job->priority != window->priority))
            break;
        window->priority = job->priority;
        lay_out(store, claimer, job, count++);
    }
    if (!count)
        return;
    window->is_open = true;
    window->settled = 0;
    set_floor(store);
    if (inbox_is_special(store)) {
        put_back_all(store, claimer, 0, count);
        window->is_open = false;
        set_floor(store);
        return;
    }
    atomic_store_explicit(&window->until_ns, mls__mem_next_due(store), memory_order_relaxed);
    atomic_store_explicit(&window->changes, visit->changes, memory_order_relaxed);
    atomic_store_explicit(&window->word, word_of(++window->generation, count),
                          memory_order_release);
}

/* Under the mutex: ends */

static void take_end(mls__mem_visit *visit, mls__mem_job *job)
{
    visit->now_ns = later(job->done_ns, job->claimed_ns);
    if (job->has_given) {
        job->result = job->given;
        job->has_given = false;
        job->has_extras = true;
    }
    mls__mem_end_claim(visit, job, MLS_JOB_ON_SUCCEED);
    mls__mem_unpin(visit, job);
}

void mls__mem_take_ends(mls__mem_visit *visit)
{
    _Atomic(mls__mem_job *) *outbox = &visit->store->outbox;
    mls__mem_job *newest = NULL, *oldest = NULL;
    if (atomic_load_explicit(outbox, memory_order_relaxed))
        newest = atomic_exchange_explicit(outbox, NULL, memory_order_acquire);
    settle_all(visit);
    while (newest) {
        mls__mem_job *next = newest->done_next;
        newest->done_next = oldest;
        oldest = newest;
        newest = next;
    }
    const uint64_t now_ns = visit->now_ns;
    while (oldest) {
        mls__mem_job *next = oldest->done_next;
        take_end(visit, oldest);
        oldest = next;
    }
    visit->now_ns = now_ns;
}

/* Without the mutex */

bool mls__mem_window_has(mls__mem_claimer *claimer, size_t count)
{
    const uint64_t word = atomic_load_explicit(&claimer->window.word, memory_order_relaxed);
    return end_in(word) - next_in(word) >= count;
}

static bool is_current(const mls__mem_store *store, mls__mem_window *window, uint64_t now_ns)
{
    return atomic_load_explicit(&store->changes, memory_order_seq_cst) ==
               atomic_load_explicit(&window->changes, memory_order_relaxed) &&
           now_ns < atomic_load_explicit(&window->until_ns, memory_order_relaxed);
}

/* Moves the window on. What was read for another generation does not count: that fails then. */
static bool take_jobs(const mls__mem_store *store, mls__mem_window *window, uint64_t now_ns,
                      size_t count, mls__mem_job **ret_jobs)
{
    uint64_t word = atomic_load_explicit(&window->word, memory_order_acquire);
    do {
        const size_t next = next_in(word);
        if (end_in(word) - next < count || !is_current(store, window, now_ns))
            return false;
        for (size_t i = 0; i < count; i++)
            ret_jobs[i] = job_at(window, next + i);
    } while (!atomic_compare_exchange_weak_explicit(&window->word, &word, word + count,
                                                    memory_order_acq_rel, memory_order_acquire));
    return true;
}

bool mls__mem_window_take(mls__mem_store *store, mls__mem_claimer *claimer, uint64_t now_ns,
                          size_t count, mls_queue_job *const *jobs)
{
    mls__mem_job *taken[MLS__MEM_WINDOW_CLAIM];
    if (!take_jobs(store, &claimer->window, now_ns, count, taken))
        return false;
    mls__mem_visit times = {.store = store, .now_ns = now_ns};
    for (size_t i = 0; i < count; i++) {
        mls__mem_show_taken(&times, taken[i], jobs[i]);
        atomic_store_explicit(&taken[i]->taken_ns, now_ns, memory_order_release);
    }
    return true;
}

/* Whether the end takes effect without anything that others must know of before a visit. */
static bool is_plain_end(const mls_queue_end *end)
{
    const mls__mem_hold *hold = end->job->hold;
    const mls__mem_job *job = hold->job;
    return end->event == MLS_JOB_ON_SUCCEED && end->flags & MLS_END_DROP && !end->wall_ns &&
           !hold->is_view && !atomic_load_explicit(&job->takes_room, memory_order_relaxed) &&
           (!job->payload || job->payload == job->bytes);
}

static bool end_claim(const mls__mem_store *store, mls_queue_end *end, uint64_t now_ns)
{
    mls__mem_job *job = ((mls__mem_hold *) end->job->hold)->job;
    const uint64_t ended = end->job->info->epoch << MLS__MEM_EPOCH_SHIFT;
    uint64_t claim = ended | MLS__MEM_CLAIM_RUNS;
    /* Ours from here on: whoever else ends a claim looks for that bit, under the mutex. */
    if (!atomic_compare_exchange_strong_explicit(&job->claim, &claim, ended, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    job->done_ns = now_ns;
    if (end->data.data) {
        job->given = end->data;
        job->has_given = true;
        end->data = (mls_queue_bytes){0};
    }
    end->state = store->rules->next_state(MLS_JOB_RUNNING, MLS_JOB_ON_SUCCEED);
    end->status = MLS_OK;
    end->job->hold = NULL;
    return true;
}

static void push_outbox(mls__mem_store *store, mls__mem_job *first, mls__mem_job *last)
{
    mls__mem_job *below = atomic_load_explicit(&store->outbox, memory_order_relaxed);
    do {
        first->done_next = below;
    } while (!atomic_compare_exchange_weak_explicit(&store->outbox, &below, last,
                                                    memory_order_seq_cst, memory_order_relaxed));
    if (!atomic_load_explicit(&store->watchers, memory_order_seq_cst))
        return;
    mls__mem_visit visit;
    mls__mem_enter_lightly(store, &visit);
    mls__mem_leave(&visit);
}

bool mls__mem_end_plainly(mls__mem_store *store, mls_queue_end *const *ends, size_t count,
                          uint64_t now_ns, size_t *ret_refused)
{
    mls__mem_job *first = NULL, *last = NULL;
    size_t refused = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_plain_end(ends[i]))
            return false;
    for (size_t i = 0; i < count; i++) {
        mls__mem_job *job = ((mls__mem_hold *) ends[i]->job->hold)->job;
        if (!end_claim(store, ends[i], now_ns)) {
            refused++;
            continue;
        }
        job->done_next = last;
        first = first ? first : job;
        last = job;
    }
    if (first)
        push_outbox(store, first, last);
    *ret_refused = refused;
    return true;
}
