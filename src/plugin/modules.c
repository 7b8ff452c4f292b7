/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules that are loaded when they are first asked for: the URL of a queue or a group whose
 * scheme nobody registered names one in the folder of the installation, or in the one that the
 * environment's MLSCALE_DRIVERS says (a build tree; not for programs with more rights
 * than their user). A scheme is part of a path here: of a-z and 0-9 only.
 */
#include "plugin/drivers.h"

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 32

/* What the files of a kind's modules begin with. */
static const char *prefix_of(uint32_t kind)
{
    return kind == MLS_PLUGIN_TRANSPORT ? "mls_transport_" : "mls_queue_";
}

static bool is_safe(const char *name, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    return size > 0 && size <= MAX_NAME && strspn(name, letters) >= size;
}

/* NULL: the environment says none. */
static const char *folder_of_environment(void)
{
    return secure_getenv("MLSCALE_DRIVERS");
}

/* The path of the module, if there is one. */
static bool find_module(uint32_t kind, const char *name, size_t name_size, char *path, size_t size)
{
    const char *folder = folder_of_environment();
    if (!folder || folder[0] != '/')
        folder = mls__driver_folder;
    const int length =
        snprintf(path, size, "%s/%s%.*s.so", folder, prefix_of(kind), (int) name_size, name);
    return length > 0 && (size_t) length < size && access(path, R_OK) == 0;
}

/* What the library's own modules are built with; NULL: it is none of them, or needs nothing. */
static const char *needs_of(const char *name, size_t size)
{
    static const char *const needs[][2] = {{"mpi", "Open MPI or MPICH"},
                                           {"openmpi", "Open MPI"},
                                           {"mpich", "MPICH"},
                                           {"postgres", "libpq"}};
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (strlen(needs[i][0]) == size && memcmp(needs[i][0], name, size) == 0)
            return needs[i][1];
    return NULL;
}

/* Where MLSCALE_DRIVERS stands in it. */
static void explain_folder(char *ret_text, size_t size)
{
    const char *folder = folder_of_environment();
    if (!folder)
        snprintf(
            ret_text, size,
            "MLSCALE_DRIVERS in the environment says another folder, such as .libs of a build");
    else if (folder[0] == '/')
        snprintf(ret_text, size, "MLSCALE_DRIVERS says where");
    else
        snprintf(ret_text, size, "MLSCALE_DRIVERS, '%.100s', is no absolute path, and not followed",
                 folder);
}

/* After mls__drivers_find() has said that nobody registered it. */
static mls_status no_module(const char *path, const char *name, size_t name_size)
{
    char said[512], folder[192];
    const char *needs = needs_of(name, name_size);
    snprintf(said, sizeof said, "%s", mls_error_message());
    explain_folder(folder, sizeof folder);
    return mls__error(MLS_ENOTFOUND, "%s; and no module %.200s (%s)%s%s", said, path, folder,
                      needs ? "; it is built where there is " : "", needs ? needs : "");
}

mls_status mls__drivers_find_scheme(mls__drivers *drivers, uint32_t kind, const char *name,
                                    size_t name_size, const mls_plugin **ret_plugin)
{
    char path[4096];
    mls_status status = mls__drivers_find(drivers, kind, name, name_size, ret_plugin);
    if (status != MLS_ENOTFOUND || !is_safe(name, name_size))
        return status;
    if (!find_module(kind, name, name_size, path, sizeof path))
        return no_module(path, name, name_size);
    status = mls__drivers_load(drivers, path);
    if (status && status != MLS_EEXIST) /* that is: another thread loaded it meanwhile */
        return status;
    return mls__drivers_find(drivers, kind, name, name_size, ret_plugin);
}
