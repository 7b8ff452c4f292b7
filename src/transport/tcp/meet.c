/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How ranks find each other. By a URL, rank 0 is asked, and tells all where the others are once
 * it has heard from each; with offers or in a part of a group all know that. Then each rank
 * connects to those below it, and waits for those above.
 */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* How long one try takes with an address that may not be the one: of a folder, which may be of
 * long ago, or one of several. */
#define TRY_NS UINT64_C(2000000000)

/* --- who has not come ------------------------------------------------------------------------ */

static bool has_come(const void *user, uint32_t rank)
{
    const tcp_link *link = user;
    return link->peers[rank].is_there;
}

static mls_status missing(tcp_link *link)
{
    char text[MLS__MISSING_TEXT];
    pthread_mutex_lock(&link->mutex);
    mls__missing_text(link->size, link->subset, has_come, link, text);
    pthread_mutex_unlock(&link->mutex);
    return link->hub->host->error(MLS_EDEADLINE, "of %u ranks these have not come:%s%s%s",
                                  link->size, text, link->trouble[0] ? "; " : "", link->trouble);
}

static bool all_come_by(tcp_link *link, uint64_t until_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&link->mutex);
    while (link->there + 1 < link->size && in_time)
        in_time = tcp_link_wait(link, until_ns);
    tcp_link_rest(link);
    const bool all = link->there + 1 == link->size;
    pthread_mutex_unlock(&link->mutex);
    return all;
}

/* false: the time is over, or there is nothing left to wait for. */
static bool wait_for_all(tcp_link *link, uint64_t until_ns)
{
    uint64_t look_ns;
    do {
        look_ns = mls__subset_look_ns(link->subset, until_ns);
        if (all_come_by(link, look_ns))
            return true;
    } while (look_ns < until_ns && !mls__subset_is_over(link->subset));
    return false;
}

/* --- all with all ---------------------------------------------------------------------------- */

static void attach(tcp_link *link, tcp_conn *conn, uint32_t peer)
{
    pthread_mutex_lock(&link->mutex);
    tcp_link_attach(link, conn, peer);
    pthread_mutex_unlock(&link->mutex);
    tcp_hub_todo(link->hub, conn);
}

/* What the other says to a JOIN; MLS_ETIMEDOUT: nothing. */
static mls_status hear_verdict(const tcp_link *link, tcp_conn *conn, uint64_t until_ns)
{
    tcp_frame frame;
    mls_status said;
    char text[TCP_REASON_MAX + 1];
    const unsigned char *body;
    if (!tcp_hear(link, conn, until_ns, &frame, &body))
        return MLS_ETIMEDOUT;
    if (frame.kind != TCP_FRAME_VERDICT || !tcp_verdict_read(body, frame.size, &said, text))
        return link->hub->host->error(MLS_EIO, "a rank says what none can say");
    return said ? link->hub->host->error(said, "%s", text) : MLS_OK;
}

/* What a rank of the group is asked for. */
static void door_of(const tcp_link *link, uint32_t rank, unsigned char ret_door[TCP_KEY_BYTES])
{
    unsigned char name[TCP_KEY_BYTES + sizeof rank];
    memcpy(name, link->key, TCP_KEY_BYTES);
    memcpy(name + TCP_KEY_BYTES, &rank, sizeof rank);
    tcp_group_key("rank", name, sizeof name, ret_door);
}

static mls_status reach_peer(tcp_link *link, uint32_t peer, uint64_t until_ns)
{
    uint32_t pause_ms = 0;
    mls_status status;
    unsigned char door[TCP_KEY_BYTES];
    door_of(link, peer, door);
    do {
        tcp_conn *conn;
        status = tcp_reach(link, &link->peers[peer].address, door, TCP_JOIN_MESH, until_ns, &conn);
        if (status)
            break;
        status = hear_verdict(link, conn, until_ns);
        if (!status)
            attach(link, conn, peer);
        else
            tcp_conn_free(conn);
    } while (status == MLS_ETIMEDOUT && tcp_pause(link, until_ns, &pause_ms));
    return status;
}

/* The ranks from `first` on below this one are reached, those above come. */
static mls_status mesh(tcp_link *link, uint32_t first, uint64_t until_ns)
{
    mls_status status = MLS_OK;
    pthread_mutex_lock(&link->mutex);
    door_of(link, link->rank, link->door);
    link->joins = true;
    pthread_mutex_unlock(&link->mutex);
    tcp_link_list(link);
    for (uint32_t i = first; !status && i < link->rank; i++)
        status = reach_peer(link, i, until_ns);
    if (status == MLS_ETIMEDOUT || (!status && !wait_for_all(link, until_ns)))
        status = mls__subset_is_over(link->subset) ? MLS_ECANCELLED : missing(link);
    tcp_link_unlist(link);
    return status;
}

