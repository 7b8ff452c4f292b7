/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the memory driver: how it works, and what its files do for each other. What there
 * is of jobs and lists is in types.h.
 *
 * A submit takes no lock: it takes a free record (a stack of indices), fills it and
 * pushes it onto the inbox (a stack that is only ever emptied as a whole). Common claims
 * and ends take none either: windows.c. All else happens under one mutex, by a visit:
 * whoever enters first takes in what lies in the outbox and the inbox, in the order it
 * came, and lets the timers go off that are due, so that under the mutex the store is
 * always up to date and everything there is plain sequential code. Memory of ended jobs
 * is given back after leaving, since that may call the host; and schedules read the file of
 * their zone, and tell the log, while the mutex is left.
 *
 * Who sleeps and who wakes. A claim that finds nothing counts itself as a sleeper,
 * looks once more into the inbox, and sleeps; a submit pushes, and then looks for
 * sleepers. Both orders are sequentially consistent, so at least one sees the other.
 * Records and those who wait for room do the same, and ends and those who wait for them;
 * but who waits for room looks into the outbox by itself, a thousand times a second.
 */
#ifndef MLS_QUEUE_MEMORY_MEMORY_H
#define MLS_QUEUE_MEMORY_MEMORY_H

#include "queue/memory/types.h"

/* visit.c: entering, leaving, sleeping. */
void mls__mem_enter(mls__mem_store *store, mls__mem_visit *visit);
/* The same, and leaves the windows as they are: what lies there is in no list. */
void mls__mem_enter_lightly(mls__mem_store *store, mls__mem_visit *visit);
void mls__mem_leave(mls__mem_visit *visit);
/* Leaves the mutex for a while within a visit; then the store is brought up to date again. */
void mls__mem_step_aside(mls__mem_visit *visit);
void mls__mem_step_back(mls__mem_visit *visit);
/* Leaves, sleeps until `cond` or `until_ns`, and enters; wakes without reason are possible. */
void mls__mem_sleep(mls__mem_visit *visit, mls__cond *cond, uint64_t until_ns);
/* Frees `bytes` after leaving. May leave and enter in between. */
void mls__mem_discard(mls__mem_visit *visit, mls_queue_bytes bytes);
/* `a` and `b` as bounds of a sleep: the earlier. */
uint64_t mls__mem_earlier(uint64_t a, uint64_t b);

/* records.c: the slab. */
/*
 * `count` free records, linked by next, or NULL when there are not that many. More
 * than one only under the mutex, so that nobody is misled by those held for a moment.
 */
mls__mem_job *mls__mem_take_records(mls__mem_store *store, size_t count);
/* Gives back records that were never submitted; linked by next. */
void mls__mem_return_records(mls__mem_store *store, mls__mem_job *first);
/* Makes more, within the capacity; under the mutex. MLS_EFULL, MLS_ENOMEM. */
mls_status mls__mem_grow(mls__mem_store *store);
/* The record of a job that can be found, or NULL. */
mls__mem_job *mls__mem_find(const mls__mem_store *store, uint64_t id);
mls__mem_job *mls__mem_at(const mls__mem_store *store, uint32_t index);
/* Gives back what the records (linked by next) own, and them; not under the mutex. */
void mls__mem_bury(mls__mem_store *store, mls__mem_job *first);
/* Gives back what a record owns. */
void mls__mem_empty(mls__mem_store *store, mls__mem_job *job);
/* The payload, for discarding; the record has none any more. */
mls_queue_bytes mls__mem_take_payload(mls__mem_store *store, mls__mem_job *job);
/* Frees a block of the context's (`user`) allocator: an mls_bytes_free_fn. */
void mls__mem_release_block(void *user, void *data, size_t size_bytes);

/* views.c: what handles show. */
mls_status mls__mem_view_create(mls__mem_store *store, mls__mem_hold **ret_hold);
void mls__mem_view_free(mls__mem_store *store, mls__mem_hold *hold);
/* Shows the record through `hold`, and pins it. */
void mls__mem_show(mls__mem_visit *visit, mls__mem_job *job, mls__mem_hold *hold,
                   mls_queue_job *ret_job);
void mls__mem_unpin(mls__mem_visit *visit, mls__mem_job *job);
/* The wall clock's time of the visit. */
int64_t mls__mem_wall_ms(mls__mem_visit *visit);

/* Shows a job that was just taken out of a window to who took it. */
void mls__mem_show_taken(mls__mem_visit *times, mls__mem_job *job, mls_queue_job *ret_job);

