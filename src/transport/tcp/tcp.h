/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `tcp:` transport: ranks of one host or of several, over one connection for each pair.
 *
 * A hub is the transport of a context: a thread with a loop, which listens, shakes hands with
 * who connects, and moves what sockets take and give. Its links, the ranks of groups, share its
 * ports: who connects says by the hash of a name which group it means. A call connects and
 * shakes hands on its own thread; then the loop has the connection.
 *
 * Frames are given to a socket by whoever has one, as long as the socket takes them; the loop
 * does the rest, and reads. But where a call waits anyway, and there are few sockets, it waits
 * for these and does what the loop would, which parks them meanwhile and looks after them again
 * some time after the last call: so that what comes wakes one thread and not two. A link is
 * guarded by its mutex, which is held for the time of system calls that do not wait.
 *
 * Locks: the hub's mutex (links and listeners), then a link's, then that of the to-do list.
 */
#ifndef MLS_TRANSPORT_TCP_TCP_H
#define MLS_TRANSPORT_TCP_TCP_H

#include "base/thread.h"
#include "transport/shared/shared.h"
#include "transport/tcp/address.h"
#include "transport/tcp/cipher.h"
#include "transport/tcp/frame.h"
#include "transport/tcp/handshake.h"

#include <mlscale/ext/transport.h>

#include <stdatomic.h>
#include <uv.h>

/* Connections that have not shown the token, of a hub; one more ends the oldest. */
#define TCP_STRANGERS_MAX 256
/* They have this long. */
#define TCP_STRANGER_NS UINT64_C(5000000000)
/*
 * So do links that are closed, for their goodbye, and until the others have closed as well: to
 * close while these still write would reset the connection, and take back what is on its way to
 * them. Their calls have ended, so that their data is with the socket, whose system goes on with
 * it behind a close; but for the last packets of an encrypted connection (128 KiB) where that
 * takes no more. Who neither reads nor closes for so long is stopped or cut off, and its own calls
 * name this rank as one that is gone.
 */
#define TCP_LINGER_NS UINT64_C(1000000000)
/* What was on its way when a group is aborted has this long, if a peer does not say that it knows.
 */
#define TCP_ABORT_NS UINT64_C(300000000)
/* With each rank, messages that have not ended: sends, receives, and what that rank announced. */
#define TCP_MESSAGES_MAX 65536
/* Frames that wait for a peer to read them; more end the connection. All that messages can say is
 * less. */
#define TCP_OUT_MAX (UINT64_C(64) << 20)
/* What a visit of the loop moves, and what a caller does, before others have their turn. */
#define TCP_VISIT_BYTES (UINT64_C(4) << 20)
/* It ends with the read that brings so many frames: the mutex is held meanwhile. */
#define TCP_VISIT_FRAMES 512
#define TCP_INPUT_BYTES  (UINT64_C(64) << 10)

typedef struct tcp_hub tcp_hub;
typedef struct tcp_link tcp_link;
typedef struct tcp_conn tcp_conn;

/* --- messages -------------------------------------------------------------------------------- */

/* By what arrivals are found: all by their id, those for nobody by their tag, those of a WANT. */
typedef enum tcp_name { TCP_NAME_ID, TCP_NAME_TAG, TCP_NAME_WANT, TCP_NAMES } tcp_name;

typedef struct tcp_arrival tcp_arrival;

/* Its place in a chain. */
typedef struct tcp_named {
    tcp_arrival *next, *previous;
    bool is_in;
} tcp_named;

typedef struct tcp_chain {
    tcp_arrival *first, *last;
} tcp_chain;

/* Of a peer's arrivals; `count` chains of each name. */
#define TCP_INDEX_FEW 8
typedef struct tcp_index {
    tcp_chain few[TCP_NAMES * TCP_INDEX_FEW]; /* the chains, as long as these are enough */
    tcp_chain *chains;
    size_t count;
    unsigned char key[16]; /* the peer does not know it */
    uint64_t passed;       /* what searches have looked at in vain: tests see that it is little */
} tcp_index;

