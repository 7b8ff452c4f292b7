/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as jobs: the command lines of those who run them. */
#ifndef MLS_JOB_TYPES_CONTAINER_H
#define MLS_JOB_TYPES_CONTAINER_H

#include "job_types/types.h"

/* Why the type's container cannot be run by its engine; NULL: it can. */
const char *mls__container_check(const mls__type *type);

/*
 * The words that run the container under `name`, and those that remove it, whether it
 * runs or not; ended by NULL. `environment` is what the engine is started with, of which
 * the container gets the type's variables and MLS_JOB_*. To be freed; they borrow from
 * the type and `name`. NULL: no memory.
 */
char **mls__container_run_words(const mls__allocator *allocator, const mls__type *type,
                                const char *name);
char **mls__container_remove_words(const mls__allocator *allocator, const mls__type *type,
                                   const char *name);

#endif
