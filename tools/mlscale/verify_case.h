/* SPDX-License-Identifier: Apache-2.0 */
/* One case of ONNX's backend test data: runs it, compares, and says what differs. */
#ifndef MLSCALE_VERIFY_CASE_H
#define MLSCALE_VERIFY_CASE_H

#include "compare.h"
#include "deviation.h"

#include <stdbool.h>
#include <stddef.h>

#define VERIFY_PATH_MOST   4096
#define VERIFY_REASON_MOST 256

/* CONTRADICTED: the data of a case are not what its model declares. */
typedef enum outcome { PASSED, FAILED, SKIPPED, CONTRADICTED } outcome;
#define OUTCOMES 4

/* Why cases were skipped, each with its count. */
typedef struct reason {
    char text[VERIFY_REASON_MOST];
    size_t count;
} reason;

/* What all cases share, and what came of them. */
typedef struct verifier {
    mls_context *context;
    tolerance limit;
    mls_session_options session_options;
    deviations deviations; /* of fast numerics */
    bool is_verbose;
    size_t counts[OUTCOMES];
    size_t partial;  /* data sets that do not say what they expect of some outputs */
    size_t drawn;    /* cases of which only what random numbers allow is compared ... */
    size_t residues; /* ... and those whose expected 0 is not quite 0 */
    reason *reasons;
    size_t reason_count;
} verifier;

/* A case whose expected outputs say less than others'. */
typedef struct exception {
    const char *name;
    bool is_random; /* drawn by another generator */
    double residue; /* what float32 left where the exact result is 0 */
} exception;

/* That of the case of this name, or NULL. What follows a slash is no part of the name. */
const exception *verify_exception(const char *name);

/* The case in `dir`. A failure and a contradiction are printed, a skip's reason is counted. */
outcome verify_case(verifier *v, const char *dir, const char *name);

/* A path too long is cut, and then is no file. */
void verify_path(char path[VERIFY_PATH_MOST], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool verify_is_file(const char *path);
bool verify_is_folder(const char *path);

#endif
