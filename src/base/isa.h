/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set the CPU kernels use: chosen once, when a context is made. */
#ifndef MLS_BASE_ISA_H
#define MLS_BASE_ISA_H

#include <mlscale/status.h>

#include <stdbool.h>

/*
 * `name` is what the host asked for, or NULL: then the environment's MLS_ISA, else
 * the best that this machine has. Errors: MLS_EINVAL (no such set), MLS_EUNSUPPORTED
 * (this machine lacks it); both list what would do.
 */
mls_status mls__isa_select(const char *name, const char **ret_isa);

/* Whether this machine can run `name`; false for a name that is none. */
bool mls__isa_is_supported(const char *name);

/*
 * Linux keeps the tiles of AMX for none but those processes that ask. Asks, and gives whether
 * they may be used, by all threads from now on; to ask again costs a system call.
 */
bool mls__isa_request_tiles(void);

#endif
