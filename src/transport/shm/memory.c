/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a group: an anonymous file whose size is sealed, and where what lies in it. */
#include "transport/shm/shm.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Arenas begin, and grow, by so much: the size of a large page. */
#define SHM_ARENA_STEP ((size_t) 2 << 20)
/* Addresses that all arenas of a group take together, unless the URL says otherwise. */
#define SHM_ARENAS_BYTES (UINT64_C(128) << 30)
#define SHM_SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t channel_bytes(void)
{
    return mls__round_up(sizeof(shm_channel), 4096);
}

shm_channel *shm_memory_channel(const shm_memory *memory, uint32_t from, uint32_t to)
{
    const size_t index = (size_t) from * memory->ranks + to;
    return (shm_channel *) (void *) (memory->base + memory->channels + index * channel_bytes());
}

/* Where what lies, for so many ranks. At most 1024 of them: nothing here overflows. */
static shm_memory lay_out(uint32_t ranks, size_t arena_span)
{
    const size_t fixed = mls__round_up(sizeof(shm_room), 64) + ranks * sizeof(shm_seat);
    shm_memory memory = {.fd = -1, .ranks = ranks, .arena_span = arena_span};
    memory.channels = mls__round_up(fixed, 4096);
    memory.arenas =
        mls__round_up(memory.channels + (size_t) ranks * ranks * channel_bytes(), SHM_ARENA_STEP);
    memory.size = memory.arenas + ranks * arena_span;
    return memory;
}

/* An arena may take all memory of the machine; its addresses are to be had, not its pages. */
static size_t arena_span(uint32_t ranks, uint64_t wanted)
{
    const uint64_t pages = (uint64_t) sysconf(_SC_PHYS_PAGES);
    const uint64_t all = pages * (uint64_t) sysconf(_SC_PAGESIZE);
    const uint64_t share = SHM_ARENAS_BYTES / ranks;
    const uint64_t span = wanted ? wanted : all < share ? all : share;
    return mls__round_up((size_t) span, SHM_ARENA_STEP);
}

static mls_status map(const shm_link *link, shm_memory *memory)
{
    void *base =
        mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory->fd, 0);
    if (base == MAP_FAILED)
        return link->hub->host->error(MLS_ENOMEM,
                                      "cannot map %zu bytes of shared memory: %s; \"?arena=\" in "
                                      "the URL asks for fewer",
                                      memory->size, strerror(errno));
    /* Most of it has no pages, which a core file would not tell. */
    madvise(base, memory->size, MADV_DONTDUMP);
    memory->base = base;
    return MLS_OK;
}

/* Past RLIMIT_FSIZE the kernel would send a signal. */
static mls_status check_limit(const shm_link *link, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= size)
        return MLS_OK;
    return link->hub->host->error(MLS_ENOMEM,
                                  "shared memory takes a file of %zu bytes, and the limit of this "
                                  "process is %llu (RLIMIT_FSIZE); \"?arena=\" in the URL asks "
                                  "for less",
                                  size, (unsigned long long) limit.rlim_cur);
}

static mls_status reserve_at(const mls_plugin_host *host, int fd, size_t offset, size_t size)
{
    int failed;
    do
        failed = fallocate(fd, 0, (off_t) offset, (off_t) size) ? errno : 0;
    while (failed == EINTR);
    if (failed)
        return host->error(MLS_ENOMEM, "shared memory is full: %zu bytes are not to be had: %s",
                           size, strerror(failed));
    return MLS_OK;
}

mls_status shm_memory_reserve(const shm_link *link, const void *at, size_t size)
{
    const size_t offset = (size_t) ((const unsigned char *) at - link->memory.base);
    return reserve_at(link->hub->host, link->memory.fd, offset, size);
}

static mls_status fill(const shm_link *link, shm_memory *memory)
{
    const mls_plugin_host *host = link->hub->host;
    if (ftruncate(memory->fd, (off_t) memory->size) || fcntl(memory->fd, F_ADD_SEALS, SHM_SEALS))
        return host->error(MLS_EIO, "cannot make shared memory of %zu bytes: %s", memory->size,
                           strerror(errno));
    mls_status status = reserve_at(host, memory->fd, 0, memory->channels);
    if (!status)
        status = map(link, memory);
    if (status)
        return status;
    shm_room *room = (shm_room *) (void *) memory->base;
    room->magic = SHM_MAGIC;
    room->version = SHM_VERSION;
    room->arena_span = memory->arena_span;
    if (getrandom(room->id, sizeof room->id, 0) != (ssize_t) sizeof room->id)
        return host->error(MLS_EIO, "the system has no random numbers: %s", strerror(errno));
    return MLS_OK;
}

mls_status shm_memory_create(const shm_link *link, uint32_t ranks, shm_memory *ret_memory)
{
    shm_memory memory = lay_out(ranks, arena_span(ranks, link->arena_wanted));
    mls_status status = check_limit(link, memory.size);
    if (status)
        return status;
    memory.fd = memfd_create("mlscale", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory.fd < 0)
        return link->hub->host->error(MLS_EIO, "cannot make shared memory: %s", strerror(errno));
    status = fill(link, &memory);
    if (status) {
        shm_memory_close(&memory);
        return status;
    }
    *ret_memory = memory;
    return MLS_OK;
}

/* The size cannot change any more, and is that of what is said to lie in it. */
static mls_status check_file(const shm_link *link, uint32_t ranks, int fd, shm_memory *ret_memory)
{
    struct stat st;
    shm_room room;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SHM_SEALS) != SHM_SEALS || fstat(fd, &st) ||
        pread(fd, &room, sizeof room, 0) != (ssize_t) sizeof room || room.magic != SHM_MAGIC ||
        room.version != SHM_VERSION || room.arena_span > SHM_ARENAS_BYTES * ranks)
        return link->hub->host->error(MLS_EPEER, "what was handed over is no memory of a group");
    shm_memory memory = lay_out(ranks, (size_t) room.arena_span);
    memory.fd = fd;
    if (st.st_size < 0 || (uint64_t) st.st_size != memory.size)
        return link->hub->host->error(MLS_EPEER, "shared memory of %lld bytes where %zu belong",
                                      (long long) st.st_size, memory.size);
    *ret_memory = memory;
    return MLS_OK;
}

mls_status shm_memory_attach(const shm_link *link, uint32_t ranks, int fd, shm_memory *ret_memory)
{
    shm_memory memory = {.fd = fd};
    mls_status status = check_file(link, ranks, fd, &memory);
    if (!status)
        status = map(link, &memory);
    if (status) {
        close(fd);
        return status;
    }
    *ret_memory = memory;
    return MLS_OK;
}

void shm_memory_close(shm_memory *memory)
{
    if (memory->base)
        munmap(memory->base, memory->size);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = (shm_memory){.fd = -1};
}
