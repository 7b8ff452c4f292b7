/* SPDX-License-Identifier: Apache-2.0 */
/* Fourier transforms against their definition in long double; windows and mel filters. */
#include "backend/cpu/ops/fft.h"
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASES 80

typedef long double complex wide;

static double random_number(uint64_t *seed)
{
    return (double) op_random(seed) * 0x1p-47 - 1; /* it gives 48 bits */
}

/* e^(2 pi i k / n) */
static wide root_of(int64_t k, int64_t n)
{
    const long double angle = 2 * acosl(-1.0L) * (long double) (k % n) / (long double) n;
    return cosl(angle) + sinl(angle) * I;
}

/* Element f of the transform of x, or of its inverse. */
static wide dft_at(const wide *x, int64_t n, int64_t f, bool is_inverse)
{
    wide sum = 0;
    for (int64_t t = 0; t < n; t++)
        sum += x[t] * (is_inverse ? root_of(t * f % n, n) : conjl(root_of(t * f % n, n)));
    return is_inverse ? sum / (long double) n : sum;
}

/* --- the transform ---------------------------------------------------------------------------- */

static const mls__allocator *allocator = &mls__allocator_default;

/* At frequency f, all of `n` samples at once: a single one transforms to a root of unity. */
static void check_length(int64_t n, int64_t step)
{
    mls__fft *fft;
    uint64_t seed = (uint64_t) n;
    ck_assert_ok(mls__fft_create(allocator, n, &fft));
    const size_t room = (size_t) mls__fft_room(fft);
    mls__complex *x = malloc(room * sizeof *x), *scratch = malloc(room * sizeof *x);
    wide *samples = malloc((size_t) n * sizeof *samples);
    long double norm = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (mls__complex){random_number(&seed), random_number(&seed)};
        samples[i] = (long double) x[i].re + (long double) x[i].im * I;
        norm += cabsl(samples[i]) * cabsl(samples[i]);
    }
    const mls__complex *y = mls__fft_run(fft, x, scratch);
    for (int64_t f = 0; f < n; f += step) {
        const wide expected = dft_at(samples, n, f, false);
        const long double error =
            cabsl((long double) y[f].re + (long double) y[f].im * I - expected);
        ck_assert_msg(error < 0x1p-48L * sqrtl(norm), "length %d, frequency %d: off by %Lg",
                      (int) n, (int) f, error);
    }
    free(samples);
    free(x);
    free(scratch);
    mls__fft_free(allocator, fft);
}

START_TEST(transforms_all_small_lengths)
{
    for (int64_t n = 1; n <= 140; n++)
        check_length(n, 1);
}
END_TEST

/* Powers, products, the largest prime that is taken apart and those after it. */
START_TEST(transforms_large_lengths)
{
    static const int64_t lengths[] = {256,  400,  512,     480,     1024,    1000,
                                      3721, 4096, 61 * 64, 67 * 60, 67 * 67, 9973};
    check_length(lengths[_i], lengths[_i] > 1100 ? 97 : 1);
}
END_TEST

/* --- DFT -------------------------------------------------------------------------------------- */

typedef struct samples {
    mls_dtype dtype;
    int rank, axis, parts; /* rank: with the parts */
    int64_t dims[MLS_MAX_RANK], out_dims[MLS_MAX_RANK];
    int64_t length; /* of the transform; 0: not given */
    bool is_inverse, is_onesided;
} samples_case;

static void random_signal(random_state *random, samples_case *s)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};
    *s = (samples_case){.dtype = dtypes[random_in(random, 0, 3)],
                        .rank = (int) random_in(random, 2, 4),
                        .is_inverse = random_in(random, 0, 1),
                        .is_onesided = random_in(random, 0, 1)};
    s->parts = s->is_onesided ? 1 + s->is_inverse : (int) random_in(random, 1, 2);
    s->axis = (int) random_in(random, 0, s->rank - 2);
    for (int i = 0; i < s->rank - 1; i++)
        s->dims[i] = random_in(random, 2, i == s->axis ? 20 : 4);
    s->dims[s->rank - 1] = s->parts;
    s->length = random_in(random, 0, 1) ? random_in(random, 1, 24) : 0;
}

