/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ours against a peer, in one process, in turns: each round measures both, and the
 * figure of each is the median over the rounds. Latencies are taken over groups of runs
 * long enough for the clock; a round's figure is the median group.
 *
 *   peers [ROUNDS [SECONDS]]
 */
#include "engine.h"
#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MOST 99
#define GROUPS_MOST 4096
#define GROUP_NS    20000.0

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Nanoseconds of `count` runs, per run. */
static double time_group(const engine *e, void *session, size_t count)
{
    const uint64_t start = now_ns();
    for (size_t i = 0; i < count; i++)
        if (!e->run(session))
            exit(EXIT_FAILURE);
    return (double) (now_ns() - start) / (double) count;
}

static double time_round(const engine *e, void *session, double seconds)
{
    static double groups[GROUPS_MOST];
    size_t in_group = 1, count = 0;
    time_group(e, session, 3); /* caches and branch predictors */
    while ((double) in_group * time_group(e, session, in_group) < GROUP_NS && in_group < 100000)
        in_group *= 2;
    const uint64_t end = now_ns() + (uint64_t) (seconds * 1e9);
    while (count < GROUPS_MOST && (now_ns() < end || count < 3))
        groups[count++] = time_group(e, session, in_group);
    return median(groups, count);
}

/* Whether two engines give the same numbers, but for rounding. */
static bool agree(const engine *const *engines, void *const *sessions)
{
    size_t counts[2];
    const float *outputs[2];
    for (int i = 0; i < 2; i++) {
        if (!engines[i]->run(sessions[i]) ||
            !(outputs[i] = engines[i]->output(sessions[i], &counts[i])))
            return false;
    }
    for (size_t k = 0; k < counts[0] && counts[0] == counts[1]; k++) {
        const float difference = fabsf(outputs[0][k] - outputs[1][k]);
        if (!(difference <= 1e-4f * (1 + fabsf(outputs[0][k]))))
            return false;
    }
    return counts[0] == counts[1];
}

typedef struct row {
    const char *label;
    onnx_build *(*build)(const struct row *row);
    int64_t batch, width;
    double target_ns; /* of performance.md; 0: none */
    int widths[8];    /* of an MLP; else the parameters of the model */
} row;

static onnx_build *build_adds(const row *r)
{
    return model_adds(r->widths[0]);
}

static onnx_build *build_mlp(const row *r)
{
    return model_mlp(r->widths);
}

static onnx_build *build_trees(const row *r)
{
    return model_trees(r->widths[0], r->widths[1], (int) r->width);
}

static const row rows[] = {
    {"one Add node", build_adds, 1, 1, 200, {1}},
    {"33 Add nodes", build_adds, 1, 1, 150 + 33 * 50, {33}},
    {"MLP 32-32-1, 1 row", build_mlp, 1, 32, 300, {32, 32, 1}},
    {"MLP 64-128-64-1, 1 row", build_mlp, 1, 64, 600, {64, 128, 64, 1}},
    {"MLP 256-256-256-256-1, 1 row", build_mlp, 1, 256, 7000, {256, 256, 256, 256, 1}},
    {"MLP 256-256-256-256-1, 64 rows", build_mlp, 64, 256, 0, {256, 256, 256, 256, 1}},
    {"trees 200 x depth 6, 1 row", build_trees, 1, 30, 1500, {200, 6}},
    {"trees 200 x depth 6, 256 rows", build_trees, 256, 30, 150000, {200, 6}},
    {"trees 1000 x depth 6, 1 row", build_trees, 1, 30, 6000, {1000, 6}},
    {"trees 1000 x depth 6, 256 rows", build_trees, 256, 30, 0, {1000, 6}},
};

static void print_row(const row *r, const double *ns, bool has_peer)
{
    char target[32] = "-", verdict[16] = "";
    if (r->target_ns > 0) {
        snprintf(target, sizeof target, "%.2f", r->target_ns / 1e3);
        snprintf(verdict, sizeof verdict, "%s", ns[0] <= r->target_ns ? "met" : "missed");
    }
    if (has_peer)
        printf("| %-30s | %9.3f | %9.3f | %6.2f | %8s | %-6s |\n", r->label, ns[0] / 1e3,
               ns[1] / 1e3, ns[1] / ns[0], target, verdict);
    else
        printf("| %-30s | %9.3f | %9s | %6s | %8s | %-6s |\n", r->label, ns[0] / 1e3, "-", "-",
               target, verdict);
    fflush(stdout);
}

static bool measure(const row *r, const engine *const *engines, size_t engine_count, int rounds,
                    double seconds)
{
    static double figures[2][ROUNDS_MOST];
    size_t bytes;
    onnx_build *build = r->build(r);
    const void *model = onnx_build_bytes(build, &bytes);
    const int64_t dims[] = {r->batch, r->width};
    float *input = aligned_alloc(64, ((size_t) (r->batch * r->width) * 4 + 63) / 64 * 64);
    void *sessions[2] = {NULL, NULL};
    bool is_good = input != NULL;
    for (int64_t i = 0; is_good && i < r->batch * r->width; i++)
        input[i] = model_random();
    for (size_t e = 0; is_good && e < engine_count; e++)
        is_good = (sessions[e] = engines[e]->open(model, bytes, dims, 2, input, 1)) != NULL;
    if (is_good && engine_count == 2 && !agree(engines, sessions)) {
        fprintf(stderr, "%s: the engines do not agree\n", r->label);
        is_good = false;
    }
    for (int k = 0; is_good && k < rounds; k++)
        for (size_t e = 0; e < engine_count; e++)
            figures[e][k] = time_round(engines[e], sessions[e], seconds);
    if (is_good) {
        const double ns[] = {median(figures[0], (size_t) rounds),
                             engine_count == 2 ? median(figures[1], (size_t) rounds) : 0};
        print_row(r, ns, engine_count == 2);
    }
    for (size_t e = 0; e < engine_count; e++)
        if (sessions[e])
            engines[e]->close(sessions[e]);
    free(input);
    onnx_build_free(build);
    return is_good;
}

int main(int argc, char **argv)
{
    static const engine *const engines[] = {
        &engine_mlscale,
#ifdef MLS_BENCH_ONNXRUNTIME
        &engine_onnxruntime,
#endif
    };
    const size_t engine_count = sizeof engines / sizeof engines[0];
    const int rounds = argc > 1 ? atoi(argv[1]) : 5;
    const double seconds = argc > 2 ? atof(argv[2]) : 0.2;
    if (rounds < 1 || rounds > ROUNDS_MOST || !(seconds > 0)) {
        fprintf(stderr, "usage: peers [ROUNDS [SECONDS]]\n");
        return 2;
    }
    printf("1 thread; us a run, the median of %d rounds\n\n", rounds);
    printf("| %-30s | %9s | %9s | %6s | %8s | %-6s |\n", "model", "mlscale",
           engine_count == 2 ? "ONNX RT" : "no peer", "ratio", "target", "");
    printf("|%s|%s|%s|%s|%s|%s|\n", "--------------------------------",
           "----------:", "----------:", "-------:", "---------:", "--------");
    bool is_good = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_good = measure(&rows[i], engines, engine_count, rounds, seconds) && is_good;
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