/* windows.c: claims and ends without the mutex. */
void mls__mem_windows_create(mls__mem_store *store);
void mls__mem_window_create(mls__mem_claimer *claimer);
/* Lays out what the claimer would claim next, if it may be claimed so. */
void mls__mem_window_open(mls__mem_visit *visit, mls__mem_claimer *claimer);
/* Settles what was taken, and puts back the rest. */
void mls__mem_window_recall(mls__mem_visit *visit, mls__mem_claimer *claimer);
void mls__mem_windows_recall(mls__mem_visit *visit);
/* Whether a job that comes may have to go before what is in a window, or is not so simple. */
bool mls__mem_closes_windows(const mls__mem_store *store, bool has_extras, uint32_t priority);
/* Settles what was taken of all windows, and lets the ends take effect that are in the outbox. */
void mls__mem_take_ends(mls__mem_visit *visit);
/* Not under the mutex: takes so many jobs out of the window, or none. */
bool mls__mem_window_has(mls__mem_claimer *claimer, size_t count);
bool mls__mem_window_take(mls__mem_store *store, mls__mem_claimer *claimer, uint64_t now_ns,
                          size_t count, mls_queue_job *const *jobs);
/*
 * Not under the mutex: ends the claims if that takes no more than the outbox; false: nothing
 * was done. Those that were refused have no status yet.
 */
bool mls__mem_end_plainly(mls__mem_store *store, mls_queue_end *const *ends, size_t count,
                          uint64_t now_ns, size_t *ret_refused);

/* lanes.c: who is next. */
mls__mem_lane *mls__mem_find_lane(mls__mem_store *store, const char *queue, const char *type,
                                  const char *tenant, const mls_resources *needs);
/* Finds or makes it; under the mutex. MLS_ELIMIT, MLS_ENOMEM. */
mls_status mls__mem_make_lane(mls__mem_store *store, const char *queue, const char *type,
                              const char *tenant, const mls_resources *needs,
                              mls__mem_lane **ret_lane);
/* The same for a submit, with the lanes of tenants that rules name. */
mls_status mls__mem_make_lanes(mls__mem_store *store, const char *queue, const char *type,
                               const mls_resources *needs, mls__mem_lane **ret_lane);
/* The ready job of the lane that goes first; NULL: none. */
mls__mem_job *mls__mem_lane_first(const mls__mem_lane *lane);
/* Fills in which lanes a new claimer serves. */
void mls__mem_match_lanes(const mls__mem_store *store, mls__mem_claimer *claimer);
void mls__mem_link_ready(mls__mem_store *store, mls__mem_job *job);
void mls__mem_unlink_ready(mls__mem_store *store, mls__mem_job *job);
/* Links a job without extras in front of its list. */
void mls__mem_link_first(mls__mem_store *store, mls__mem_job *job);
/* The next job for the claimer, or the next that runs with `like`; NULL: none. */
mls__mem_job *mls__mem_pick(const mls__mem_visit *visit, mls__mem_claimer *claimer);
mls__mem_job *mls__mem_pick_like(const mls__mem_visit *visit, mls__mem_claimer *claimer,
                                 const mls__mem_job *like);
/* Whether the two may be run in one batch. */
bool mls__mem_is_like(const mls__mem_job *a, const mls__mem_job *b);

/* shares.c: whose turn it is. */
mls_status mls__mem_shares_create(mls__mem_store *store);
void mls__mem_shares_free(mls__mem_store *store);
/* The named queue of a new lane, which is made if there is none. */
mls_status mls__mem_group_of(mls__mem_store *store, mls__mem_lane *lane);
/* The flow of a tenant's jobs, of the lane that has no tenant: not under the mutex. */
mls_status mls__mem_flow_take(mls__mem_store *store, const mls__mem_lane *lane, uint32_t priority,
                              const char *tenant, mls__mem_flow **ret_flow);
void mls__mem_flow_drop(mls__mem_store *store, mls__mem_flow *flow);
/* A job of a tenant begins: from now on its queue is shared. */
void mls__mem_share_begin(mls__mem_visit *visit, const mls__mem_job *job);
/* A job of a shared queue is in the lists of its lane, or not any more. */
void mls__mem_share_link(mls__mem_job *job);
void mls__mem_share_unlink(mls__mem_job *job);
/* Whose turn it is of the claimer's lanes, where `first` would be next without tenants. */
mls__mem_job *mls__mem_share_pick(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                                  mls__mem_job *first);
/* The same among the jobs of a lane without a batch key. */
mls__mem_job *mls__mem_share_pick_like(mls__mem_job *first);
/* The job was picked by turn. */
void mls__mem_share_turn(const mls__mem_job *job);
/* A ready job is claimed: its share gets that. */
void mls__mem_share_charge(mls__mem_store *store, const mls__mem_job *job);

