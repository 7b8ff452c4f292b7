/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of a batch as the rows of one run. Those go together whose inputs differ in the number of
 * rows only. What one job has wrong with it is none of the others' business: when a run of several
 * fails, each is run alone.
 */
#include "job_types/score.h"

#include "base/error.h"

#include <string.h>

/* --- models that have rows --- */

/* Many models give their dynamic dimensions no names: then it is the user who says so. */
static mls_status check_value(const mls_model_value *value, const char **name)
{
    const bool is_dynamic = value->rank >= 1 && value->dims[0] < 0;
    const char *its = is_dynamic ? value->dim_names[0] : NULL;
    if (is_dynamic && (!its || !*name || strcmp(its, *name) == 0)) {
        *name = its ? its : *name;
        return MLS_OK;
    }
    return mls__error(MLS_EINVAL,
                      "jobs can be joined as rows where the first dimension of all inputs and "
                      "outputs is the same dynamic one; that of '%s' is not%s%s%s",
                      value->name, *name ? " '" : "", *name ? *name : "", *name ? "'" : "");
}

mls_status mls__score_check_rows(const mls_model *model)
{
    const size_t inputs = mls_model_input_count(model);
    const char *name = NULL;
    mls_status status = inputs ? MLS_OK : mls__error(MLS_EINVAL, "the model has no inputs");
    for (size_t i = 0; !status && i < inputs + mls_model_output_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        if (i < inputs)
            mls_model_input(model, i, &value);
        else
            mls_model_output(model, i - inputs, &value);
        status = check_value(&value, &name);
    }
    return status;
}

/* --- which jobs go together --- */

static mls_tensor **inputs_of(const mls__score_slot *slot, size_t job)
{
    return slot->inputs + job * slot->input_count;
}

/* 0: its inputs have none, or not as many each. */
static int64_t count_rows(const mls__score_slot *slot, size_t job)
{
    mls_tensor **inputs = inputs_of(slot, job);
    int64_t rows = 0;
    for (size_t i = 0; i < slot->input_count; i++) {
        if (mls_tensor_rank(inputs[i]) < 1)
            return 0;
        const int64_t its = mls_tensor_dims(inputs[i])[0];
        if (i && its != rows)
            return 0;
        rows = its;
    }
    return rows;
}

static bool are_alike(const mls_tensor *a, const mls_tensor *b)
{
    const int rank = mls_tensor_rank(a);
    return rank == mls_tensor_rank(b) && memcmp(mls_tensor_dims(a) + 1, mls_tensor_dims(b) + 1,
                                                (size_t) (rank - 1) * sizeof(int64_t)) == 0;
}

/* Whether a job with rows can be run together with another one. */
static bool fits(const mls__score_slot *slot, size_t job, size_t other)
{
    if (count_rows(slot, job) < 1)
        return false;
    for (size_t i = 0; i < slot->input_count; i++)
        if (!are_alike(inputs_of(slot, job)[i], inputs_of(slot, other)[i]))
            return false;
    return true;
}

/* `first` and those behind it that fit, of `count` jobs, into slot->members. */
static size_t gather(const mls__score_slot *slot, size_t first, size_t count)
{
    size_t found = 0;
    slot->members[found++] = first;
    if (count_rows(slot, first) < 1)
        return found;
    for (size_t j = first + 1; j < count; j++)
        if (inputs_of(slot, j)[0] && fits(slot, j, first))
            slot->members[found++] = j;
    return found;
}

/* --- a run of several --- */

static mls_status join_input(const mls__score_slot *slot, size_t index, size_t count, int64_t rows)
{
    const mls_tensor *like = inputs_of(slot, slot->members[0])[index];
    const int rank = mls_tensor_rank(like);
    int64_t dims[8];
    if (rank > 8)
        return MLS_ESHAPE; /* which no payload has */
    memcpy(dims, mls_tensor_dims(like), (size_t) rank * sizeof *dims);
    dims[0] = rows;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    mls_tensor *joined;
    mls_status status = mls_model_input(slot->type->loaded, index, &value);
    if (!status)
        status =
            mls_tensor_create(slot->type->context, (mls_dtype) value.dtype, rank, dims, &joined);
    if (status)
        return status;
    char *at = mls_tensor_data(joined);
    for (size_t m = 0; m < count; m++) {
        const mls_tensor *part = inputs_of(slot, slot->members[m])[index];
        const size_t size = mls_tensor_size_bytes(part);
        if (!size)
            continue; /* rows may have nothing in them, and then there is no memory */
        memcpy(at, mls_tensor_data(part), size);
        at += size;
    }
    status = mls_session_bind_input(slot->session, index, joined);
    mls_tensor_free(joined); /* the session holds a view */
    return status;
}

static bool has_all_rows(const mls__score_slot *slot, int64_t rows)
{
    for (size_t i = 0; i < mls_model_output_count(slot->type->loaded); i++) {
        mls_dtype dtype;
        const int64_t *dims;
        int rank;
        if (mls_session_output_shape(slot->session, i, &dtype, &rank, &dims) != MLS_OK ||
            rank < 1 || dims[0] != rows)
            return false;
    }
    return true;
}

/* false: nothing is decided about any of the jobs. */
static bool run_together(const mls__score_slot *slot, mls_job *const *jobs, size_t count)
{
    int64_t rows = 0, first = 0;
    for (size_t m = 0; m < count; m++)
        rows += count_rows(slot, slot->members[m]);
    for (size_t i = 0; i < slot->input_count; i++)
        if (join_input(slot, i, count, rows) != MLS_OK)
            return false;
    if (mls__score_run_session(slot, count) != MLS_OK || !has_all_rows(slot, rows))
        return false;
    for (size_t m = 0; m < count; m++) {
        const int64_t its = count_rows(slot, slot->members[m]);
        mls__score_set_result(slot, jobs[slot->members[m]], (size_t) first, (size_t) its);
        first += its;
    }
    return true;
}

static void run_members(const mls__score_slot *slot, mls_job *const *jobs, size_t count)
{
    const bool is_done = count > 1 && run_together(slot, jobs, count);
    for (size_t m = 0; m < count; m++) {
        mls_tensor **inputs = inputs_of(slot, slot->members[m]);
        if (!is_done)
            mls__score_run(slot, jobs[slot->members[m]], inputs);
        mls__score_drop(slot, inputs);
    }
}

mls_status mls__type_run_joined(void *user, mls_job *const *jobs, size_t count)
{
    const mls__score_slot *slot = user;
    for (size_t j = 0; j < count; j++)
        mls__score_read(slot, jobs[j], inputs_of(slot, j));
    for (size_t j = 0; j < count; j++)
        if (inputs_of(slot, j)[0])
            run_members(slot, jobs, gather(slot, j, count));
    return MLS_OK;
}
