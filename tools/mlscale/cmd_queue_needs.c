/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs need and workers offer, for mlscale queue and mlscale worker. */
#include "cmd_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "2G" or "1500m": a number, and one of the letters that stand for a factor. */
static bool read_scaled(const arguments *args, const char *name, const char *letters,
                        const int64_t *factors, int64_t most, int64_t *value)
{
    const char *text = arguments_get(args, name);
    char *end;
    if (!text)
        return true;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    const char *letter = *end ? strchr(letters, *end) : NULL;
    const int64_t factor = letter ? factors[letter - letters + 1] : factors[0];
    if (errno || *text < '0' || *text > '9' || (*end && (!letter || end[1])) ||
        number > most / factor) {
        usage_error(args,
                    "--%s %s: expected a number up to %" PRId64 ", or one with a letter of %s",
                    name, text, most / factors[0], letters);
        return false;
    }
    *value = number * factor;
    return true;
}

bool needs_read(const arguments *args, mls_resources *resources)
{
    static const int64_t processors[] = {1000, 1}, bytes[] = {1, 1 << 10, 1 << 20, 1 << 30};
    return read_scaled(args, "cpus", "m", processors, MLS_CPU_MILLI_MAX, &resources->cpu_milli) &&
           read_scaled(args, "memory", "KMG", bytes, MLS_MEMORY_BYTES_MAX,
                       &resources->memory_bytes) &&
           arguments_int(args, "gpus", 0, MLS_GPUS_MAX, resources->gpus, &resources->gpus);
}

bool needs_are_any(const mls_resources *needs)
{
    return needs->cpu_milli || needs->memory_bytes || needs->gpus;
}

typedef struct search {
    const mls_resources *needs;
    bool is_offered;
} search;

static void look_at_offer(void *user, const mls_queue_offer *offer)
{
    search *s = user;
    s->is_offered |= s->needs->cpu_milli <= offer->capacity.cpu_milli &&
                     s->needs->memory_bytes <= offer->capacity.memory_bytes &&
                     s->needs->gpus <= offer->capacity.gpus;
}

bool needs_are_offered(mls_queue *queue, const mls_resources *needs)
{
    search s = {needs, false};
    return mls_queue_visit_offers(queue, look_at_offer, &s) || s.is_offered;
}

const char *needs_text(const mls_resources *needs, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    if (needs->cpu_milli)
        used += (size_t) snprintf(text, size, "%g cpu", (double) needs->cpu_milli / 1000);
    if (needs->memory_bytes && used < size)
        used += (size_t) snprintf(text + used, size - used, "%s%.4g MiB", used ? ", " : "",
                                  (double) needs->memory_bytes / (1 << 20));
    if (needs->gpus && used < size)
        snprintf(text + used, size - used, "%s%" PRId64 " gpu", used ? ", " : "", needs->gpus);
    return text;
}
