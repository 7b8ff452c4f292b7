/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured, as docs/benchmarks.md shows it. */
#include "peers.h"

#include <stdio.h>

enum { CELL = 32, LABEL = 36 };

static void write_us(char *cell, double ns)
{
    const int digits = ns < 100e3 ? 3 : ns < 1e6 ? 1 : 0;
    snprintf(cell, CELL, ns > 0 ? "%.*f" : "-", digits, ns * 1e-3);
}

static void write_ratio(char *cell, double above, double below)
{
    snprintf(cell, CELL, above > 0 && below > 0 ? "%.2f" : "-", above / below);
}

/* Of the limit for as many threads, if the row is one to be held against it. */
static void write_share(char *cell, const peers_row *row, int threads, const double *limits)
{
    const double seconds = row->ns[0][threads - 1] * 1e-9, limit = limits[threads - 1];
    const bool has_share = row->what->flags & CASE_LIMIT && row->flops > 0 && limit > 0;
    snprintf(cell, CELL, has_share ? "%.0f%%" : "-",
             has_share ? 100 * row->flops / seconds / limit : 0);
}

/* A target is a time for us, or a ratio to a peer that is not us, of one thread. */
static void write_target(char *cell, const peers_row *row, size_t e, double ratio)
{
    const bool is_peer = e < row->engine_count && row->engines[e] != &engine_mlscale;
    if (row->target_us > 0)
        snprintf(cell, CELL, "%g us %s", row->target_us,
                 row->ns[0][0] <= row->target_us * 1e3 ? "met" : "MISSED");
    else if (row->target_ratio > 0 && ratio > 0 && is_peer)
        snprintf(cell, CELL, "%g x %s", row->target_ratio,
                 ratio >= row->target_ratio ? "met" : "MISSED");
    else
        snprintf(cell, CELL, "-");
}

/* Engine `e` of the row, or ours alone. */
static const char *peer_name(const peers_row *row, size_t e)
{
    return e < row->engine_count ? row->engines[e]->name : "-";
}

static double ns_of(const peers_row *row, size_t e, int threads)
{
    return e < row->engine_count ? row->ns[e][threads - 1] : 0;
}

static void print_one_thread(const peers_row *row, size_t e, const double *limit)
{
    char ours[CELL], peer[CELL], ratio[CELL], target[CELL], share[CELL];
    const double ns = ns_of(row, e, 1);
    write_us(ours, row->ns[0][0]);
    write_us(peer, ns);
    write_ratio(ratio, ns, row->ns[0][0]);
    write_target(target, row, e, ns / row->ns[0][0]);
    write_share(share, row, 1, limit);
    printf("| %-*s | %-12s | %10s | %10s | %7s | %13s | %5s |\n", LABEL, row->what->label,
           peer_name(row, e), ours, peer, ratio, target, share);
}

static void print_two_threads(const peers_row *row, size_t e, const double *limit)
{
    char ours[CELL], scaled[CELL], peer[CELL], peer_scaled[CELL], ratio[CELL], share[CELL];
    const double ns = ns_of(row, e, 2);
    write_us(ours, row->ns[0][1]);
    write_ratio(scaled, row->ns[0][0], row->ns[0][1]);
    write_us(peer, ns);
    write_ratio(peer_scaled, ns_of(row, e, 1), ns);
    write_ratio(ratio, ns, row->ns[0][1]);
    write_share(share, row, 2, limit);
    printf("| %-*s | %-12s | %10s | %5s | %10s | %5s | %7s | %5s |\n", LABEL, row->what->label,
           peer_name(row, e), ours, scaled, peer, peer_scaled, ratio, share);
}

static void print_latency(const peers_row *row, size_t e, const double *limit)
{
    (void) limit;
    char cells[4][CELL];
    if (!(row->p50[0] > 0 || row->p99[0] > 0))
        return;
    write_us(cells[0], row->p50[0]);
    write_us(cells[1], row->p99[0]);
    write_us(cells[2], e < row->engine_count ? row->p50[e] : 0);
    write_us(cells[3], e < row->engine_count ? row->p99[e] : 0);
    printf("| %-*s | %-12s | %10s | %10s | %10s | %10s |\n", LABEL, row->what->label,
           peer_name(row, e), cells[0], cells[1], cells[2], cells[3]);
}

static void print_creation(const peers_row *row, size_t e, const double *limit)
{
    (void) limit;
    char ours[CELL], peer[CELL], ratio[CELL];
    const double ns = e < row->engine_count ? row->creation[e] : 0;
    if (!(row->creation[0] > 0))
        return;
    write_us(ours, row->creation[0]);
    write_us(peer, ns);
    write_ratio(ratio, ns, row->creation[0]);
    printf("| %-*s | %-12s | %10s | %10s | %7s |\n", LABEL, row->what->label, peer_name(row, e),
           ours, peer, ratio);
}

/* A line for each peer of each row, or one without. */
static void print_rows(const peers_row *rows, size_t count, const double *limit,
                       void (*print)(const peers_row *row, size_t e, const double *limit))
{
    for (size_t i = 0; i < count; i++)
        for (size_t e = 1; e == 1 || e < rows[i].engine_count; e++)
            print(&rows[i], e, limit);
}

/* Whether any row has figures for the table of the cases with this flag. */
static bool is_any(const peers_row *rows, size_t count, unsigned flag)
{
    for (size_t i = 0; i < count; i++)
        if (flag == CASE_LATENCY ? rows[i].p50[0] > 0 : rows[i].creation[0] > 0)
            return true;
    return false;
}

void peers_print(const peers_row *rows, size_t count, const double *limit)
{
    printf("\nOne thread; microseconds a run.\n\n");
    printf("| model | peer | ours | peer's | ratio | target | of limit |\n"
           "|---|---|--:|--:|--:|--:|--:|\n");
    print_rows(rows, count, limit, print_one_thread);
    printf("\nTwo threads; microseconds a run, and how many times faster than one thread.\n\n");
    printf("| model | peer | ours | scaled | peer's | scaled | ratio | of limit |\n"
           "|---|---|--:|--:|--:|--:|--:|--:|\n");
    print_rows(rows, count, limit, print_two_threads);
    if (is_any(rows, count, CASE_LATENCY)) {
        printf("\nRun by run, one thread; microseconds.\n\n");
        printf("| model | peer | ours, p50 | p99 | peer's p50 | p99 |\n"
               "|---|---|--:|--:|--:|--:|\n");
        print_rows(rows, count, limit, print_latency);
    }
    if (is_any(rows, count, CASE_CREATION)) {
        printf("\nFrom the bytes of a model to the end of the first run; microseconds.\n\n");
        printf("| model | peer | ours | peer's | ratio |\n|---|---|--:|--:|--:|\n");
        print_rows(rows, count, limit, print_creation);
    }
}
