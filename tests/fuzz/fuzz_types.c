/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the input as a file of job types, and takes each of them for a submit. */
#include "fuzz/fuzz.h"
#include "fuzz/limits.h"

#include <stdlib.h>
#include <string.h>

/* What was read is within what the library promises a submit. */
static void look_at(const mls_job_types *types)
{
    for (size_t i = 0; i < mls_job_types_count(types); i++) {
        const char *name = mls_job_types_name(types, i);
        mls_job_options job = MLS_JOB_OPTIONS_INIT;
        if (mls_job_types_fill(types, name, &job) || strcmp(job.type, name) != 0 ||
            strlen(name) > MLS_JOB_NAME_MAX || job.priority < MLS_PRIORITY_LOWEST ||
            job.priority > MLS_PRIORITY_HIGHEST || job.max_attempts < 1 || job.jitter_percent > 100)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_heap heap = {0};
    mls_context *context = fuzz_context(&heap, NULL);
    mls_job_types *types;
    const mls_status status =
        mls_job_types_parse(context, "folder/t.yaml", (const char *) data, size, &types);
    if (status == MLS_OK)
        look_at(types);
    else if (strncmp(mls_error_message(), "folder/t.yaml:", 14) != 0 && status != MLS_ENOMEM)
        abort(); /* every fault has its place */
    if (status == MLS_OK)
        mls_job_types_free(types);
    fuzz_context_free(context, &heap);
    return 0;
}
