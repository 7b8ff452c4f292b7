/* SPDX-License-Identifier: Apache-2.0 */
/* The graph that is being made, for the files that make it. */
#ifndef MLS_TESTS_FUZZ_GENERATE_GRAPH_H
#define MLS_TESTS_FUZZ_GENERATE_GRAPH_H

#include "fuzz/generate/generate.h"

#define MAX_VALUES 640
#define MAX_TAKEN  24
#define MAX_OUTS   8

typedef struct taken {
    char name[16];
    int value; /* its index, or -1 */
} taken;

struct gen {
    uint64_t state;
    const uint8_t *bytes;
    size_t left;
    onnx_build *build;
    gen_value values[MAX_VALUES];
    size_t count, constants;
    size_t outputs[MAX_VALUES], output_count;
    taken taken[MAX_TAKEN];
    size_t taken_count;
    int first;              /* the value that the node took first, or -1 */
    const gen_value *outer; /* what its bodies read */
    size_t results[MAX_OUTS], result_count;
    int64_t letters[128]; /* 0: not set */
    int64_t batch, spatial[3], channels[3];
    int32_t dtype;
    bool is_probed; /* the dims of the results are known */
    bool is_wild;   /* inputs hold numbers that are none, and very large ones */
};

/* "d6,4,5": dims as text, of which the one at `dynamic` has a name. */
void gen_print_dims(char *text, size_t size, int rank, const int64_t *dims, int dynamic);

#endif