/* --- rank 0, by a URL ------------------------------------------------------------------------ */

/* A link of this hub that waits for the same: what the second one is told. */
static mls_status judge_other(const tcp_link *link, const tcp_link *other)
{
    const mls_plugin_host *host = link->hub->host;
    if (memcmp(other->token, link->token, sizeof link->token) != 0)
        return host->error(MLS_EPEER, "rank 0 has another token than the ranks that are there");
    if (other->size != link->size)
        return host->error(MLS_EINVAL, "rank 0 says that the group has %u ranks; others said %u",
                           link->size, other->size);
    return host->error(MLS_EEXIST, "rank 0 of %u is there already", link->size);
}

static bool is_meeting(tcp_link *link, const unsigned char *meeting)
{
    pthread_mutex_lock(&link->mutex);
    const bool meets = link->meets;
    pthread_mutex_unlock(&link->mutex);
    return meets && memcmp(link->meeting, meeting, TCP_KEY_BYTES) == 0;
}

static mls_status begin_meeting(tcp_link *link)
{
    tcp_hub *hub = link->hub;
    mls_status status = MLS_OK;
    pthread_mutex_lock(&hub->mutex);
    for (tcp_link *other = hub->links; !status && other; other = other->next)
        if (is_meeting(other, link->meeting))
            status = judge_other(link, other);
    if (!status) {
        link->meets = true;
        link->next = hub->links;
        hub->links = link;
        link->is_listed = true;
    }
    pthread_mutex_unlock(&hub->mutex);
    if (!status)
        tcp_hub_look(hub);
    return status;
}

/* All learn where all are, or that it came to nothing. */
static mls_status end_meeting(tcp_link *link)
{
    const mls_plugin_host *host = link->hub->host;
    unsigned char body[TCP_BODY_MAX], verdict[4 + TCP_REASON_MAX];
    char text[MLS__MISSING_TEXT];
    tcp_address addresses[MLS_GROUP_MAX_RANKS];
    pthread_mutex_lock(&link->mutex);
    link->meets = false;
    const bool all = link->there + 1 == link->size;
    mls__missing_text(link->size, link->subset, has_come, link, text);
    link->peers[0].address = link->own;
    for (uint32_t i = 0; i < link->size; i++)
        addresses[i] = link->peers[i].address;
    if (all)
        tcp_link_say(link, TCP_FRAME_TABLE, 0, body,
                     tcp_table_write(link->key, addresses, link->size, body));
    pthread_mutex_unlock(&link->mutex);
    if (all)
        return MLS_OK;
    const mls_status status =
        host->error(MLS_EDEADLINE, "of %u ranks these have not come:%s", link->size, text);
    snprintf((char *) body, sizeof body,
             "rank 0 has waited long enough: of %u ranks these have "
             "not come:%s",
             link->size, text);
    pthread_mutex_lock(&link->mutex);
    tcp_link_say(link, TCP_FRAME_VERDICT, 0, verdict,
                 tcp_verdict_write(status, (const char *) body, verdict));
    pthread_mutex_unlock(&link->mutex);
    return status;
}

/* Where rank 0 listens. A host may know its own name by loopback alone, which others do not. */
static mls_status find_meeting_place(const tcp_link *link, tcp_address *ret_wanted)
{
    const tcp_url *url = &link->url;
    const char *name = url->bind[0] ? url->bind : url->host[0] ? url->host : "127.0.0.1";
    mls_status status = tcp_address_find(link->hub->host, name, url->port, ret_wanted);
    if (status)
        return status;
    if (link->has_token && tcp_address_is_loopback(ret_wanted) && !tcp_host_means_loopback(name))
        return link->hub->host->error(MLS_EINVAL,
                                      "this host knows '%s' by an address of loopback alone, where "
                                      "no other host finds it; say with bind=ADDRESS in the URL "
                                      "where rank 0 listens",
                                      name);
    return tcp_check_reach(link, ret_wanted);
}

