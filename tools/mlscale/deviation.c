/* SPDX-License-Identifier: Apache-2.0 */
/* A line for each data set, and a summary. */
#include "deviation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Kernels of fast numerics have bf16 among the words of their names: "conv.bf16.avx512". */
static bool has_fast_kernel(const mls_session *session)
{
    for (size_t i = 0; i < mls_session_step_count(session); i++) {
        mls_step_info info = MLS_STEP_INFO_INIT;
        if (!mls_session_step_info(session, i, &info) && strstr(info.kernel, ".bf16."))
            return true;
    }
    return false;
}

static void print_one(const char *name, const deviation *d, bool is_fast)
{
    if (d->share == 0 && !d->unmatched) {
        printf("fast %s: as exact%s\n", name, is_fast ? "" : ", without a fast kernel");
        return;
    }
    printf("fast %s: max error %.3g", name, d->absolute);
    if (d->share > 0)
        printf(" at %s", d->at);
    printf(", %.3g of the largest; rms error %.3g", d->share, d->rms);
    if (d->unmatched)
        printf(", %" PRId64 " not finite in one alone", d->unmatched);
    printf("\n");
}

static void keep_worst(deviations *all, const char *name, const deviation *d)
{
    all->deviating += d->share > 0 || d->unmatched;
    all->worst.unmatched += d->unmatched;
    if (d->share > all->worst.share) {
        all->worst.share = d->share;
        snprintf(all->worst_share, sizeof all->worst_share, " in %.100s at %.128s", name, d->at);
    }
    if (d->rms > all->worst.rms) {
        all->worst.rms = d->rms;
        snprintf(all->worst_rms, sizeof all->worst_rms, " in %.100s", name);
    }
}

/* Outputs of other dims, which the comparison with the expected ones reports, are passed over. */
static void measure_item(mls_session *fast, mls_session *exact, size_t index, size_t item,
                         deviation *d)
{
    mls_tensor *want = NULL, *got = NULL;
    if (!mls_session_output_item(exact, index, item, &want) &&
        !mls_session_output_item(fast, index, item, &got) &&
        mls_tensor_dtype(want) == mls_tensor_dtype(got) &&
        mls_tensor_element_count(want) == mls_tensor_element_count(got))
        measure_deviation(want, mls_tensor_data(got), d);
    mls_tensor_free(want);
    mls_tensor_free(got);
}

void deviations_add(deviations *all, const char *name, mls_session *fast, mls_session *exact,
                    size_t output_count)
{
    deviation d = {.share = 0};
    const bool is_fast = has_fast_kernel(fast);
    for (size_t i = 0; i < output_count; i++) {
        size_t items;
        if (mls_session_output_count(exact, i, &items))
            continue;
        for (size_t k = 0; k < items; k++)
            measure_item(fast, exact, i, k, &d);
    }
    print_one(name, &d, is_fast);
    all->measured++;
    all->fast += is_fast;
    keep_worst(all, name, &d);
}

void deviations_print(const deviations *all)
{
    if (all->fast == 0) {
        printf("no plan had a fast kernel, so nothing is said about fast numerics: what is small, "
               "or no float32, runs as exact\n");
        return;
    }
    printf("fast against exact numerics: %zu of %zu data sets differ; %zu had a fast kernel\n",
           all->deviating, all->measured, all->fast);
    printf("  max error %.3g of the largest%s\n", all->worst.share, all->worst_share);
    printf("  rms error %.3g of the rms%s\n", all->worst.rms, all->worst_rms);
    if (all->worst.unmatched)
        printf("  not finite in one alone: %" PRId64 " elements\n", all->worst.unmatched);
}
