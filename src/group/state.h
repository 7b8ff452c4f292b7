/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to a group, and what it is then. */
#ifndef MLS_GROUP_STATE_H
#define MLS_GROUP_STATE_H

typedef enum mls__group_state {
    MLS__GROUP_REFUSED, /* must not happen in this state */
    MLS__GROUP_OFFERED, /* not connected */
    MLS__GROUP_JOINING,
    MLS__GROUP_OPEN,
    MLS__GROUP_BROKEN, /* a collective failed, somebody aborted, or joining failed */
    MLS__GROUP_LEFT,   /* freed; handles may still hold it */
    MLS__GROUP_STATES
} mls__group_state;

typedef enum mls__group_event {
    MLS__GROUP_ON_JOIN,
    MLS__GROUP_ON_OPEN, /* it is connected */
    MLS__GROUP_ON_CALL,
    MLS__GROUP_ON_FAIL,
    MLS__GROUP_ON_SHRINK,
    MLS__GROUP_ON_FREE,
    MLS__GROUP_EVENTS
} mls__group_event;

mls__group_state mls__group_next_state(mls__group_state state, mls__group_event event);

#endif
