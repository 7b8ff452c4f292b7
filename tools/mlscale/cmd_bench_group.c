/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale bench group: how fast collectives are, by size. Ranks are threads of this process, or
 * processes: those that launched it, or those that it launches itself.
 */
#include "bench_group.h"
#include "commands.h"
#include "common.h"
#include "launch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES_MOST (UINT64_C(1) << 32)
/* Below that a copy is in the caches of who measures, and says nothing. */
#define COPY_LEAST 65536

static const option_spec options[] = {
    {"transport", "URL|NAME",
     "inproc (default): threads; shm or tcp: processes of this\n"
     "host; a URL: threads that meet there"},
    {"n", "RANKS", "how many (default 2); not of those that were launched"},
    {"op", "OP",
     "allreduce (default), reduce, reduce_scatter, broadcast,\n"
     "gather, allgather, scatter or all_to_all"},
    {"min-bytes", "N",
     "the first size (default 8); each next is four times that.\n"
     "Sizes are whole elements of 4 bytes"},
    {"max-bytes", "N", "the last size (default 67108864)"},
    {"seconds", "S", "for each measurement, about (default 0.2)"},
    {"ordinary", NULL, "tensors in ordinary memory, not in the group's"},
    {"no-encryption", NULL, "with tcp: only shake hands"},
    {"json", NULL, "print JSON instead of text"},
    {NULL, NULL, NULL},
};

/* What all ranks do. */
typedef struct bench {
    const arguments *args;
    mls_context *context;
    const bench_op *op;
    char url[512];
    uint32_t size; /* of the group that threads are; 0: it was launched */
    uint64_t least, most;
    double seconds;
} bench;

static bool was_launched(void)
{
    static const char *const names[] = {"MLSCALE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
                                        "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]))
            return true;
    return false;
}

/* --- what is printed --- */

static json_t *to_json(const bench_result *r)
{
    json_t *row =
        json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "bytes", (json_int_t) r->bytes, "rounds",
                  (json_int_t) r->rounds, "p50_us", r->median_us, "p99_us", r->p99_us,
                  "algorithm_bytes_per_second", r->algorithm, "bus_bytes_per_second", r->bus);
    if (row && r->limit > 0) {
        json_object_set_new(row, "limit_bytes_per_second", json_real(r->limit));
        json_object_set_new(row, "share_of_limit", json_real(r->bus / r->limit));
    }
    return row;
}

static void print_head(const bench *b, const bench_rank *rank, const char *limit)
{
    printf("%s of float32, %s%u ranks, %s; the limit is %s\n\n", b->op->name,
           b->op->adds_up ? "sum, " : "", rank->size, b->url, limit);
    printf("%12s %8s %12s %12s %10s %10s %7s\n", "bytes", "rounds", "p50 us", "p99 us", "alg GB/s",
           "bus GB/s", "limit");
}

static void print_row(const bench_result *r)
{
    char share[16] = "-";
    if (r->limit > 0)
        snprintf(share, sizeof share, "%.0f%%", 100 * r->bus / r->limit);
    printf("%12llu %8llu %12.2f %12.2f %10.3f %10.3f %7s\n", (unsigned long long) r->bytes,
           (unsigned long long) r->rounds, r->median_us, r->p99_us, r->algorithm / 1e9,
           r->bus / 1e9, share);
    fflush(stdout);
}

/* --- a rank --- */

/* With a ring: what the sockets of that do. */
static mls_status measure(const bench *b, const bench_rank *rank, bench_ring *ring, uint64_t bytes,
                          bench_result *ret_result)
{
    mls_status status = bench_op_measure(rank, b->op, bytes, ret_result);
    if (status || !ret_result->bytes || ret_result->bus <= 0)
        return status;
    if (ring)
        return bench_limit_ring(rank, ring, bytes, &ret_result->limit);
    return bytes < COPY_LEAST ? MLS_OK : bench_limit_copy(rank, b->op, bytes, &ret_result->limit);
}

/* 0: that was the last one. */
static uint64_t next_size(const bench *b, uint64_t bytes)
{
    if (bytes >= b->most)
        return 0;
    return bytes < b->most / 4 ? 4 * bytes : b->most;
}

