/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of the states of a job, and the pauses between its attempts. */
#include "job/lifecycle.h"

/* From a state (row) by an event; what is not listed is refused. */
static const uint8_t next_states[MLS__JOB_STATES][MLS_JOB_EVENTS] = {
    [MLS_JOB_SCHEDULED] =
        {
            [MLS_JOB_ON_DUE] = MLS_JOB_READY,
            [MLS_JOB_ON_CANCEL] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_EXPIRE] = MLS_JOB_DEAD,
        },
    [MLS_JOB_BLOCKED] =
        {
            [MLS_JOB_ON_UNBLOCK] = MLS_JOB_READY,
            [MLS_JOB_ON_DEFER] = MLS_JOB_SCHEDULED,
            [MLS_JOB_ON_CANCEL] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_EXPIRE] = MLS_JOB_DEAD,
        },
    [MLS_JOB_READY] =
        {
            [MLS_JOB_ON_CLAIM] = MLS_JOB_RUNNING,
            [MLS_JOB_ON_CANCEL] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_EXPIRE] = MLS_JOB_DEAD,
        },
    [MLS_JOB_RUNNING] =
        {
            [MLS_JOB_ON_SUCCEED] = MLS_JOB_SUCCEEDED,
            [MLS_JOB_ON_RETRY] = MLS_JOB_SCHEDULED,
            [MLS_JOB_ON_BURY] = MLS_JOB_DEAD,
            [MLS_JOB_ON_RELEASE] = MLS_JOB_READY,
            [MLS_JOB_ON_ESCALATE] = MLS_JOB_READY,
            [MLS_JOB_ON_LOSE] = MLS_JOB_READY,
            [MLS_JOB_ON_POISON] = MLS_JOB_DEAD,
            [MLS_JOB_ON_CANCEL] = MLS_JOB_STOPPING,
        },
    [MLS_JOB_STOPPING] =
        {
            [MLS_JOB_ON_SUCCEED] = MLS_JOB_SUCCEEDED,
            [MLS_JOB_ON_RETRY] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_BURY] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_RELEASE] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_ESCALATE] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_LOSE] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_POISON] = MLS_JOB_CANCELLED,
            [MLS_JOB_ON_CANCEL] = MLS_JOB_STOPPING,
        },
    [MLS_JOB_SUCCEEDED] =
        {
            [MLS_JOB_ON_FORGET] = MLS_JOB_GONE,
        },
    [MLS_JOB_DEAD] =
        {
            [MLS_JOB_ON_REQUEUE] = MLS_JOB_READY,
            [MLS_JOB_ON_FORGET] = MLS_JOB_GONE,
        },
    [MLS_JOB_CANCELLED] =
        {
            [MLS_JOB_ON_REQUEUE] = MLS_JOB_READY,
            [MLS_JOB_ON_FORGET] = MLS_JOB_GONE,
        },
};

static const char *const state_names[MLS__JOB_STATES] = {
    [MLS_JOB_SCHEDULED] = "scheduled", [MLS_JOB_BLOCKED] = "blocked",
    [MLS_JOB_READY] = "ready",         [MLS_JOB_RUNNING] = "running",
    [MLS_JOB_STOPPING] = "stopping",   [MLS_JOB_SUCCEEDED] = "succeeded",
    [MLS_JOB_DEAD] = "dead",           [MLS_JOB_CANCELLED] = "cancelled",
};

int32_t mls__job_next_state(int32_t state, int32_t event)
{
    if (state < 0 || state >= MLS__JOB_STATES || event < 0 || event >= MLS_JOB_EVENTS)
        return MLS_JOB_REFUSED;
    return next_states[state][event];
}

bool mls__job_has_ended(int32_t state)
{
    return mls__job_next_state(state, MLS_JOB_ON_FORGET) == MLS_JOB_GONE;
}

int32_t mls__job_after_parent(int32_t parent_state, uint64_t child_flags)
{
    if (!mls__job_has_ended(parent_state))
        return MLS_JOB_REFUSED;
    if (parent_state == MLS_JOB_SUCCEEDED || child_flags & MLS_JOB_DEPENDS_ANY_END)
        return MLS_JOB_ON_UNBLOCK;
    return MLS_JOB_ON_CANCEL;
}

const char *mls_job_state_name(int32_t state)
{
    if (state <= 0 || state >= MLS__JOB_STATES)
        return "?";
    return state_names[state];
}

/* SplitMix64 (Steele, Lea, Flood 2014): well spread bits from any number. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* backoff * 2^(attempt - 1), at most the maximum. */
static int64_t full_pause(const mls_job_info *info)
{
    const int64_t most = info->backoff_max_ms;
    int64_t pause = info->backoff_ms;
    for (uint32_t i = 1; i < info->attempt && pause < most && pause > 0; i++)
        pause *= 2;
    return pause < most ? pause : most;
}

static int64_t draw_pause(const mls_job_info *info, uint64_t seed)
{
    const int64_t pause = full_pause(info);
    const int64_t random_part = pause * info->jitter_percent / 100;
    const uint64_t drawn = mix(seed ^ mix(info->id ^ mix(info->attempt)));
    return pause - (int64_t) (drawn % ((uint64_t) random_part + 1));
}

int32_t mls__job_after_failure(const mls_job_info *info, bool is_final, int64_t now_ms,
                               uint64_t seed, int64_t *ret_delay_ms)
{
    if (is_final || info->attempt >= info->max_attempts)
        return MLS_JOB_ON_BURY;
    const int64_t delay_ms = draw_pause(info, seed);
    if (info->deadline_ms && now_ms + delay_ms >= info->deadline_ms)
        return MLS_JOB_ON_BURY;
    *ret_delay_ms = delay_ms;
    return MLS_JOB_ON_RETRY;
}
