/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the other topics try between threads, between processes that share memory, and between
 * processes that send what they say over TCP: sharded tensors of each kind, one behind the other in
 * one group, and files that are saved by some processes and loaded by others.
 */
#include "config.h"

#include "sharded/suite.h"

#include "support/folder.h"
#include "support/port.h"

#include <stdio.h>
#include <unistd.h>

enum { CASES = 8 };

static arrangement processes(const char *url, int axis_count, uint32_t first, uint32_t second,
                             uint32_t shards)
{
    arrangement on = {.axis_count = axis_count,
                      .axes = {first, second},
                      .ranks = first * second,
                      .url = url,
                      .has_processes = true};
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    on.options.shards[0] = shards;
    return on;
}

static void check_all(ranked *r)
{
    uint64_t state = *(const uint64_t *) r->arg; /* the same on all ranks */
    for (int i = 0; i < CASES; i++) {
        check_random_layouts(r, &state);
        check_random_scatter(r, &state);
        check_random_product(r, &state);
        check_random_op(r, &state);
        check_random_reduction(r, &state);
    }
}

static void check_processes(const char *url, uint64_t seed)
{
    const arrangement meshes[] = {
        processes(url, 1, 1, 1, 0), processes(url, 1, 2, 1, 0), processes(url, 1, 3, 1, 8),
        processes(url, 2, 2, 2, 0), processes(url, 2, 3, 2, 5), processes(url, 1, 7, 1, 8),
        processes(url, 2, 2, 4, 3),
    };
    enum { MESHES = sizeof meshes / sizeof meshes[0] };
    char folder[512];
    uint64_t state = mls_test_seed(seed);
    snprintf(folder, sizeof folder, "%s", mls_test_folder_path("processes"));
    for (int i = 0; i < MESHES; i++) {
        mls_test_random(&state);
        on_mesh(&meshes[i], check_all, &state);
        check_random_files(&meshes[i], &meshes[(i + 3) % MESHES], folder, &state);
    }
}

START_TEST(shared_memory)
{
    char url[64];
    snprintf(url, sizeof url, "shm:test-processes-%ld", (long) getpid());
    check_processes(url, 51);
}
END_TEST

#ifdef MLS_TCP
START_TEST(tcp)
{
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d/sharded", mls_test_free_port());
    check_processes(url, 52);
}
END_TEST
#endif

void sharded_add_processes(TCase *tests)
{
    tcase_add_test(tests, shared_memory);
#ifdef MLS_TCP
    tcase_add_test(tests, tcp);
#endif
}