/* What another rank has announced, until it is received or taken back. */
struct tcp_arrival {
    struct tcp_arrival *next; /* of its peer, in the order of announcements: ids ascend */
    struct tcp_arrival *previous;
    struct tcp_letter *letter; /* the receive that it is for; NULL: none yet */
    uint64_t id, tag, size_bytes;
    uint64_t eager_bytes;  /* the first ones, which come unasked */
    uint64_t offset;       /* what has come */
    uint64_t number;       /* of the WANT; 0: none */
    unsigned char *buffer; /* of the eager bytes, while it is for nobody */
    bool has_dropped;      /* its receive was taken back: what is on its way is of no use */
    tcp_named named[TCP_NAMES];
    size_t head_bytes;
    unsigned char head[MLS_TRANSPORT_HEAD_MAX];
};

/* A message on its way; with its end the letter is gone, and the message has its status. */
typedef struct tcp_letter {
    struct tcp_letter *next; /* of its kind with its peer, in the order of posts */
    struct tcp_letter *previous;
    struct tcp_letter *next_sent;   /* in the connection's list */
    mls_transport_message *message; /* NULL: a send has ended, and its peer not yet said so */
    tcp_arrival *arrival;           /* of a receive: what has come of it */
    /* Of a send. */
    uint64_t id;          /* as it was announced; 0: it was not */
    uint64_t offset;      /* what is given */
    uint64_t eager_bytes; /* the first ones, which go unasked */
    uint64_t number;      /* of the WANT; 0: none */
    uint64_t credit;      /* that it takes */
} tcp_letter;

/* --- connections ----------------------------------------------------------------------------- */

typedef enum tcp_phase {
    TCP_PHASE_HELLO,   /* nothing is known; perhaps its HELLO waits for its group */
    TCP_PHASE_CONFIRM, /* it has the token, or replays someone who has */
    TCP_PHASE_JOIN,    /* it has the token */
    TCP_PHASE_OPEN,    /* a rank of a link */
    TCP_PHASE_LINGER   /* its link is closed: what is to be said goes, what comes is dropped */
} tcp_phase;

/* Bytes that wait: from `first` to `end`. */
typedef struct tcp_bytes {
    unsigned char *data;
    size_t first, end, capacity;
} tcp_bytes;

struct tcp_conn {
    tcp_hub *hub;
    tcp_conn *next;      /* of the hub's; the loop's */
    tcp_conn *next_todo; /* guarded by the to-do mutex, and so is: */
    bool in_todo;
    /* The loop's. */
    uv_poll_t poll;
    bool is_stranger; /* of no link yet */
    bool is_parked;   /* a call reads it, not the loop */
    bool is_known, is_polled, is_closing, lingers;
    int events;        /* that are asked for */
    uint64_t until_ns; /* of strangers and of those that linger */
    unsigned char hello[TCP_HELLO_BYTES];
    unsigned char token[32]; /* of the link that answered HELLO, as it keys macs */

    /* Guarded by the link's mutex, once there is one. */
    int fd;
    tcp_phase phase;
    tcp_link *link;
    uint32_t peer;
    tcp_secrets secrets;
    bool encrypts;
    bool is_mute; /* the other reads no more; it may have written */
    tcp_cipher sealing, opening;

    tcp_bytes raw;     /* as it came */
    tcp_bytes plain;   /* decrypted, if it is encrypted */
    uint64_t to_come;  /* of the body of an EAGER or DATA frame */
    tcp_arrival *into; /* where it goes; NULL: nowhere */
    uint32_t frames;   /* that this visit has read */

    tcp_bytes out;         /* frames to be given */
    size_t piece_at;       /* where in them the piece belongs: all before goes first */
    const void *piece;     /* what is left of it; in a letter's memory or a copy */
    size_t piece_bytes;    /* 0: there is none */
    tcp_letter *piece_of;  /* NULL: nobody's any more */
    unsigned char *copied; /* of a piece whose memory was taken back */
    tcp_letter *sends;     /* that have not been given whole */
    tcp_bytes sealed;      /* packets */
    bool is_due;           /* there is more than frames that go with others */
    bool wants_room;       /* the socket took no more */
    bool is_over;          /* a caller has read its end: the loop does the rest */
};

typedef struct tcp_slot {
    size_t size_bytes;
    _Alignas(8) unsigned char data[TCP_RECORD_BYTES];
} tcp_slot;

