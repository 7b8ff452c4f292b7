/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of claims, once they were judged in a transaction. */
#include "queue/durable/ends.h"

void mls__ends_publish(mls__holds *holds, mls_queue_end *const *ends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_job_info *info = ends[i]->job->info;
        if (ends[i]->status == MLS_OK)
            mls__holds_signal(holds, info->id, info->epoch, MLS_STOP_LOST);
    }
}

void mls__ends_abandon(mls_queue_end *const *ends, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ends[i]->status = MLS_EEMPTY;
}

void mls__ends_settle(void *self, void (*drop)(void *self, mls_queue_job *shown),
                      mls_queue_end *const *ends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls_queue_end *end = ends[i];
        const mls_queue_bytes *data = &end->data;
        if (end->status == MLS_OK && end->event != MLS_JOB_ON_RELEASE && data->release)
            data->release(data->user, data->data, data->size_bytes);
        if (end->flags & MLS_END_DROP)
            drop(self, end->job);
    }
}
