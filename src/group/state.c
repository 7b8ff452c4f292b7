/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of the states of a group. */
#include "group/state.h"

/* From a state (row) by an event; what is not listed is refused. */
static const unsigned char next_states[MLS__GROUP_STATES][MLS__GROUP_EVENTS] = {
    [MLS__GROUP_OFFERED] =
        {
            [MLS__GROUP_ON_JOIN] = MLS__GROUP_JOINING,
            [MLS__GROUP_ON_FAIL] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_FREE] = MLS__GROUP_LEFT,
        },
    [MLS__GROUP_JOINING] =
        {
            [MLS__GROUP_ON_OPEN] = MLS__GROUP_OPEN,
            [MLS__GROUP_ON_FAIL] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_FREE] = MLS__GROUP_LEFT,
        },
    [MLS__GROUP_OPEN] =
        {
            [MLS__GROUP_ON_CALL] = MLS__GROUP_OPEN,
            [MLS__GROUP_ON_FAIL] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_SHRINK] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_FREE] = MLS__GROUP_LEFT,
        },
    [MLS__GROUP_BROKEN] =
        {
            [MLS__GROUP_ON_FAIL] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_SHRINK] = MLS__GROUP_BROKEN,
            [MLS__GROUP_ON_FREE] = MLS__GROUP_LEFT,
        },
    [MLS__GROUP_LEFT] =
        {
            [MLS__GROUP_ON_FAIL] = MLS__GROUP_LEFT,
        },
};

mls__group_state mls__group_next_state(mls__group_state state, mls__group_event event)
{
    return (mls__group_state) next_states[state][event];
}