typedef struct tcp_peer {
    tcp_conn *conn;  /* NULL: not yet, no more, or this rank itself */
    uint32_t state;  /* MLS_PEER_* */
    bool is_there;   /* it has come */
    bool knows;      /* that the group is aborted: nothing of before comes any more */
    bool is_silent;  /* as the arbiter of who is left */
    uint64_t passed; /* the agreement that it does not decide: it was silent, or named so */
    uint64_t raised; /* how often it has asked who is left */
    uint64_t late;   /* the last of these for which its time is over */
    uint64_t rounds;
    tcp_address address;
    tcp_slot *slots; /* two, used in turn */
    tcp_letter *sends, *last_send;
    tcp_letter *receives, *last_receive;
    uint32_t send_count, receive_count;
    uint32_t early_count; /* sends that end when they are given */
    uint64_t credit;      /* that sends have taken: at most TCP_CREDIT_BYTES */
    tcp_arrival *arrivals, *last_arrival;
    tcp_arrival *eager; /* EAGER frames of those before it have come; NULL: of all */
    uint32_t arrival_count;
    tcp_index index;
    uint64_t announced;  /* the last one's id */
    uint64_t kept_bytes; /* in buffers of arrivals: at most TCP_CREDIT_BYTES */
} tcp_peer;

/* --- links ----------------------------------------------------------------------------------- */

#define TCP_TROUBLE_MAX 256

struct tcp_link {
    tcp_hub *hub;
    tcp_link *next; /* in the hub's list, while others can find it */
    bool is_listed;
    tcp_url url;
    unsigned char token[32]; /* as it keys macs */
    bool has_token, encrypts;
    tcp_address own; /* where others find it; port 0: nowhere yet */
    unsigned char offer[TCP_OFFER_ID];

    pthread_mutex_t mutex;
    mls__cond changed;
    unsigned sleepers;
    int bell;         /* wakes who waits at the sockets; -1: there are too many of them */
    bool is_driven;   /* somebody does */
    uint64_t rest_ns; /* when nobody did any more */
    bool wants_look;  /* the loop has parked them, and looks again when it hears of that */
    uint32_t rank, size;
    uint64_t spin_ns;
    unsigned char meeting[TCP_KEY_BYTES]; /* of rank 0: how the others ask for it */
    unsigned char key[TCP_KEY_BYTES];     /* of the group */
    unsigned char door[TCP_KEY_BYTES];    /* of this rank: ranks of a context share a port */
    bool meets;                           /* rank 0 waits for the others */
    bool joins;                           /* others may connect to it as ranks */
    const mls_transport_subset *subset;   /* of its call that splits it off, else NULL */
    bool has_left, is_closed;
    char trouble[TCP_TROUBLE_MAX]; /* of who opens it: why the last try led to nobody; or "" */
    uint32_t there;                /* peers that have come */
    uint32_t conns;                /* that name it */
    uint64_t given;                /* rounds */
    uint64_t next_id;
    bool is_aborted;
    tcp_abort abort;
    uint64_t abort_ns;   /* when it was heard of */
    bool considers;      /* who is left, once all that has come is read */
    uint64_t agreements; /* on who is left; the last one: */
    uint32_t survivor_count;
    uint32_t *survivors;
    tcp_peer *peers;
};

/* --- the hub --------------------------------------------------------------------------------- */

typedef struct tcp_listener {
    struct tcp_listener *next;
    tcp_hub *hub;
    int fd;
    bool is_polled; /* the loop's */
    bool is_paused; /* the process or the system has no more sockets now */
    tcp_address address;
    uv_poll_t poll;
} tcp_listener;

struct tcp_hub {
    const mls_plugin_host *host;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick; /* for those that have a time */
    uv_timer_t look; /* for those that are parked */
    pthread_t thread;

    pthread_mutex_t mutex;
    tcp_link *links;
    tcp_listener *listeners;
    atomic_bool stops;

    pthread_mutex_t todo_mutex;
    tcp_conn *todo;
    bool has_new_names; /* strangers may find their group now */
    bool has_rested;    /* a call that the parked ones wait for has ended */

    /* The loop's. */
    tcp_conn *conns; /* new ones first */
    unsigned strangers;
};