/* The samples along the axis at `index`, as many as the transform takes. */
static void take_samples(const samples_case *s, const void *data, const int64_t *index, int64_t n,
                         wide *ret_samples)
{
    int64_t at[MLS_MAX_RANK];
    const bool is_half = s->is_inverse && s->is_onesided;
    memcpy(at, index, sizeof at);
    for (int64_t t = 0; t < n; t++) {
        const bool is_mirrored = is_half && t > n / 2;
        at[s->axis] = is_mirrored ? n - t : t;
        ret_samples[t] = 0;
        if (at[s->axis] >= s->dims[s->axis])
            continue;
        at[s->rank - 1] = 0;
        const int64_t k = position_of(s->rank, s->dims, at);
        const bool is_real = s->parts == 1 || (is_half && (t == 0 || 2 * t == n));
        const wide z = (long double) op_float(s->dtype, data, k) +
                       (is_real ? 0 : (long double) op_float(s->dtype, data, k + 1)) * I;
        ret_samples[t] = is_mirrored ? conjl(z) : z;
    }
}

static double *expected_of(const samples_case *s, const void *data, int64_t n)
{
    double *y = malloc((size_t) count_of(s->rank, s->out_dims) * sizeof *y);
    wide *samples = malloc((size_t) n * sizeof *samples);
    index_walk walk = {.rank = s->rank, .dims = s->out_dims};
    while (next_index(&walk)) {
        take_samples(s, data, walk.index, n, samples);
        const wide z = dft_at(samples, n, walk.index[s->axis], s->is_inverse);
        y[walk.position] = (double) (walk.index[s->rank - 1] ? cimagl(z) : creall(z));
    }
    free(samples);
    return y;
}

/* Within a rounding of the dtype; half a unit, and what float64 loses before. */
static void expect_floats(const op_test *t, const samples_case *s, const double *expected)
{
    static const double units[] = {[MLS_FLOAT32] = 0x1p-24,
                                   [MLS_FLOAT64] = 0,
                                   [MLS_FLOAT16] = 0x1p-11,
                                   [MLS_BFLOAT16] = 0x1p-8};
    const mls_arg *y = op_test_output(t, 0);
    ck_assert_int_eq(y->dtype, s->dtype);
    ck_assert_int_eq(y->rank, s->rank);
    ck_assert_mem_eq(y->dims, s->out_dims, (size_t) s->rank * sizeof *y->dims);
    for (int64_t i = 0; i < count_of(s->rank, s->out_dims); i++) {
        const double got = op_float(s->dtype, op_test_data(t, 0), i);
        ck_assert_msg(fabs(got - expected[i]) <= units[s->dtype] * fabs(expected[i]) + 1e-7,
                      "element %d is %g, expected %g", (int) i, got, expected[i]);
    }
}

static void check_signal(random_state *random, samples_case *s, int64_t given_length)
{
    const bool is_half = s->is_inverse && s->is_onesided;
    const int64_t count = count_of(s->rank, s->dims);
    const int64_t n = given_length ? given_length
                      : is_half    ? 2 * (s->dims[s->axis] - 1)
                                   : s->dims[s->axis];
    memcpy(s->out_dims, s->dims, sizeof s->dims);
    s->out_dims[s->axis] = s->is_onesided && !s->is_inverse ? n / 2 + 1 : n;
    s->out_dims[s->rank - 1] = is_half ? 1 : 2;
    void *data = malloc((size_t) count * sizeof(double));
    for (int64_t i = 0; i < count; i++)
        op_float_set(s->dtype, data, i, (double) random_in(random, -1000, 1000) / 512);
    double *expected = expected_of(s, data, n);
    op_test *t = op_test_create("", "DFT");
    op_test_int(t, "inverse", s->is_inverse);
    op_test_int(t, "onesided", s->is_onesided);
    op_test_input(t, s->dtype, s->rank, s->dims, data);
    if (given_length)
        op_test_known(t, MLS_INT64, OP_SCALAR, &given_length);
    else
        op_test_left_out(t);
    op_test_constant(t, MLS_INT64, OP_SCALAR, &(int64_t){s->axis - s->rank});
    ck_assert_ok(op_test_run(t));
    expect_floats(t, s, expected);
    op_test_free(t);
    free(expected);
    free(data);
}

