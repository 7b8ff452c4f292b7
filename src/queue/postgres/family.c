/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submits of jobs that depend on others. The parents that are there are locked first, all
 * at once; then each job begins as what its parents leave of it, those of the same submit
 * included; edges are written when all jobs are, and jobs that a parent's end cancels are
 * cancelled then, as if they had been there before.
 */
#include "queue/postgres/postgres.h"

#include <stdlib.h>

typedef struct known {
    int64_t id, state;
} known;

typedef struct edge {
    int64_t parent, child, flags;
} edge;

/* A job, and the parent whose end cancels it. */
typedef struct doomed {
    int64_t id, parent, parent_state;
} doomed;

struct mls__pg_family {
    mls__pg_op *op;
    const mls_queue_item *const *items;
    size_t count;
    uint64_t *ids;
    known *parents; /* that were there before, by id */
    size_t parent_count;
    int64_t *states; /* of its own jobs, as they begin; 0: it joined another */
    edge *edges;
    size_t edge_count, edge_room;
    int64_t *mothers; /* its own jobs that others of it wait for */
    size_t mother_count;
    doomed *cancelled; /* by id */
    size_t cancelled_count;
    doomed judged;     /* by the parents of the job at hand; parent 0: not cancelled */
    bool lacks_parent; /* likewise: it can only join */
};

