/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreeing on who is left. Each rank that asks raises its hand, which all see. The arbiter is the
 * lowest rank that is not gone: its loop decides, whether its own caller asks or not, when all
 * that are not gone have raised their hands, or when one says that its time is nearly over. If
 * the arbiter goes, the next one does. An arbiter that says nothing to who has no time left is
 * as good as gone, and that one tells all, so that the next arbiter knows that it is. Who hears
 * that it was passed over itself decides no more, but waits for what the next one says: two
 * decisions would be two groups. A decision is told by all who hear it, and the first one counts.
 * The next hand of a rank is for the next agreement, among those of the last one.
 */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <string.h>

/* Of its time, a rank keeps a quarter and at most this to have a decision made. */
#define RESERVE_NS UINT64_C(2000000000)

static bool is_heard_of(const tcp_peer *peer)
{
    return peer->state == MLS_PEER_ALIVE && !peer->is_silent;
}

/* Who was passed over stays so until there is an agreement, whatever it says: all skip it alike. */
static bool can_decide(const tcp_link *link, uint32_t rank)
{
    const tcp_peer *peer = &link->peers[rank];
    return peer->passed <= link->agreements && (rank == link->rank || is_heard_of(peer));
}

/* This rank, too, if nobody else is left. */
static uint32_t find_arbiter(const tcp_link *link)
{
    uint32_t rank = 0;
    while (rank < link->size && !can_decide(link, rank))
        rank++;
    return rank < link->size ? rank : link->rank;
}

static void note_silence(tcp_link *link, uint32_t rank, uint64_t nth)
{
    link->peers[rank].is_silent = rank != link->rank;
    link->peers[rank].passed = nth;
}

/* Who was part of the last agreement, or all. */
static bool is_asked(const tcp_link *link, uint32_t rank)
{
    for (uint32_t i = 0; i < link->survivor_count; i++)
        if (link->survivors[i] == rank)
            return true;
    return link->agreements == 0;
}

static void tell(tcp_link *link, tcp_conn *conn)
{
    unsigned char body[4 * MLS_GROUP_MAX_RANKS];
    const size_t size = tcp_ranks_write(link->survivors, link->survivor_count, body);
    if (conn)
        tcp_conn_say(conn, TCP_FRAME_DECISION, link->agreements, body, size);
    else
        tcp_link_say(link, TCP_FRAME_DECISION, link->agreements, body, size);
}

/* Takes what somebody decided for its own, and tells the others. */
static void adopt(tcp_link *link, uint64_t nth, const uint32_t *ranks, uint32_t count)
{
    if (nth <= link->agreements || !count)
        return;
    memcpy(link->survivors, ranks, count * sizeof *ranks);
    link->survivor_count = count;
    link->agreements = nth;
    tell(link, NULL);
    tcp_link_wake(link);
}

/* The arbiter's. */
static void consider(tcp_link *link)
{
    uint32_t ranks[MLS_GROUP_MAX_RANKS], count = 0;
    const uint64_t nth = link->agreements + 1;
    bool all = true, late = false;
    if (link->has_left || find_arbiter(link) != link->rank)
        return;
    for (uint32_t i = 0; i < link->size; i++) {
        const tcp_peer *peer = &link->peers[i];
        if (!is_heard_of(peer) || !is_asked(link, i))
            continue;
        all = all && peer->raised >= nth;
        late = late || peer->late >= nth;
        if (peer->raised >= nth)
            ranks[count++] = i;
    }
    if (all || late)
        adopt(link, nth, ranks, count);
}

/* Raises the hand so that all see it: who is the arbiter may change. `silent` may be NULL. */
static void raise_hand(tcp_link *link, const uint32_t *silent)
{
    const tcp_peer *own = &link->peers[link->rank];
    tcp_link_say(link, TCP_FRAME_HAND, 2 * own->raised + (own->late == own->raised), silent,
                 silent ? sizeof *silent : 0);
    consider(link);
}