START_TEST(transforms_signals)
{
    random_state random = {(uint64_t) _i};
    samples_case s;
    random_signal(&random, &s);
    check_signal(&random, &s, s.length);
}
END_TEST

START_TEST(transforms_with_threads)
{
    random_state random = {4};
    samples_case s = {.dtype = MLS_FLOAT32, .rank = 3, .axis = 0, .parts = 2, .dims = {134, 50, 2}};
    check_signal(&random, &s, 0);
}
END_TEST

START_TEST(follows_smaller_batches)
{
    op_test *t = op_test_create("", "DFT");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 2, 1), (float[]){3, 5});
    op_test_planned(t, OP_DIMS(6, 2, 1), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(1, 2, 2), (float[]){8, 0, -2, 0});
    op_test_free(t);
}
END_TEST

START_TEST(asks_for_another_plan_for_another_length)
{
    op_test *t = op_test_create("", "DFT");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 2, 1), (float[]){3, 5});
    op_test_planned(t, OP_DIMS(1, 3, 1), NULL);
    ck_assert_fails(op_test_run(t), MLS_ELIMIT, "another length needs another plan");
    op_test_free(t);
}
END_TEST

/* --- STFT ------------------------------------------------------------------------------------- */

typedef struct frames {
    int64_t batch, signal, length, step;
    int parts;
    bool is_onesided, has_window, has_length;
} frames;

static double *expected_frames(const frames *f, const float *x, const float *window, int64_t *dims)
{
    dims[0] = f->batch;
    dims[1] = (f->signal - f->length) / f->step + 1;
    dims[2] = f->is_onesided ? f->length / 2 + 1 : f->length;
    dims[3] = 2;
    double *y = malloc((size_t) count_of(4, dims) * sizeof *y);
    wide *samples = malloc((size_t) f->length * sizeof *samples);
    index_walk walk = {.rank = 4, .dims = dims};
    while (next_index(&walk)) {
        for (int64_t t = 0; t < f->length; t++) {
            const int64_t at = (walk.index[0] * f->signal + walk.index[1] * f->step + t) * f->parts;
            samples[t] = (long double) x[at] + (f->parts == 2 ? (long double) x[at + 1] : 0) * I;
            samples[t] *= f->has_window ? (long double) window[t] : 1;
        }
        const wide z = dft_at(samples, f->length, walk.index[2], false);
        y[walk.position] = (double) (walk.index[3] ? cimagl(z) : creall(z));
    }
    free(samples);
    return y;
}

static void check_frames(const frames *f)
{
    float x[400], window[400], rounded[8000];
    int64_t dims[4];
    uint64_t seed = (uint64_t) f->length;
    for (int i = 0; i < 400; i++) {
        x[i] = (float) random_number(&seed);
        window[i] = (float) random_number(&seed);
    }
    double *expected = expected_frames(f, x, window, dims);
    for (int64_t i = 0; i < count_of(4, dims); i++)
        rounded[i] = (float) expected[i];
    op_test *t = op_test_create("", "STFT");
    op_test_int(t, "onesided", f->is_onesided);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(f->batch, f->signal, f->parts), x);
    op_test_known(t, MLS_INT64, OP_SCALAR, &f->step);
    if (f->has_window)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(f->length), window);
    else
        op_test_left_out(t);
    if (f->has_length)
        op_test_known(t, MLS_INT64, OP_SCALAR, &f->length);
    ck_assert_ok(op_test_run(t));
    op_test_expect_near(t, 0, MLS_FLOAT32, 4, dims, rounded, 1e-12, 0x1p-23);
    op_test_free(t);
    free(expected);
}

START_TEST(transforms_frames)
{
    static const frames cases[] = {
        {1, 60, 16, 8, 1, true, true, false},           {2, 61, 15, 4, 1, true, true, true},
        {2, 33, 8, 30, 1, false, false, true},          {2, 40, 12, 5, 2, false, true, false},
        {1, 20, 20, INT64_MAX, 2, false, false, false},
    };
    check_frames(&cases[_i]);
}
END_TEST

/* --- windows ---------------------------------------------------------------------------------- */

