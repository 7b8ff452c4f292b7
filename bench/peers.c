/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ours against its peers, in one process, in turns: each round measures every engine with one
 * thread and with two, and a figure is the median of the rounds. Before that the engines' outputs
 * are compared. Prints the tables of docs/benchmarks.md.
 *
 *     peers [--onnxruntime LIB] [--lightgbm LIB] [--treelite LIB] [--models FOLDER]
 *           [--rounds N] [--seconds S] [--only WORD] [--numerics exact|fast]
 *
 * With fast numerics "ours" are those, and exact ones a peer, in the rows whose time goes into
 * products of float32.
 *
 * A peer whose library is not given, and a model that is not there, are left out.
 */
#include "peers.h"

#include "base/isa.h"
#include "engine_mlscale.h"
#include "limit.h"
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MOST = 99, ROWS_MOST = 128, SINGLES = 4000, CREATIONS = 3 };

/* Of fast numerics, to a peer. */
static const double fast_target_ratio = 4;

static const struct {
    const char *option;
    const engine *engine;
    const char *library; /* if the option does not say */
} peers[] = {
    {"--onnxruntime", &engine_onnxruntime, MLS_BENCH_ONNXRUNTIME},
    {"--lightgbm", &engine_lightgbm, ""},
    {"--treelite", &engine_treelite, ""},
};

enum { PEERS = sizeof peers / sizeof peers[0] };

typedef struct settings {
    const char *libraries[PEERS];
    const char *models, *only, *isa;
    bool is_fast;
    int rounds;
    double seconds;
    const engine *engines[PEERS_ENGINES_MOST];
    size_t engine_count;
    double limit[PEERS_THREADS_MOST]; /* FLOP/s: the most that any round saw */
} settings;

/* --- agreement ------------------------------------------------------------------------------- */

static size_t largest(const float *values, size_t count)
{
    size_t at = 0;
    for (size_t i = 1; i < count; i++)
        at = values[i] > values[at] ? i : at;
    return at;
}

/* But for rounding, against the largest element; `share` of it is good enough. */
static bool is_near(const float *a, const float *b, size_t count, float share)
{
    float most = 1e-2f;
    for (size_t i = 0; i < count; i++)
        most = fabsf(a[i]) > most ? fabsf(a[i]) : most;
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= share * most))
            return false;
    return true;
}

/* Whether two sessions, both run, have the same float32 outputs. */
static bool agree(const engine *a, void *a_session, const engine *b, void *b_session,
                  bool is_ranked)
{
    /* Operands of 8 bits add up over the layers of a deep network. */
    const float share = a == &engine_mlscale_fast ? 0.1f : 1e-4f;
    const size_t outputs = a->output_count(a_session);
    bool is_same = outputs == b->output_count(b_session);
    for (size_t i = 0; is_same && i < outputs; i++) {
        size_t a_count, b_count;
        const float *x = a->output(a_session, i, &a_count);
        const float *y = b->output(b_session, i, &b_count);
        is_same = a_count == b_count;
        if (is_same && x && y)
            is_same = is_ranked ? largest(x, a_count) == largest(y, a_count)
                                : is_near(x, y, a_count, share);
    }
    return is_same;
}

/* --- a row ----------------------------------------------------------------------------------- */

/* The sessions of a case: one an engine and number of threads. */
typedef void *session_table[PEERS_ENGINES_MOST][PEERS_THREADS_MOST];

static void choose_engines(const settings *s, const bench_case *c, peers_row *row)
{
    for (size_t i = 0; i < s->engine_count; i++)
        if (!s->engines[i]->is_for_forests || c->flags & CASE_FOREST)
            row->engines[row->engine_count++] = s->engines[i];
}

static bool open_sessions(const peers_row *row, const engine_model *model, session_table sessions)
{
    for (size_t e = 0; e < row->engine_count; e++) {
        for (uint32_t t = 0; t < PEERS_THREADS_MOST; t++) {
            const engine *at = row->engines[e];
            sessions[e][t] = at->open(model, t + 1);
            if (!sessions[e][t] || !at->run(sessions[e][t]))
                return false;
            if (!agree(row->engines[0], sessions[0][0], at, sessions[e][t],
                       row->what->flags & CASE_RANKED)) {
                fprintf(stderr, "%s: %s with %u threads disagrees\n", row->what->label, at->name,
                        t + 1);
                return false;
            }
        }
    }
    return true;
}

static void close_sessions(const peers_row *row, session_table sessions)
{
    for (size_t e = 0; e < row->engine_count; e++)
        for (size_t t = 0; t < PEERS_THREADS_MOST; t++)
            if (sessions[e][t])
                row->engines[e]->close(sessions[e][t]);
}

static void measure_rounds(settings *s, peers_row *row, session_table sessions)
{
    static double ns[PEERS_ENGINES_MOST][PEERS_THREADS_MOST][ROUNDS_MOST];
    for (int k = 0; k < s->rounds; k++) {
        for (size_t t = 0; t < PEERS_THREADS_MOST; t++) {
            for (size_t e = 0; e < row->engine_count; e++)
                ns[e][t][k] = timing_round(row->engines[e], sessions[e][t], s->seconds);
            const double limit = limit_measure(s->isa, (int) t + 1) * 1e9;
            s->limit[t] = limit > s->limit[t] ? limit : s->limit[t];
        }
    }
    for (size_t t = 0; t < PEERS_THREADS_MOST; t++)
        for (size_t e = 0; e < row->engine_count; e++)
            row->ns[e][t] = timing_quantile(ns[e][t], (size_t) s->rounds, 0.5);
}

