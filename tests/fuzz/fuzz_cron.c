/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the input's first line as one of cron, and the rest as a compiled time zone. */
#include "fuzz/fuzz.h"

#include "job/cron.h"

#include <stdlib.h>
#include <string.h>

enum { FIRINGS = 8 };

/* They come one after another, none before it was asked for, and the last of them is the last. */
static void fire(const mls__cron *cron, const mls__zone *zone, int64_t after_ms)
{
    const int64_t begin_ms = after_ms;
    for (int i = 0; i < FIRINGS; i++) {
        const int64_t next_ms = mls__cron_next(cron, zone, after_ms);
        if (next_ms == MLS__CRON_NEVER)
            return;
        if (next_ms <= after_ms || next_ms % 1000)
            abort();
        if (mls__cron_next(cron, zone, next_ms - 1) != next_ms ||
            mls__cron_last(cron, zone, begin_ms, next_ms) != next_ms)
            abort();
        after_ms = next_ms;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[MLS_SCHEDULE_CRON_MAX + 2] = "";
    mls__cron cron;
    mls__zone *zone;
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    const size_t length = end ? (size_t) (end - data) : size;
    if (length)
        memcpy(line, data, length < sizeof line ? length : sizeof line - 1);
    if (mls__cron_parse(line, &cron) && mls__cron_parse("17 2 * * *", &cron))
        abort(); /* the zone is worth a look anyway */
    const mls_status status =
        end ? mls__zone_parse(&mls__allocator_default, end + 1, size - length - 1, &zone)
            : mls__zone_load(&mls__allocator_default, "UTC", &zone);
    if (status)
        return 0;
    fire(&cron, zone, INT64_MIN);
    fire(&cron, zone, INT64_C(1700000000000));
    fire(&cron, zone, INT64_C(253402300000000));
    mls__zone_free(&mls__allocator_default, zone);
    return 0;
}
