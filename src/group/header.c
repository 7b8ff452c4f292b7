/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing headers, and putting them into words. */
#include "group/header.h"

#include "group/group.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(mls__mark) == 40, "a cache line has room for it, a size and a payload");
_Static_assert(MLS_GROUP_MAX_SHARDS <= UINT16_MAX && MLS_GROUP_MAX_RANKS <= UINT16_MAX &&
                   MLS__TAIL_MAX <= UINT8_MAX,
               "what a mark says has room there");

void mls__header_pack(const mls__header *header, mls__mark *ret_mark,
                      unsigned char tail[MLS__TAIL_MAX])
{
    const size_t name_bytes = header->name[0] ? strlen(header->name) : 0;
    const bool has_tail = header->digest || name_bytes;
    *ret_mark = (mls__mark){
        .seq = header->seq,
        .count = header->count,
        .phase = header->phase,
        .epoch = (uint16_t) header->epoch,
        .shards = (uint16_t) header->shards,
        .root = (uint16_t) header->root,
        .version = (uint8_t) header->version,
        .op = (uint8_t) header->op,
        .dtype = (uint8_t) header->dtype,
        .reduction = (uint8_t) header->reduction,
        .tail_bytes = has_tail ? (uint8_t) (sizeof header->digest + name_bytes) : 0,
        .address = header->address,
    };
    if (!has_tail)
        return;
    memcpy(tail, &header->digest, sizeof header->digest);
    memcpy(tail + sizeof header->digest, header->name, name_bytes);
}

void mls__header_unpack(const mls__mark *mark, const unsigned char *tail, mls__header *ret_header)
{
    mls__header header = {
        .version = mark->version,
        .epoch = mark->epoch,
        .seq = mark->seq,
        .op = mark->op,
        .dtype = mark->dtype,
        .reduction = mark->reduction,
        .root = mark->root,
        .shards = mark->shards,
        .phase = mark->phase,
        .count = mark->count,
        .address = mark->address,
    };
    if (mark->tail_bytes >= sizeof header.digest && mark->tail_bytes <= MLS__TAIL_MAX) {
        memcpy(&header.digest, tail, sizeof header.digest);
        memcpy(header.name, tail + sizeof header.digest, mark->tail_bytes - sizeof header.digest);
    }
    *ret_header = header;
}

bool mls__mark_same(const mls__mark *a, const mls__mark *b)
{
    return memcmp(a, b, offsetof(mls__mark, address)) == 0;
}

static size_t put_what(const mls__header *h, const char *name, char *text, size_t size)
{
    const mls__family *family = mls__family_get(h->op);
    if (!family)
        return (size_t) snprintf(text, size, "an unknown call (%u)", h->op);
    if (h->op == MLS__CALL_OPEN)
        return (size_t) snprintf(text, size, "open with %u shards", h->shards);
    if (!family->moves)
        return (size_t) snprintf(text, size, "%s%s", family->name, name);
    return (size_t) snprintf(text, size, "%s%s%s of %" PRIu64 " %s%s", family->name,
                             family->reduces ? " " : "",
                             family->reduces ? mls__reduction_name(h->reduction) : "", h->count,
                             mls_dtype_name((mls_dtype) h->dtype), name);
}

void mls__text_clean(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char) *at < 32 || *at == 127)
            *at = '?';
}

const char *mls__header_text(const mls__header *header, char text[MLS__HEADER_TEXT])
{
    char name[MLS_GROUP_NAME_MAX + 8] = "";
    if (header->name[0])
        snprintf(name, sizeof name, " '%.*s'", MLS_GROUP_NAME_MAX, header->name);
    mls__text_clean(name);
    const size_t used = put_what(header, name, text, MLS__HEADER_TEXT);
    const mls__family *family = mls__family_get(header->op);
    if (family && family->from_root && used < MLS__HEADER_TEXT)
        snprintf(text + used, MLS__HEADER_TEXT - used, " from rank %u", header->root);
    if (family && family->to_root && used < MLS__HEADER_TEXT)
        snprintf(text + used, MLS__HEADER_TEXT - used, " to rank %u", header->root);
    return text;
}
