/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of two ways to do the steps of a long call is sooner, by trying: results are the same, and
 * so ranks need not agree. Which way is sooner depends on where the machine runs the ranks, and may
 * change at any time, so that it is tried again and again.
 *
 * A trial is a call whose second half goes the other way: its fastest step is compared with that of
 * the first half, since a step may take longer for many reasons, and less for none. Two trials
 * behind each other are to say the same. They are due by the number of calls, which is the same on
 * all ranks: so all try at the same time, as each of them waits for the others' steps.
 */
#ifndef MLS_GROUP_CHOICE_H
#define MLS_GROUP_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of so many calls the first ones are trials. */
#define MLS__CHOICE_PERIOD 16
#define MLS__CHOICE_TRIALS 2
/* Fewer steps say nothing. */
#define MLS__CHOICE_STEPS 10

typedef struct mls__choice {
    bool is_second;                /* the way that is chosen; the first one until it is known */
    bool tries;                    /* the call at present is a trial */
    uint32_t calls;                /* that were long enough */
    uint32_t votes;                /* trials behind each other by which the other way is sooner */
    size_t steps;                  /* of the call */
    uint64_t last_ns, least_ns[2]; /* the end of the last step; the fastest one of each half */
} mls__choice;

/* A call of so many steps of one length begins; behind these there may be others. */
void mls__choice_begin(mls__choice *choice, size_t steps, uint64_t now_ns);

/* Whether the step goes the second way. */
bool mls__choice_is_second(const mls__choice *choice, size_t step);

/* The step has ended. */
void mls__choice_note(mls__choice *choice, size_t step, uint64_t now_ns);

/* The call has. */
void mls__choice_end(mls__choice *choice);

#endif