static double window_at(const char *type, int64_t k, int64_t n)
{
    const double x = n ? 2 * acos(-1.0) * (double) k / (double) n : acos(-1.0);
    if (strcmp(type, "HannWindow") == 0)
        return 0.5 - 0.5 * cos(x);
    if (strcmp(type, "HammingWindow") == 0)
        return n ? 25.0 / 46 - 21.0 / 46 * cos(x) : 1;
    return n ? 0.42 - 0.5 * cos(x) + 0.08 * cos(2 * x) : 1;
}

START_TEST(makes_windows)
{
    static const char *const types[] = {"HannWindow", "HammingWindow", "BlackmanWindow"};
    for (int64_t size = 0; size < 300; size = size * 2 + 1)
        for (int periodic = 0; periodic < 2; periodic++) {
            double expected[300];
            const int64_t steps = periodic ? size : size - 1;
            for (int64_t k = 0; k < size; k++)
                expected[k] = window_at(types[_i], k, steps);
            if (size == 1)
                expected[0] = periodic ? window_at(types[_i], 0, 1) : 1;
            op_test *t = op_test_create("", types[_i]);
            op_test_int(t, "periodic", periodic);
            op_test_int(t, "output_datatype", MLS_FLOAT64);
            op_test_known(t, MLS_INT32, OP_SCALAR, &(int32_t){(int32_t) size});
            ck_assert_ok(op_test_run(t));
            op_test_expect_near(t, 0, MLS_FLOAT64, OP_DIMS(size), expected, 1e-15, 1e-15);
            op_test_free(t);
        }
}
END_TEST

/* --- MelWeightMatrix -------------------------------------------------------------------------- */

static op_test *mel_test(int32_t bins, int32_t length, int32_t rate, float low, float high)
{
    op_test *t = op_test_create("", "MelWeightMatrix");
    op_test_known(t, MLS_INT32, OP_SCALAR, &bins);
    op_test_known(t, MLS_INT32, OP_SCALAR, &length);
    op_test_input(t, MLS_INT32, OP_SCALAR, &rate);
    op_test_input(t, MLS_FLOAT32, OP_SCALAR, &low);
    op_test_input(t, MLS_FLOAT32, OP_SCALAR, &high);
    return t;
}

/* As ONNX's own example has it. */
START_TEST(makes_mel_filters)
{
    static const float expected[] = {
        1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    };
    op_test *t = mel_test(8, 16, 8192, 0, 4096);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(9, 8), expected);
    op_test_free(t);
}
END_TEST

/* Each filter rises to 1 and falls; no two peaks are in the wrong order. */
START_TEST(mel_filters_are_triangles)
{
    op_test *t = mel_test(40, 512, 16000, 20, 8000);
    ck_assert_ok(op_test_run(t));
    const float *y = op_test_data(t, 0);
    int last_peak = 0;
    for (int filter = 0; filter < 40; filter++) {
        int peak = 0;
        for (int row = 0; row < 257; row++)
            peak = y[row * 40 + filter] == 1 ? row : peak;
        ck_assert(y[peak * 40 + filter] == 1 && peak >= last_peak);
        for (int row = 1; row < 257; row++)
            if (row <= peak)
                ck_assert(y[row * 40 + filter] >= y[(row - 1) * 40 + filter]);
            else
                ck_assert(y[row * 40 + filter] <= y[(row - 1) * 40 + filter]);
        last_peak = peak;
    }
    op_test_free(t);
}
END_TEST

START_TEST(mel_filters_need_sensible_edges)
{
    static const struct {
        int32_t rate;
        float low, high;
        const char *words;
    } cases[] = {
        {8192, -1, 4096, "edges of -1 and 4096 Hz"},
        {8192, 100, 50, "edges of 100 and 50 Hz"},
        {0, 0, 4096, "a rate of 0"},
        {8192, NAN, 4096, "edges of nan"},
        {8192, 0, INFINITY, "the upper edge of inf Hz is past"},
        {100, 0, 4096, "the upper edge of 4096 Hz is past what a rate of 100 has"},
    };
    op_test *t = mel_test(8, 16, cases[_i].rate, cases[_i].low, cases[_i].high);
    ck_assert_fails(op_test_run(t), MLS_ERANGE, cases[_i].words);
    op_test_free(t);
}
END_TEST

