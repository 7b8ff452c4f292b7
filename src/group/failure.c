/* SPDX-License-Identifier: Apache-2.0 */
/* Why a call failed, in words: which rank, what it did last, and who ended the group. */
#include "group/group.h"

#include "base/clock.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Ranks that are named one by one. */
#define MAX_NAMED 8
/* Who was known to be alive so short a time ago is alive. */
#define FRESH_NS   UINT64_C(1000000000)
#define STATE_TEXT 48

mls_status mls__group_break(mls_group *group, mls_status status)
{
    char text[MLS__FAILURE_TEXT];
    snprintf(text, sizeof text, "%s", mls_error_message());
    pthread_mutex_lock(&group->mutex);
    const mls__group_state next = mls__group_next_state(group->state, MLS__GROUP_ON_FAIL);
    if (next == MLS__GROUP_BROKEN && group->state != MLS__GROUP_BROKEN) {
        group->failure = status;
        memcpy(group->failure_text, text, sizeof text);
    }
    group->state = next;
    const bool is_connected = group->is_connected;
    pthread_mutex_unlock(&group->mutex);
    /* Again where it is not the first: then nobody reads this rank's memory any more. */
    if (is_connected)
        group->transport.ops->abort(group->link, status, text);
    return mls__error(status, "%s", text);
}

/* "seq 812 allreduce sum of 100 float32 'grad.3' after 4.2 s" */
static const char *place_of(const mls__call *call, char *text, size_t size)
{
    char what[MLS__HEADER_TEXT], seq[32] = "";
    const uint64_t passed_ns = mls__clock_monotonic_ns() - call->started_ns;
    if (call->header.op != MLS__CALL_MESSAGE)
        snprintf(seq, sizeof seq, "seq %" PRIu64 " ", call->header.seq);
    snprintf(text, size, "%s%s after %.1f s", seq, mls__header_text(&call->header, what),
             (double) passed_ns / 1e9);
    return text;
}

/* How messages call a rank: a group that is being made has no numbers yet that anybody knows. */
static uint32_t name_of(const mls_group *group, uint32_t rank)
{
    return group->names ? group->names[rank] : rank;
}

static mls_transport_peer peer_of(const mls_group *group, uint32_t rank)
{
    mls_transport_peer peer = {.size = sizeof peer, .state = MLS_PEER_ALIVE};
    group->transport.ops->peer(group->link, rank, &peer);
    return peer;
}

bool mls__peer_is_gone(const mls_group *group, uint32_t rank)
{
    return rank != group->rank && peer_of(group, rank).state != MLS_PEER_ALIVE;
}

/* "is alive" is said where that is known, and else what is. */
static const char *state_text(const mls_transport_peer *peer, char text[STATE_TEXT])
{
    const uint64_t now = mls__clock_monotonic_ns();
    const uint64_t passed_ns = now > peer->heard_ns ? now - peer->heard_ns : 0;
    if (peer->state == MLS_PEER_LEFT)
        return "has left the group";
    if (peer->state == MLS_PEER_DEAD)
        return "is dead";
    if (!peer->heard_ns)
        return "is not known to be alive";
    if (passed_ns < FRESH_NS)
        return "is alive";
    snprintf(text, STATE_TEXT, "was last heard of %.1f s ago", (double) passed_ns / 1e9);
    return text;
}

/* "last did seq 811 allreduce ..."; all ranks have done what this one has done before. */
static const char *last_text(const mls_group *group, uint32_t phase, char *text, size_t size)
{
    char what[MLS__HEADER_TEXT];
    if (phase)
        snprintf(text, size, "has begun this call");
    else if (!group->last.op)
        snprintf(text, size, "has done nothing yet");
    else
        snprintf(text, size, "last did seq %" PRIu64 " %s", group->last.seq,
                 mls__header_text(&group->last, what));
    return text;
}

/* " 2, 3 and 7 others" of those whose record of this round is missing. */
static uint32_t list_missing(const mls_group *group, char *text, size_t size, uint32_t *ret_first)
{
    uint32_t count = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < group->size; i++) {
        if (i == group->rank || peer_of(group, i).rounds >= group->rounds)
            continue;
        if (!count)
            *ret_first = i;
        if (++count <= MAX_NAMED)
            used += (size_t) snprintf(text + used, size - used, count > 1 ? ", %u" : "%u",
                                      name_of(group, i));
    }
    if (count > MAX_NAMED)
        snprintf(text + used, size - used, " and %u others", count - MAX_NAMED);
    return count;
}