/* --- loop.c ---------------------------------------------------------------------------------- */

mls_status tcp_hub_open(const mls_plugin_host *host, const char *config, void **ret_self);
void tcp_hub_close(void *self);

/* Lets the loop look after a connection, or after strangers once a link can be found. */
void tcp_hub_todo(tcp_hub *hub, tcp_conn *conn);
void tcp_hub_look(tcp_hub *hub);
/* The calls of a link that wants a look have ended. */
void tcp_hub_rest(tcp_hub *hub);

/* Somebody has connected, or something has to be done in a while; the loop's. */
void tcp_hub_meet(tcp_hub *hub, int fd);
void tcp_hub_need_ticks(tcp_hub *hub);

/* --- listen.c -------------------------------------------------------------------------------- */

/*
 * Where the hub listens at `wanted`, whose port may be 0: any. What is there is shared.
 * Errors: MLS_EEXIST (another has the port), MLS_EIO, MLS_ENOMEM.
 */
mls_status tcp_listen(tcp_hub *hub, const tcp_address *wanted, tcp_address *ret_address);
void tcp_listener_start(tcp_listener *listener);
/* Where it is paused, it looks again. */
void tcp_listener_resume(tcp_listener *listener);
/* Takes `conn` a step further; false: it is to be ended. */
bool tcp_stranger_read(tcp_conn *conn);

/* --- socket.c -------------------------------------------------------------------------------- */

/* As socket(), accept() and close(), for sockets that no child of a fork keeps. */
int tcp_socket_open(int family);
int tcp_socket_accept(int listener);
void tcp_socket_close(int fd);
void tcp_sockets_watch_forks(void);

/* --- conn.c ---------------------------------------------------------------------------------- */

/* Takes over `fd`. NULL: out of memory, and it is closed. */
tcp_conn *tcp_conn_create(tcp_hub *hub, int fd, size_t input_bytes);
void tcp_conn_free(tcp_conn *conn);

/* Begins to encrypt, or to speak in frames. MLS_ENOMEM without a message. */
mls_status tcp_conn_open(tcp_conn *conn, const tcp_secrets *secrets, bool encrypts,
                         bool is_listener);

/* Puts a frame behind the others. false: no memory; the connection then ends. */
bool tcp_conn_put(tcp_conn *conn, uint32_t kind, uint64_t id, const void *body, size_t size);

/* The same, to go when something else does. */
void tcp_conn_put_late(tcp_conn *conn, uint32_t kind, uint64_t id);

/* Gives the socket what it takes of at most so many bytes. */
void tcp_conn_flush(tcp_conn *conn, uint64_t most);

/* Puts and flushes; asks the loop to go on where the socket is full. */
void tcp_conn_say(tcp_conn *conn, uint32_t kind, uint64_t id, const void *body, size_t size);
void tcp_conn_push(tcp_conn *conn);

/* The letter is taken out; its memory is not read or written again. */
void tcp_conn_forget(tcp_conn *conn, const tcp_letter *letter);

/* Reads what there is, at most so much; 1: something, 0: nothing now, -1: it has ended. */
int tcp_conn_fill(tcp_conn *conn, uint64_t *left);

/* The next whole frame but for the bytes of messages, which go where they belong. */
typedef enum tcp_found { TCP_FOUND_NONE, TCP_FOUND_FRAME, TCP_FOUND_NONSENSE } tcp_found;
tcp_found tcp_conn_next(tcp_conn *conn, tcp_frame *ret_frame, const unsigned char **ret_body);

/* The other end sees that nothing more comes, and the loop that it has ended. */
void tcp_conn_break(tcp_conn *conn);

/* --- receive.c ------------------------------------------------------------------------------- */

/* Does all that has come. false: the peer is gone, or wrote nonsense. The link is locked. */
bool tcp_link_receive(tcp_conn *conn);
/* The peer is gone: it left, or it is dead. */
void tcp_link_lose(tcp_conn *conn);
/* The same for all peers, by a caller. */
void tcp_link_catch_up(tcp_link *link);
/* The first abort counts, and is told to all; the link is locked. */
void tcp_link_abort(tcp_link *link, const tcp_abort *abort);

