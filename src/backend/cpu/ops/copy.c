/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three ways to run the inner loops: fill (the source stands still), tiles (each side is
 * contiguous along another loop), and lines (all else). Element sizes are known to the
 * compiler in each; memcpy of a constant size is a load or store of any alignment.
 */
#include "backend/cpu/ops/copy.h"

#include <string.h>

/* Bytes that are worth a thread's while. */
#define PART_BYTES (128 * 1024)
#define MAX_PARTS  64

/* How many blocks are filled one by one, and how many bytes at once beyond that. */
#define FEW        16
#define FILL_BYTES 8192

/* Loops are cut for threads at multiples of this: a cache line of the smallest elements. */
#define GRAIN 64

#define INLINE static inline __attribute__((always_inline))

void mls__copy_begin(mls__copy *copy, size_t element_size)
{
    *copy = (mls__copy){.block = (int64_t) element_size, .parts = 1};
}

void mls__copy_loop(mls__copy *copy, int64_t count, int64_t target_stride, int64_t source_stride)
{
    const int64_t size = copy->block;
    mls__copy_dim *last = copy->rank ? &copy->loops[copy->rank - 1] : NULL;
    if (count == 0)
        copy->is_empty = true;
    if (count <= 1 || copy->is_empty)
        return;
    const mls__copy_dim loop = {count, target_stride * size, source_stride * size};
    if (last && last->target == count * loop.target && last->source == count * loop.source)
        *last = (mls__copy_dim){last->count * count, loop.target, loop.source};
    else
        copy->loops[copy->rank++] = loop;
}

/* --- filling ---------------------------------------------------------------------------------- */

INLINE void fill_few(char *target, int64_t count, const void *block, size_t size)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(target + i * (int64_t) size, block, size);
}

/* What is there already is copied behind itself. */
static void fill_many(char *target, size_t total, const void *block, size_t size)
{
    /* It is read again and again: no more than stays in the first level of cache. */
    const size_t limit = size > FILL_BYTES ? size : FILL_BYTES - FILL_BYTES % size;
    memcpy(target, block, size);
    for (size_t done = size, more; done < total; done += more) {
        more = done < limit ? done : limit;
        more = more < total - done ? more : total - done;
        memcpy(target + done, target, more);
    }
}

void mls__fill(void *target, int64_t count, const void *block, size_t size)
{
    if (size == 1)
        memset(target, *(const unsigned char *) block, (size_t) count);
    else if (count > FEW)
        fill_many(target, (size_t) count * size, block, size);
    else if (size == 4)
        fill_few(target, count, block, 4);
    else
        fill_few(target, count, block, size);
}

/* --- inner loops ------------------------------------------------------------------------------ */

static void inner_block(const mls__copy *copy, char *target, const char *source)
{
    memcpy(target, source, (size_t) copy->block);
}

/* The source's one block, again and again. */
static void inner_fill(const mls__copy *copy, char *target, const char *source)
{
    mls__fill(target, copy->loops[copy->rank - 1].count, source, (size_t) copy->block);
}

/* The last two loops, or the only one, block by block. */
INLINE void lines(const mls__copy *copy, char *target, const char *source, size_t block)
{
    const mls__copy_dim *line = &copy->loops[copy->rank - 1];
    const mls__copy_dim single = {1, 0, 0};
    const mls__copy_dim *plane = copy->rank > 1 ? line - 1 : &single;
    for (int64_t j = 0; j < plane->count; j++) {
        char *to = target + j * plane->target;
        const char *from = source + j * plane->source;
        for (int64_t i = 0; i < line->count; i++)
            memcpy(to + i * line->target, from + i * line->source, block);
    }
}

/* The last loop is contiguous in the target, the one before it in the source. */
static void inner_tiles(const mls__copy *copy, char *target, const char *source)
{
    const mls__copy_dim *row = &copy->loops[copy->rank - 1], *column = row - 1;
    copy->tile(target, column->target, source, row->source, row->count, column->count);
}

typedef void (*inner_fn)(const mls__copy *copy, char *target, const char *source);

#define LINES(size)                                                                                \
    static void lines_##size(const mls__copy *copy, char *target, const char *source)              \
    {                                                                                              \
        lines(copy, target, source, size);                                                         \
    }
LINES(1)
LINES(2)
LINES(3)
LINES(4)
LINES(6)
LINES(8)
LINES(12)
LINES(16)
LINES(24)
LINES(32)

static void lines_any(const mls__copy *copy, char *target, const char *source)
{
    lines(copy, target, source, (size_t) copy->block);
}

/* The last fits every block. */
static const struct {
    int64_t block;
    inner_fn lines;
} line_table[] = {
    {1, lines_1},   {2, lines_2},   {3, lines_3},   {4, lines_4},   {6, lines_6},   {8, lines_8},
    {12, lines_12}, {16, lines_16}, {24, lines_24}, {32, lines_32}, {0, lines_any},
};

/* --- parts ------------------------------------------------------------------------------------ */

