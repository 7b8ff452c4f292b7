/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `nccl:` transport: collectives on GPUs, `nccl:URL` being a group whose rounds, messages
 * and aborts are those of another transport, the inner one. NCCL has none of these: it can only
 * be given what all ranks have agreed on.
 *
 * A module that needs neither headers nor libraries to be built: libnccl.so.2 and the driver's
 * libcuda.so.1 are opened when it is, and what is used of their C interfaces is declared here.
 * MLSCALE_NCCL and MLSCALE_CUDA of the environment say where else they are.
 *
 * Tensors are the host's memory. They go to the device and back by pinned memory of the link, piece
 * by piece, so that nothing of NCCL's or CUDA's has the caller's memory when a call is given up.
 */
#ifndef MLS_TRANSPORT_NCCL_NCCL_H
#define MLS_TRANSPORT_NCCL_NCCL_H

#include <mlscale/ext/transport.h>

#include <stdbool.h>

/* --- what is used of CUDA's driver ----------------------------------------------------------- */

typedef int cuda_result; /* 0: done */
typedef int cuda_device;
typedef unsigned long long cuda_address;
typedef struct CUctx_st *cuda_context;
typedef struct CUstream_st *cuda_stream;

#define CUDA_NOT_READY           600
#define CUDA_STREAM_NON_BLOCKING 1u

/* --- what is used of NCCL (2.14 and later) --------------------------------------------------- */

typedef int nccl_result;
typedef struct ncclComm *nccl_comm;

#define NCCL_SUCCESS     0
#define NCCL_IN_PROGRESS 7

typedef struct nccl_id {
    char internal[128];
} nccl_id;

/* The first members of ncclConfig_t, as of 2.14; `size` says how many. */
typedef struct nccl_config {
    size_t size;
    unsigned magic, version;
    int blocking;
} nccl_config;

#define NCCL_CONFIG_MAGIC   0xcafebeefu
#define NCCL_CONFIG_VERSION 21400u

enum { NCCL_INT8 = 0, NCCL_INT32 = 2, NCCL_INT64 = 4, NCCL_FLOAT32 = 7, NCCL_FLOAT64 = 8 };
enum { NCCL_SUM = 0, NCCL_PROD = 1, NCCL_MAX = 2, NCCL_MIN = 3, NCCL_AVG = 4 };

/* A function of each library by its name there. */
typedef struct nccl_library {
    void *cuda_handle, *nccl_handle;

    cuda_result (*cuInit)(unsigned flags);
    cuda_result (*cuDeviceGetCount)(int *count);
    cuda_result (*cuDeviceGet)(cuda_device *device, int ordinal);
    cuda_result (*cuDevicePrimaryCtxRetain)(cuda_context *context, cuda_device device);
    cuda_result (*cuDevicePrimaryCtxRelease)(cuda_device device);
    cuda_result (*cuCtxPushCurrent)(cuda_context context);
    cuda_result (*cuCtxPopCurrent)(cuda_context *context);
    cuda_result (*cuStreamCreate)(cuda_stream *stream, unsigned flags);
    cuda_result (*cuStreamDestroy)(cuda_stream stream);
    cuda_result (*cuStreamQuery)(cuda_stream stream);
    cuda_result (*cuMemAlloc)(cuda_address *address, size_t size);
    cuda_result (*cuMemFree)(cuda_address address);
    cuda_result (*cuMemAllocHost)(void **memory, size_t size);
    cuda_result (*cuMemFreeHost)(void *memory);
    cuda_result (*cuMemcpyHtoDAsync)(cuda_address to, const void *from, size_t size,
                                     cuda_stream stream);
    cuda_result (*cuMemcpyDtoHAsync)(void *to, cuda_address from, size_t size, cuda_stream stream);
    cuda_result (*cuGetErrorString)(cuda_result result, const char **text);

    nccl_result (*ncclGetUniqueId)(nccl_id *id);
    nccl_result (*ncclCommInitRankConfig)(nccl_comm *comm, int ranks, nccl_id id, int rank,
                                          nccl_config *config);
    nccl_result (*ncclCommGetAsyncError)(nccl_comm comm, nccl_result *result);
    nccl_result (*ncclCommAbort)(nccl_comm comm);
    const char *(*ncclGetErrorString)(nccl_result result);
    nccl_result (*ncclAllReduce)(const void *source, void *target, size_t count, int type, int op,
                                 nccl_comm comm, cuda_stream stream);
    nccl_result (*ncclReduce)(const void *source, void *target, size_t count, int type, int op,
                              int root, nccl_comm comm, cuda_stream stream);
    nccl_result (*ncclReduceScatter)(const void *source, void *target, size_t count, int type,
                                     int op, nccl_comm comm, cuda_stream stream);
    nccl_result (*ncclBroadcast)(const void *source, void *target, size_t count, int type, int root,
                                 nccl_comm comm, cuda_stream stream);
    nccl_result (*ncclAllGather)(const void *source, void *target, size_t count, int type,
                                 nccl_comm comm, cuda_stream stream);
    nccl_result (*ncclSend)(const void *source, size_t count, int type, int peer, nccl_comm comm,
                            cuda_stream stream);
    nccl_result (*ncclRecv)(void *target, size_t count, int type, int peer, nccl_comm comm,
                            cuda_stream stream);
    nccl_result (*ncclGroupStart)(void);
    nccl_result (*ncclGroupEnd)(void);
} nccl_library;

/* The transport of a context. */
typedef struct nccl_hall {
    const mls_plugin_host *host;
    nccl_library library;
    int devices;
} nccl_hall;

typedef struct nccl_link {
    nccl_hall *hall;
    const mls_transport *ops; /* the inner transport's */
    void *inner;
    uint32_t rank, size;

    /* Since the first collective; `comm` NULL: NCCL has given up, or was not asked yet. */
    bool is_open, has_device;
    cuda_device device;
    cuda_context context;
    cuda_stream stream;
    nccl_comm comm;
    unsigned char *pinned[2]; /* source and target */
    cuda_address on_device[2];
} nccl_link;

/* library.c. Errors: MLS_ENOTFOUND. */
mls_status nccl_library_open(const mls_plugin_host *host, nccl_library *ret_library);
void nccl_library_close(nccl_library *library);
/* Whether it failed; sets the error message then. */
mls_status nccl_check_cuda(const nccl_hall *hall, cuda_result result, const char *what);
mls_status nccl_check(const nccl_hall *hall, nccl_result result, const char *what);

/* engine.c */
int nccl_can_run(void *link, const mls_transport_collective *collective);
mls_status nccl_run(void *link, const mls_transport_collective *collective);

/* device.c: the link's part of a GPU, and NCCL's communicator. */
#define NCCL_STAGE_BYTES ((size_t) 8 * 1024 * 1024) /* of a rank's source, or target */

mls_status nccl_device_open(nccl_link *link, uint64_t until_ns);
/* Never waits for other ranks. */
void nccl_device_close(nccl_link *link);
/*
 * Rests between two looks. MLS_OK: look again. Errors, without a message but for NCCL's:
 * MLS_EDEADLINE, MLS_ECANCELLED, MLS_EPEER, MLS_EIO.
 */
mls_status nccl_rest(const nccl_link *link, uint64_t until_ns, uint32_t *rests);

#endif
