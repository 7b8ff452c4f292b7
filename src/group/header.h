/* SPDX-License-Identifier: Apache-2.0 */
/* What each record and message says of its call, so that no data moves between two different ones.
 */
#ifndef MLS_GROUP_HEADER_H
#define MLS_GROUP_HEADER_H

#include <mlscale/group.h>

#include <stdbool.h>

/* As messages carry it. Native byte order: every supported machine is little-endian. */
typedef struct mls__header {
    uint32_t version;
    uint32_t epoch; /* how often the group was shrunk */
    uint64_t seq;   /* of a collective; the tag of a message */
    uint32_t op;    /* MLS__CALL_* */
    int32_t dtype;
    uint32_t reduction;
    uint32_t root;
    uint32_t shards;
    uint32_t phase; /* the round or exchange of a collective */
    uint64_t count;
    uint64_t address; /* what the rank lets others read, in its own memory */
    uint64_t digest;  /* of what else must be the same: dims, layouts; 0: nothing */
    char name[MLS_GROUP_NAME_MAX + 1];
} mls__header;

/*
 * The same in fewer bytes, as a record begins: with a payload of eight, a record and what a
 * transport adds to it are one cache line. What few calls have is behind the payload: the digest,
 * and the bytes of the name.
 */
typedef struct mls__mark {
    uint64_t seq, count;
    uint32_t phase;
    uint16_t epoch, shards, root;
    uint8_t version, op, dtype, reduction, tail_bytes;
    uint8_t reserved;
    uint64_t address; /* last: all before it must be the same */
} mls__mark;

#define MLS__TAIL_MAX (sizeof(uint64_t) + MLS_GROUP_NAME_MAX)

/* To a mark and a tail, the bytes of which are in the mark; and back, of bytes that are there. */
void mls__header_pack(const mls__header *header, mls__mark *ret_mark,
                      unsigned char tail[MLS__TAIL_MAX]);
void mls__header_unpack(const mls__mark *mark, const unsigned char *tail, mls__header *ret_header);

/* Whether two ranks do the same thing, but for their tails. */
bool mls__mark_same(const mls__mark *a, const mls__mark *b);

/* Enough for any description. */
#define MLS__HEADER_TEXT 256

/* Takes out of a text of another rank what a terminal would obey. */
void mls__text_clean(char *text);

/* "allreduce sum of 100 float32 'grad.3'" into `text`, which it returns. */
const char *mls__header_text(const mls__header *header, char text[MLS__HEADER_TEXT]);

#endif
