/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a mask, filled by the form of the padding. */
#include "backend/cpu/ops/padding_mask.h"

static bool has_query_rows(const mls__padding *p)
{
    return p->form == MLS__PADDING_ROWS || p->form == MLS__PADDING_SQUARE;
}

int64_t mls__padding_rows(const mls__padding *p)
{
    if (p->form == MLS__PADDING_NONE)
        return 0;
    return has_query_rows(p) ? p->batch * p->queries : p->batch;
}

mls__attend_mask mls__padding_mask(const mls__padding *p)
{
    if (p->form == MLS__PADDING_NONE)
        return (mls__attend_mask){.dtype = MLS_DTYPE_NONE};
    mls__attend_mask mask = {.dtype = MLS_FLOAT32, .steps = {.batch = p->keys}, .columns = p->keys};
    if (has_query_rows(p))
        mask.steps = (mls__attend_steps){p->queries * p->keys, 0, p->keys};
    return mask;
}

/* Keys begin .. end-1 are none. */
static void fill_range(int64_t keys, int64_t begin, int64_t end, float filter, float *ret_row)
{
    for (int64_t j = 0; j < keys; j++)
        ret_row[j] = j >= begin && j < end ? 0 : filter;
}

static void fill_flags(int64_t keys, const int32_t *flags, float filter, float *ret_row)
{
    for (int64_t j = 0; j < keys; j++)
        ret_row[j] = flags[j] > 0 ? 0 : filter;
}

void mls__padding_fill(const mls__padding *p, const int32_t *data, float filter, float *ret_mask)
{
    const int64_t rows = mls__padding_rows(p);
    for (int64_t i = 0; i < rows; i++) {
        float *row = ret_mask + i * p->keys;
        if (p->form == MLS__PADDING_ENDS) {
            fill_range(p->keys, 0, data[i], filter, row);
        } else if (p->form == MLS__PADDING_RANGES) {
            fill_range(p->keys, data[p->batch + i], data[i], filter, row);
        } else if (p->form == MLS__PADDING_SQUARE) {
            const int64_t batch = i / p->queries, query = i % p->queries;
            fill_flags(p->keys, data + (batch * p->most + p->past + query) * p->most, filter, row);
        } else {
            fill_flags(p->keys, data + i * p->keys, filter, row);
        }
    }
}
