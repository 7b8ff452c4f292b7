/* SPDX-License-Identifier: Apache-2.0 */
/* What each record and message says of its call, so that no data moves between two different ones.
 */
#ifndef MLS_GROUP_HEADER_H
#define MLS_GROUP_HEADER_H

#include <mlscale/group.h>

#include <stdbool.h>

/* Native byte order: every supported machine is little-endian. */
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
    uint64_t reserved;
    char name[MLS_GROUP_NAME_MAX + 1];
} mls__header;

/* Enough for any description. */
#define MLS__HEADER_TEXT 256

/* Whether two ranks do the same thing: all but the address. */
bool mls__header_same(const mls__header *a, const mls__header *b);

/* "allreduce sum of 100 float32 'grad.3'" into `text`, which it returns. */
const char *mls__header_text(const mls__header *header, char text[MLS__HEADER_TEXT]);

#endif
