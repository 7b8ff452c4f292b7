/* SPDX-License-Identifier: Apache-2.0 */
/* The module of a group URL's scheme, found by its file's name: a transport that does not open. */
#include <mlscale/ext/transport.h>

static mls_status refuse_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    (void) ret_self;
    return host->error(MLS_EUNSUPPORTED, "there is no wire");
}

static void close_nothing(void *self)
{
    (void) self;
}

static mls_status no_link(void *self, const char *config, void **ret_link)
{
    (void) self;
    (void) config;
    (void) ret_link;
    return MLS_EUNSUPPORTED;
}

static mls_status no_address(void *link, void *ret_address, size_t capacity, size_t *ret_size)
{
    (void) link;
    (void) ret_address;
    (void) capacity;
    (void) ret_size;
    return MLS_EUNSUPPORTED;
}

static mls_status no_connect(void *link, const mls_transport_join *join)
{
    (void) link;
    (void) join;
    return MLS_EUNSUPPORTED;
}

static mls_status no_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                           mls_transport_record *ret_records)
{
    (void) link;
    (void) record;
    (void) size_bytes;
    (void) until_ns;
    (void) ret_records;
    return MLS_EUNSUPPORTED;
}

static mls_status no_message(void *link, mls_transport_message *message)
{
    (void) link;
    (void) message;
    return MLS_EUNSUPPORTED;
}

static mls_status no_wait(void *link, mls_transport_message *message, uint64_t until_ns)
{
    (void) until_ns;
    return no_message(link, message);
}

static void no_abort(void *link, mls_status status, const char *reason)
{
    (void) link;
    (void) status;
    (void) reason;
}

static mls_status nobody(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    (void) link;
    (void) ret_rank;
    (void) ret_reason;
    (void) capacity;
    return MLS_ENOTFOUND;
}

static void no_peer(void *link, uint32_t rank, mls_transport_peer *ret_peer)
{
    (void) link;
    (void) rank;
    (void) ret_peer;
}

static mls_status no_split(void *link, const mls_transport_subset *subset, void **ret_link)
{
    (void) link;
    (void) subset;
    (void) ret_link;
    return MLS_EUNSUPPORTED;
}

static const mls_transport refusing = {
    .plugin = {sizeof(mls_transport), MLS_PLUGIN_ABI, MLS_PLUGIN_TRANSPORT, "refusing", refuse_open,
               close_nothing},
    .record_bytes = MLS_TRANSPORT_RECORD_MIN,
    .open_link = no_link,
    .address = no_address,
    .connect = no_connect,
    .leave = close_nothing,
    .close_link = close_nothing,
    .round = no_round,
    .post = no_message,
    .wait = no_wait,
    .retract = no_message,
    .abort = no_abort,
    .aborted = nobody,
    .peer = no_peer,
    .split = no_split,
};

MLS_API const mls_plugin *const *mls_plugin_entry(void);

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {&refusing.plugin, NULL};
    return plugins;
}
