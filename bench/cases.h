/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the comparison: models made here or read from files, and what they are run on. */
#ifndef MLS_BENCH_CASES_H
#define MLS_BENCH_CASES_H

#include "engine.h"
#include "support/onnx_build.h"

enum {
    CASE_FOREST = 1,   /* numbers: trees, depth, features; for the libraries of forests too */
    CASE_LIMIT = 2,    /* all of its time should go into products of float32 */
    CASE_RANKED = 4,   /* quantized: engines need agree on the ranking alone */
    CASE_LATENCY = 8,  /* of interest run by run */
    CASE_CREATION = 16 /* of interest how long a session takes to make */
};

/* What an input is if it is not batch x 8 x 8 ... of random numbers. */
typedef struct case_input {
    const char *name;
    int rank;
    int64_t dims[4];
    int64_t value; /* of integers; 0: random ones of 0 and 1 */
} case_input;

typedef struct bench_case {
    const char *label;
    const char *path; /* below the folder of models, or NULL: */
    onnx_build *(*build)(const struct bench_case *c);
    int64_t batch; /* 0: 1 */
    int numbers[8];
    unsigned flags;
    double target_us, target_ratio; /* of this release; 0: none */
    case_input inputs[3];
} bench_case;

extern const bench_case bench_cases[];
extern const size_t bench_case_count;

/* A case in memory. */
typedef struct open_case {
    engine_model model;
    onnx_build *build;
    char *file, *forest;
} open_case;

/*
 * Makes or reads the model and its inputs. `is_absent` tells a file that is not there from
 * other failures, which leave a message.
 */
bool case_open(const bench_case *c, const char *folder, open_case *ret_case, bool *ret_is_absent);
void case_close(open_case *c);

#endif
