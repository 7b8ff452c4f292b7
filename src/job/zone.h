/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones of the IANA database, from its compiled files (TZif of version 2 and later, RFC
 * 8536), since the C library knows one zone a process only.
 */
#ifndef MLS_JOB_ZONE_H
#define MLS_JOB_ZONE_H

#include "base/alloc.h"

#include <mlscale/queue.h>

typedef struct mls__zone mls__zone;

/* No offset is larger, either way. */
#define MLS__ZONE_OFFSET_MAX 93599

/* Between two changes: local time is `offset_s` ahead of UTC at from_s <= t < until_s. */
typedef struct mls__zone_span {
    int64_t from_s, until_s; /* seconds since 1970, INT64_MIN and INT64_MAX: always */
    int64_t offset_s;
} mls__zone_span;

/*
 * "UTC", or a file in the folder that TZDIR in the environment names, else in
 * /usr/share/zoneinfo. Errors: MLS_EINVAL (the name), MLS_ENOTFOUND (no such zone),
 * MLS_EFORMAT (the file), MLS_EIO, MLS_ENOMEM.
 */
mls_status mls__zone_load(const mls__allocator *allocator, const char *name, mls__zone **ret_zone);
/* The same from a file's bytes, whatever they are. */
mls_status mls__zone_parse(const mls__allocator *allocator, const void *data, size_t size,
                           mls__zone **ret_zone);
/* NULL is fine. */
void mls__zone_free(const mls__allocator *allocator, mls__zone *zone);

mls__zone_span mls__zone_span_at(const mls__zone *zone, int64_t at_s);

/* Whether that can be a zone's name; MLS_EINVAL else. */
mls_status mls__zone_check_name(const char *name);

#endif