/* --- link.c ---------------------------------------------------------------------------------- */

mls_status tcp_link_create(tcp_hub *hub, const tcp_url *url, tcp_link **ret_link);
void tcp_link_free(tcp_link *link);
mls_status tcp_open_link(void *self, const char *config, void **ret_link);
mls_status tcp_address_of(void *link, void *ret_address, size_t capacity, size_t *ret_size);
void tcp_leave(void *link);
void tcp_close_link(void *link);

/* Places for so many ranks. Errors: MLS_ENOMEM. */
mls_status tcp_link_seat(tcp_link *link, uint32_t rank, uint32_t size);
/* Once it is known where all are: how long calls look before they sleep. */
void tcp_link_spin(tcp_link *link, uint32_t spin_us);

/* To be found by others, or no more. */
void tcp_link_list(tcp_link *link);
void tcp_link_unlist(tcp_link *link);

/* A connection becomes that of a peer; the link is locked. */
void tcp_link_attach(tcp_link *link, tcp_conn *conn, uint32_t peer);

/* Something that a caller may wait for has happened; the link is locked. */
void tcp_link_wake(tcp_link *link);
/* Waits for that; the link is locked. false: the time is over. */
bool tcp_link_wait(tcp_link *link, uint64_t until_ns);
/* The caller waits no more: others do what it did. */
void tcp_link_rest(tcp_link *link);
/* Who waits at the sockets looks which they are; the link is locked. */
void tcp_link_ring(tcp_link *link);

/* To all peers. */
void tcp_link_say(tcp_link *link, uint32_t kind, uint64_t id, const void *body, size_t size);

/* --- connect.c, meet.c ----------------------------------------------------------------------- */

/*
 * A connection to `address` that has shaken hands for `group` and asked to join, ready for
 * the answer. Errors: MLS_ETIMEDOUT, without a message: nobody answers, or not in time;
 * MLS_EPEER and MLS_EINVAL: refused; MLS_EIO, MLS_ENOMEM.
 */
mls_status tcp_reach_once(tcp_link *link, const tcp_address *address, const unsigned char *group,
                          uint32_t purpose, uint64_t until_ns, tcp_conn **ret_conn);
/* The same, again and again until the time is over. */
mls_status tcp_reach(tcp_link *link, const tcp_address *address, const unsigned char *group,
                     uint32_t purpose, uint64_t until_ns, tcp_conn **ret_conn);

/* How sockets of connections behave. */
void tcp_set_options(int fd);

/* Sleeps a little, longer each time. false: the time is over, or what the link waits for. */
bool tcp_pause(const tcp_link *link, uint64_t until_ns, uint32_t *pause_ms);

/* Beyond loopback a token is needed. Errors: MLS_EINVAL. */
mls_status tcp_check_reach(const tcp_link *link, const tcp_address *address);

/* Waits for a frame of a connection that no loop has yet. false: the time is over, or it ended. */
bool tcp_hear(const tcp_link *link, tcp_conn *conn, uint64_t until_ns, tcp_frame *ret_frame,
              const unsigned char **ret_body);

mls_status tcp_connect(void *link, const mls_transport_join *join);
mls_status tcp_split(void *link, const mls_transport_subset *subset, void **ret_link);

/* --- folder.c -------------------------------------------------------------------------------- */

/* Rank 0 shows its offer, and takes that away again; the others look. */
mls_status tcp_folder_check(const tcp_link *link); /* whether there is one */
mls_status tcp_folder_show(const tcp_link *link);
void tcp_folder_hide(const tcp_link *link);
/* The offer's bytes. MLS_ENOTFOUND, without a message: nothing is there yet. */
mls_status tcp_folder_look(const tcp_link *link, unsigned char ret_offer[TCP_OFFER_BYTES]);

/* --- round.c --------------------------------------------------------------------------------- */

mls_status tcp_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                     mls_transport_record *ret_records);
void tcp_abort_link(void *link, mls_status status, const char *reason);
mls_status tcp_aborted(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity);
void tcp_peer_of(void *link, uint32_t rank, mls_transport_peer *ret_peer);

/* --- messages.c ------------------------------------------------------------------------------ */

