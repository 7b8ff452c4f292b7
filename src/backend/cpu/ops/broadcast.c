/* SPDX-License-Identifier: Apache-2.0 */
/* The plan is made from the innermost dimension outwards, the walk goes the other way. */
#include "backend/cpu/ops/broadcast.h"

#include "op/op.h"

#include <string.h>

/* Input dim `d`, counted in the output's dimensions. */
static int64_t input_dim(const mls_arg *output, const mls_arg *input, int d)
{
    const int missing = output->rank - input->rank;
    return d < missing ? 1 : input->dims[d - missing];
}

/* Bit i: input i has dimension `d` of the output, rather than repeat in it. */
static unsigned presence(const mls_arg *output, const mls_arg *inputs, int input_count, int d)
{
    unsigned mask = 0;
    for (int i = 0; i < input_count; i++)
        if (input_dim(output, &inputs[i], d) != 1)
            mask |= 1u << i;
    return mask;
}

/* Dimensions of the same presence, the innermost first. */
typedef struct groups {
    int count;
    int64_t dims[MLS_MAX_RANK];
    unsigned masks[MLS_MAX_RANK];
} groups;

static void find_groups(groups *found, const mls_arg *output, const mls_arg *inputs,
                        int input_count)
{
    found->count = 0;
    for (int d = output->rank - 1; d >= 0; d--) {
        if (output->dims[d] == 1)
            continue;
        const unsigned mask = presence(output, inputs, input_count, d);
        if (found->count && found->masks[found->count - 1] == mask) {
            found->dims[found->count - 1] *= output->dims[d];
        } else {
            found->dims[found->count] = output->dims[d];
            found->masks[found->count++] = mask;
        }
    }
}

void mls__broadcast_plan(mls__broadcast *plan, const mls_arg *output, const mls_arg *inputs,
                         int input_count)
{
    groups found;
    int64_t sizes[MLS__BROADCAST_INPUTS]; /* elements of the input inside the group */
    memset(plan, 0, sizeof *plan);
    plan->inputs = input_count;
    plan->count = mls__arg_count(output);
    plan->run = 1;
    if (!plan->count)
        return;
    find_groups(&found, output, inputs, input_count);
    if (!found.count) { /* one element: as good as a run of contiguous ones */
        found.count = 1;
        found.dims[0] = 1;
        found.masks[0] = ~0u;
    }
    plan->run = found.dims[0];
    plan->loops = found.count - 1;
    for (int i = 0; i < input_count; i++) {
        plan->steps[i] = found.masks[0] >> i & 1;
        sizes[i] = plan->steps[i] ? plan->run : 1;
    }
    for (int g = 1; g < found.count; g++) {
        const int loop = plan->loops - g;
        plan->dims[loop] = found.dims[g];
        for (int i = 0; i < input_count; i++)
            if (found.masks[g] >> i & 1) {
                plan->strides[loop][i] = sizes[i];
                sizes[i] *= found.dims[g];
            }
    }
}

/* Where a walk is: the loops' counters and the inputs' positions at the start of a run. */
typedef struct place {
    int64_t counters[MLS_MAX_RANK];
    int64_t x[MLS__BROADCAST_INPUTS];
} place;

static void go_to_run(const mls__broadcast *plan, int64_t index, place *at)
{
    memset(at, 0, sizeof *at);
    for (int loop = plan->loops - 1; loop >= 0; loop--) {
        const int64_t counter = index % plan->dims[loop];
        index /= plan->dims[loop];
        at->counters[loop] = counter;
        for (int i = 0; i < plan->inputs; i++)
            at->x[i] += counter * plan->strides[loop][i];
    }
}

static void go_to_next_run(const mls__broadcast *plan, place *at)
{
    for (int loop = plan->loops - 1; loop >= 0; loop--) {
        const int64_t *strides = plan->strides[loop];
        for (int i = 0; i < MLS__BROADCAST_INPUTS; i++)
            at->x[i] += strides[i];
        if (++at->counters[loop] < plan->dims[loop])
            return;
        at->counters[loop] = 0;
        for (int i = 0; i < MLS__BROADCAST_INPUTS; i++)
            at->x[i] -= plan->dims[loop] * strides[i];
    }
}

mls_status mls__broadcast_walk(const mls__broadcast *plan, int64_t begin, int64_t end,
                               mls__segment_fn fn, void *arg)
{
    place at;
    mls_status status = MLS_OK;
    int64_t inside = begin % plan->run; /* the run's elements before `begin` */
    go_to_run(plan, begin / plan->run, &at);
    while (begin < end && !status) {
        const int64_t left = plan->run - inside;
        const int64_t n = left < end - begin ? left : end - begin;
        int64_t x[MLS__BROADCAST_INPUTS];
        for (int i = 0; i < MLS__BROADCAST_INPUTS; i++)
            x[i] = at.x[i] + inside * plan->steps[i];
        status = fn(arg, begin, x, n);
        begin += n;
        inside = 0;
        go_to_next_run(plan, &at);
    }
    return status;
}