static mls_status measure_all(const bench *b, const bench_rank *rank, bench_ring *ring)
{
    const bool prints = rank->rank == 0, is_json = arguments_has(b->args, "json");
    const char *limit = ring ? "a raw exchange by sockets" : "copies of memory";
    json_t *rows = json_array();
    bench_result warm = {0}; /* until each rank has found its core */
    mls_status status = bench_op_measure(rank, b->op, b->least, &warm);
    if (!status && prints && !is_json)
        print_head(b, rank, limit);
    for (uint64_t bytes = b->least; !status && bytes; bytes = next_size(b, bytes)) {
        bench_result result = {0};
        status = measure(b, rank, ring, bytes, &result);
        if (status || !prints || !result.bytes)
            continue;
        if (is_json)
            json_array_append_new(rows, to_json(&result));
        else
            print_row(&result);
    }
    if (!status && prints && is_json)
        print_json(json_pack("{s:s, s:s, s:I, s:s, s:O}", "op", b->op->name, "url", b->url, "ranks",
                             (json_int_t) rank->size, "limit", limit, "sizes", rows));
    json_decref(rows);
    return status;
}

static mls_status run_rank(const bench *b, uint32_t number)
{
    bench_rank rank = {.context = b->context,
                       .seconds = b->seconds,
                       .is_ordinary = arguments_has(b->args, "ordinary")};
    bench_ring *ring = NULL;
    mls_status status =
        b->size ? mls_group_create(b->context, b->url, number, b->size, NULL, &rank.group)
                : mls_group_create_launched(b->context, NULL, &rank.group);
    if (!status) {
        rank.rank = mls_group_rank(rank.group);
        rank.size = mls_group_size(rank.group);
        if (strncmp(b->url, "tcp:", 4) == 0 && rank.size > 1)
            status = bench_ring_open(&rank, &ring);
        if (!status)
            status = measure_all(b, &rank, ring);
    }
    if (status)
        library_failure("bench group");
    bench_ring_close(ring);
    mls_group_free(rank.group);
    return status;
}

typedef struct started {
    const bench *b;
    uint32_t number;
    mls_status status;
} started;

static void *run_thread(void *arg)
{
    started *s = arg;
    s->status = run_rank(s->b, s->number);
    return NULL;
}

static int run_threads(const bench *b)
{
    pthread_t threads[LAUNCH_RANKS_MAX];
    started *ranks = calloc(b->size, sizeof *ranks);
    int code = EXIT_GOOD;
    if (!ranks)
        return failure("out of memory");
    for (uint32_t i = 0; i < b->size; i++) {
        ranks[i] = (started){b, i, MLS_OK};
        if (pthread_create(&threads[i], NULL, run_thread, &ranks[i])) {
            fprintf(stderr, "mlscale: cannot start %u threads\n", b->size);
            exit(EXIT_FAILED); /* the others would wait */
        }
    }
    for (uint32_t i = 0; i < b->size; i++) {
        pthread_join(threads[i], NULL);
        if (ranks[i].status)
            code = EXIT_FAILED;
    }
    free(ranks);
    return code;
}

/* --- processes --- */

enum { WORDS_MOST = 24, OPTION_MOST = 24 };

/* How to start: those that are started need not know. */
static bool is_of_start(const char *name)
{
    return strcmp(name, "transport") == 0 || strcmp(name, "n") == 0 ||
           strcmp(name, "no-encryption") == 0;
}

/* This command again: what was given, but how to start. */
static void repeat_words(const arguments *args, char *self, char **ret_argv)
{
    static char words[WORDS_MOST][OPTION_MOST] = {"bench", "group"};
    size_t used = 0;
    ret_argv[used++] = self;
    ret_argv[used++] = words[0];
    ret_argv[used++] = words[1];
    for (const option_spec *option = options; option->name; option++) {
        const char *value = arguments_get(args, option->name);
        if (!value || is_of_start(option->name))
            continue;
        snprintf(words[used], OPTION_MOST, "--%s", option->name);
        ret_argv[used] = words[used];
        used++;
        if (!option->metavar)
            continue;
        snprintf(words[used], OPTION_MOST, "%s", value);
        ret_argv[used] = words[used];
        used++;
    }
    ret_argv[used] = NULL;
}