int64_t mls__copy_parts(uint32_t threads, int64_t bytes)
{
    const int64_t most = threads < MAX_PARTS ? (int64_t) threads : MAX_PARTS;
    const int64_t worth = bytes / PART_BYTES;
    return worth < 2 ? 1 : most < worth ? most : worth;
}

int64_t mls__part_begin(int64_t count, int64_t grain, int64_t index, int64_t parts)
{
    if (index == parts)
        return count;
    const int64_t begin = count / parts * index + count % parts * index / parts;
    return count / parts >= grain ? begin - begin % grain : begin;
}

/* --- choosing --------------------------------------------------------------------------------- */

static bool is_transposed(const mls__copy *copy, int *ret_loop)
{
    for (int i = 0; i < copy->rank - 1; i++)
        if (copy->loops[i].source == copy->block) {
            *ret_loop = i;
            return true;
        }
    return false;
}

/* Loops may run in any order: each element of the target is written once. */
static void move_before_last(mls__copy *copy, int from)
{
    const mls__copy_dim loop = copy->loops[from];
    const int to = copy->rank - 2;
    memmove(&copy->loops[from], &copy->loops[from + 1], (size_t) (to - from) * sizeof loop);
    copy->loops[to] = loop;
}

static void choose_inner(mls__copy *copy)
{
    if (copy->rank == 0) {
        copy->inner = inner_block;
        return;
    }
    const mls__copy_dim *last = &copy->loops[copy->rank - 1];
    const bool is_dense = last->target == copy->block;
    if (is_dense && last->source == 0) {
        copy->inner = inner_fill;
        copy->outer = copy->rank - 1;
        return;
    }
    copy->outer = copy->rank > 2 ? copy->rank - 2 : 0;
    int loop;
    copy->tile = mls__tile_find(copy->block);
    if (copy->tile && is_dense && is_transposed(copy, &loop)) {
        move_before_last(copy, loop);
        copy->inner = inner_tiles;
        return;
    }
    size_t i = 0;
    while (line_table[i].block && line_table[i].block != copy->block)
        i++;
    copy->inner = line_table[i].lines;
}

static void choose_cut(mls__copy *copy, int64_t parts)
{
    if (parts == 1)
        return;
    int largest = 0;
    for (int i = 0; i < copy->rank; i++) {
        if (copy->loops[i].count >= parts) {
            copy->cut = i;
            copy->parts = (int) parts;
            return;
        }
        if (copy->loops[i].count > copy->loops[largest].count)
            largest = i;
    }
    copy->cut = copy->block >= PART_BYTES ? copy->rank : largest;
    copy->parts = (int) (copy->cut == copy->rank ? parts : copy->loops[largest].count);
}

void mls__copy_end(mls__copy *copy, uint32_t threads)
{
    if (copy->is_empty)
        return;
    int64_t bytes = copy->block;
    for (int i = 0; i < copy->rank; i++)
        bytes *= copy->loops[i].count;
    const mls__copy_dim *last = copy->rank ? &copy->loops[copy->rank - 1] : NULL;
    if (last && last->target == copy->block && last->source == copy->block) {
        copy->block *= last->count;
        copy->rank--;
    }
    choose_inner(copy);
    choose_cut(copy, mls__copy_parts(threads, bytes));
}

void mls__copy_flat(mls__copy *copy, size_t element_size, int64_t count, uint32_t threads)
{
    mls__copy_begin(copy, element_size);
    mls__copy_loop(copy, count, 1, 1);
    mls__copy_end(copy, threads);
}

/* --- running ---------------------------------------------------------------------------------- */

static void run_loops(const mls__copy *copy, int depth, char *target, const char *source)
{
    if (depth == copy->outer) {
        copy->inner(copy, target, source);
        return;
    }
    const mls__copy_dim *loop = &copy->loops[depth];
    for (int64_t i = 0; i < loop->count; i++)
        run_loops(copy, depth + 1, target + i * loop->target, source + i * loop->source);
}

typedef struct part_call {
    const mls__copy *copy;
    char *target;
    const char *source;
} part_call;

static void run_part(void *arg, size_t index)
{
    const part_call *call = arg;
    mls__copy part = *call->copy;
    const bool is_block = part.cut == part.rank;
    mls__copy_dim *loop = &part.loops[part.cut];
    const mls__copy_dim cut = is_block ? (mls__copy_dim){part.block, 1, 1} : *loop;
    const int64_t begin = mls__part_begin(cut.count, GRAIN, (int64_t) index, part.parts);
    const int64_t end = mls__part_begin(cut.count, GRAIN, (int64_t) index + 1, part.parts);
    if (is_block)
        part.block = end - begin;
    else
        loop->count = end - begin;
    run_loops(&part, 0, call->target + begin * cut.target, call->source + begin * cut.source);
}

void mls__copy_run(const mls__copy *copy, const mls_kernel_call *call, void *target,
                   const void *source)
{
    if (copy->is_empty)
        return;
    if (copy->parts == 1 || !call) {
        run_loops(copy, 0, target, source);
        return;
    }
    part_call parts = {copy, target, source};
    call->parallel_for(call->executor, (size_t) copy->parts, run_part, &parts);
}
