/* SPDX-License-Identifier: Apache-2.0 */
/* The generator's own known answers, and what is made of its bits. */
#include "base/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

/* From kat_vectors of the authors' Random123. */
START_TEST(gives_known_answers)
{
    static const struct {
        mls__rng_block counter;
        mls__rng rng;
        uint32_t words[4];
    } cases[] = {
        {{{0, 0, 0, 0}}, {{0, 0}}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
         {{0xffffffff, 0xffffffff}},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {{0xa4093822, 0x299f31d0}},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    const mls__rng_block block = mls__rng_at(cases[_i].rng, cases[_i].counter);
    ck_assert_mem_eq(block.words, cases[_i].words, sizeof block.words);
}
END_TEST

START_TEST(gives_numbers_by_position)
{
    const mls__rng rng = {{1, 2}};
    double all[33], part[33];
    mls__rng_uniform(rng, 7, all, 33);
    for (int first = 0; first < 33; first++)
        for (int n = 0; n <= 33 - first; n++) {
            mls__rng_uniform(rng, 7 + (uint64_t) first, part, n);
            ck_assert_mem_eq(part, all + first, (size_t) n * sizeof *part);
        }
    const mls__rng_block block = mls__rng_at(rng, (mls__rng_block){{5, 0, 0, 0}});
    const uint64_t low = block.words[0] | (uint64_t) block.words[1] << 32;
    const uint64_t high = block.words[2] | (uint64_t) block.words[3] << 32;
    ck_assert(all[3] == (double) (low >> 11) / 0x1p53);
    ck_assert(all[4] == (double) (high >> 11) / 0x1p53);
}
END_TEST

/* A counter is 64 bits of numbers long. */
START_TEST(goes_past_32_bits)
{
    double far[2], near[2];
    mls__rng_uniform((mls__rng){{1, 2}}, UINT64_C(1) << 33, far, 2);
    mls__rng_uniform((mls__rng){{1, 2}}, 0, near, 2);
    ck_assert(far[0] != near[0] && far[1] != near[1]);
}
END_TEST

START_TEST(is_spread_evenly)
{
    enum { COUNT = 100000, BINS = 16 };
    static double numbers[COUNT];
    int bins[BINS] = {0};
    double sum = 0;
    mls__rng_uniform((mls__rng){{3, 0}}, 0, numbers, COUNT);
    for (int i = 0; i < COUNT; i++) {
        ck_assert(numbers[i] >= 0 && numbers[i] < 1);
        bins[(int) (numbers[i] * BINS)]++;
        sum += numbers[i];
    }
    /* Five standard deviations. */
    ck_assert(fabs(sum / COUNT - 0.5) < 5 * sqrt(1.0 / 12 / COUNT));
    for (int i = 0; i < BINS; i++)
        ck_assert(abs(bins[i] - COUNT / BINS) < 5 * sqrt((double) COUNT / BINS));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/rng");
    TCase *tests = tcase_create("rng");
    tcase_add_loop_test(tests, gives_known_answers, 0, 3);
    tcase_add_test(tests, gives_numbers_by_position);
    tcase_add_test(tests, goes_past_32_bits);
    tcase_add_test(tests, is_spread_evenly);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
