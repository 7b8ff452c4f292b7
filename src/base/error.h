/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to fail: sets the thread's message and returns the code. */
#ifndef MLS_BASE_ERROR_H
#define MLS_BASE_ERROR_H

#include <mlscale/status.h>

#include <stdarg.h>
#include <stddef.h>

/* Sets the message and returns `status`, so that the two cannot disagree. */
mls_status mls__error(mls_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
mls_status mls__error_v(mls_status status, const char *format, va_list args);

/* Forgets the message, before code whose failure may come without one. */
void mls__error_clear(void);

/* MLS_EIO with the operating system's words for `os_error` (an errno) at the end. */
mls_status mls__error_os(int os_error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* MLS_ENOMEM for a request of `size_bytes`. */
mls_status mls__error_nomem(size_t size_bytes);

/*
 * MLS_EINVAL for a public function that got NULL where it must not; `function` is
 * its __func__, `arguments` the ones that it checks: "context and ret_tensor".
 */
mls_status mls__error_null(const char *function, const char *arguments);

/*
 * Puts where it happened in front of the message that is set, and returns
 * `status`: mls__error_at(status, "node '%s'", name) gives "node 'x': ...".
 */
mls_status mls__error_at(mls_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
