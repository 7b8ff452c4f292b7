/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the sqlite driver: how it works, and what its files do for each other. What there
 * is of rows and operations is in types.h.
 *
 * One thread of each open queue, the committer, owns the connection. Every operation of
 * every other thread is an mls__sql_op on that thread's stack: it goes through the inbox
 * to the committer, which runs all that came together in one transaction, and it is
 * answered when that is committed. What cannot be answered yet (a claim that found
 * nothing, a wait for a job's end) is parked, and looked at again in the transaction in
 * which something happened that may concern it. So whatever is not atomic here belongs
 * to the committer alone, and all of it is plain sequential code.
 *
 * Several processes share a file. Each transaction and each checkpoint is made under a
 * lock of our own (lockfile.c), since SQLite before 3.51.3 can damage a WAL when two
 * connections write and checkpoint at once. A small shared page tells the others what
 * kind of thing happened, and wakes those that wait for such. Each process holds a lock
 * that the kernel gives back when it dies, by which the others notice (liveness.c).
 *
 * Large payloads and results are files named by their content (segments.c), written and
 * synced by the thread that brings them, before the commit that names them.
 */
#ifndef MLS_QUEUE_SQLITE_SQLITE_H
#define MLS_QUEUE_SQLITE_SQLITE_H

#include "queue/sqlite/types.h"

/* connection.c: the connection, its statements, transactions. */
mls_status mls__sql_connect(const char *path, sqlite3 **ret_db, char **ret_path,
                            const mls__allocator *allocator);
mls_status mls__sql_configure(sqlite3 *db);
void mls__sql_disconnect(mls__sql_store *store);
/* The status of a result code, with SQLite's words, what it was about, and what may help. */
mls_status mls__sql_error(sqlite3 *db, int code, const char *what);
/* Runs statements that give nothing. */
mls_status mls__sql_exec(sqlite3 *db, const char *sql, const char *what);
/* The statement, ready to be bound; NULL: the transaction failed. */
sqlite3_stmt *mls__sql_prepare(mls__sql_store *store, int statement);
/* SQLITE_ROW or SQLITE_DONE; anything else: the transaction failed. Resets when done. */
int mls__sql_step(mls__sql_store *store, sqlite3_stmt *statement);
/* Steps a statement that gives nothing. false: the transaction failed. */
bool mls__sql_run(mls__sql_store *store, sqlite3_stmt *statement);
/* Fails the transaction with the thread's error message. */
mls_status mls__sql_fail(mls__sql_store *store, mls_status status);
mls_status mls__sql_begin(mls__sql_store *store, bool must_sync);
mls_status mls__sql_commit(mls__sql_store *store);
void mls__sql_rollback(mls__sql_store *store);
/* Makes sure of the commits that were not synced. */
mls_status mls__sql_sync(mls__sql_store *store);
mls_status mls__sql_checkpoint(mls__sql_store *store, int mode);

/* schema.c: the tables, and what turns an older file into one of now. */
#define MLS__SQL_APPLICATION 0x6d6c7371 /* "mlsq" */
typedef struct mls__sql_migration {
    const char *sql; /* from the version before it */
} mls__sql_migration;
extern const mls__sql_migration mls__sql_migrations[];
extern const int mls__sql_version;
/* MLS_EFORMAT: the file is of another program. */
mls_status mls__sql_check_owner(sqlite3 *db);
mls_status mls__sql_migrate(sqlite3 *db, const mls__sql_migration *migrations, int count);

/* lockfile.c: the lock file and its page. */
mls_status mls__sql_lock_open(mls__sql_store *store);
void mls__sql_lock_close(mls__sql_store *store);
/* Between the two no thread forks: the child would have locks of SQLite that nobody leaves. */
void mls__sql_hold_forks(void);
void mls__sql_allow_forks(void);
/* Holds forks too. */
mls_status mls__sql_lock(mls__sql_store *store);
void mls__sql_unlock(mls__sql_store *store);
/* Takes a free slot, whose lock says that this process lives. MLS_ELIMIT. */
mls_status mls__sql_slot_take(mls__sql_store *store);
bool mls__sql_slot_lives(const mls__sql_store *store, int64_t slot);
/* Whether a slot is of a process that died. */
bool mls__sql_slots_have_dead(const mls__sql_store *store);
void mls__sql_slot_mark(mls__sql_store *store, bool is_used);
/* Says to other processes what happened. */
void mls__sql_slots_tell(mls__sql_store *store, unsigned news);
/* What others shall say from now on, and what they said since the last call. */
void mls__sql_slot_want(mls__sql_store *store, unsigned wants);
unsigned mls__sql_slot_news(mls__sql_store *store);
/* Sleeps until woken, for at most `ns`, unless the inbox has something. */
void mls__sql_slot_sleep(mls__sql_store *store, uint64_t ns);
void mls__sql_slot_wake(mls__sql_store *store);
bool mls__sql_slot_is_alone(const mls__sql_store *store);
void mls__sql_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns);
void mls__sql_futex_wake(_Atomic uint32_t *word, int count);

