/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of job_types.c where there is no libyaml. */
#include "job_types.h"

#include <stdio.h>

job_types *job_types_load(const char *path, char *message, size_t size)
{
    snprintf(message, size, "%s: this mlscale was built without libyaml, which reads job types",
             path);
    return NULL;
}

void job_types_free(job_types *types)
{
    (void) types;
}

const job_type *job_types_find(const job_types *types, const char *name)
{
    (void) types;
    (void) name;
    return NULL;
}
