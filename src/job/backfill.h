/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backfilling (Lifka, "The ANL/IBM SP scheduling system", 1995): while room is set aside for a
 * large job, jobs pass it that are expected to end before it could begin. Policy over plain
 * data, which drivers are lent.
 */
#ifndef MLS_JOB_BACKFILL_H
#define MLS_JOB_BACKFILL_H

#include <mlscale/ext/queue_driver.h>

/* What an attempt is expected to take, of the p95 of so many samples; 0: too few are known. */
uint64_t mls__backfill_expected_ns(uint64_t samples, uint64_t p95_ns);

/*
 * When a job of these needs is expected to find room, if all that runs is `runs` and ends as
 * expected; at `now_ns` when it has room, or only waits for jobs that should have ended or whose
 * end is not known. Nobody passes it for the sake of those: so the time only ever comes nearer,
 * until it is there, whatever is claimed to end before it. Sorts `runs`.
 */
uint64_t mls__backfill_start_ns(const mls_resources *capacity, const mls_resources *needs,
                                mls_queue_run *runs, size_t count, uint64_t now_ns);

#endif