bool tcp_on_hand(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    const uint64_t nth = frame->id / 2;
    uint32_t silent = link->rank;
    if (frame->size && frame->size != sizeof silent)
        return false;
    if (frame->size)
        memcpy(&silent, body, sizeof silent);
    if (frame->size && silent < link->size && nth > link->agreements)
        note_silence(link, silent, nth);
    peer->is_silent = false;
    if (nth > peer->raised)
        peer->raised = nth;
    if (frame->id % 2 && nth > peer->late)
        peer->late = nth;
    if (nth <= link->agreements)
        tell(link, conn);
    else
        link->considers = true;
    return true;
}

bool tcp_on_decision(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_link *link = conn->link;
    uint32_t ranks[MLS_GROUP_MAX_RANKS], count;
    if (!tcp_ranks_read(body, frame->size, link->size, ranks, &count))
        return false;
    adopt(link, frame->id, ranks, count);
    return true;
}

void tcp_survivors_lose(tcp_link *link)
{
    if (!link->peers || link->has_left)
        return;
    link->considers = true;
}

/* Who was stopped may have been left behind: it hears that before it decides for itself. */
void tcp_survivors_consider(tcp_link *link)
{
    if (!link->considers)
        return;
    tcp_link_catch_up(link);
    link->considers = false;
    consider(link);
}

/* The arbiter has said nothing to who had no time left. */
static void pass_over(tcp_link *link, uint32_t arbiter)
{
    if (arbiter == link->rank)
        return;
    note_silence(link, arbiter, link->agreements + 1);
    raise_hand(link, &arbiter);
}

/* What nobody had the time to read counts, too: it may be the decision. */
static bool is_agreed(tcp_link *link, uint64_t nth)
{
    link->considers = true;
    tcp_survivors_consider(link);
    return link->agreements >= nth;
}

/* Half of what is left from now on, so that whoever is asked has time even if this rank is late. */
static uint64_t next_look(uint64_t now, uint64_t until_ns)
{
    const uint64_t left = until_ns - now;
    return left > 1000000 ? now + left / 2 : until_ns;
}

static void wait_for_agreement(tcp_link *link, uint64_t nth, uint64_t until_ns)
{
    tcp_peer *own = &link->peers[link->rank];
    uint32_t arbiter = link->rank;
    uint64_t now = mls__clock_monotonic_ns();
    uint64_t reserve = until_ns > now ? (until_ns - now) / 4 : 0;
    if (reserve > RESERVE_NS)
        reserve = RESERVE_NS;
    uint64_t look_ns = until_ns - reserve;
    raise_hand(link, NULL);
    while (link->agreements < nth) {
        if (tcp_link_wait(link, look_ns) || is_agreed(link, nth))
            continue;
        if (own->late < nth) {
            own->late = nth;
            raise_hand(link, NULL);
        } else if (arbiter == find_arbiter(link)) {
            pass_over(link, arbiter);
        }
        arbiter = find_arbiter(link); /* who has time to answer until the next look */
        now = mls__clock_monotonic_ns();
        if (now >= until_ns)
            return;
        look_ns = next_look(now, until_ns);
    }
}

mls_status tcp_survivors(void *self, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count)
{
    tcp_link *link = self;
    const mls_plugin_host *host = link->hub->host;
    if (!link->peers)
        return host->error(MLS_ESTATE, "the ranks were never joined to a group");
    pthread_mutex_lock(&link->mutex);
    tcp_link_catch_up(link);
    const uint64_t nth = ++link->peers[link->rank].raised;
    const bool was_asked = link->agreements < nth && is_asked(link, link->rank);
    if (was_asked)
        wait_for_agreement(link, nth, until_ns);
    tcp_link_rest(link);
    const bool is_decided = link->agreements >= nth;
    const bool is_in = was_asked && link->agreements == nth && is_asked(link, link->rank);
    if (is_in) {
        memcpy(ret_ranks, link->survivors, link->survivor_count * sizeof *ret_ranks);
        *ret_count = link->survivor_count;
    }
    pthread_mutex_unlock(&link->mutex);
    if (is_in)
        return MLS_OK;
    if (!is_decided && was_asked)
        return host->error(MLS_EDEADLINE, "nobody says who is left of the group");
    return host->error(MLS_EPEER, "the others went on without rank %u, which came late",
                       link->rank);
}
