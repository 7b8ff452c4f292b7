/* SPDX-License-Identifier: Apache-2.0 */
/* What schedules mean: policy over plain data, which drivers are lent. */
#ifndef MLS_JOB_SCHEDULES_H
#define MLS_JOB_SCHEDULES_H

#include <mlscale/ext/queue_driver.h>

mls_schedule *mls__schedule_copy(const mls_plugin_host *host, const mls_schedule *schedule);
mls_status mls__schedule_advance(const mls_plugin_host *host, mls_schedule *schedule,
                                 int64_t now_ms, int64_t *ret_due_ms, size_t *ret_count);
void mls__schedule_fire(const mls_schedule *schedule, int64_t due_ms, mls_queue_firing *ret_firing);

#endif