static mls_status late(const mls_group *group, const mls__call *call)
{
    char place[512], missing[160] = "", last[320], state[STATE_TEXT];
    uint32_t first = 0;
    const uint32_t count = list_missing(group, missing, sizeof missing, &first);
    const mls_transport_peer peer = peer_of(group, first);
    place_of(call, place, sizeof place);
    last_text(group, call->header.phase, last, sizeof last);
    if (count == 0) /* the last one came just now, or an engine is at it */
        return mls__error(MLS_EDEADLINE, "%s: the ranks %s", place,
                          call->header.phase ? "have all begun it, and it has not ended"
                                             : "arrived too late");
    if (count > 1)
        return mls__error(MLS_EDEADLINE, "%s: ranks %s have not arrived; rank %u %s and %s", place,
                          missing, name_of(group, first), state_text(&peer, state), last);
    return mls__error(MLS_EDEADLINE, "%s: rank %s has not arrived; it %s and %s", place, missing,
                      state_text(&peer, state), last);
}

/* Who ended the group, with that one's status. */
static mls_status aborted(const mls_group *group, const mls__call *call)
{
    char place[512], reason[512] = "";
    uint32_t rank = group->rank;
    const mls_status status =
        group->transport.ops->aborted(group->link, &rank, reason, sizeof reason);
    mls__text_clean(reason);
    place_of(call, place, sizeof place);
    if (status == MLS_ENOTFOUND || (status == MLS_EPEER && rank == group->rank))
        return mls__error(MLS_ECANCELLED, "%s: this rank cancelled it, or freed the group", place);
    return mls__error(status, "%s: rank %u ended the group: %s", place, name_of(group, rank),
                      reason);
}

static mls_status gone(const mls_group *group, const mls__call *call)
{
    char place[512], last[320], reason[16], state[STATE_TEXT];
    uint32_t aborter, rank = 0;
    mls_transport_peer peer = peer_of(group, rank);
    while ((peer.state == MLS_PEER_ALIVE || peer.rounds >= group->rounds) && ++rank < group->size)
        peer = peer_of(group, rank);
    /* Behind that: who saw a loss first may have left since, and has said so before. */
    if (group->transport.ops->aborted(group->link, &aborter, reason, sizeof reason) !=
        MLS_ENOTFOUND)
        return aborted(group, call);
    place_of(call, place, sizeof place);
    if (rank == group->size)
        return mls__error(MLS_EPEER, "%s: a rank is gone", place);
    last_text(group, call->header.phase, last, sizeof last);
    return mls__error(MLS_EPEER, "%s: rank %u %s; it %s", place, name_of(group, rank),
                      state_text(&peer, state), last);
}

mls_status mls__call_lost(const mls_group *group, const mls__call *call, mls_status status)
{
    switch ((int) status) {
    case MLS_EDEADLINE:
        return late(group, call);
    case MLS_EPEER:
        return gone(group, call);
    case MLS_ECANCELLED:
        return aborted(group, call);
    default:
        return status;
    }
}

mls_status mls__call_lost_peer(const mls_group *group, const mls__call *call, uint32_t peer,
                               mls_status status, const char *missing)
{
    char place[512], state[STATE_TEXT];
    if (status == MLS_ECANCELLED)
        return aborted(group, call);
    const mls_transport_peer found = peer_of(group, peer);
    place_of(call, place, sizeof place);
    return mls__error(status, "%s: rank %u %s; it %s", place, peer, missing,
                      state_text(&found, state));
}

mls_status mls__peer_lost(const mls_group *group, const mls__call *call, uint32_t rank)
{
    char place[512], state[STATE_TEXT];
    const mls_transport_peer peer = peer_of(group, rank);
    if (!call)
        return mls__error(MLS_EPEER, "rank %u %s", rank, state_text(&peer, state));
    place_of(call, place, sizeof place);
    return mls__error(MLS_EPEER, "%s: rank %u %s", place, rank, state_text(&peer, state));
}

mls_status mls__call_failed(const mls__call *call, mls_status status)
{
    char place[512];
    place_of(call, place, sizeof place);
    return mls__error_at(status, "%s", place);
}
