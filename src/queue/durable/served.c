/* SPDX-License-Identifier: Apache-2.0 */
/* Who claims, and what of. */
#include "queue/durable/served.h"

#include <string.h>

static size_t names_size(const char *const *names, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(names[i]) + 1;
    return size;
}

size_t mls__served_size(const mls_claimer_options *options)
{
    return strlen(options->name) + 1 + names_size(options->types, options->type_count) +
           names_size(options->queues, options->queue_count);
}

/* Copies them to `*at`, which moves behind them. */
static const char *copy_names(char **at, const char *const *names, size_t count)
{
    const char *first = *at;
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(names[i]) + 1;
        memcpy(*at, names[i], size);
        *at += size;
    }
    return first;
}

mls__served mls__served_copy(const mls_claimer_options *options, char *block)
{
    mls__served served = {.type_count = options->type_count, .queue_count = options->queue_count};
    served.name = copy_names(&block, &options->name, 1);
    served.types = copy_names(&block, options->types, options->type_count);
    served.queues = copy_names(&block, options->queues, options->queue_count);
    return served;
}

static bool is_listed(const char *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++, names += strlen(names) + 1)
        if (strcmp(names, name) == 0)
            return true;
    return count == 0;
}

bool mls__served_has(const mls__served *served, const char *queue, const char *type)
{
    return is_listed(served->types, served->type_count, type) &&
           is_listed(served->queues, served->queue_count, queue);
}

bool mls__served_is_picky(const mls__served *served)
{
    return served->type_count || served->queue_count;
}