/* committer.c: the thread */
mls_status mls__sql_committer_start(mls__sql_store *store);
void mls__sql_committer_stop(mls__sql_store *store);
/* Tries an operation again that nobody waits for, if the disk may have been at fault. */
bool mls__sql_retry(mls__sql_store *store, mls__sql_op *op);

/* group.c: operations in one transaction */
#define MLS__SQL_MOST_OPS 1024
void mls__sql_run_group(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news);
bool mls__sql_must_sync(mls__sql_op **ops, size_t count);
/* Runs one operation in a transaction, before the thread lives or after. */
mls_status mls__sql_run_alone(mls__sql_store *store, mls__sql_op *op);
/* Sets the status of an operation, with the committer's error message. */
void mls__sql_set_status(mls__sql_op *op, mls_status status);

/* inbox.c: the way to the committer and back */
/* Hands an operation over. */
void mls__sql_push(mls__sql_store *store, mls__sql_op *op);
/* Hands an operation over; until it is done or parked. true: done. */
bool mls__sql_post(mls__sql_store *store, mls__sql_op *op);
/* Until a parked operation is done. */
void mls__sql_await(mls__sql_op *op);
/* Both, and the operation's status with its message for the calling thread. */
mls_status mls__sql_call(mls__sql_store *store, mls__sql_op *op);
mls_status mls__sql_answer(const mls__sql_op *op);
/* Answers operations; those that park are told so. */
void mls__sql_answer_all(mls__sql_store *store, mls__sql_op **ops, size_t count);
/* Answers an operation that is in no list any more. */
void mls__sql_finish_parked(mls__sql_op *op);
/* Moves the inbox behind what is left of it, in the order it came; how many came. */
size_t mls__sql_take_in(mls__sql_store *store, mls__sql_list *queue);
/* The next group. Those that need no transaction go alone. */
size_t mls__sql_take_group(mls__sql_list *queue, mls__sql_op **ops);
void mls__sql_list_init(mls__sql_list *list);
void mls__sql_list_add(mls__sql_list *list, mls__sql_op *op);

/* lanes.c */
/* `tenant` counts only if a rule names it. */
mls_status mls__sql_lane_make(mls__sql_store *store, const char *queue, const char *type,
                              const char *tenant, bool is_keyed, const mls_resources *needs,
                              mls__sql_lane **ret_lane);
/* The lane of an id; NULL: the transaction failed. */
mls__sql_lane *mls__sql_lane_of(mls__sql_store *store, int64_t id);
void mls__sql_lane_add(mls__sql_store *store, mls__sql_lane *lane, int counter, int64_t more);
/* Writes what was counted. false: the transaction failed. */
bool mls__sql_lanes_save(mls__sql_store *store);
/* Takes back what was counted since they were saved. */
void mls__sql_lanes_clear(mls__sql_store *store);
/* Forgets all of them: some may be of a transaction that was rolled back. */
void mls__sql_lanes_forget(mls__sql_store *store);
void mls__sql_lanes_free(mls__sql_store *store);
/* Whether the claimer serves the lane. */
bool mls__sql_lane_is_served(const mls__sql_store *store, mls__sql_claimer *claimer,
                             const mls__sql_lane *lane);

