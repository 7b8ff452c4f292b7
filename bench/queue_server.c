/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues on a PostgreSQL server of the measure's own, on a disk and in memory: a process
 * for each place, since the server ends with who started it.
 */
#include "queue.h"

#ifdef BENCH_DRIVERS
#include "support/folder.h"
#include "support/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void measure_in(const char *place, double seconds)
{
    char file[300];
    mls_context *context;
    setenv("MLS_TEST_TMPDIR", place, 1);
    setenv("MLSCALE_DRIVERS", BENCH_DRIVERS, 1);
    if (!mls_test_postgres_start())
        return;
    snprintf(file, sizeof file, "%s/bench", mls_test_folder());
    bench_check(mls_context_create(NULL, &context), "context");
    bench_durable(context, mls_test_postgres_url(), file, seconds);
    mls_context_free(context);
}

void bench_servers(double seconds)
{
    static const char *const places[] = {"/var/tmp", "/dev/shm"};
    for (size_t i = 0; i < 2; i++) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            measure_in(places[i], seconds);
            exit(0);
        }
        waitpid(child, NULL, 0);
    }
}
#else
void bench_servers(double seconds)
{
    (void) seconds;
}
#endif
