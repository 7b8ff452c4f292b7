/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's share of fake_nccl.h. */
#include "conformance/transport/fake_nccl.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local void *current;

void fake_count(int *counter, int change)
{
    pthread_mutex_lock(&fake.mutex);
    *counter += change;
    pthread_mutex_unlock(&fake.mutex);
}

bool fake_has_context(void)
{
    if (!current)
        fake_count(&fake.faults, 1);
    return current != NULL;
}

DEFINE(int, cuInit, unsigned flags)
{
    return (int) flags;
}

DEFINE(int, cuDeviceGetCount, int *ret_count)
{
    *ret_count = MAX_RANKS;
    return 0;
}

DEFINE(int, cuDeviceGet, int *device, int ordinal)
{
    *device = ordinal;
    return ordinal < 0 || ordinal >= MAX_RANKS;
}

DEFINE(int, cuDevicePrimaryCtxRetain, void **context, int device)
{
    static char contexts[MAX_RANKS];
    fake_count(&fake.live, 1);
    *context = &contexts[device];
    return 0;
}

DEFINE(int, cuDevicePrimaryCtxRelease_v2, int device)
{
    fake_count(&fake.live, -1);
    return device < 0;
}

DEFINE(int, cuCtxPushCurrent_v2, void *context)
{
    if (current)
        fake_count(&fake.faults, 1);
    current = context;
    return 0;
}

DEFINE(int, cuCtxPopCurrent_v2, void **context)
{
    *context = current;
    current = NULL;
    return 0;
}

DEFINE(int, cuStreamCreate, stream **ret_stream, unsigned flags)
{
    stream *made = calloc(1, sizeof *made);
    made->end = &made->first;
    *ret_stream = made;
    fake_count(&fake.live, 1);
    return !fake_has_context() || flags != 1;
}

DEFINE(int, cuStreamDestroy_v2, stream *old)
{
    while (old->first) { /* of a collective that was given up */
        task *first = old->first;
        old->first = first->next;
        free(first);
    }
    free(old);
    fake_count(&fake.live, -1);
    return 0;
}

DEFINE(int, cuMemAlloc_v2, unsigned long long *address, size_t size)
{
    *address = (unsigned long long) (uintptr_t) malloc(size);
    fake_count(&fake.live, 1);
    return !fake_has_context();
}

DEFINE(int, cuMemFree_v2, unsigned long long address)
{
    free((void *) (uintptr_t) address);
    fake_count(&fake.live, -1);
    return 0;
}

DEFINE(int, cuMemAllocHost_v2, void **memory, size_t size)
{
    *memory = malloc(size);
    fake_count(&fake.live, 1);
    return !fake_has_context();
}

DEFINE(int, cuMemFreeHost, void *memory)
{
    free(memory);
    fake_count(&fake.live, -1);
    return 0;
}

void fake_add_task(stream *to, const task *given)
{
    task *added = malloc(sizeof *added);
    *added = *given;
    added->next = NULL;
    *to->end = added;
    to->end = &added->next;
}

DEFINE(int, cuMemcpyHtoDAsync_v2, unsigned long long to, const void *from, size_t size, stream *s)
{
    fake_add_task(s, &(task){.to = (void *) (uintptr_t) to, .from = from, .size = size});
    return !fake_has_context();
}

DEFINE(int, cuMemcpyDtoHAsync_v2, void *to, unsigned long long from, size_t size, stream *s)
{
    fake_add_task(s, &(task){.to = to, .from = (const void *) (uintptr_t) from, .size = size});
    return !fake_has_context();
}

DEFINE(int, cuGetErrorString, int result, const char **text)
{
    *text = result ? "a fault" : "none";
    return 0;
}

DEFINE(int, cuStreamQuery, stream *s)
{
    pthread_mutex_lock(&fake.mutex);
    while (s->first && !(fake.is_stalled && s->first->comm) && fake_has_ended_locked(s->first)) {
        task *first = s->first;
        s->first = first->next;
        if (!s->first)
            s->end = &s->first;
        free(first);
    }
    const bool is_empty = !s->first;
    pthread_mutex_unlock(&fake.mutex);
    return is_empty ? 0 : NOT_READY;
}