/* --- what does not fit ------------------------------------------------------------------------ */

START_TEST(dft_refuses_what_does_not_fit)
{
    static const struct {
        int rank;
        int64_t dims[3];
        int64_t length, axis; /* 0 and 9: left out */
        int64_t onesided, inverse;
        mls_status status;
        const char *words;
    } cases[] = {
        {1, {2}, 0, 9, 0, 0, MLS_ESHAPE, "input 0 has 1 dimensions"},
        {3, {2, 4, 3}, 0, 9, 0, 0, MLS_ESHAPE, "the last dimension of input 0 is 3"},
        {3, {2, 4, 2}, 0, 9, 1, 0, MLS_ESHAPE, "onesided is 1"},
        {3, {2, 4, 1}, 0, -1, 0, 0, MLS_EINVAL, "the axis is the last one"},
        {3, {2, 4, 1}, 0, 2, 0, 0, MLS_EINVAL, "input 2 is 2; it must be in [-3, 1]"},
        {3, {2, 4, 1}, -5, 9, 0, 0, MLS_EINVAL, "input 1 is -5; it must be in [1, "},
        {3, {2, 4, 1}, INT64_MAX, 9, 0, 0, MLS_EINVAL, "input 1 is 9223372036854775807"},
        {3, {2, 0, 1}, 0, 9, 0, 0, MLS_ESHAPE, "0 samples along axis 1"},
        {3, {2, 1, 2}, 0, 9, 1, 1, MLS_ESHAPE, "1 samples along axis 1"},
    };
    op_test *t = op_test_create("", "DFT");
    op_test_int(t, "onesided", cases[_i].onesided);
    op_test_int(t, "inverse", cases[_i].inverse);
    op_test_input(t, MLS_FLOAT32, cases[_i].rank, cases[_i].dims, (const float[24]){0});
    if (cases[_i].length)
        op_test_known(t, MLS_INT64, OP_SCALAR, &cases[_i].length);
    else
        op_test_left_out(t);
    if (cases[_i].axis != 9)
        op_test_known(t, MLS_INT64, OP_SCALAR, &cases[_i].axis);
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(stft_refuses_what_does_not_fit)
{
    static const struct {
        int64_t step, window, length, parts; /* 0: left out */
        mls_status status;
        const char *words;
    } cases[] = {
        {-1, 0, 4, 1, MLS_EINVAL, "input 1 is -1"},
        {1, 4, 5, 1, MLS_ESHAPE, "a window of 4 samples for frames of 5"},
        {1, 0, 9, 1, MLS_ESHAPE, "frames of 9 samples for a signal of 8"},
        {1, 9, 0, 1, MLS_ESHAPE, "frames of 9 samples for a signal of 8"},
        {1, 4, 0, 2, MLS_ESHAPE, "onesided is 1"},
    };
    op_test *t = op_test_create("", "STFT");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 8, cases[_i].parts), (const float[16]){0});
    op_test_known(t, MLS_INT64, OP_SCALAR, &cases[_i].step);
    if (cases[_i].window)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(cases[_i].window), (const float[9]){0});
    else
        op_test_left_out(t);
    if (cases[_i].length)
        op_test_known(t, MLS_INT64, OP_SCALAR, &cases[_i].length);
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_spectral");
    TCase *tests = tcase_create("spectral");
    tcase_add_test(tests, transforms_all_small_lengths);
    tcase_add_loop_test(tests, transforms_large_lengths, 0, 12);
    tcase_add_loop_test(tests, transforms_signals, 0, CASES);
    tcase_add_test(tests, transforms_with_threads);
    tcase_add_test(tests, follows_smaller_batches);
    tcase_add_test(tests, asks_for_another_plan_for_another_length);
    tcase_add_loop_test(tests, transforms_frames, 0, 5);
    tcase_add_loop_test(tests, makes_windows, 0, 3);
    tcase_add_test(tests, makes_mel_filters);
    tcase_add_test(tests, mel_filters_are_triangles);
    tcase_add_loop_test(tests, mel_filters_need_sensible_edges, 0, 6);
    tcase_add_loop_test(tests, dft_refuses_what_does_not_fit, 0, 9);
    tcase_add_loop_test(tests, stft_refuses_what_does_not_fit, 0, 5);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
