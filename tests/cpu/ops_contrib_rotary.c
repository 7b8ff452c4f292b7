/* SPDX-License-Identifier: Apache-2.0 */
/* RotaryEmbedding of com.microsoft against its definition, worked out a number at a time. */
#include "cpu/contrib_scene.h"
#include "cpu/topics.h"

#include <stdlib.h>

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};

enum { PLACES = 20, HALF = 3 };

/* Two heads of 6 elements, or of 8 of which 6 are turned; rows of three batches. */
static void check_rotary(mls_dtype dtype, bool is_deep, bool is_offset, bool is_partial)
{
    enum { BATCH = 3, COUNT = 2, LENGTH = 4 };
    const int64_t size = is_partial ? 8 : 6, count = BATCH * COUNT * LENGTH * size;
    const int64_t deep[] = {BATCH, COUNT, LENGTH, size}, flat[] = {BATCH, LENGTH, COUNT * size};
    double *x = contrib_random(count, 1), *y = contrib_random(count, 1);
    double *cosines = contrib_random(PLACES * HALF, 2), *sines = contrib_random(PLACES * HALF, 3);
    int64_t positions[BATCH * LENGTH];
    for (int64_t i = 0; i < BATCH * LENGTH; i++)
        positions[i] = is_offset ? 9 : i * 7 % PLACES;
    for (int64_t i = 0; i < BATCH * LENGTH * COUNT; i++) {
        const int64_t row = is_deep ? i / COUNT / LENGTH * LENGTH + i % LENGTH : i / COUNT;
        const int64_t place = is_offset ? 9 + row % LENGTH : positions[row];
        for (int64_t j = 0; j < HALF; j++) {
            const double c = cosines[place * HALF + j], s = sines[place * HALF + j];
            const double first = x[i * size + j], second = x[i * size + j + HALF];
            y[i * size + j] = c * first - s * second;
            y[i * size + j + HALF] = s * first + c * second;
        }
    }
    op_test *test = op_test_create("com.microsoft", "RotaryEmbedding");
    if (is_partial) {
        op_test_int(test, "num_heads", COUNT);
        op_test_int(test, "rotary_embedding_dim", 2 * HALF);
    }
    contrib_give(test, dtype, is_deep ? 4 : 3, is_deep ? deep : flat, x, false);
    if (is_offset)
        op_test_input(test, MLS_INT64, OP_DIMS(1), positions);
    else
        op_test_input(test, MLS_INT64, OP_DIMS(BATCH, LENGTH), positions);
    contrib_give(test, dtype, 2, (int64_t[]){PLACES, HALF}, cosines, true);
    contrib_give(test, dtype, 2, (int64_t[]){PLACES, HALF}, sines, true);
    ck_assert_ok(op_test_run(test));
    contrib_expect(test, 0, dtype, y, count);
    op_test_free(test);
    free(x);
    free(y);
    free(cosines);
    free(sines);
}

START_TEST(rotary)
{
    check_rotary(dtypes[_i % 3], _i / 3 % 2, _i / 6 % 2, _i / 12);
}
END_TEST

/* The last row of a batch would be past the caches. */
START_TEST(offset_past_the_caches)
{
    static const float zeros[64] = {0};
    const int64_t offset = _i;
    op_test *test = op_test_create("com.microsoft", "RotaryEmbedding");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4, 4), zeros);
    op_test_input(test, MLS_INT64, OP_DIMS(1), &offset);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(5, 2), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(5, 2), zeros);
    ck_assert_int_eq(op_test_run(test), offset < 2 ? MLS_OK : MLS_EINVAL);
    op_test_free(test);
}
END_TEST

void add_contrib_rotary(TCase *tests)
{
    tcase_add_loop_test(tests, rotary, 0, 24);
    tcase_add_loop_test(tests, offset_past_the_caches, 0, 3);
}
