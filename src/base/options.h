/* SPDX-License-Identifier: Apache-2.0 */
/* How option structs grow: the caller's `size` says how much of them it knows. */
#ifndef MLS_BASE_OPTIONS_H
#define MLS_BASE_OPTIONS_H

#include <mlscale/status.h>

#include <stddef.h>

/*
 * Copies the caller's struct over `ret_options`, which holds the defaults and has
 * `known` bytes. `options` may be NULL. `first` is the struct's size in its first
 * release. A newer caller's extra bytes must be zero, since we cannot honour them.
 * Errors: MLS_EINVAL naming `what`.
 */
mls_status mls__options_read(const char *what, const void *options, size_t first, size_t known,
                             void *ret_options);

/*
 * Copies the library's struct of `known` bytes to the caller's, up to the `size`
 * that the caller set in it, which is kept.
 */
mls_status mls__options_write(const char *what, const void *filled, size_t first, size_t known,
                              void *ret_options);

#endif
