/* SPDX-License-Identifier: Apache-2.0 */
/* ReverseSequence and TensorScatter, against references that are worked out index by index. */
#include "cpu/indexing_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <stdlib.h>
#include <string.h>

START_TEST(reverses_sequences)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 2, 4), time = (int) random_in(&random, 0, 1);
    const mls_dtype dtype = random_dtype(&random);
    const int64_t count =
        random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 6, 300, dims);
    const int64_t batch = dims[1 - time];
    int64_t *lengths = indexing_integers(batch), *from = indexing_integers(count);
    for (int64_t i = 0; i < batch; i++)
        lengths[i] = random_in(&random, 0, dims[time]);
    index_walk walk = {.rank = rank, .dims = dims};
    while (next_index(&walk)) {
        int64_t index[MLS_MAX_RANK];
        memcpy(index, walk.index, sizeof index);
        const int64_t length = lengths[index[1 - time]];
        if (index[time] < length)
            index[time] = length - 1 - index[time];
        from[walk.position] = position_of(rank, dims, index);
    }
    void *data = make_elements(dtype, count);
    void *expected = pick_elements(dtype, data, from, count, NULL);
    op_test *t = op_test_create("", "ReverseSequence");
    op_test_int(t, "time_axis", time);
    op_test_int(t, "batch_axis", 1 - time);
    op_test_input(t, dtype, rank, dims, data);
    op_test_input(t, MLS_INT64, 1, &batch, lengths);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, rank, dims, expected);
    op_test_free(t);
    free(expected);
    free(data);
    free(from);
    free(lengths);
}
END_TEST

/* As the specification's own loop has it. */
static void check_cache(random_state *random, bool has_starts, bool is_circular)
{
    int64_t dims[MLS_MAX_RANK], update_dims[MLS_MAX_RANK];
    const int rank = (int) random_in(random, 2, 4), axis = (int) random_in(random, 1, rank - 1);
    const mls_dtype dtype = random_dtype(random);
    const int64_t count = random_dims(random, rank, 1, 6, 300, dims);
    memcpy(update_dims, dims, sizeof dims);
    update_dims[axis] = random_in(random, 0, dims[axis]);
    const int64_t updates = count_of(rank, update_dims), length = update_dims[axis];
    int64_t *starts = indexing_integers(dims[0]), *from = indexing_integers(count);
    for (int64_t i = 0; i < dims[0]; i++)
        starts[i] =
            is_circular ? random_in(random, -20, 20) : random_in(random, 0, dims[axis] - length);
    for (int64_t i = 0; i < count; i++)
        from[i] = i;
    index_walk walk = {.rank = rank, .dims = update_dims};
    while (next_index(&walk)) {
        int64_t index[MLS_MAX_RANK];
        memcpy(index, walk.index, sizeof index);
        index[axis] += has_starts ? starts[index[0]] : 0;
        index[axis] = (index[axis] + 60 * dims[axis]) % dims[axis];
        from[position_of(rank, dims, index)] = count + walk.position;
    }
    char *all = make_elements(dtype, count + updates);
    void *expected = pick_elements(dtype, all, from, count, NULL);
    op_test *t = op_test_create("", "TensorScatter");
    op_test_int(t, "axis", axis - rank);
    if (is_circular)
        op_test_string(t, "mode", "circular");
    op_test_input(t, dtype, rank, dims, all);
    op_test_input(t, dtype, rank, update_dims, all + (size_t) count * mls_dtype_size(dtype));
    if (has_starts)
        op_test_input(t, MLS_INT64, 1, dims, starts);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, rank, dims, expected);
    op_test_free(t);
    free(expected);
    free(all);
    free(from);
    free(starts);
}

START_TEST(goes_on_in_a_cache)
{
    random_state random = {(uint64_t) _i};
    check_cache(&random, _i % 3 != 0, _i % 2 != 0);
}
END_TEST

void add_sequences(TCase *tests)
{
    tcase_add_loop_test(tests, reverses_sequences, 0, CASES);
    tcase_add_loop_test(tests, goes_on_in_a_cache, 0, CASES);
}
