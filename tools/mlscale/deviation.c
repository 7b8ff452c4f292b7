/* SPDX-License-Identifier: Apache-2.0 */
/* A line for each data set, and a summary. */
#include "deviation.h"

#include <inttypes.h>
#include <stdio.h>

static void print_one(const char *name, const deviation *d)
{
    if (d->absolute == 0 && !d->unmatched) {
        printf("fast %s: as exact\n", name);
        return;
    }
    printf("fast %s: max abs error %.3g", name, d->absolute);
    if (d->absolute > 0)
        printf(" at %s", d->absolute_at);
    printf(", max rel error %.3g", d->relative);
    if (d->relative > 0)
        printf(" at %s", d->relative_at);
    if (d->unmatched)
        printf(", %" PRId64 " not finite in one alone", d->unmatched);
    printf("\n");
}

static void keep_worst(deviations *all, const char *name, const deviation *d)
{
    all->measured++;
    all->deviating += d->absolute > 0 || d->unmatched;
    all->worst.unmatched += d->unmatched;
    if (d->absolute > all->worst.absolute) {
        all->worst.absolute = d->absolute;
        snprintf(all->worst_absolute, sizeof all->worst_absolute, " in %.100s at %.128s", name,
                 d->absolute_at);
    }
    if (d->relative > all->worst.relative) {
        all->worst.relative = d->relative;
        snprintf(all->worst_relative, sizeof all->worst_relative, " in %.100s at %.128s", name,
                 d->relative_at);
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
    deviation d = {.absolute = 0};
    for (size_t i = 0; i < output_count; i++) {
        size_t items;
        if (mls_session_output_count(exact, i, &items))
            continue;
        for (size_t k = 0; k < items; k++)
            measure_item(fast, exact, i, k, &d);
    }
    print_one(name, &d);
    keep_worst(all, name, &d);
}

void deviations_print(const deviations *all)
{
    printf("fast against exact numerics: %zu of %zu data sets differ\n", all->deviating,
           all->measured);
    printf("  max abs error %.3g%s\n", all->worst.absolute, all->worst_absolute);
    printf("  max rel error %.3g%s\n", all->worst.relative, all->worst_relative);
    if (all->worst.unmatched)
        printf("  not finite in one alone: %" PRId64 " elements\n", all->worst.unmatched);
}