/* timers.c: heaps, of which most are by time. */
void mls__mem_heap_add(mls__mem_heap *heap, mls__mem_node *node);
void mls__mem_heap_remove(mls__mem_node *node);
void mls__mem_timer_set(mls__mem_heap *heap, mls__mem_job *job, uint64_t at_ns);
void mls__mem_timer_clear(mls__mem_job *job);
/* The job whose timer goes off first, or NULL. */
mls__mem_job *mls__mem_timer_first(const mls__mem_heap *heap);
/* When the next one goes off, or MLS__FOREVER. */
uint64_t mls__mem_next_due(const mls__mem_store *store);   /* after which other jobs may be ready */
uint64_t mls__mem_next_timer(const mls__mem_store *store); /* of any job */

/* keys.c: unique keys. */
mls_status mls__mem_keys_create(mls__mem_store *store);
void mls__mem_keys_free(mls__mem_store *store);
mls__mem_job *mls__mem_key_find(const mls__mem_store *store, const char *key);
void mls__mem_key_add(mls__mem_store *store, mls__mem_job *job);
void mls__mem_key_remove(mls__mem_store *store, mls__mem_job *job);

/* rules.c: what holds back ready jobs. */
/* The lane of a job that begins: its tenant's own, if a rule names that. */
mls__mem_lane *mls__mem_lane_of_tenant(mls__mem_store *store, mls__mem_job *job);
/* To another lane of the same queue and type. A ready one is not in a list meanwhile. */
void mls__mem_change_lane(mls__mem_job *job, mls__mem_lane *to);
/* A job of a lane that has rules is claimed, or its claim ends. */
void mls__mem_rules_claim(mls__mem_visit *visit, const mls__mem_lane *lane);
void mls__mem_rules_end(mls__mem_visit *visit, const mls__mem_lane *lane);
/* When one of the rules that hold back jobs lets pass by itself, or MLS__FOREVER. */
uint64_t mls__mem_rules_next(const mls__mem_visit *visit);
/* Whether a rule holds back the jobs of a lane that has some. */
bool mls__mem_is_held(const mls__mem_visit *visit, const mls__mem_lane *lane);
/* Finds out which rules cover a new lane. */
void mls__mem_match_rules(mls__mem_store *store, mls__mem_lane *lane);
void mls__mem_rules_free(mls__mem_store *store);

/* schedules.c: jobs that the queue submits by itself. */
/* Lets one fire that is due, and leaves the mutex meanwhile; false: none is. */
bool mls__mem_schedules_fire(mls__mem_visit *visit);
void mls__mem_schedules_free(mls__mem_store *store);
mls_status mls__mem_set_schedule(void *self, const mls_schedule *schedule);
mls_status mls__mem_remove_schedule(void *self, const char *name);
mls_status mls__mem_visit_schedules(void *self, mls_schedule_fn visit, void *user);

/* room.c: what jobs need and claimers have. */
/* Before others are looked at: room for a large job that waits too long. */
void mls__mem_set_aside(const mls__mem_visit *visit, mls__mem_claimer *claimer);
bool mls__mem_has_room(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                       const mls__mem_lane *lane);
/* A job is claimed, or its claim ends. */
void mls__mem_room_take(const mls__mem_visit *visit, mls__mem_claimer *claimer, mls__mem_job *job);
void mls__mem_room_give(mls__mem_store *store, mls__mem_job *job);
/* A job that needs something is ready no longer: room may have been set aside for it. */
void mls__mem_room_left(mls__mem_store *store);

/* costs.c: what jobs took. */
mls__mem_cost *mls__mem_cost_find(const mls__mem_store *store, const char *type,
                                  int64_t memory_bytes);
void mls__mem_costs_free(mls__mem_store *store);
/* The claim of a job of that lane ended; what it took was measured. */
void mls__mem_cost_note(mls__mem_visit *visit, const mls__mem_lane *lane, const mls_queue_end *end);
/* The memory that a job of the lane takes of `capacity`. */
int64_t mls__mem_cost_memory(const mls__mem_store *store, const mls__mem_lane *lane,
                             int64_t capacity);