static int compare(const void *a, const void *b)
{
    const known *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool is_sibling(uint64_t given)
{
    return given >= MLS_JOB_SIBLING(0);
}

static size_t count_parents(const mls_queue_item *const *items, size_t count)
{
    size_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += items[i]->options->depends_on_count;
    return all;
}

void mls__pg_family_free(mls__pg_store *store, mls__pg_family *family)
{
    if (!family)
        return;
    void *const parts[] = {family->parents, family->states,    family->edges,
                           family->mothers, family->cancelled, family};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        mls__pg_free(store, parts[i]);
}

static mls__pg_family *allocate(mls__pg_store *store, size_t parents, size_t count)
{
    mls__pg_family *family = mls__pg_alloc(store, sizeof *family);
    const size_t most = SIZE_MAX / sizeof(edge) - 1;
    if (!family || parents > most || count > most) {
        mls__pg_free(store, family);
        return NULL;
    }
    family->edge_room = parents;
    family->parents = mls__pg_alloc(store, (parents + 1) * sizeof *family->parents);
    family->states = mls__pg_alloc(store, (count + 1) * sizeof *family->states);
    family->edges = mls__pg_alloc(store, (parents + 1) * sizeof *family->edges);
    family->mothers = mls__pg_alloc(store, (parents + 1) * sizeof *family->mothers);
    family->cancelled = mls__pg_alloc(store, (count + 1) * sizeof *family->cancelled);
    if (family->parents && family->states && family->edges && family->mothers && family->cancelled)
        return family;
    mls__pg_family_free(store, family);
    return NULL;
}

/* Locks jobs so that they do not end; NULL: failed. Others that wanted them look again. */
static PGresult *lock(mls__pg_store *store, const int64_t *ids, size_t count)
{
    mls__pg_parameters p = {0};
    mls__pg_add_numbers(store, &p, ids, count);
    store->txn.is_writing = true;
    store->txn.news |= MLS__PG_NEWS_READY;
    return mls__pg_run(store, MLS__PG_PARENTS_LOCK, &p);
}

/* Locks the parents that were there before. */
static bool lock_parents(mls__pg_store *store, mls__pg_family *family)
{
    size_t count = 0;
    for (size_t i = 0; i < family->count; i++) {
        const mls_job_options *o = family->items[i]->options;
        for (size_t k = 0; k < o->depends_on_count; k++)
            if (!is_sibling(o->depends_on[k]))
                family->mothers[count++] = (int64_t) o->depends_on[k]; /* not used yet */
    }
    PGresult *result = count ? lock(store, family->mothers, count) : NULL;
    if (count && !result)
        return false;
    for (int i = 0; result && i < PQntuples(result); i++)
        family->parents[family->parent_count++] =
            (known){mls__pg_number(result, i, 0), mls__pg_number(result, i, 1)};
    PQclear(result);
    qsort(family->parents, family->parent_count, sizeof(known), compare);
    return true;
}

static const known *find_parent(const mls__pg_family *family, uint64_t id)
{
    const known wanted = {.id = (int64_t) id};
    return bsearch(&wanted, family->parents, family->parent_count, sizeof wanted, compare);
}

/* The first of the job's parents that is not there; its count: all are. */
static size_t find_unknown(const mls__pg_family *family, const mls_job_options *o)
{
    for (size_t i = 0; i < o->depends_on_count; i++)
        if (!is_sibling(o->depends_on[i]) && !find_parent(family, o->depends_on[i]))
            return i;
    return o->depends_on_count;
}

/* Whether all parents are there, but for those of jobs of which nothing will be kept. */
static mls_status check(mls__pg_store *store, const mls__pg_family *family)
{
    for (size_t i = 0; i < family->count; i++) {
        const mls_job_options *o = family->items[i]->options;
        const size_t at = find_unknown(family, o);
        if (at == o->depends_on_count)
            continue;
        const bool may_join = o->flags & MLS_JOB_JOIN && o->key[0];
        const int64_t holder = may_join ? mls__pg_find_key(store, o->key) : 0;
        if (holder < 0)
            return store->txn.status;
        if (!holder)
            return mls__pg_set_status(family->op, MLS_ENOTFOUND,
                                      "depends_on[%zu]: there is no job %llu, or it was "
                                      "forgotten after its end",
                                      at, (unsigned long long) o->depends_on[at]);
    }
    return MLS_OK;
}

mls__pg_family *mls__pg_family_begin(mls__pg_store *store, mls__pg_op *op,
                                     const mls_queue_item *const *items, size_t count,
                                     uint64_t *ids, mls_status *ret_status)
{
    mls__pg_family *family = allocate(store, count_parents(items, count), count);
    if (!family) {
        *ret_status = mls__pg_fail(store, MLS_ENOMEM, "no memory for the dependencies of jobs");
        return NULL;
    }
    family->op = op;
    family->items = items;
    family->count = count;
    family->ids = ids;
    *ret_status = lock_parents(store, family) ? check(store, family) : store->txn.status;
    if (!*ret_status)
        return family;
    mls__pg_family_free(store, family);
    return NULL;
}

/* The state of a job of the same submit; of one that was joined, locked now. -1: failed. */
static int64_t sibling_state(mls__pg_store *store, mls__pg_family *family, size_t index)
{
    if (family->states[index])
        return family->states[index];
    const int64_t id = (int64_t) family->ids[index];
    PGresult *result = lock(store, &id, 1);
    if (!result)
        return -1;
    /* One that went meanwhile was not to be kept longer than its end. */
    const int64_t state = PQntuples(result) ? mls__pg_number(result, 0, 1) : MLS_JOB_CANCELLED;
    PQclear(result);
    return state;
}

/* The parent's state; 0: it is not there; -1: failed. */
static int64_t parent_state(mls__pg_store *store, mls__pg_family *family, uint64_t given,
                            int64_t *ret_id)
{
    if (is_sibling(given)) {
        const size_t index = (size_t) (given - MLS_JOB_SIBLING(0));
        *ret_id = (int64_t) family->ids[index];
        return sibling_state(store, family, index);
    }
    const known *parent = find_parent(family, given);
    *ret_id = (int64_t) given;
    return parent ? parent->state : 0;
}

bool mls__pg_family_judge(mls__pg_store *store, mls__pg_family *family, size_t index,
                          mls__pg_row *row)
{
    const mls_job_options *o = family->items[index]->options;
    bool waits = false;
    family->judged = (doomed){0};
    family->lacks_parent = false;
    if (row->numbers[MLS__PG_STATE] != MLS_JOB_BLOCKED)
        return true;
    for (size_t i = 0; i < o->depends_on_count && !family->judged.parent; i++) {
        int64_t id;
        const int64_t state = parent_state(store, family, o->depends_on[i], &id);
        if (state < 0)
            return false;
        family->lacks_parent |= state == 0;
        const int32_t event = store->rules->after_parent((int32_t) state, o->flags);
        waits |= event == MLS_JOB_REFUSED;
        if (event == MLS_JOB_ON_CANCEL)
            family->judged = (doomed){0, id, state};
    }
    if (!waits && !family->judged.parent)
        row->numbers[MLS__PG_STATE] =
            mls__pg_next(store, MLS_JOB_BLOCKED,
                         mls__pg_is_due(store, row) ? MLS_JOB_ON_UNBLOCK : MLS_JOB_ON_DEFER);
    return true;
}

/* Notes what the job waits for. */
static bool add_edges(mls__pg_store *store, mls__pg_family *family, const mls_job_options *o,
                      int64_t child)
{
    for (size_t i = 0; i < o->depends_on_count; i++) {
        const uint64_t given = o->depends_on[i];
        int64_t id;
        const int64_t state = parent_state(store, family, given, &id);
        if (state < 0)
            return false;
        if (mls__pg_has_ended(store, state))
            continue;
        family->edges[family->edge_count++] =
            (edge){id, child, (int64_t) (o->flags & MLS_JOB_DEPENDS_ANY_END)};
        if (is_sibling(given))
            family->mothers[family->mother_count++] = id;
    }
    return true;
}

bool mls__pg_family_add(mls__pg_store *store, mls__pg_family *family, size_t index,
                        const mls__pg_row *row)
{
    const int64_t id = row->numbers[MLS__PG_ID], state = row->numbers[MLS__PG_STATE];
    if (family->lacks_parent) {
        /* The job that it was to join went meanwhile: the next try says so. */
        mls__pg_fail(store, MLS_EIO, "job %lld lost the one to join", (long long) id);
        store->txn.failure = MLS__PG_CLASHED;
        return false;
    }
    family->states[index] = family->judged.parent ? MLS_JOB_CANCELLED : state;
    if (family->judged.parent) {
        family->judged.id = id;
        family->cancelled[family->cancelled_count++] = family->judged;
        return true;
    }
    return state != MLS_JOB_BLOCKED || add_edges(store, family, family->items[index]->options, id);
}

static bool write_edges(mls__pg_store *store, const mls__pg_family *family)
{
    mls__pg_parameters p = {0};
    if (!family->edge_count)
        return true;
    mls__pg_buffer *parents = mls__pg_begin_array(store, &p, false, family->edge_count);
    mls__pg_buffer *children = mls__pg_begin_array(store, &p, false, family->edge_count);
    mls__pg_buffer *flags = mls__pg_begin_array(store, &p, false, family->edge_count);
    for (size_t i = 0; i < family->edge_count; i++) {
        mls__pg_put_number(store, parents, family->edges[i].parent);
        mls__pg_put_number(store, children, family->edges[i].child);
        mls__pg_put_number(store, flags, family->edges[i].flags);
    }
    return mls__pg_run_none(store, MLS__PG_EDGES_ADD, &p);
}

static bool mark_mothers(mls__pg_store *store, const mls__pg_family *family)
{
    if (!family->mother_count)
        return true;
    PGresult *result = lock(store, family->mothers, family->mother_count);
    PQclear(result);
    return result != NULL;
}

/* Ids grow within a submit: rows and what cancels them are in the same order. */
static bool cancel_rows(mls__pg_store *store, const mls__pg_family *family, mls__pg_row *rows,
                        size_t count, char (*texts)[MLS__PG_CANCEL_TEXT])
{
    for (size_t i = 0; i < count; i++) {
        const doomed *d = &family->cancelled[i];
        if (rows[i].numbers[MLS__PG_ID] != d->id) {
            mls__pg_fail(store, MLS_EFORMAT, "job %lld was added and is not there",
                         (long long) d->id);
            return false;
        }
        if (!mls__pg_cancel_child(store, &rows[i], d->parent, d->parent_state, texts[i]))
            return false;
    }
    return mls__pg_rows_save(store, rows, count);
}

static bool cancel_all(mls__pg_store *store, const mls__pg_family *family)
{
    PGresult *result;
    mls__pg_row *rows;
    size_t count;
    mls__pg_parameters p = {0};
    if (!family->cancelled_count)
        return true;
    mls__pg_buffer *ids = mls__pg_begin_array(store, &p, false, family->cancelled_count);
    for (size_t i = 0; i < family->cancelled_count; i++)
        mls__pg_put_number(store, ids, family->cancelled[i].id);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_LOCK, &p, &result, &rows, &count))
        return false;
    char(*texts)[MLS__PG_CANCEL_TEXT] = mls__pg_alloc(store, (count + 1) * sizeof *texts);
    if (!texts)
        mls__pg_fail(store, MLS_ENOMEM, "no memory to cancel %zu jobs", count);
    const bool is_good = texts && cancel_rows(store, family, rows, count, texts);
    mls__pg_free(store, texts);
    mls__pg_rows_free(store, result, rows);
    return is_good;
}

bool mls__pg_family_end(mls__pg_store *store, mls__pg_family *family)
{
    return mls__pg_submit_flush(store) && write_edges(store, family) &&
           mark_mothers(store, family) && cancel_all(store, family);
}