/* rows.c: jobs from and to the file. */
/* 1: there; 0: there is none; -1: the transaction failed. The row is good until the next. */
#define MLS__SQL_DAMAGED 2
/* The same, and MLS__SQL_DAMAGED with what can be read of the row: `lane` may be NULL. */
int mls__sql_row_look(mls__sql_store *store, uint64_t id, mls__sql_row *ret_row);
/* Sets numbers to 0 that cannot be. */
void mls__sql_row_clear(mls__sql_row *row);
/* Writes all that may be damaged. */
bool mls__sql_row_repair(mls__sql_store *store, mls__sql_row *row);
int mls__sql_row_load(mls__sql_store *store, uint64_t id, mls__sql_row *ret_row);
bool mls__sql_row_add(mls__sql_store *store, const mls__sql_row *row);
bool mls__sql_row_save(mls__sql_store *store, const mls__sql_row *row);
bool mls__sql_row_delete(mls__sql_store *store, const mls__sql_row *row);
/* Stores new bytes of a job, or drops what it has (`kind` 0 its payload, 1 its result). */
bool mls__sql_bytes_store(mls__sql_store *store, int64_t id, int kind, mls__sql_bytes *bytes);
bool mls__sql_bytes_drop(mls__sql_store *store, int64_t id, int kind, mls__sql_bytes *bytes);
/* How bytes of that size will be stored; a segment's hash lies at `hash`. */
mls__sql_bytes mls__sql_bytes_of(const void *data, size_t size, const unsigned char *hash);

/* states.c: what happens to jobs. */
bool mls__sql_has_ended(const mls__sql_store *store, int32_t state);
int32_t mls__sql_next(const mls__sql_store *store, int32_t state, int32_t event);
/* A submitted job begins to live: counts it and sets its timer; the caller adds it. */
void mls__sql_begin_row(mls__sql_store *store, mls__sql_row *row);
/* `event`, which may happen, happens to the row, and it is stored. false: failed. */
bool mls__sql_move(mls__sql_store *store, mls__sql_row *row, int32_t event);
/* What ends, loses or gives back the present claim. */
bool mls__sql_end_claim(mls__sql_store *store, mls__sql_row *row, int32_t event);
/* Ends a claimable job whose deadline passed. */
bool mls__sql_expire(mls__sql_store *store, mls__sql_row *row);
bool mls__sql_is_late(const mls__sql_store *store, const mls__sql_row *row);

/* damage.c: a row that is damaged is dead from now on, and says so. */
bool mls__sql_quarantine(mls__sql_store *store, mls__sql_row *row);

/* Lets timers go off that are due, up to a bound: txn.has_more_due. */
bool mls__sql_tick(mls__sql_store *store);

/* rules.c: what holds back ready jobs. */
/* Reads them, as the transaction begins. */
bool mls__sql_rules_load(mls__sql_store *store);
/* Whether a rule holds back the jobs of the lane. */
bool mls__sql_is_held(const mls__sql_store *store, const mls__sql_lane *lane);
/* Whether a rule names that tenant of that queue and type. */
bool mls__sql_is_named(const mls__sql_store *store, const char *queue, const char *type,
                       const char *tenant);
/* A job of the lane is claimed, or its claim ends. */
void mls__sql_rules_claim(mls__sql_store *store, const mls__sql_lane *lane);
void mls__sql_rules_end(mls__sql_store *store, const mls__sql_lane *lane);
/* When one of the rules that hold back jobs lets pass by itself; 0: none does. */
int64_t mls__sql_rules_next_ms(const mls__sql_store *store);
/* Counts anew what runs. */
bool mls__sql_rules_recount(mls__sql_store *store);
/* Saves what claims and ends changed in them. */
bool mls__sql_rules_save(mls__sql_store *store);
mls_status mls__sql_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts);
mls_status mls__sql_visit_rules(void *self, mls_queue_rule_fn visit, void *user);