static void measure_latency(peers_row *row, session_table sessions)
{
    static double ns[SINGLES];
    for (size_t e = 0; e < row->engine_count; e++) {
        timing_singles(row->engines[e], sessions[e][0], ns, SINGLES);
        row->p50[e] = timing_quantile(ns, SINGLES, 0.5);
        row->p99[e] = timing_quantile(ns, SINGLES, 0.99);
    }
}

static bool measure_creation(peers_row *row, const engine_model *model)
{
    double ns[PEERS_ENGINES_MOST][CREATIONS];
    for (size_t k = 0; k < CREATIONS; k++) {
        for (size_t e = 0; e < row->engine_count; e++) {
            const double start = limit_now();
            void *session = row->engines[e]->open(model, 1);
            if (!session || !row->engines[e]->run(session))
                return false;
            ns[e][k] = (limit_now() - start) * 1e9;
            row->engines[e]->close(session);
        }
    }
    for (size_t e = 0; e < row->engine_count; e++)
        row->creation[e] = timing_quantile(ns[e], CREATIONS, 0.5);
    return true;
}

/* false: the case is there but could not be measured. */
static bool measure(settings *s, const bench_case *c, peers_row *rows, size_t *row_count)
{
    open_case opened;
    bool is_absent;
    peers_row row = {
        .what = c,
        .target_us = s->is_fast ? 0 : c->target_us,
        .target_ratio = s->is_fast ? fast_target_ratio : c->target_ratio,
    };
    session_table sessions = {{NULL}};
    if (!case_open(c, s->models, &opened, &is_absent))
        return is_absent;
    fprintf(stderr, "%s\n", c->label);
    choose_engines(s, c, &row);
    bool is_good =
        s->is_fast || !(c->flags & CASE_CREATION) || measure_creation(&row, &opened.model);
    is_good = is_good && open_sessions(&row, &opened.model, sessions);
    if (is_good) {
        row.flops = engine_mlscale_flops(sessions[0][0]);
        measure_rounds(s, &row, sessions);
        if (c->flags & CASE_LATENCY && !s->is_fast)
            measure_latency(&row, sessions);
        rows[(*row_count)++] = row;
    }
    close_sessions(&row, sessions);
    case_close(&opened);
    return is_good;
}

/* --- the program ----------------------------------------------------------------------------- */

static bool read_option(settings *s, const char *option, const char *value)
{
    if (strcmp(option, "--rounds") == 0)
        return (s->rounds = atoi(value)) >= 1 && s->rounds <= ROUNDS_MOST;
    if (strcmp(option, "--seconds") == 0)
        return (s->seconds = atof(value)) > 0;
    if (strcmp(option, "--numerics") == 0) {
        s->is_fast = strcmp(value, "fast") == 0;
        return s->is_fast || strcmp(value, "exact") == 0;
    }
    const char **text = strcmp(option, "--models") == 0 ? &s->models
                        : strcmp(option, "--only") == 0 ? &s->only
                                                        : NULL;
    for (size_t i = 0; i < PEERS; i++)
        if (strcmp(option, peers[i].option) == 0)
            text = &s->libraries[i];
    if (text)
        *text = value;
    return text != NULL;
}

static void load_peers(settings *s)
{
    if (s->is_fast)
        s->engines[s->engine_count++] = &engine_mlscale_fast;
    s->engines[s->engine_count++] = &engine_mlscale;
    for (size_t i = 0; i < PEERS; i++) {
        if (s->is_fast && peers[i].engine->is_for_forests)
            continue;
        if (!*s->libraries[i])
            fprintf(stderr, "%s is left out: no %s\n", peers[i].engine->name, peers[i].option);
        else if (peers[i].engine->load(s->libraries[i]))
            s->engines[s->engine_count++] = peers[i].engine;
    }
}

int main(int argc, char **argv)
{
    static peers_row rows[ROWS_MOST];
    settings s = {.models = "../shared/data/models", .only = "", .rounds = 3, .seconds = 0.1};
    for (size_t i = 0; i < PEERS; i++)
        s.libraries[i] = peers[i].library;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !read_option(&s, argv[i], argv[i + 1])) {
            fprintf(stderr, "usage: peers [--onnxruntime LIB] [--lightgbm LIB] [--treelite LIB]\n"
                            "             [--models FOLDER] [--rounds N] [--seconds S]\n"
                            "             [--only WORD] [--numerics exact|fast]\n");
            return 2;
        }
    }
    if (mls__isa_select(NULL, &s.isa)) {
        fprintf(stderr, "%s\n", mls_error_message());
        return EXIT_FAILURE;
    }
    load_peers(&s);
    bool is_good = true;
    size_t count = 0;
    for (size_t i = 0; i < bench_case_count; i++)
        if (strstr(bench_cases[i].label, s.only) &&
            (!s.is_fast || bench_cases[i].flags & CASE_LIMIT))
            is_good = measure(&s, &bench_cases[i], rows, &count) && is_good;
    printf("%s%s, %d rounds of %g s; limit %.0f and %.0f GFLOP/s\n", s.isa,
           s.is_fast ? ", fast numerics" : "", s.rounds, s.seconds, s.limit[0] * 1e-9,
           s.limit[1] * 1e-9);
    peers_print(rows, count, s.limit);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
