/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the two libraries, and their errors in words. */
#include "transport/nccl/nccl.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct symbol {
    const char *name;
    size_t at; /* in nccl_library */
} symbol;

/* Those of which CUDA has a second version are called by its name. */
static const symbol cuda_symbols[] = {
    {"cuInit", offsetof(nccl_library, cuInit)},
    {"cuDeviceGetCount", offsetof(nccl_library, cuDeviceGetCount)},
    {"cuDeviceGet", offsetof(nccl_library, cuDeviceGet)},
    {"cuDevicePrimaryCtxRetain", offsetof(nccl_library, cuDevicePrimaryCtxRetain)},
    {"cuDevicePrimaryCtxRelease_v2", offsetof(nccl_library, cuDevicePrimaryCtxRelease)},
    {"cuCtxPushCurrent_v2", offsetof(nccl_library, cuCtxPushCurrent)},
    {"cuCtxPopCurrent_v2", offsetof(nccl_library, cuCtxPopCurrent)},
    {"cuStreamCreate", offsetof(nccl_library, cuStreamCreate)},
    {"cuStreamDestroy_v2", offsetof(nccl_library, cuStreamDestroy)},
    {"cuStreamQuery", offsetof(nccl_library, cuStreamQuery)},
    {"cuMemAlloc_v2", offsetof(nccl_library, cuMemAlloc)},
    {"cuMemFree_v2", offsetof(nccl_library, cuMemFree)},
    {"cuMemAllocHost_v2", offsetof(nccl_library, cuMemAllocHost)},
    {"cuMemFreeHost", offsetof(nccl_library, cuMemFreeHost)},
    {"cuMemcpyHtoDAsync_v2", offsetof(nccl_library, cuMemcpyHtoDAsync)},
    {"cuMemcpyDtoHAsync_v2", offsetof(nccl_library, cuMemcpyDtoHAsync)},
    {"cuGetErrorString", offsetof(nccl_library, cuGetErrorString)},
};

static const symbol nccl_symbols[] = {
    {"ncclGetUniqueId", offsetof(nccl_library, ncclGetUniqueId)},
    {"ncclCommInitRankConfig", offsetof(nccl_library, ncclCommInitRankConfig)},
    {"ncclCommGetAsyncError", offsetof(nccl_library, ncclCommGetAsyncError)},
    {"ncclCommAbort", offsetof(nccl_library, ncclCommAbort)},
    {"ncclGetErrorString", offsetof(nccl_library, ncclGetErrorString)},
    {"ncclAllReduce", offsetof(nccl_library, ncclAllReduce)},
    {"ncclReduce", offsetof(nccl_library, ncclReduce)},
    {"ncclReduceScatter", offsetof(nccl_library, ncclReduceScatter)},
    {"ncclBroadcast", offsetof(nccl_library, ncclBroadcast)},
    {"ncclAllGather", offsetof(nccl_library, ncclAllGather)},
    {"ncclSend", offsetof(nccl_library, ncclSend)},
    {"ncclRecv", offsetof(nccl_library, ncclRecv)},
    {"ncclGroupStart", offsetof(nccl_library, ncclGroupStart)},
    {"ncclGroupEnd", offsetof(nccl_library, ncclGroupEnd)},
};

/* They stay in the process: their threads and handlers do, too. */
static mls_status open_one(const mls_plugin_host *host, const char *variable, const char *name,
                           const symbol *symbols, size_t count, nccl_library *library,
                           void **ret_handle)
{
    const char *path = secure_getenv(variable);
    void *handle = dlopen(path ? path : name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return host->error(MLS_ENOTFOUND, "%s cannot be opened (%s says where else it is): %s",
                           name, variable, dlerror());
    *ret_handle = handle;
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(handle, symbols[i].name);
        if (!address)
            return host->error(MLS_ENOTFOUND, "%s is too old: it lacks %s()", name,
                               symbols[i].name);
        memcpy((unsigned char *) library + symbols[i].at, &address, sizeof address);
    }
    return MLS_OK;
}

mls_status nccl_library_open(const mls_plugin_host *host, nccl_library *ret_library)
{
    nccl_library library = {0};
    mls_status status =
        open_one(host, "MLSCALE_CUDA", "libcuda.so.1", cuda_symbols,
                 sizeof cuda_symbols / sizeof *cuda_symbols, &library, &library.cuda_handle);
    if (!status)
        status =
            open_one(host, "MLSCALE_NCCL", "libnccl.so.2", nccl_symbols,
                     sizeof nccl_symbols / sizeof *nccl_symbols, &library, &library.nccl_handle);
    if (status) {
        nccl_library_close(&library);
        return status;
    }
    *ret_library = library;
    return MLS_OK;
}

void nccl_library_close(nccl_library *library)
{
    if (library->nccl_handle)
        dlclose(library->nccl_handle);
    if (library->cuda_handle)
        dlclose(library->cuda_handle);
}

mls_status nccl_check_cuda(const nccl_hall *hall, cuda_result result, const char *what)
{
    const char *text = NULL;
    if (!result)
        return MLS_OK;
    hall->library.cuGetErrorString(result, &text);
    return hall->host->error(MLS_EIO, "CUDA: %s: %s (%d)", what, text ? text : "?", result);
}

/* What is under way is no error: nccl_rest() sees what becomes of it. */
mls_status nccl_check(const nccl_hall *hall, nccl_result result, const char *what)
{
    if (result == NCCL_SUCCESS || result == NCCL_IN_PROGRESS)
        return MLS_OK;
    return hall->host->error(MLS_EIO, "NCCL: %s: %s (%d)", what,
                             hall->library.ncclGetErrorString(result), result);
}
