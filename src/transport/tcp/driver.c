/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the `tcp:` transport. */
#include "transport/tcp/tcp.h"

extern const mls_transport mls__transport_tcp;

const mls_transport mls__transport_tcp = {
    .plugin =
        {
            .size = sizeof(mls_transport),
            .abi = MLS_PLUGIN_ABI,
            .kind = MLS_PLUGIN_TRANSPORT,
            .name = "tcp",
            .open = tcp_hub_open,
            .close = tcp_hub_close,
        },
    .record_bytes = TCP_RECORD_BYTES,
    .open_link = tcp_open_link,
    .address = tcp_address_of,
    .connect = tcp_connect,
    .leave = tcp_leave,
    .close_link = tcp_close_link,
    .round = tcp_round,
    .post = tcp_post,
    .wait = tcp_wait,
    .retract = tcp_retract,
    .abort = tcp_abort_link,
    .aborted = tcp_aborted,
    .peer = tcp_peer_of,
    .split = tcp_split,
    .survivors = tcp_survivors,
};
