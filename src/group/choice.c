/* SPDX-License-Identifier: Apache-2.0 */
#include "group/choice.h"

/* Steps until one is a change's own: what it reads and writes was written the same way. */
#define SETTLES 2

/* Sooner is what takes less than so much of the time: else noise would decide. */
#define LESS 7
#define OF   8

static size_t half_of(const mls__choice *choice)
{
    return choice->steps / 2;
}

void mls__choice_begin(mls__choice *choice, size_t steps, uint64_t now_ns)
{
    const bool is_long = steps >= MLS__CHOICE_STEPS;
    choice->steps = steps;
    choice->tries = is_long && choice->calls % MLS__CHOICE_PERIOD < MLS__CHOICE_TRIALS;
    choice->calls += is_long;
    choice->last_ns = now_ns;
    choice->least_ns[0] = choice->least_ns[1] = UINT64_MAX;
}

bool mls__choice_is_second(const mls__choice *choice, size_t step)
{
    const bool is_other = choice->tries && step >= half_of(choice);
    return choice->is_second != is_other;
}

void mls__choice_note(mls__choice *choice, size_t step, uint64_t now_ns)
{
    const size_t half = half_of(choice);
    const int which = step >= half;
    const uint64_t took = now_ns - choice->last_ns;
    choice->last_ns = now_ns;
    if (step < choice->steps && step - (which ? half : 0) >= SETTLES &&
        took < choice->least_ns[which])
        choice->least_ns[which] = took;
}

void mls__choice_end(mls__choice *choice)
{
    if (!choice->tries)
        return;
    const bool is_sooner = choice->least_ns[1] / LESS < choice->least_ns[0] / OF;
    choice->votes = is_sooner ? choice->votes + 1 : 0;
    if (choice->votes < MLS__CHOICE_TRIALS)
        return;
    choice->is_second = !choice->is_second;
    choice->votes = 0;
}
