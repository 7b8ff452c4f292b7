/* SPDX-License-Identifier: Apache-2.0 */
/* An odometer over the indices; its last loop is the inner one. */
#include "backend/cpu/ops/element_walk.h"

#include "op/op.h"

#define INLINE static inline __attribute__((always_inline))

static void add_loop(mls__element_walk *walk, int64_t count, int64_t step)
{
    const int last = walk->rank - 1;
    if (count == 1)
        return;
    if (last >= 0 && walk->steps[last] == count * step) {
        walk->counts[last] *= count;
        walk->steps[last] = step;
        return;
    }
    walk->counts[walk->rank] = count;
    walk->steps[walk->rank++] = step;
}

void mls__element_walk_plan(mls__element_walk *walk, const mls_arg *data, const mls_arg *indices,
                            int axis)
{
    walk->rank = 0;
    walk->bound = data->dims[axis];
    walk->axis_step = mls__arg_span(data, axis + 1, data->rank);
    walk->count = mls__arg_count(indices);
    walk->slab = mls__arg_span(indices, axis, indices->rank);
    for (int i = 0; i < indices->rank && walk->count; i++)
        add_loop(walk, indices->dims[i], i == axis ? 0 : mls__arg_span(data, i + 1, data->rank));
    if (walk->rank == 0) {
        walk->counts[0] = 1;
        walk->steps[walk->rank++] = 0;
    }
}

bool mls__element_walk_lines(const mls__element_walk *walk, int64_t begin, int64_t n,
                             mls__element_line_fn fn, void *arg)
{
    const int last = walk->rank - 1;
    int64_t at[MLS_MAX_RANK], base = 0, rest = begin;
    for (int i = last; i >= 0; i--) {
        at[i] = rest % walk->counts[i];
        rest /= walk->counts[i];
        base += at[i] * walk->steps[i];
    }
    for (int64_t done = 0; done < n;) {
        const int64_t left = walk->counts[last] - at[last];
        const int64_t line = left < n - done ? left : n - done;
        if (!fn(arg, begin + done, line, base))
            return false;
        done += line;
        at[last] += line;
        base += line * walk->steps[last];
        for (int i = last; i > 0 && at[i] == walk->counts[i]; i--) {
            base += walk->steps[i - 1] - at[i] * walk->steps[i];
            at[i] = 0;
            at[i - 1]++;
        }
    }
    return true;
}

/* --- offsets ---------------------------------------------------------------------------------- */

typedef struct offset_work {
    const mls__element_walk *walk;
    const mls__indices *indices;
    int64_t begin, *offsets;
} offset_work;

/* An index outside is not stopped at, so that nothing stops the loop. */
INLINE bool line_offsets(const offset_work *w, bool is_wide, int64_t begin, int64_t n, int64_t base)
{
    const mls__element_walk *walk = w->walk;
    const mls__indices typed = {w->indices->data, is_wide, w->indices->count};
    const int64_t step = walk->steps[walk->rank - 1], bound = walk->bound;
    int64_t *offsets = w->offsets + (begin - w->begin);
    bool is_good = true;
    for (int64_t i = 0; i < n; i++) {
        const int64_t asked = mls__index_at(&typed, begin + i);
        is_good &= !mls__index_is_outside(asked, bound);
        /* Unsigned: what an index outside makes of it is not used, and may overflow. */
        offsets[i] =
            (int64_t) ((uint64_t) (base + i * step) +
                       (uint64_t) mls__index_from_start(asked, bound) * (uint64_t) walk->axis_step);
    }
    return is_good;
}

static bool offsets_wide(void *arg, int64_t begin, int64_t n, int64_t base)
{
    return line_offsets(arg, true, begin, n, base);
}

static bool offsets_narrow(void *arg, int64_t begin, int64_t n, int64_t base)
{
    return line_offsets(arg, false, begin, n, base);
}

bool mls__element_walk_offsets(const mls__element_walk *walk, const mls__indices *indices,
                               int64_t begin, int64_t n, int64_t *ret_offsets)
{
    offset_work w = {walk, indices, begin, ret_offsets};
    return mls__element_walk_lines(walk, begin, n, indices->is_wide ? offsets_wide : offsets_narrow,
                                   &w);
}