/* schedules.c: jobs that the queue submits by itself. */
void mls__sql_schedules_free(mls__sql_store *store);
/* Lets those fire that are due, up to a bound. false: the transaction failed. */
bool mls__sql_schedules_tick(mls__sql_store *store);
/* One was set: those that are paused are tried again at once. */
void mls__sql_schedules_changed(mls__sql_store *store);
/* Sets next_schedule_ms. false: the transaction failed. */
bool mls__sql_schedules_find_next(mls__sql_store *store);
mls_status mls__sql_set_schedule(void *self, const mls_schedule *schedule);
mls_status mls__sql_remove_schedule(void *self, const char *name);
mls_status mls__sql_visit_schedules(void *self, mls_schedule_fn visit, void *user);

/* costs.c: what jobs took. */
/* Those of a type and a need of memory; NULL: no memory. */
mls__sql_cost *mls__sql_cost_of(mls__sql_store *store, const char *type, int64_t memory_bytes);
void mls__sql_costs_free(mls__sql_store *store);
/* Notes ends that are committed. */
void mls__sql_costs_note(mls__sql_store *store, mls_queue_end *const *ends, size_t count);
/* Reads what the file says of it, once. false: failed. */
bool mls__sql_cost_know(mls__sql_store *store, mls__sql_cost *cost);
/* How long such a job is expected to run; 0: not known. */
uint64_t mls__sql_cost_time(const mls__sql_store *store, const mls__sql_cost *cost);
/* The memory that such a job takes of that much. */
int64_t mls__sql_cost_memory(const mls__sql_store *store, const mls__sql_cost *cost,
                             int64_t capacity);
/* Writes what was noted with the transaction, now and then or at once. */
void mls__sql_costs_ride(mls__sql_store *store, bool is_urgent);
mls_status mls__sql_visit_costs(void *self, mls_queue_cost_fn visit, void *user);

/* room.c: what jobs need and claimers have. */
/* What was learned of costs may make jobs take room that stated no need. */
void mls__sql_lane_weigh(const mls__sql_store *store, mls__sql_lane *lane);
void mls__sql_lanes_weigh(mls__sql_store *store);
/*
 * Whether the claimer has room for a job of the lane, beside what it runs and set aside, or
 * until that begins for which it set room aside.
 */
bool mls__sql_has_room(const mls__sql_store *store, const mls__sql_claimer *claimer,
                       const mls__sql_lane *lane);
/* Whether it would if nothing else ran, and has none. */
bool mls__sql_is_crowded_out(const mls__sql_store *store, const mls__sql_claimer *claimer,
                             const mls__sql_lane *lane);
/* Sets room aside for a job of the lane; NULL: for none. false: failed. */
bool mls__sql_set_aside(mls__sql_store *store, mls__sql_claimer *claimer,
                        const mls__sql_lane *lane);
/* After a rollback, counts what is used. false: failed. */
bool mls__sql_room_recount(mls__sql_store *store);
/* A job is claimed, or its claim ends. */
void mls__sql_room_take(const mls__sql_store *store, mls__sql_claimer *claimer,
                        const mls__sql_lane *lane);
void mls__sql_room_give(mls__sql_store *store, const mls__sql_row *row);
/* A job that needs something is ready no longer: room may have been set aside for it. */
void mls__sql_room_left(mls__sql_store *store);
/* Writes for all processes what the claimer has, which claims for the first time. */
bool mls__sql_offer(mls__sql_store *store, mls__sql_claimer *claimer);
/* What takes an offer back, made before there is one: that cannot fail. NULL: no memory. */
mls__sql_op *mls__sql_offer_end_create(const mls__sql_store *store, int64_t claimer);
/* One that was stopped, which is for good, offers nothing any more. */
void mls__sql_offer_end(mls__sql_store *store, mls__sql_claimer *claimer);
mls_status mls__sql_visit_offers(void *self, mls_queue_offer_fn visit, void *user);

/* shares.c: whose turn it is. */
typedef struct mls__sql_turn {
    const char *queue;
    int64_t priority, now;
    mls__turn_head best;              /* id 0: none */
    bool has_tenant, is_contended;    /* one has ready jobs, and others have */
    char tenant[MLS_JOB_KEY_MAX + 1]; /* the first that was met */
} mls__sql_turn;
/* Begins to look for whose turn it is. false: failed. */
bool mls__sql_turn_begin(mls__sql_store *store, const char *queue, int64_t priority,
                         mls__sql_turn *ret_turn);