mls_status tcp_post(void *link, mls_transport_message *message);
mls_status tcp_wait(void *link, mls_transport_message *message, uint64_t until_ns);
mls_status tcp_retract(void *link, mls_transport_message *message);

bool tcp_has_head(const mls_transport_message *message, const tcp_envelope *envelope);
tcp_envelope tcp_envelope_of(const mls_transport_message *message);
bool tcp_is_agreed(const tcp_letter *letter);
/* The message gets its status; the link is locked, here and below. */
void tcp_letter_end(tcp_link *link, tcp_peer *peer, tcp_letter *letter, mls_status status);
/* That of a send that is given; its letter stays until the receiver has said that it has room. */
void tcp_letter_end_early(tcp_link *link, tcp_peer *peer, tcp_letter *letter);
/* All of this rank's end. */
void tcp_end_messages(tcp_link *link);

/* --- sends.c --------------------------------------------------------------------------------- */

/* Announces a send, and gives what the credit allows. The letter may be gone then. */
void tcp_send_announce(tcp_conn *conn, tcp_letter *letter);
/* The socket has taken all there was: sends that need not wait for their receiver end. */
void tcp_sends_given(tcp_conn *conn);
/* The same for one, of which a piece was given. The letter may be gone then. */
void tcp_send_given(tcp_conn *conn, tcp_letter *letter);
/* What it has taken of the credit is there again. */
void tcp_send_release(tcp_peer *peer, tcp_letter *letter);
/* The memory of those that have ended. */
void tcp_sends_forget(tcp_link *link, tcp_peer *peer);
uint64_t tcp_send_limit(const tcp_letter *letter);

/* What frames do to sends; false: nonsense. */
bool tcp_on_want(tcp_conn *conn, uint64_t id, const tcp_want *want);
void tcp_on_done(tcp_conn *conn, uint64_t id);
void tcp_on_mismatch(tcp_conn *conn, uint64_t id, const tcp_envelope *other);
void tcp_on_cancel(tcp_conn *conn, uint64_t id);

/* --- arrivals.c ------------------------------------------------------------------------------ */

bool tcp_on_send(tcp_conn *conn, uint64_t id, const tcp_envelope *envelope);
void tcp_on_abandon(tcp_conn *conn, uint64_t id);
/* Of an EAGER or DATA frame: which arrival it is of; NULL: of none any more. false: nonsense. */
bool tcp_arrival_find(tcp_peer *peer, const tcp_frame *frame, tcp_arrival **ret_arrival);
/* Where its next bytes go. */
unsigned char *tcp_arrival_place(const tcp_arrival *arrival);
/* So many of them have come. It may be gone then. */
void tcp_arrival_take(tcp_conn *conn, tcp_arrival *arrival, size_t size);
/* A receive was posted, or has lost its sender, and looks for what has come. */
void tcp_arrival_seek(tcp_link *link, tcp_peer *peer, tcp_letter *letter);
/* Its receive is taken back. */
void tcp_arrival_return(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival);
/* Those that nothing more comes of; or all. */
void tcp_arrivals_forget(tcp_link *link, tcp_peer *peer, bool all);

/* --- index.c --------------------------------------------------------------------------------- */

/* Makes room for so many; `first` is of all that are there, in the order of announcements. */
void tcp_index_reserve(tcp_index *index, const mls_plugin_host *host, tcp_arrival *first,
                       size_t arrivals);
void tcp_index_add(tcp_index *index, tcp_arrival *arrival, tcp_name name);
/* It need not be in there. */
void tcp_index_remove(tcp_index *index, tcp_arrival *arrival, tcp_name name);
/* The first that was announced, of those. */
tcp_arrival *tcp_index_find(tcp_index *index, tcp_name name, uint64_t number);

/* --- survivors.c ----------------------------------------------------------------------------- */

mls_status tcp_survivors(void *link, uint64_t until_ns, uint32_t *ret_ranks, uint32_t *ret_count);
bool tcp_on_hand(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body);
bool tcp_on_decision(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body);
/* A peer is gone: perhaps another one decides now. */
void tcp_survivors_lose(tcp_link *link);
/* Of who has read, the loop or a call. */
void tcp_survivors_consider(tcp_link *link);

#endif
