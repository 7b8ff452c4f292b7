/* SPDX-License-Identifier: Apache-2.0 */
#include "scorer.h"

#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name by which a session knows the first dimension of an input; NULL if it is fixed. */
static const char *row_dimension(const mls_model *model, size_t input, char *text, size_t size)
{
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    mls_model_input(model, input, &value);
    if (value.dims[0] >= 0)
        return NULL;
    if (value.dim_names[0])
        return value.dim_names[0];
    snprintf(text, size, "%s:0", value.name);
    return text;
}

static mls_status set_rows(const scorer *s, mls_session *session, int64_t rows)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->layout.group_count; i++) {
        char text[300];
        const char *name = row_dimension(s->model, i, text, sizeof text);
        if (name)
            status = mls_session_set_dim(session, name, rows);
    }
    return status;
}

/* What a slot keeps between jobs. */
typedef struct score_slot {
    const scorer *scorer;
    mls_session *session;
} score_slot;

static void slot_close(void *user, void *slot)
{
    score_slot *mine = slot;
    (void) user;
    mls_session_free(mine->session);
    free(mine);
}

static mls_status slot_open(void *user, uint32_t slot_index, void **ret_slot)
{
    const scorer *s = user;
    score_slot *slot = calloc(1, sizeof *slot);
    (void) slot_index;
    if (!slot)
        return MLS_ENOMEM;
    slot->scorer = s;
    mls_status status = mls_session_create(s->model, &s->session_options, &slot->session);
    if (!status)
        status = set_rows(s, slot->session, s->layout.one_by_one ? 1 : s->batch);
    if (!status)
        status = mls_session_plan(slot->session);
    if (status) {
        slot_close(user, slot);
        return status;
    }
    *ret_slot = slot;
    return MLS_OK;
}

size_t scorer_chunk_bytes(const scorer *s)
{
    return sizeof(chunk) + s->layout.row_bytes * (size_t) s->batch;
}

size_t scorer_result_bytes(const scorer *s, int64_t rows)
{
    size_t bytes = 0;
    for (size_t g = 0; g < s->group_count; g++)
        bytes += (size_t) s->groups[g].width * mls_dtype_size(s->groups[g].dtype);
    return bytes * (size_t) rows;
}

static mls_status bind_rows(const scorer *s, mls_session *session, const unsigned char *rows,
                            int64_t capacity, int64_t first, int64_t count)
{
    mls_status status = MLS_OK;
    for (size_t g = 0; !status && g < s->layout.group_count; g++) {
        const row_group *group = &s->layout.groups[g];
        const size_t row_bytes = (size_t) group->width * mls_dtype_size(group->dtype);
        status = mls_session_bind_input_data(
            session, g, rows + group->offset * (size_t) capacity + (size_t) first * row_bytes,
            (size_t) count * row_bytes);
    }
    return status;
}

/* The bytes of strings are the session's until its next run: copies, which main frees. */
static mls_status copy_strings(mls_string *target, const mls_string *source, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *bytes = malloc(source[i].size + 1);
        if (!bytes)
            return MLS_ENOMEM;
        if (source[i].size)
            memcpy(bytes, source[i].data, source[i].size);
        target[i] = (mls_string){bytes, source[i].size};
    }
    return MLS_OK;
}

/* Scores rows [first, first + count) of a chunk into the chunk's result. */
static mls_status score_part(const scorer *s, mls_session *session, const unsigned char *rows,
                             const row_chunk *where, int64_t first, int64_t count,
                             unsigned char *result)
{
    mls_status status = bind_rows(s, session, rows, s->batch, first, count);
    if (!status)
        status = mls_session_run(session);
    for (size_t g = 0; !status && g < s->group_count; g++) {
        const size_t row_bytes = (size_t) s->groups[g].width * mls_dtype_size(s->groups[g].dtype);
        const void *scores = mls_session_output_data(session, g);
        void *target = result + (size_t) first * row_bytes;
        if (s->groups[g].dtype == MLS_STRING)
            status = copy_strings(target, scores, (size_t) (count * s->groups[g].width));
        else
            memcpy(target, scores, (size_t) count * row_bytes);
        result += (size_t) where->count * row_bytes;
    }
    return status;
}

/* Anyone can submit to a queue that stays: whether the payload is one of our chunks. */
static bool is_chunk(const scorer *s, const chunk *payload, size_t size)
{
    return size == scorer_chunk_bytes(s) && payload->where.count >= 1 &&
           payload->where.count <= s->batch;
}

static mls_status run_chunk(void *slot, mls_job *job)
{
    const score_slot *mine = slot;
    const scorer *s = mine->scorer;
    size_t size;
    const chunk *payload = mls_job_payload(job, &size);
    if (!is_chunk(s, payload, size))
        return mls_job_fail(job, MLS_EFORMAT, "the payload is not a chunk of rows of this model",
                            MLS_FAIL_FINAL);
    const unsigned char *rows = (const unsigned char *) (payload + 1);
    const int64_t count = payload->where.count;
    const int64_t step = s->layout.one_by_one ? 1 : count;
    void *result;
    mls_status status = mls_job_alloc_result(job, scorer_result_bytes(s, count), &result);
    if (!status)
        status = set_rows(s, mine->session, step);
    for (int64_t first = 0; !status && first < count; first += step)
        status = score_part(s, mine->session, rows, &payload->where, first, step, result);
    return status;
}

mls_handler scorer_handler(scorer *s)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = SCORE_JOB;
    handler.user = s;
    handler.slot_open = slot_open;
    handler.slot_close = slot_close;
    handler.run = run_chunk;
    return handler;
}

void scorer_free_strings(const scorer *s, const void *scores, int64_t rows)
{
    const unsigned char *data = scores;
    for (size_t g = 0; g < s->group_count; g++) {
        const size_t count = (size_t) (rows * s->groups[g].width);
        const mls_string *strings = (const void *) data;
        for (size_t i = 0; s->groups[g].dtype == MLS_STRING && i < count; i++)
            free((void *) (uintptr_t) strings[i].data);
        data += count * mls_dtype_size(s->groups[g].dtype);
    }
}

/* --- the outputs --- */

static bool read_group(const scorer *s, mls_session *session, size_t index, score_group *group)
{
    const int64_t rows = s->layout.one_by_one ? 1 : s->batch;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    int rank;
    const int64_t *dims;
    mls_model_output(s->model, index, &value);
    if (mls_session_output_shape(session, index, &group->dtype, &rank, &dims)) {
        library_failure(NULL);
        return false;
    }
    group->name = value.name;
    group->width = 1;
    for (int i = 1; i < rank; i++)
        group->width *= dims[i];
    if (rank >= 1 && dims[0] == rows)
        return true;
    failure("output '%s' does not have a row for each row of the input; 'mlscale run' runs any "
            "model",
            value.name);
    return false;
}

bool scorer_read_groups(scorer *s)
{
    void *slot;
    s->group_count = mls_model_output_count(s->model);
    s->groups = calloc(s->group_count + 1, sizeof *s->groups);
    if (!s->groups || slot_open(s, 0, &slot)) {
        library_failure(NULL);
        return false;
    }
    bool good = true;
    for (size_t g = 0; good && g < s->group_count; g++)
        good = read_group(s, ((score_slot *) slot)->session, g, &s->groups[g]);
    slot_close(s, slot);
    return good;
}