/* Looks at the ready jobs of a lane of that queue, to choose from or for who there is. */
bool mls__sql_turn_look(mls__sql_store *store, const mls__sql_lane *lane, bool is_choice,
                        mls__sql_turn *turn);
/* Of a lane and priority the job that is ready for longest, where `oldest` has one of them. */
bool mls__sql_oldest(mls__sql_store *store, const mls__sql_lane *lane, int64_t priority,
                     mls__turn_head *oldest);
/* A ready job of the queue is claimed. */
bool mls__sql_turn_charge(mls__sql_store *store, mls__sql_turn *turn, const mls__sql_row *row);

/* parents.c: dependencies. */
/* MLS_ENOTFOUND: a parent, not of the same submit, is not known. */
mls_status mls__sql_parents_check(mls__sql_store *store, const mls_job_options *options);
/*
 * How a blocked row begins, `ids` being those of its submit: adds its dependencies, or sets
 * the state that it has when there are none left. `ret_parent` gets the parent with which
 * it is cancelled, once it was added, and its state. false: failed.
 */
bool mls__sql_parents_begin(mls__sql_store *store, const mls_job_options *options,
                            const uint64_t *ids, mls__sql_row *row, int64_t *ret_parent,
                            int32_t *ret_state);
/* The row, which is added, is cancelled with a parent. */
bool mls__sql_parents_cancel(mls__sql_store *store, mls__sql_row *row, int64_t parent,
                             int32_t parent_state);
/* A job is blocked no longer. */
bool mls__sql_parents_leave(mls__sql_store *store, int64_t id);
/* A job ended in that state, and is stored so: moves those that wait for it. */
bool mls__sql_parents_end(mls__sql_store *store, int64_t id, int32_t state);

/* submit.c */
typedef struct mls__sql_submit_op {
    mls__sql_op op; /* first: they share an address */
    const mls_queue_item *const *items;
    size_t count;
    uint64_t *ids;
    mls__sql_lane **lanes;
    unsigned char (*hashes)[MLS__SQL_HASH_BYTES]; /* of payloads in segments; NULL: none is */
    uint64_t given_id;                            /* of the one job; 0: it gets one */
    uint64_t reserved;                            /* the first id of a block; 0: none */
} mls__sql_submit_op;
mls_status mls__sql_submit_run(mls__sql_store *store, mls__sql_op *op);
/* Inside a transaction: adds one job without dependencies, unless it joins another. */
mls_status mls__sql_submit_now(mls__sql_store *store, const mls_queue_item *item);
void mls__sql_submit_publish(mls__sql_store *store, mls__sql_op *op);
void mls__sql_submit_abandon(mls__sql_store *store, mls__sql_op *op);
mls_status mls__sql_submit(void *self, const mls_queue_item *const *items, size_t count,
                           uint64_t until_ns, uint64_t *ret_ids);

/* later.c: submits that nobody waits for. false: it cannot be done so. */
bool mls__sql_submit_later(mls__sql_store *store, const mls_queue_item *const *items, size_t count,
                           uint64_t *ret_ids);
void mls__sql_ids_reserve(mls__sql_store *store, mls__sql_submit_op *submit);
void mls__sql_ids_publish(mls__sql_store *store, mls__sql_submit_op *submit);

/* returns.c: gives back a claim that nobody ended, as soon as that can be written. */
void mls__sql_return(mls__sql_store *store, const mls__sql_hold *hold);

/* claimers.c */
mls_status mls__sql_claimer_open(void *self, const mls_claimer_options *options,
                                 void **ret_claimer);
void mls__sql_claimer_stop(void *self, void *claimer, uint32_t flags);
mls_status mls__sql_claimer_surrender(void *self, void *claimer, size_t *ret_count);
void mls__sql_claimer_pool(void *self, void *claimer, void *with);
void mls__sql_claimer_close(void *self, void *claimer);

