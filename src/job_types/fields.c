/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of job types. mlscale-job-types(5) says what they mean. */
#include "job_types/reader.h"

#include <mlscale/queue.h>

#define DAY_MS     INT64_C(86400000)
#define YEAR_MS    (365 * DAY_MS)
#define MOST_BYTES (INT64_C(1) << 50)

#define AT(member) offsetof(mls__type, member)
#define INTEGER(key, member, least, most)                                                          \
    {                                                                                              \
        key, MLS__FIELD_INTEGER, AT(member), least, most, 0                                        \
    }
#define DURATION(key, member, least, most)                                                         \
    {                                                                                              \
        key, MLS__FIELD_DURATION, AT(member), least, most, 0                                       \
    }
#define BYTES(key, member, least, most)                                                            \
    {                                                                                              \
        key, MLS__FIELD_BYTES, AT(member), least, most, 0                                          \
    }
#define VALUE(key, kind, member)                                                                   \
    {                                                                                              \
        key, MLS__FIELD_##kind, AT(member), 0, 0, 0                                                \
    }
#define MAPPING(key, fields)                                                                       \
    {                                                                                              \
        key, MLS__FIELD_MAPPING, 0, 0, 0, fields                                                   \
    }
#define END                                                                                        \
    {                                                                                              \
        0, 0, 0, 0, 0, 0                                                                           \
    }

static const mls__field handler_fields[] = {
    VALUE("command", WORDS, handler.command),
    VALUE("environment", PAIRS, handler.environment),
    VALUE("directory", TEXT, handler.directory),
    VALUE("container", TEXT, handler.container),
    VALUE("engine", TEXT, handler.engine),
    VALUE("options", WORDS, handler.options),
    VALUE("score", PATH, handler.model),
    VALUE("inputs", PAIRS, handler.inputs),
    VALUE("c", NAME, handler.c),
    END,
};
static const mls__field resources_fields[] = {
    {"cpu", MLS__FIELD_MILLI, AT(resources.cpu), 0, MLS_CPU_MILLI_MAX, 0},
    INTEGER("gpu", resources.gpu, 0, MLS_GPUS_MAX),
    BYTES("memory", resources.memory, 0, MLS_MEMORY_BYTES_MAX),
    {"escalate", MLS__FIELD_SIZES, AT(resources.escalate), 1, MLS_MEMORY_BYTES_MAX, 0},
    END,
};
static const mls__field retries_fields[] = {
    INTEGER("attempts", retries.attempts, 1, 1000000),
    DURATION("backoff", retries.backoff_ms, 0, 49 * DAY_MS),
    DURATION("backoff-max", retries.backoff_max_ms, 0, 49 * DAY_MS),
    INTEGER("jitter", retries.jitter, 0, 100),
    END,
};
static const mls__field limits_fields[] = {
    DURATION("time", limits.time_ms, 1, YEAR_MS),
    DURATION("grace", limits.grace_ms, 0, DAY_MS),
    DURATION("cpu", limits.cpu_ms, 1000, YEAR_MS),
    INTEGER("cpus", limits.cpus, 1, 4096),
    BYTES("memory", limits.memory, 1 << 20, MOST_BYTES),
    BYTES("output", limits.output, 0, INT64_C(1) << 30),
    END,
};
static const mls__field batch_fields[] = {
    INTEGER("size", batch.size, 1, MLS_BATCH_MAX),
    DURATION("wait", batch.wait_ms, 0, DAY_MS),
    VALUE("run", TEXT, batch.run),
    END,
};

static const mls__field schedule_fields[] = {
    VALUE("cron", CRON, schedule.cron),
    VALUE("zone", ZONE, schedule.zone),
    VALUE("missed", TEXT, schedule.missed),
    END,
};

const mls__field mls__type_fields[] = {
    VALUE("name", NAME, name),
    INTEGER("version", version, 0, INT64_MAX),
    MAPPING("handler", handler_fields),
    VALUE("queue", NAME, queue),
    MAPPING("resources", resources_fields),
    INTEGER("priority", priority, MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST),
    MAPPING("retries", retries_fields),
    MAPPING("limits", limits_fields),
    DURATION("retention", retention_ms, 0, 100 * YEAR_MS),
    MAPPING("batch", batch_fields),
    MAPPING("schedule", schedule_fields),
    VALUE("dependencies", TEXT, dependencies),
    END,
};

const mls__field mls__types_file_fields[] = {
    MAPPING("job-types", NULL),
    END,
};

const mls__type mls__type_defaults = {
    .priority = MLS_PRIORITY_DEFAULT,
    .retries = {1, 1000, 3600000, 100},
    .limits = {.grace_ms = 5000, .output = 1 << 20},
    .retention_ms = MLS_RETENTION_DEFAULT,
    .batch = {1, 0, NULL},
};
