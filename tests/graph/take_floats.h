/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that compare a model before and after a pass by what it gives. */
#ifndef TESTS_GRAPH_TAKE_FLOATS_H
#define TESTS_GRAPH_TAKE_FLOATS_H

#include "support/test.h"

#include <mlscale.h>

#include <stdlib.h>
#include <string.h>

/* Runs a session, gives its output 0, to be freed, and ends it. */
static inline float *take_floats(mls_session *session, size_t *ret_count)
{
    mls_dtype dtype;
    int rank;
    const int64_t *shape;
    ck_assert_ok(mls_session_run(session));
    ck_assert_ok(mls_session_output_shape(session, 0, &dtype, &rank, &shape));
    *ret_count = 1;
    for (int i = 0; i < rank; i++)
        *ret_count *= (size_t) shape[i];
    float *y = malloc(*ret_count * sizeof *y);
    ck_assert_ptr_nonnull(y);
    memcpy(y, mls_session_output_data(session, 0), *ret_count * sizeof *y);
    mls_session_free(session);
    return y;
}

#endif