/* ends.c */
typedef struct mls__sql_ends {
    mls_queue_end *const *ends;
    size_t count;
    unsigned char (*hashes)[MLS__SQL_HASH_BYTES]; /* of results in segments; NULL: none is */
} mls__sql_ends;
mls_status mls__sql_ends_prepare(mls__sql_store *store, mls__sql_ends *ends);
void mls__sql_ends_clear(mls__sql_store *store, mls__sql_ends *ends);
mls_status mls__sql_ends_run(mls__sql_store *store, mls__sql_op *op, const mls__sql_ends *ends);
bool mls__sql_ends_must_sync(const mls__sql_ends *ends);
mls_status mls__sql_finish(void *self, mls_queue_end *const *ends, size_t count);

/* claim.c */
mls_status mls__sql_claim(void *self, void *claimer, const mls_queue_claim *request,
                          mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                          size_t *ret_count);
/* Gives parked claims what became ready. */
bool mls__sql_claims_serve(mls__sql_store *store);
/* A claimer stopped: its parked claims are answered. */
void mls__sql_claims_stop(mls__sql_store *store, const mls__sql_claimer *claimer);

/* views.c: what handles show. */
/* Copies the row; what is in segments is read later. MLS_ENOMEM, or the transaction failed. */
mls_status mls__sql_show(mls__sql_store *store, const mls__sql_row *row, mls_job_info *info,
                         mls__sql_hold **ret_hold);
/* On the caller's thread: reads what is in segments. MLS_EFORMAT: it is damaged or gone. */
mls_status mls__sql_show_segments(mls__sql_store *store, mls_queue_job *shown);
void mls__sql_hold_free(mls__sql_store *store, mls__sql_hold *hold);
uint32_t mls__sql_signals(void *self, const mls_queue_job *job);
void mls__sql_drop(void *self, mls_queue_job *job);

/* watch.c */
mls_status mls__sql_get(void *self, uint64_t id, mls_queue_job *ret_job);
mls_status mls__sql_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);
mls_status mls__sql_drain(void *self, uint64_t until_ns);
mls_status mls__sql_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);
mls_status mls__sql_list_jobs(void *self, const mls_queue_filter *filter, uint64_t after_id,
                              size_t max_count, uint64_t *ret_ids, size_t *ret_count);
/* Parked waits for the job of the row, which ends now: they see it. */
bool mls__sql_waits_serve(mls__sql_store *store, const mls__sql_row *row);
/* Looks at all parked waits and drains again, since others may have ended jobs. */
bool mls__sql_waits_look(mls__sql_store *store);
bool mls__sql_drains_serve(mls__sql_store *store);

/* change.c */
mls_status mls__sql_change(void *self, uint64_t id, int32_t event);
mls_status mls__sql_progress(void *self, const mls_queue_job *job, double progress,
                             const char *note);
/* Other processes may have cancelled jobs that run here. */
bool mls__sql_cancels_look(mls__sql_store *store);
mls_status mls__sql_error_unknown(uint64_t id);

/* liveness.c: the processes that have the file open. */
mls_status mls__sql_join(mls__sql_store *store);
void mls__sql_leave(mls__sql_store *store);
/* Gives back the jobs of processes that died. */
bool mls__sql_reap(mls__sql_store *store);

/* segments.c: content-addressed files. */
/* Writes and syncs it unless it is there; the hash is its name. */
mls_status mls__sql_segment_write(mls__sql_store *store, const void *data, size_t size,
                                  unsigned char *ret_hash);
/* Whether the file is there; under the lock that stays so until the lock is left. */
bool mls__sql_segment_exists(mls__sql_store *store, const unsigned char *hash);
bool mls__sql_segment_ref(mls__sql_store *store, const unsigned char *hash);
bool mls__sql_segment_unref(mls__sql_store *store, const unsigned char *hash);
/* The whole of it, verified. MLS_EFORMAT: damaged or gone. MLS_EIO, MLS_ENOMEM. */
mls_status mls__sql_segment_read(mls__sql_store *store, const unsigned char *hash, size_t size,
                                 void **ret_data);
/* Removes those that nothing names. Under the lock, after a synced commit. */
void mls__sql_segments_collect(mls__sql_store *store);
/* Removes what a crash left: files that no row names, and unfinished ones. Under the lock. */
void mls__sql_segments_tidy(mls__sql_store *store);

#endif
