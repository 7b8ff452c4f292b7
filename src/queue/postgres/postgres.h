/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the postgres driver, a module that is loaded when it is asked for: how it works,
 * and what its files do for each other. What there is of rows and operations is in types.h.
 *
 * One thread of each open queue, the committer, owns the connection. Every operation of
 * every other thread is an mls__pg_op on that thread's stack: it goes through the inbox to
 * the committer, which runs all that came together in one transaction of the server, and
 * it is answered when that is committed. What cannot be answered yet (a claim that found
 * nothing, a wait for a job's end) is parked, and looked at again in the transaction in
 * which something happened that may concern it. Inside an operation statements work on
 * sets of rows, so that a batch costs as many round trips as one job.
 *
 * Each queue that is open is a member: a row, and an advisory lock of its session, which
 * the server releases when the process dies or loses its connection (members.c). The row also names
 * the member's last transaction, so that after a lost connection it is known whether that was
 * committed.
 *
 * A module sees the library's public headers only; no symbol of it is linked, and what it
 * shares with the other durable driver is compiled into both (queue/durable).
 */
#ifndef MLS_QUEUE_POSTGRES_POSTGRES_H
#define MLS_QUEUE_POSTGRES_POSTGRES_H

#include "queue/postgres/types.h"

#include <poll.h>

/* driver.c */
void *mls__pg_alloc(mls__pg_store *store, size_t size); /* zeroed */
void mls__pg_free(mls__pg_store *store, void *ptr);
uint64_t mls__pg_clock_ns(void);

/* url.c: what the part of a URL behind "postgres:" says. */
mls_status mls__pg_read_url(mls__pg_store *store, const char *config);

/* schema.c */
/* Makes the tables or brings older ones up to date. The transaction is the caller's. */
mls_status mls__pg_schema_open(mls__pg_store *store);

/* connect.c */
mls_status mls__pg_connect(mls__pg_store *store);
void mls__pg_disconnect(mls__pg_store *store);
/* Whether the server answers a new connection within libpq's connect_timeout, if only to refuse. */
bool mls__pg_answers(mls__pg_store *store);

/* answers.c: of a connection that does not block. */
/* Sends what libpq has kept back. */
void mls__pg_flush(mls__pg_store *store);
/* The next result of what was sent; NULL: there are no more. */
PGresult *mls__pg_next_result(mls__pg_store *store);
/* The last one, or that COPY began. */
PGresult *mls__pg_last_result(mls__pg_store *store);
/* Nobody wants what is left of the last statement. */
void mls__pg_drop_results(mls__pg_store *store);

/* connection.c */
void mls__pg_reset_txn(mls__pg_store *store);
/* Fails the transaction; the first failure counts. */
mls_status mls__pg_fail(mls__pg_store *store, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What can be done about an SQLSTATE; NULL: nothing known. */
const char *mls__pg_help(const char *code);
/* Fails it with what the server said. `result` may be NULL, and is cleared. */
mls_status mls__pg_fail_result(mls__pg_store *store, PGresult *result, const char *what);
/* Statements as text, without parameters; NULL: failed. */
PGresult *mls__pg_execute(mls__pg_store *store, const char *sql);
bool mls__pg_do(mls__pg_store *store, const char *sql);
/* A prepared one, whose parameters are cleared; NULL: failed. */
PGresult *mls__pg_run(mls__pg_store *store, int statement, mls__pg_parameters *parameters);
bool mls__pg_run_none(mls__pg_store *store, int statement, mls__pg_parameters *parameters);
/* COPY ... FROM STDIN (FORMAT binary) of a buffer, whose header and end it adds. */
bool mls__pg_copy(mls__pg_store *store, const char *sql, const mls__pg_buffer *rows);
mls_status mls__pg_begin(mls__pg_store *store, int how);
mls_status mls__pg_commit(mls__pg_store *store);
void mls__pg_rollback(mls__pg_store *store);

/* fields.c */
void mls__pg_put_int16(mls__pg_store *store, mls__pg_buffer *buffer, int16_t value);
void mls__pg_put_number(mls__pg_store *store, mls__pg_buffer *buffer, int64_t value);
void mls__pg_put_bytes(mls__pg_store *store, mls__pg_buffer *buffer, const void *data, size_t size);
void mls__pg_put_text(mls__pg_store *store, mls__pg_buffer *buffer, const char *text);
void mls__pg_put_null(mls__pg_store *store, mls__pg_buffer *buffer);
void mls__pg_buffer_clear(mls__pg_store *store, mls__pg_buffer *buffer);
void mls__pg_add_number(mls__pg_parameters *parameters, int64_t value);
void mls__pg_add_double(mls__pg_parameters *parameters, double value);
void mls__pg_add_text(mls__pg_parameters *parameters, const char *text);
void mls__pg_add_bytes(mls__pg_parameters *parameters, mls__pg_bytes bytes); /* or NULL */
/* The texts are `count` strings one behind the other; "" of none is NULL. */
void mls__pg_add_names(mls__pg_store *store, mls__pg_parameters *parameters, const char *names,
                       size_t count);
/* An array: begin it, put `count` elements of the kind, end it. */
mls__pg_buffer *mls__pg_begin_array(mls__pg_store *store, mls__pg_parameters *parameters,
                                    bool is_text, size_t count);
void mls__pg_add_numbers(mls__pg_store *store, mls__pg_parameters *parameters,
                         const int64_t *values, size_t count);
void mls__pg_parameters_clear(mls__pg_store *store, mls__pg_parameters *parameters);
int64_t mls__pg_number(const PGresult *result, int row, int column);
double mls__pg_double(const PGresult *result, int row, int column);
mls__pg_bytes mls__pg_bytes_at(const PGresult *result, int row, int column);
/* A copy of `text` into `to` in which what is no UTF-8 is '?'. */
void mls__pg_clean(char *to, size_t size, const char *text);

/* rows.c */
#define MLS__PG_PROGRESS_COLUMN (MLS__PG_NUMBERS + MLS__PG_TEXTS)
#define MLS__PG_EXTRA_COLUMN    (MLS__PG_PROGRESS_COLUMN + 1)
/* Reads a row that a statement with all columns gave. false: the transaction failed. */
bool mls__pg_row_read(mls__pg_store *store, const PGresult *result, int at, mls__pg_row *ret_row);
/* All rows of a result, in one block that the caller frees; NULL: failed. */
mls__pg_row *mls__pg_rows_read(mls__pg_store *store, const PGresult *result);
/* Runs a statement that locks rows; they live as long as *ret_result. false: failed. */
bool mls__pg_rows_lock(mls__pg_store *store, int statement, mls__pg_parameters *parameters,
                       PGresult **ret_result, mls__pg_row **ret_rows, size_t *ret_count);
void mls__pg_rows_free(mls__pg_store *store, PGresult *result, mls__pg_row *rows);
/* The row of that id among some in the order of ids; NULL: it is not there. */
mls__pg_row *mls__pg_row_find(mls__pg_row *rows, size_t count, uint64_t id);
/* Writes what became of them, and gives those that wait for their ends the answer. */
bool mls__pg_rows_store(mls__pg_store *store, mls__pg_row *rows, size_t count);
/* And moves the jobs that depend on them. */
bool mls__pg_rows_save(mls__pg_store *store, mls__pg_row *rows, size_t count);

/* lanes.c */
mls__pg_lane *mls__pg_lane_of(mls__pg_store *store, const char *queue, const char *type);
void mls__pg_lane_add(mls__pg_lane *lane, int counter, int64_t more);
bool mls__pg_lanes_save(mls__pg_store *store);
void mls__pg_lanes_clear(mls__pg_store *store);
void mls__pg_lanes_free(mls__pg_store *store);

/* states.c */
int32_t mls__pg_next(const mls__pg_store *store, int64_t state, int32_t event);
bool mls__pg_has_ended(const mls__pg_store *store, int64_t state);
int64_t mls__pg_now_ms(const mls__pg_store *store);
const char *mls__pg_state_name(int64_t state);
/* A new row: its timer, rank and counts. */
void mls__pg_begin_row(mls__pg_store *store, mls__pg_row *row);
void mls__pg_set_timer(mls__pg_store *store, int64_t timer_ms);
/* Behind all that there were: the server's time, moved on where several share it. */
int64_t mls__pg_next_rank(mls__pg_store *store);
/* Moves it in memory; mls__pg_rows_save() writes it. false: the transaction failed. */
bool mls__pg_move(mls__pg_store *store, mls__pg_row *row, int32_t event);
/* The same for a claimed one, which is not any more. */
bool mls__pg_end_claim(mls__pg_store *store, mls__pg_row *row, int32_t event);
/* What is due. */
bool mls__pg_tick(mls__pg_store *store);

/* inbox.c: the way to the committer, and back */
/* Hands an operation over, and waits until it is done or parked. */
void mls__pg_post(mls__pg_store *store, mls__pg_op *op);
/* The same for one that nobody waits for. */
void mls__pg_push(mls__pg_store *store, mls__pg_op *op);
/* Until it is done; its status, with the message for the calling thread. */
mls_status mls__pg_await(mls__pg_store *store, mls__pg_op *op);
mls_status mls__pg_call(mls__pg_store *store, mls__pg_op *op);
mls_status mls__pg_status_of(mls__pg_store *store, const mls__pg_op *op);
mls_status mls__pg_set_status(mls__pg_op *op, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mls__pg_wake(mls__pg_store *store);
/* Moves what lies in the inbox to the end of `queue`. */
void mls__pg_take_in(mls__pg_store *store, mls__pg_list *queue);
/* The same for any list. */
void mls__pg_list_move(mls__pg_list *from, mls__pg_list *to);
/* Those that do not park are done; from here on they may be gone. */
void mls__pg_answer(mls__pg_store *store, mls__pg_op **ops, size_t count);
void mls__pg_finish_parked(mls__pg_store *store, mls__pg_op *op);
void mls__pg_list_init(mls__pg_list *list);
void mls__pg_list_add(mls__pg_list *list, mls__pg_op *op);

/* away.c: while there is no connection */
#define MLS__PG_RECONNECT_PAUSE_NS UINT64_C(50000000)
/*
 * A new connection, tried until then, and at least once. Those of `group` that need no server any
 * more are answered meanwhile, and are out of it then; NULL: what ran may have been committed.
 */
bool mls__pg_reconnect(mls__pg_store *store, mls__pg_ops *group, uint64_t until_ns);
/* Waits until then, for `fd`, or for somebody to come; answers what needs no server. */
void mls__pg_rest(mls__pg_store *store, struct pollfd *fd, uint64_t until_ns);
/* Whether there is no more time to try. */
bool mls__pg_is_over(mls__pg_store *store, uint64_t until_ns);
/* Runs, and answers, one that needs no transaction. */
void mls__pg_run_without(mls__pg_store *store, mls__pg_op *op);

/* group.c: transactions */
/* Runs operations, answers them, and looks at what its news says. */
void mls__pg_run_group(mls__pg_store *store, mls__pg_ops *group);
/* Of the thread that has the connection, before there is a committer, and behind it. */
mls_status mls__pg_run_alone(mls__pg_store *store, mls__pg_op *op);

/* committer.c */
mls_status mls__pg_committer_start(mls__pg_store *store);
void mls__pg_committer_stop(mls__pg_store *store);
bool mls__pg_is_closing(mls__pg_store *store);

/* submit.c */
/* The job that has the key; 0: none any more; -1: failed. */
int64_t mls__pg_find_key(mls__pg_store *store, const char *key);
/* Whether it states any need. */
bool mls__pg_needs_any(const mls_job_options *options);
/* Submits one job in a transaction that is under way. */
mls_status mls__pg_submit_now(mls__pg_store *store, const mls_queue_item *item);
/* Sends what was gathered; and forgets it, after a rollback. */
bool mls__pg_submit_flush(mls__pg_store *store);
void mls__pg_submit_forget(mls__pg_store *store);

/* family.c: submits of jobs that depend on others */
typedef struct mls__pg_family mls__pg_family;
/*
 * Looks up, and locks, what jobs of a submit depend on; NULL, with a status for the
 * operation in *ret_status, when that cannot be.
 */
mls__pg_family *mls__pg_family_begin(mls__pg_store *store, mls__pg_op *op,
                                     const mls_queue_item *const *items, size_t count,
                                     uint64_t *ids, mls_status *ret_status);
/* How a job begins: sets the row's state. false: the transaction failed. */
bool mls__pg_family_judge(mls__pg_store *store, mls__pg_family *family, size_t index,
                          mls__pg_row *row);
/* The job was added, and has its id. false: the transaction failed. */
bool mls__pg_family_add(mls__pg_store *store, mls__pg_family *family, size_t index,
                        const mls__pg_row *row);
/* All jobs are in their table: writes what they wait for. false: the transaction failed. */
bool mls__pg_family_end(mls__pg_store *store, mls__pg_family *family);
void mls__pg_family_free(mls__pg_store *store, mls__pg_family *family);

/* parents.c: what ends mean to those that depend on them */
#define MLS__PG_CANCEL_TEXT 96
/* A parent's end cancels the row; `text`, its error, is to live as long. */
bool mls__pg_cancel_child(mls__pg_store *store, mls__pg_row *row, int64_t parent,
                          int64_t parent_state, char text[MLS__PG_CANCEL_TEXT]);
bool mls__pg_is_due(const mls__pg_store *store, const mls__pg_row *row);
/* Jobs ended, which is stored: moves those that wait for them. false: the transaction failed. */
bool mls__pg_parents_end(mls__pg_store *store, const mls__pg_row *rows, size_t count);
/* Jobs are blocked no longer. */
bool mls__pg_parents_leave(mls__pg_store *store, const mls__pg_row *rows, size_t count);

/* rules.c: what holds back ready jobs */
/* Reads them for a transaction that claims; where there are limits, others wait with theirs. */
bool mls__pg_rules_load(mls__pg_store *store);
/* A job is claimed, or its claim ends. */
void mls__pg_rules_claim(mls__pg_store *store, const mls__pg_row *row);
void mls__pg_rules_end(mls__pg_store *store, const mls__pg_row *row);
/* Adds those that hold back jobs now: queues, types and tenants, "" for any. */
void mls__pg_add_holding(mls__pg_store *store, mls__pg_parameters *parameters);
/* Saves what claims changed in them, and sets the timer of the next that lets pass. */
bool mls__pg_rules_save(mls__pg_store *store);
mls_status mls__pg_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts);
mls_status mls__pg_visit_rules(void *self, mls_queue_rule_fn visit, void *user);

/* schedules.c: jobs that the queue submits by itself */
/* Fires those that are due, and finds when the next is. false: the transaction failed. */
bool mls__pg_schedules_tick(mls__pg_store *store);
/* The next is due then; 0: none is known. */
void mls__pg_schedules_expect(mls__pg_store *store, int64_t next_ms);
mls_status mls__pg_set_schedule(void *self, const mls_schedule *schedule);
mls_status mls__pg_remove_schedule(void *self, const char *name);
mls_status mls__pg_visit_schedules(void *self, mls_schedule_fn visit, void *user);

/* offers.c: what claimers have, for others to see */
bool mls__pg_offer(mls__pg_store *store, mls__pg_claimer *claimer);
void mls__pg_offer_end(mls__pg_store *store, mls__pg_claimer *claimer);
mls_status mls__pg_visit_offers(void *self, mls_queue_offer_fn visit, void *user);

/* costs.c: what jobs took */
void mls__pg_costs_free(mls__pg_store *store);
/* The ends are committed. */
void mls__pg_costs_note(mls__pg_store *store, mls_queue_end *const *ends, size_t count);
/* Writes down what was noted, if it is time. false: the transaction failed. */
bool mls__pg_costs_ride(mls__pg_store *store, bool is_urgent);
mls_status mls__pg_visit_costs(void *self, mls_queue_cost_fn visit, void *user);

/* walk.c: which groups of ready jobs there are, as far as one claim looks */
typedef struct mls__pg_walk mls__pg_walk;
/*
 * Those that are for the claimer, or of the needs of `like` and those it can run with; from where
 * the trail ended, and it goes on where this ends. `is_bound`: with since when they wait. NULL:
 * the transaction failed.
 */
mls__pg_walk *mls__pg_walk_create(mls__pg_store *store, const mls__pg_claimer *claimer,
                                  const mls_queue_job *like, mls__pg_trail *trail, bool is_bound);
void mls__pg_walk_free(mls__pg_store *store, mls__pg_walk *walk);
mls__pg_group *mls__pg_walk_groups(const mls__pg_walk *walk, size_t *ret_count);
mls__pg_trail *mls__pg_walk_trail(const mls__pg_walk *walk);
/* Of the groups that fit and are not spent the highest priority; false: there are none. */
bool mls__pg_walk_highest(const mls__pg_walk *walk, int64_t *ret_priority);
/* Arrays of what those are of that priority. */
void mls__pg_add_groups(mls__pg_store *store, mls__pg_parameters *p, const mls__pg_walk *walk,
                        int64_t priority);
/* Nothing more is to be had of them. */
void mls__pg_walk_spend(mls__pg_walk *walk, int64_t priority);
/* Jobs of that priority were claimed. */
void mls__pg_walk_found(mls__pg_walk *walk, int64_t priority);
/* Whether it looked at the last group there is. */
bool mls__pg_walk_is_whole(const mls__pg_walk *walk);
/* The next walk begins with the group of that job. */
void mls__pg_trail_before(mls__pg_trail *trail, const mls_job_info *info);
/* Whether this one look saw all groups. `was_missed`: it found nothing. */
bool mls__pg_walk_end(const mls__pg_store *store, mls__pg_walk *walk, bool was_missed);

/* room.c: what claimers have room for */
typedef struct mls__pg_room mls__pg_room;
/* What a job takes of the claimer, by a row with its type, its needs and its costs from there on.
 */
mls__pg_weight mls__pg_room_weigh(const mls__pg_store *store, const mls__pg_claimer *claimer,
                                  const PGresult *result, int row, int column);
/*
 * What the claimer, which has a bound, has room for as of now in the groups of that walk. At most
 * `most` will be claimed. NULL: the transaction failed.
 */
mls__pg_room *mls__pg_room_create(mls__pg_store *store, const mls__pg_claimer *claimer,
                                  mls__pg_walk *walk, size_t most);
/* How many jobs may be claimed at once, of at most `most`, of the groups that it says do fit. */
size_t mls__pg_room_step(mls__pg_store *store, mls__pg_room *room, size_t most);
/* Such a job is claimed. */
void mls__pg_room_take(const mls__pg_store *store, mls__pg_room *room, const mls_job_info *info);
void mls__pg_room_free(mls__pg_store *store, mls__pg_room *room);
/*
 * Claims that wait may have room by now. Those of other processes that set some aside for a job
 * that left see it with their next poll.
 */
void mls__pg_room_changed(mls__pg_store *store);
/* From now on claims look at capacities; those of transactions under way may not yet. */
bool mls__pg_room_mark(mls__pg_store *store);
/* The first job that needs something is submitted: begins anew, with nobody else under way. */
bool mls__pg_room_begin(mls__pg_store *store);

/* turns.c: which jobs are next where rules hold back some or tenants share */
#define MLS__PG_MOST_PICKS 256
typedef struct mls__pg_turns mls__pg_turns;
typedef struct mls__pg_choice {
    const mls__pg_walk *walk;
    const mls_queue_job *like; /* of jobs like that, which has no batch key; NULL: of all */
    size_t most;
    int64_t priority;
    bool locks; /* those that are looked at, and passes over those that others have locked */
} mls__pg_choice;
/*
 * At most so many ready jobs of that priority and of the groups of the walk that fit, in the order
 * in which they are to be claimed; there may be more than those. NULL: the transaction failed.
 */
mls__pg_turns *mls__pg_turns_pick(mls__pg_store *store, const mls__pg_choice *choice);
size_t mls__pg_turns_count(const mls__pg_turns *turns);
int64_t mls__pg_turns_id(const mls__pg_turns *turns, size_t index);
/* Notes whose turns those were that were claimed, in the order in which they were picked. */
bool mls__pg_turns_keep(mls__pg_store *store, mls__pg_turns *turns, mls_queue_job *const *taken,
                        size_t count);
void mls__pg_turns_free(mls__pg_store *store, mls__pg_turns *turns);
/* So many jobs of that queue, priority and tenant were claimed though it was not their turn. */
bool mls__pg_turns_charge(mls__pg_store *store, const mls_job_info *info, size_t count);
/* The first job with a tenant is submitted. */
bool mls__pg_turns_begin(mls__pg_store *store);

/* process.c */
/* Of this process, and of one member of it. */
void mls__pg_process_name(char name[MLS__PG_PROCESS_SIZE]);
/* As far as can be seen: nothing is known of other machines' processes. */
enum { MLS__PG_IS_UNSEEN, MLS__PG_LIVES, MLS__PG_IS_DEAD };
int mls__pg_process_fate(const char *name);

/* members.c */
mls_status mls__pg_join(mls__pg_store *store);
void mls__pg_leave(mls__pg_store *store);
/* After a new connection: as who we were, or else anew. */
bool mls__pg_resume(mls__pg_store *store);
/* Whether the last transaction that wrote was committed: 1, 0, -1: not to be known. */
int mls__pg_was_committed(mls__pg_store *store);
/* Gives back what members ran that died. */
bool mls__pg_reap(mls__pg_store *store);
/* From now on it counts anew for how long members are away. */
void mls__pg_forget_away(mls__pg_store *store);
/* Notes in the transaction which it is. */
bool mls__pg_mark(mls__pg_store *store);
/* Tells others what happened in one that was committed. */
void mls__pg_tell(mls__pg_store *store);
uint64_t mls__pg_look_interval_ns(const mls__pg_store *store);
/* The last time at which this member had to look. */
uint64_t mls__pg_look_moment_ns(const mls__pg_store *store, uint64_t now_ns);

/* ends.c */
typedef struct mls__pg_ends {
    mls_queue_end *const *ends;
    size_t count;
} mls__pg_ends;
mls_status mls__pg_ends_run(mls__pg_store *store, const mls__pg_ends *ends);

/* returns.c */
/* Gives back the job of a claim that nobody ends. */
void mls__pg_return(mls__pg_store *store, const mls__pg_hold *hold);
void mls__pg_returns_free(mls__pg_store *store);

/* claimers.c */
/* Arrays of the types and queues that it serves, or of `like` alone. */
void mls__pg_add_served(mls__pg_store *store, mls__pg_parameters *p, const mls__served *served,
                        const mls_queue_job *like);

/* take.c: jobs for a claim */
typedef struct mls__pg_claim_op {
    mls__pg_op op; /* first: they share an address */
    mls__pg_claimer *claimer;
    const mls_queue_claim *request;
    mls__pg_ends ends;
    bool ends_are_known; /* published */
    mls__pg_walk *walk;  /* while it takes jobs; NULL: it does not matter which */
    mls__pg_room *room;  /* likewise; NULL: no bound */
    mls_queue_job *const *jobs;
    size_t count;
    size_t known; /* of them, committed */
    /*
     * That nothing is ready is true of those moments. Of who waits it is that of the last news,
     * and else the one at which it came, or was told to drain: others' news do not detain it.
     */
    uint64_t asked;
    bool is_more;    /* no walk since then has seen all groups */
    bool known_more; /* likewise, committed */
} mls__pg_claim_op;
/* Takes what is ready, up to what the claim may have. */
mls_status mls__pg_take_ready(mls__pg_store *store, mls__pg_claim_op *claim);

/* claim.c, watch.c, change.c: what is parked */
/* `is_news`: jobs may have become ready since; else those go on that have not seen all. */
bool mls__pg_claims_serve(mls__pg_store *store, bool is_news);
void mls__pg_claims_stop(mls__pg_store *store);
bool mls__pg_is_awaited(const mls__pg_store *store, int64_t id);
bool mls__pg_waits_serve(mls__pg_store *store, const mls__pg_row *row);
bool mls__pg_waits_look(mls__pg_store *store);
/* Anew, of a member that came anew. false: the transaction failed. */
bool mls__pg_waits_note(mls__pg_store *store);
bool mls__pg_drains_serve(mls__pg_store *store);
bool mls__pg_cancels_look(mls__pg_store *store);

/* views.c */
/* A copy of the row for a handle; NULL: no memory. */
mls__pg_hold *mls__pg_show(mls__pg_store *store, const mls__pg_row *row, mls__pg_bytes payload,
                           mls__pg_bytes result, mls_job_info *info);

/* The operations of the driver's table. */
mls_status mls__pg_submit(void *self, const mls_queue_item *const *items, size_t count,
                          uint64_t until_ns, uint64_t *ret_ids);
mls_status mls__pg_claimer_open(void *self, const mls_claimer_options *options, void **ret_claimer);
void mls__pg_claimer_stop(void *self, void *claimer, uint32_t flags);
mls_status mls__pg_claimer_surrender(void *self, void *claimer, size_t *ret_count);
void mls__pg_claimer_close(void *self, void *claimer);
void mls__pg_claimer_pool(void *self, void *claimer, void *with);
mls_status mls__pg_claim(void *self, void *claimer, const mls_queue_claim *request,
                         mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                         size_t *ret_count);
mls_status mls__pg_finish(void *self, mls_queue_end *const *ends, size_t count);
uint32_t mls__pg_signals(void *self, const mls_queue_job *shown);
mls_status mls__pg_progress(void *self, const mls_queue_job *shown, double progress,
                            const char *note);
void mls__pg_drop(void *self, mls_queue_job *shown);
mls_status mls__pg_get(void *self, uint64_t id, mls_queue_job *ret_job);
mls_status mls__pg_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);
mls_status mls__pg_change(void *self, uint64_t id, int32_t event);
mls_status mls__pg_drain(void *self, uint64_t until_ns);
mls_status mls__pg_list_ids(void *self, const mls_queue_filter *filter, uint64_t after_id,
                            size_t max_count, uint64_t *ret_ids, size_t *ret_count);
mls_status mls__pg_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);

#endif
