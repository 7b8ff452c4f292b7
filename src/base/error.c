/* SPDX-License-Identifier: Apache-2.0 */
/* The thread's error message: a fixed buffer, so that running out of memory can be told too. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 1024

static _Thread_local char message[MESSAGE_BYTES];

const char *mls_error_message(void)
{
    return message;
}

mls_status mls__error_v(mls_status status, const char *format, va_list args)
{
    /* Arguments may point into the message itself, so it is composed beside it. */
    char text[MESSAGE_BYTES] = "";
    vsnprintf(text, sizeof text, format, args);
    memcpy(message, text, strlen(text) + 1);
    return status;
}

void mls__error_clear(void)
{
    message[0] = '\0';
}

mls_status mls__error(mls_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mls__error_v(status, format, args);
    va_end(args);
    return status;
}

mls_status mls__error_os(int os_error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mls__error_v(MLS_EIO, format, args);
    va_end(args);
    /* strerror_r has two incompatible shapes; strerror is safe for the codes that exist. */
    return mls__error(MLS_EIO, "%s: %s%s", message, strerror(os_error),
                      os_error == EMFILE ? ": raise the process's limit, ulimit -n" : "");
}

mls_status mls__error_nomem(size_t size_bytes)
{
    return mls__error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes", size_bytes);
}

mls_status mls__error_null(const char *function, const char *arguments)
{
    return mls__error(MLS_EINVAL, "%s: %s must not be NULL", function, arguments);
}

mls_status mls__error_at(mls_status status, const char *format, ...)
{
    char where[MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(where, sizeof where, format, args);
    va_end(args);
    return mls__error(status, "%s: %s", where, message);
}

static const struct {
    mls_status status;
    const char *name;
} names[] = {
    {MLS_OK, "MLS_OK"},
    {MLS_EINVAL, "MLS_EINVAL"},
    {MLS_ENOMEM, "MLS_ENOMEM"},
    {MLS_EIO, "MLS_EIO"},
    {MLS_EFORMAT, "MLS_EFORMAT"},
    {MLS_EUNSUPPORTED, "MLS_EUNSUPPORTED"},
    {MLS_ESHAPE, "MLS_ESHAPE"},
    {MLS_EDTYPE, "MLS_EDTYPE"},
    {MLS_ENOTFOUND, "MLS_ENOTFOUND"},
    {MLS_EEXIST, "MLS_EEXIST"},
    {MLS_ESTATE, "MLS_ESTATE"},
    {MLS_ELIMIT, "MLS_ELIMIT"},
    {MLS_ERANGE, "MLS_ERANGE"},
    {MLS_EFULL, "MLS_EFULL"},
    {MLS_EEMPTY, "MLS_EEMPTY"},
    {MLS_ETIMEDOUT, "MLS_ETIMEDOUT"},
    {MLS_EDEADLINE, "MLS_EDEADLINE"},
    {MLS_ECANCELLED, "MLS_ECANCELLED"},
    {MLS_ESTALE, "MLS_ESTALE"},
    {MLS_EFORKED, "MLS_EFORKED"},
    {MLS_EABI, "MLS_EABI"},
    {MLS_EHANDLER, "MLS_EHANDLER"},
    {MLS_EINTERNAL, "MLS_EINTERNAL"},
    {MLS_EPEER, "MLS_EPEER"},
    {MLS_EMISMATCH, "MLS_EMISMATCH"},
};

const char *mls_status_name(mls_status status)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].status == status)
            return names[i].name;
    return "MLS_E?";
}
