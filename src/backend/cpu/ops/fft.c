/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/ops/fft.h"

#include "backend/cpu/math/turn.h"
#include "base/error.h"

#include <string.h>

/* A prime of this size costs as much directly as a convolution does. */
#define LARGEST_PRIME 61
#define MOST_FACTORS  32

/* A length without larger primes. */
typedef struct smooth {
    int64_t n;
    int factor_count;
    int32_t factors[MOST_FACTORS];
    mls__complex *roots; /* e^(-2 pi i t / n) */
} smooth;

struct mls__fft {
    int64_t length;
    smooth plan; /* of the length, or of the convolution */
    /* Of Bluestein's convolution: e^(-pi i t^2 / length), and its mirror image transformed. */
    mls__complex *chirp, *filter;
};

static mls__complex times(mls__complex a, mls__complex b)
{
    return (mls__complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static mls__complex plus(mls__complex a, mls__complex b)
{
    return (mls__complex){a.re + b.re, a.im + b.im};
}

static mls__complex minus(mls__complex a, mls__complex b)
{
    return (mls__complex){a.re - b.re, a.im - b.im};
}

/* -i times. */
static mls__complex turned(mls__complex a)
{
    return (mls__complex){a.im, -a.re};
}

/* e^(-2 pi i k / n) */
static mls__complex root(uint64_t k, uint64_t n)
{
    mls__complex z;
    mls__f64_turn(k, n, &z.re, &z.im);
    z.im = 0.0 - z.im;
    return z;
}

/* --- a stage ---------------------------------------------------------------------------------- */

/*
 * One factor p of n: the input is [done][p][rest], the output [p][done][rest], where `done` is
 * the product of the factors before.
 */
typedef struct stage {
    const smooth *plan;
    int64_t p, done, rest;
} stage;

/* The twiddle of input q at position j among those done. */
static mls__complex twiddle(const stage *s, int64_t q, int64_t j)
{
    return s->plan->roots[q * j * s->rest];
}

static void run_2(const stage *s, const mls__complex *x, mls__complex *y)
{
    const int64_t rest = s->rest, half = s->done * rest;
    for (int64_t j = 0; j < s->done; j++) {
        const mls__complex w = twiddle(s, 1, j), *in = x + 2 * j * rest;
        mls__complex *out = y + j * rest;
        for (int64_t k = 0; k < rest; k++) {
            const mls__complex a = in[k], b = times(in[rest + k], w);
            out[k] = plus(a, b);
            out[half + k] = minus(a, b);
        }
    }
}

static void run_4(const stage *s, const mls__complex *x, mls__complex *y)
{
    const int64_t rest = s->rest, part = s->done * rest;
    for (int64_t j = 0; j < s->done; j++) {
        const mls__complex w1 = twiddle(s, 1, j), w2 = twiddle(s, 2, j), w3 = twiddle(s, 3, j);
        const mls__complex *in = x + 4 * j * rest;
        mls__complex *out = y + j * rest;
        for (int64_t k = 0; k < rest; k++) {
            const mls__complex a = in[k], b = times(in[rest + k], w1);
            const mls__complex c = times(in[2 * rest + k], w2), d = times(in[3 * rest + k], w3);
            const mls__complex even = plus(a, c), odd = plus(b, d);
            const mls__complex even_rest = minus(a, c), odd_rest = turned(minus(b, d));
            out[k] = plus(even, odd);
            out[part + k] = plus(even_rest, odd_rest);
            out[2 * part + k] = minus(even, odd);
            out[3 * part + k] = minus(even_rest, odd_rest);
        }
    }
}

/* Any factor, by the definition; the two outputs that mirror each other share their products. */
static void run_any(const stage *s, const mls__complex *x, mls__complex *y)
{
    const int64_t p = s->p, rest = s->rest, part = s->done * rest, step = s->plan->n / p;
    mls__complex terms[LARGEST_PRIME];
    for (int64_t j = 0; j < s->done; j++)
        for (int64_t k = 0; k < rest; k++) {
            const mls__complex *in = x + j * p * rest + k;
            mls__complex *out = y + j * rest + k, sum = in[0];
            terms[0] = in[0];
            for (int64_t q = 1; q < p; q++) {
                terms[q] = times(in[q * rest], twiddle(s, q, j));
                sum = plus(sum, terms[q]);
            }
            out[0] = sum;
            for (int64_t r = 1; r < p; r++) {
                sum = terms[0];
                for (int64_t q = 1; q < p; q++)
                    sum = plus(sum, times(terms[q], s->plan->roots[q * r % p * step]));
                out[r * part] = sum;
            }
        }
}

static mls__complex *run_smooth(const smooth *plan, mls__complex *x, mls__complex *scratch)
{
    stage s = {plan, 1, 1, plan->n};
    for (int i = 0; i < plan->factor_count; i++) {
        s.p = plan->factors[i];
        s.rest /= s.p;
        if (s.p == 4)
            run_4(&s, x, scratch);
        else if (s.p == 2)
            run_2(&s, x, scratch);
        else
            run_any(&s, x, scratch);
        s.done *= s.p;
        mls__complex *other = x;
        x = scratch;
        scratch = other;
    }
    return x;
}

/* --- Bluestein -------------------------------------------------------------------------------- */

static void conjugate(mls__complex *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i].im = -x[i].im;
}

/* The convolution with the filter: there, and back as the transform of the conjugate. */
static mls__complex *run_chirp(const mls__fft *fft, mls__complex *x, mls__complex *scratch)
{
    const int64_t n = fft->length, m = fft->plan.n;
    for (int64_t i = 0; i < n; i++)
        x[i] = times(x[i], fft->chirp[i]);
    memset(x + n, 0, (size_t) (m - n) * sizeof *x);
    mls__complex *there = run_smooth(&fft->plan, x, scratch);
    for (int64_t i = 0; i < m; i++)
        there[i] = times(there[i], fft->filter[i]);
    conjugate(there, m);
    mls__complex *back = run_smooth(&fft->plan, there, there == x ? scratch : x);
    const double scale = 1.0 / (double) m; /* a power of 2: exact */
    for (int64_t i = 0; i < n; i++) {
        const mls__complex z = {back[i].re * scale, -back[i].im * scale};
        back[i] = times(z, fft->chirp[i]);
    }
    return back;
}

/* --- plans ------------------------------------------------------------------------------------ */

/* Fours first, which leaves long inner loops to the cheapest; false where a prime is too large. */
static bool factorize(int64_t n, smooth *ret_plan)
{
    static const int32_t factors[] = {4,  2,  3,  5,  7,  11, 13, 17, 19,           23,
                                      29, 31, 37, 41, 43, 47, 53, 59, LARGEST_PRIME};
    int count = 0;
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        for (; n % factors[i] == 0; n /= factors[i])
            ret_plan->factors[count++] = factors[i];
    ret_plan->factor_count = count;
    return n == 1;
}

static mls__complex *new_numbers(const mls__allocator *allocator, int64_t n)
{
    return mls__alloc_array(allocator, (size_t) n, sizeof(mls__complex));
}

static mls_status create_smooth(const mls__allocator *allocator, int64_t n, smooth *plan)
{
    plan->n = n;
    plan->roots = new_numbers(allocator, n);
    if (!plan->roots)
        return mls__error_nomem((size_t) n * sizeof *plan->roots);
    for (int64_t i = 0; i < n; i++)
        plan->roots[i] = root((uint64_t) i, (uint64_t) n);
    return MLS_OK;
}

/* The filter goes through the transform itself once. */
static mls_status create_filter(const mls__allocator *allocator, mls__fft *fft)
{
    const int64_t n = fft->length, m = fft->plan.n;
    mls__complex *scratch = new_numbers(allocator, m);
    fft->chirp = new_numbers(allocator, n);
    fft->filter = new_numbers(allocator, m);
    if (!scratch || !fft->chirp || !fft->filter) {
        mls__free(allocator, scratch);
        return mls__error_nomem((size_t) m * sizeof *scratch);
    }
    for (int64_t i = 0; i < n; i++)
        fft->chirp[i] = root((uint64_t) (i * i % (2 * n)), (uint64_t) (2 * n));
    for (int64_t i = 0; i < n; i++) {
        const mls__complex z = {fft->chirp[i].re, -fft->chirp[i].im};
        fft->filter[i] = z;
        fft->filter[i ? m - i : 0] = z;
    }
    mls__complex *result = run_smooth(&fft->plan, fft->filter, scratch);
    mls__free(allocator, result == scratch ? fft->filter : scratch);
    fft->filter = result;
    return MLS_OK;
}

mls_status mls__fft_create(const mls__allocator *allocator, int64_t length, mls__fft **ret_fft)
{
    mls__fft *fft = mls__alloc_array(allocator, 1, sizeof *fft);
    if (!fft)
        return mls__error_nomem(sizeof *fft);
    fft->length = length;
    const bool is_smooth = factorize(length, &fft->plan);
    int64_t n = is_smooth ? length : 1;
    while (!is_smooth && n < 2 * length - 1)
        n *= 2;
    if (!is_smooth)
        factorize(n, &fft->plan);
    mls_status status = create_smooth(allocator, n, &fft->plan);
    if (!status && !is_smooth)
        status = create_filter(allocator, fft);
    if (status) {
        mls__fft_free(allocator, fft);
        return status;
    }
    *ret_fft = fft;
    return MLS_OK;
}

void mls__fft_free(const mls__allocator *allocator, mls__fft *fft)
{
    if (!fft)
        return;
    mls__free(allocator, fft->plan.roots);
    mls__free(allocator, fft->chirp);
    mls__free(allocator, fft->filter);
    mls__free(allocator, fft);
}

int64_t mls__fft_room(const mls__fft *fft)
{
    return fft->plan.n;
}

mls__complex *mls__fft_run(const mls__fft *fft, mls__complex *x, mls__complex *scratch)
{
    return fft->chirp ? run_chirp(fft, x, scratch) : run_smooth(&fft->plan, x, scratch);
}
