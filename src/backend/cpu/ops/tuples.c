/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/ops/tuples.h"

#include "op/op.h"

void mls__tuples_plan(mls__tuples *tuples, const mls_arg *data, const mls_arg *indices, int batch)
{
    const int last = indices->rank - 1;
    tuples->size = indices->dims[last];
    tuples->count = mls__arg_span(indices, 0, last);
    tuples->part = mls__arg_span(data, batch, data->rank);
    tuples->slice = mls__arg_span(data, batch + (int) tuples->size, data->rank);
    /* At least 1, to divide by. */
    const int64_t group = mls__arg_span(indices, batch, last);
    tuples->group = group ? group : 1;
    for (int i = 0; i < tuples->size; i++) {
        tuples->bounds[i] = data->dims[batch + i];
        tuples->steps[i] = mls__arg_span(data, batch + i + 1, data->rank);
    }
}
