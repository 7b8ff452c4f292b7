/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs need and workers offer, and so why they wait, for mlscale queue and mlscale worker. */
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

/* Whether all claimers that are open were asked, and what they offer. */
typedef struct search {
    const mls_resources *needs;
    size_t offers;
    bool is_offered;
} search;

static void look_at_offer(void *user, const mls_queue_offer *offer)
{
    search *s = user;
    s->offers++;
    s->is_offered |= s->needs->cpu_milli <= offer->capacity.cpu_milli &&
                     s->needs->memory_bytes <= offer->capacity.memory_bytes &&
                     s->needs->gpus <= offer->capacity.gpus;
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

/* --- why a ready job is not claimed ---------------------------------------------------------- */

typedef struct reason {
    const mls_job_info *info;
    char *text;
    size_t size;
} reason;

static bool is_covered(const char *of_rule, const char *of_job)
{
    return !of_rule || strcmp(of_rule, of_job) == 0;
}

static const char *or_any(const char *name)
{
    return name ? name : "*";
}

static void look_at_rule(void *user, const mls_queue_rule *rule)
{
    reason *r = user;
    if (!is_covered(rule->queue, r->info->queue) || !is_covered(rule->type, r->info->type) ||
        !is_covered(rule->tenant, r->info->tenant))
        return;
    if (rule->is_paused)
        snprintf(r->text, r->size, "queue %s, type %s: paused", or_any(rule->queue),
                 or_any(rule->type));
    else if (rule->max_running && rule->running >= rule->max_running && !r->text[0])
        snprintf(r->text, r->size,
                 "queue %s, type %s, tenant %s: at most %" PRIu32 " run, and so many do",
                 or_any(rule->queue), or_any(rule->type), or_any(rule->tenant), rule->max_running);
}

const char *waits_text(mls_queue *queue, const mls_job_info *info, char *text, size_t size)
{
    char needs[96];
    reason r = {info, text, size};
    search s = {&info->needs, 0, false};
    text[0] = '\0';
    if (info->state != MLS_JOB_READY)
        return text;
    mls_queue_visit_rules(queue, look_at_rule, &r);
    if (text[0] || mls_queue_visit_offers(queue, look_at_offer, &s))
        return text;
    if (needs_are_any(&info->needs) && !s.is_offered)
        snprintf(text, size, "needs %s; no worker offers that",
                 needs_text(&info->needs, needs, sizeof needs));
    else if (!s.offers)
        snprintf(text, size, "no worker is there");
    return text;
}
