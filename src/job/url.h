/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of queues as messages show them. */
#ifndef MLS_JOB_URL_H
#define MLS_JOB_URL_H

#include <stddef.h>

#define MLS__URL_SHOWN 201

/* Copies what fits into `size` bytes, with "***" in place of each password. */
void mls__url_show(const char *url, char *to, size_t size);

#endif