/* How long one is expected to run; 0: not known. */
uint64_t mls__mem_cost_time(const mls__mem_store *store, const mls__mem_lane *lane);

/* parents.c: dependencies. */
/* Makes the edges of a job that is submitted; they hang nowhere yet. */
mls_status mls__mem_parents_fill(mls__mem_store *store, const mls_queue_item *item,
                                 mls__mem_job *job);
/* MLS_ENOTFOUND: a parent of the items, `ids` being theirs by index, is not known. */
mls_status mls__mem_parents_check(mls__mem_store *store, const mls_queue_item *const *items,
                                  size_t count);
/* A blocked job began: hangs it to its parents, or moves it on if they have ended. */
void mls__mem_parents_begin(mls__mem_visit *visit, mls__mem_job *job,
                            const mls_job_options *options, const uint64_t *ids);
/* A job is blocked no longer. */
void mls__mem_parents_leave(mls__mem_job *job);
/* A job ended: moves those that wait for it. */
void mls__mem_parents_end(mls__mem_visit *visit, mls__mem_job *job);

/* states.c: what happens to jobs. */
/* A submitted job begins to live. */
void mls__mem_begin(mls__mem_visit *visit, mls__mem_job *job);
/* Whether `event` may happen; then it has, and the job is where its new state belongs. */
bool mls__mem_move(mls__mem_visit *visit, mls__mem_job *job, int32_t event);
bool mls__mem_has_ended(const mls__mem_store *store, const mls__mem_job *job);
/* Lets all timers of jobs go off that are due. */
void mls__mem_tick(mls__mem_visit *visit);
/* The record of a job that is gone and that no handle shows goes back to the slab. */
void mls__mem_die(mls__mem_visit *visit, mls__mem_job *job);

/* The operations. */
mls_status mls__mem_submit(void *self, const mls_queue_item *const *items, size_t count,
                           uint64_t until_ns, uint64_t *ret_ids);
/* Submits a ready job into a lane of no tenant, under the mutex; one with its key does too. */
mls_status mls__mem_submit_now(mls__mem_visit *visit, mls__mem_lane *lane,
                               const mls_queue_item *item);
mls_status mls__mem_claimer_open(void *self, const mls_claimer_options *options,
                                 void **ret_claimer);
void mls__mem_claimer_stop(void *self, void *claimer, uint32_t flags);
mls_status mls__mem_claimer_surrender(void *self, void *claimer, size_t *ret_count);
void mls__mem_claimer_close(void *self, void *claimer);
void mls__mem_claimer_pool(void *self, void *claimer, void *with);
void mls__mem_claimer_unref(mls__mem_store *store, mls__mem_claimer *claimer);
void mls__mem_wake_claimers(mls__mem_store *store, const mls__mem_lane *lane);
void mls__mem_rearm_claimers(mls__mem_store *store);
/* Hands a ready job to a claim that fills such a batch; false: there is none. */
bool mls__mem_deliver(mls__mem_visit *visit, mls__mem_job *job);
/* What ends, loses or gives back the present claim. */
void mls__mem_end_claim(mls__mem_visit *visit, mls__mem_job *job, int32_t event);
mls_status mls__mem_claim(void *self, void *claimer, const mls_queue_claim *request,
                          mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                          size_t *ret_count);
mls_status mls__mem_finish(void *self, mls_queue_end *const *ends, size_t count);
uint32_t mls__mem_signals(void *self, const mls_queue_job *job);
mls_status mls__mem_progress(void *self, const mls_queue_job *job, double progress,
                             const char *note);
void mls__mem_drop(void *self, mls_queue_job *job);
mls_status mls__mem_get(void *self, uint64_t id, mls_queue_job *ret_job);
mls_status mls__mem_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);
mls_status mls__mem_change(void *self, uint64_t id, int32_t event);
mls_status mls__mem_drain(void *self, uint64_t until_ns);
mls_status mls__mem_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);
mls_status mls__mem_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts);
mls_status mls__mem_visit_rules(void *self, mls_queue_rule_fn visit, void *user);
mls_status mls__mem_visit_offers(void *self, mls_queue_offer_fn visit, void *user);
mls_status mls__mem_visit_costs(void *self, mls_queue_cost_fn visit, void *user);
mls_status mls__mem_list_jobs(void *self, const mls_queue_filter *filter, uint64_t after_id,
                              size_t max_count, uint64_t *ret_ids, size_t *ret_count);

#endif