static mls_status gather(tcp_link *link, uint64_t until_ns)
{
    const tcp_url *url = &link->url;
    tcp_address wanted;
    uint32_t pause_ms = 0;
    mls_status status;
    do
        status = find_meeting_place(link, &wanted);
    while (status == MLS_ETIMEDOUT && tcp_pause(link, until_ns, &pause_ms));
    if (!status)
        status = tcp_listen(link->hub, &wanted, &link->own);
    if (status)
        return status;
    if (url->folder[0])
        tcp_group_key("folder", link->offer, sizeof link->offer, link->meeting);
    status = begin_meeting(link);
    if (!status && url->folder[0])
        status = tcp_folder_show(link);
    if (status)
        return status;
    wait_for_all(link, until_ns);
    status = end_meeting(link);
    tcp_link_unlist(link);
    if (url->folder[0])
        tcp_folder_hide(link);
    return status;
}

/* --- the others, by a URL -------------------------------------------------------------------- */

/* MLS_ETIMEDOUT: rank 0 is not to be found yet. */
static mls_status find_rank_0(tcp_link *link, tcp_addresses *ret_addresses)
{
    unsigned char offer[TCP_OFFER_BYTES];
    if (!link->url.folder[0])
        return tcp_addresses_find(link->hub->host, link->url.host, link->url.port, ret_addresses);
    const mls_status status = tcp_folder_look(link, offer);
    if (status == MLS_ENOTFOUND)
        snprintf(link->trouble, sizeof link->trouble, "rank 0 is not in the folder '%.200s'",
                 link->url.folder);
    if (status)
        return status == MLS_ENOTFOUND ? MLS_ETIMEDOUT : status;
    ret_addresses->count = 1;
    if (!tcp_offer_read(offer, sizeof offer, &ret_addresses->at[0]))
        return MLS_ETIMEDOUT; /* of another program, or half of it */
    tcp_group_key("folder", offer + sizeof offer - TCP_OFFER_ID, TCP_OFFER_ID, link->meeting);
    return MLS_OK;
}

/* What rank 0 says once all are there; MLS_ETIMEDOUT: nothing. */
static mls_status hear_table(tcp_link *link, tcp_conn *conn, uint64_t until_ns)
{
    tcp_frame frame;
    mls_status said;
    char text[TCP_REASON_MAX + 1];
    const unsigned char *body;
    tcp_address addresses[MLS_GROUP_MAX_RANKS];
    if (!tcp_hear(link, conn, until_ns, &frame, &body))
        return MLS_ETIMEDOUT;
    if (frame.kind == TCP_FRAME_VERDICT && tcp_verdict_read(body, frame.size, &said, text) && said)
        return link->hub->host->error(said, "%s", text);
    if (frame.kind != TCP_FRAME_TABLE ||
        !tcp_table_read(body, frame.size, link->size, link->key, addresses))
        return link->hub->host->error(MLS_EIO, "rank 0 says what none can say");
    for (uint32_t i = 0; i < link->size; i++)
        link->peers[i].address = addresses[i];
    return MLS_OK;
}

/* Of its addresses the first where it answers; else why not, if that is more than silence. */
static mls_status reach_rank_0(tcp_link *link, const tcp_addresses *addresses, uint64_t until_ns,
                               tcp_address *ret_address, tcp_conn **ret_conn)
{
    const bool is_one_of_many = link->url.folder[0] || addresses->count > 1;
    mls_status failed = MLS_ETIMEDOUT;
    for (uint32_t i = 0; i < addresses->count; i++) {
        const uint64_t now = mls__clock_monotonic_ns();
        const bool is_short = is_one_of_many && until_ns > now + TRY_NS;
        const mls_status status =
            tcp_reach_once(link, &addresses->at[i], link->meeting, TCP_JOIN_MEET,
                           is_short ? now + TRY_NS : until_ns, ret_conn);
        *ret_address = addresses->at[i];
        if (!status)
            return MLS_OK;
        if (status != MLS_ETIMEDOUT)
            failed = status;
    }
    return failed;
}

static mls_status ask_rank_0(tcp_link *link, uint64_t until_ns, bool *ret_answers)
{
    tcp_addresses addresses;
    tcp_address address;
    tcp_conn *conn;
    mls_status status = find_rank_0(link, &addresses);
    if (!status)
        status = reach_rank_0(link, &addresses, until_ns, &address, &conn);
    if (status)
        return status;
    *ret_answers = true;
    status = hear_table(link, conn, until_ns);
    if (status) {
        tcp_conn_free(conn);
        return status;
    }
    /* As it knows itself, by which others may not find it. */
    link->peers[0].address = address;
    attach(link, conn, 0);
    return MLS_OK;
}