/* As the ranks. */
static int launch_self(const arguments *args, const char *transport, uint32_t size)
{
    char self[4096] = "";
    char *argv[WORDS_MOST];
    launch_plan plan = {.size = size, .count = size, .stop_ms = 5000, .argv = argv};
    const launch_hosts none = {NULL, 0};
    const launch_meeting meeting = {transport, 0, arguments_has(args, "no-encryption")};
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return failure("this program does not find itself: use mlscale launch");
    repeat_words(args, self, argv);
    int code = launch_url(&meeting, &none, &plan);
    if (!code && !launch_random(plan.token, LAUNCH_TOKEN))
        code = EXIT_FAILED;
    return code ? code : launch_run(&plan, &none, NULL);
}

static int run_here(bench *b)
{
    if (mls_context_create(NULL, &b->context))
        return library_failure(NULL);
    const int code = b->size ? run_threads(b) : run_rank(b, 0) ? EXIT_FAILED : EXIT_GOOD;
    mls_context_free(b->context);
    return code;
}

/* --- what is asked for --- */

/* Of sizes, in whole elements. */
static int read_sizes(const arguments *args, bench *b)
{
    int64_t least, most;
    const int64_t element = sizeof(float);
    if (!arguments_int(args, "min-bytes", element, BYTES_MOST, 8, &least) ||
        !arguments_int(args, "max-bytes", element, BYTES_MOST, 64 << 20, &most))
        return EXIT_USAGE;
    if (least > most)
        return usage_error(args,
                           "the first size, %lld bytes, is more than the last, %lld: see "
                           "--min-bytes and --max-bytes",
                           (long long) least, (long long) most);
    b->least = (uint64_t) (least - least % element);
    b->most = (uint64_t) (most - most % element);
    return EXIT_GOOD;
}

static bool is_name_of_transport(const char *name)
{
    return strcmp(name, "inproc") == 0 || strcmp(name, "shm") == 0 || strcmp(name, "tcp") == 0;
}

/* NULL: none is asked for. */
static int check_transport(const arguments *args, const char *transport)
{
    if (transport && !strchr(transport, ':') && !is_name_of_transport(transport))
        return usage_error(args,
                           "--transport %s: expected inproc, shm, tcp or a URL; ranks that "
                           "mlscale launch, mpirun or srun starts need none",
                           transport);
    if (arguments_has(args, "no-encryption") && !(transport && strcmp(transport, "tcp") == 0))
        return usage_error(args, "--no-encryption is for --transport tcp; mlscale launch has the "
                                 "same option, and URLs of tcp have ?encrypt=off");
    if (!transport && was_launched() && arguments_has(args, "n"))
        return usage_error(args,
                           "-n %s: this is a rank of a group that was launched, which is what is "
                           "measured; leave -n out, or say --transport for ranks of its own",
                           arguments_get(args, "n"));
    return EXIT_GOOD;
}

static int bench_group(const arguments *args)
{
    bench b = {.args = args};
    int64_t size;
    const char *op = arguments_get(args, "op"), *transport = arguments_get(args, "transport");
    const bool is_url = transport && strchr(transport, ':');
    b.op = bench_op_find(op ? op : "allreduce");
    if (!b.op)
        return usage_error(args, "--op %s: expected %s", op, bench_op_names());
    if (!arguments_int(args, "n", 1, LAUNCH_RANKS_MAX, 2, &size) ||
        !arguments_double(args, "seconds", 0.001, 0.2, &b.seconds))
        return EXIT_USAGE;
    int code = read_sizes(args, &b);
    if (!code)
        code = check_transport(args, transport);
    if (code)
        return code;
    if (!transport && was_launched()) {
        const char *url = getenv("MLSCALE_GROUP");
        snprintf(b.url, sizeof b.url, "%s", url ? url : "mpi:");
        return run_here(&b);
    }
    if (transport && !is_url && strcmp(transport, "inproc") != 0)
        return launch_self(args, transport, (uint32_t) size);
    snprintf(b.url, sizeof b.url, "%s", is_url ? transport : "inproc:bench");
    b.size = (uint32_t) size;
    return run_here(&b);
}

const command command_bench_group = {
    .name = "bench group",
    .operands = "",
    .max_operands = 0,
    .summary = "measure collectives by size: latency, bandwidth, share of the limit",
    .details = "Bandwidths are those of nccl-tests; mlscale-bench(1) has the formulas. Under\n"
               "mlscale launch, mpirun or srun the ranks are those that were launched.",
    .options = options,
    .run = bench_group,
};