static mls_status come(tcp_link *link, uint64_t until_ns)
{
    uint32_t pause_ms = 0;
    bool answers;
    mls_status status;
    do {
        answers = false;
        status = ask_rank_0(link, until_ns, &answers);
    } while (status == MLS_ETIMEDOUT && tcp_pause(link, until_ns, &pause_ms));
    if (status == MLS_ETIMEDOUT && answers)
        return link->hub->host->error(
            MLS_EDEADLINE, "rank 0 is there, and waits for others of the %u ranks", link->size);
    if (status == MLS_ETIMEDOUT)
        return missing(link);
    return status ? status : mesh(link, 1, until_ns);
}

/* --- offers ---------------------------------------------------------------------------------- */

/* The group's name is what all have been given. */
static mls_status join_offers(tcp_link *link, const mls_transport_join *join)
{
    const mls_plugin_host *host = link->hub->host;
    unsigned char own[TCP_OFFER_BYTES];
    crypto_generichash_state state;
    tcp_offer_write(&link->own, link->offer, own);
    crypto_generichash_init(&state, NULL, 0, TCP_KEY_BYTES);
    for (uint32_t i = 0; i < link->size; i++) {
        tcp_address *address = &link->peers[i].address;
        if (!tcp_offer_read(join->addresses[i], join->address_sizes[i], address))
            return host->error(MLS_EINVAL, "the address of rank %u is none of tcp:", i);
        const mls_status status = tcp_check_reach(link, address);
        if (status)
            return status;
        crypto_generichash_update(&state, join->addresses[i], TCP_OFFER_BYTES);
    }
    if (memcmp(join->addresses[link->rank], own, sizeof own) != 0)
        return host->error(MLS_EINVAL, "the address of rank %u is not the one of this offer",
                           link->rank);
    crypto_generichash_final(&state, own, TCP_KEY_BYTES);
    tcp_group_key("offers", own, TCP_KEY_BYTES, link->key);
    return mesh(link, 0, join->until_ns);
}

/* --- the driver's operations ----------------------------------------------------------------- */

static mls_status meet(tcp_link *link, const mls_transport_join *join)
{
    const tcp_url *url = &link->url;
    if (join->addresses)
        return join_offers(link, join);
    if (!url->folder[0] && (!url->host[0] || !url->port))
        return link->hub->host->error(MLS_EINVAL, "the URL says not where ranks meet: write "
                                                  "tcp://HOST:PORT/NAME or tcp:///FOLDER");
    const mls_status status = url->folder[0] ? tcp_folder_check(link) : MLS_OK;
    if (status)
        return status;
    tcp_group_key("name", url->name, strlen(url->name), link->meeting);
    return join->rank == 0 ? gather(link, join->until_ns) : come(link, join->until_ns);
}

mls_status tcp_connect(void *self, const mls_transport_join *join)
{
    tcp_link *link = self;
    tcp_token_key(join->token, join->token_bytes, link->token);
    link->has_token = join->token_bytes != 0;
    link->encrypts = link->has_token && !link->url.is_open;
    mls_status status = tcp_link_seat(link, join->rank, join->group_size);
    if (!status)
        status = meet(link, join);
    if (!status)
        tcp_link_spin(link, join->spin_us);
    return status;
}

static void name_part(const tcp_link *parent, const mls_transport_subset *subset,
                      unsigned char *ret_key)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, parent->key, TCP_KEY_BYTES, TCP_KEY_BYTES);
    crypto_generichash_update(&state, (const unsigned char *) &subset->id, sizeof subset->id);
    crypto_generichash_update(&state, (const unsigned char *) subset->ranks,
                              subset->count * sizeof *subset->ranks);
    crypto_generichash_final(&state, ret_key, TCP_KEY_BYTES);
}

mls_status tcp_split(void *self, const mls_transport_subset *subset, void **ret_link)
{
    tcp_link *parent = self, *link;
    mls_status status = tcp_link_create(parent->hub, &parent->url, &link);
    if (status)
        return status;
    memcpy(link->token, parent->token, sizeof link->token);
    link->has_token = parent->has_token;
    link->encrypts = parent->encrypts;
    link->own = parent->own;
    name_part(parent, subset, link->key);
    status = tcp_link_seat(link, subset->rank, subset->count);
    for (uint32_t i = 0; !status && i < subset->count; i++)
        link->peers[i].address = parent->peers[subset->ranks[i]].address;
    link->subset = subset;
    if (!status)
        status = mesh(link, 0, subset->until_ns);
    link->subset = NULL;
    if (status) {
        tcp_close_link(link);
        return status;
    }
    tcp_link_spin(link, subset->spin_us);
    *ret_link = link;
    return MLS_OK;
}
