/* SPDX-License-Identifier: Apache-2.0 */
/* How the outputs of a convolution are cut for threads: each once, and as many for each thread. */
#include "support/test.h"

#include "backend/cpu/ops/conv_tasks.h"
#include "backend/cpu/ops/ranges.h"
#include "base/isa.h"

static const struct shape {
    int64_t channels, filters, height, width, kernel;
    bool is_turned, is_pooled; /* its output is not blocked; it is pooled, by 2 x 2 */
} shapes[] = {
    {128, 64, 14, 14, 3, false, false},  /* 8 rows were a chunk, and 6 the other one */
    {64, 32, 14, 14, 3, false, false},   /* 7 chunks of two rows */
    {128, 256, 56, 56, 3, false, false}, /* 6 chunks of 9 rows, and one of 2 */
    {128, 512, 28, 28, 1, false, false}, /* pieces of 420 outputs and of 364 */
    {64, 256, 56, 56, 1, true, false},   /* 6 pieces of 512 outputs, and one of 64 */
    {16, 16, 7, 600, 3, true, false},    /* several pieces in each of the rows */
    {16, 16, 1, 3584, 1, true, false},   /* as many outputs as 7 of the largest pieces */
    {64, 48, 5, 9, 3, false, false},     /* little work */
};

static const struct shape pooled = {64, 64, 56, 56, 3, false, true};

/* Input and output of one image, with pads that keep its size. */
static mls_arg image(bool is_blocked, int64_t channels, const struct shape *s)
{
    if (is_blocked)
        return (mls_arg){
            .dtype = MLS_FLOAT32,
            .rank = 5,
            .dims = {1, mls__channel_blocks(channels), s->height, s->width, MLS__CHANNEL_BLOCK}};
    return (mls_arg){.dtype = MLS_FLOAT32, .rank = 4, .dims = {1, channels, s->height, s->width}};
}

static mls_kernel *make(const mls__cpu *cpu, const struct shape *s, uint32_t threads)
{
    const int64_t pad = s->kernel / 2, pads[] = {pad, pad, pad, pad}, two[] = {2, 2};
    const mls_attr attrs[] = {
        {.name = "pads", .type = MLS_ATTR_INTS, .count = 4, .ints = pads},
        {.name = "x_blocked", .type = MLS_ATTR_INT, .i = 1, .count = 1},
        {.name = "y_blocked", .type = MLS_ATTR_INT, .i = !s->is_turned, .count = 1},
        {.name = "pool_kernel_shape", .type = MLS_ATTR_INTS, .count = 2, .ints = two},
        {.name = "pool_strides", .type = MLS_ATTR_INTS, .count = 2, .ints = two},
    };
    const mls_arg inputs[] = {
        image(true, s->channels, s),
        {.dtype = MLS_FLOAT32, .rank = 4, .dims = {s->filters, s->channels, s->kernel, s->kernel}}};
    mls_arg y = image(!s->is_turned, s->filters, s);
    y.dims[2] /= s->is_pooled ? 2 : 1;
    y.dims[3] /= s->is_pooled ? 2 : 1;
    const mls_op op = {.size = sizeof op,
                       .domain = "mlscale",
                       .type = s->is_pooled ? "FusedConvMaxPool" : "FusedConv",
                       .node = "test",
                       .attr_count = s->is_pooled ? 5 : 3,
                       .input_count = 2,
                       .output_count = 1,
                       .attrs = attrs,
                       .inputs = inputs,
                       .outputs = &y,
                       .threads = threads};
    mls_kernel *kernel;
    ck_assert_ok(mls__cpu_op_find(op.domain, op.type)->create(cpu, &op, &kernel));
    return kernel;
}

/* Outputs of chunks begin .. end-1, which follow each other without a gap from *row, *column on. */
static int64_t walk(const mls__conv_op *conv, int64_t begin, int64_t end, int64_t *row,
                    int64_t *column)
{
    const int64_t width = conv->classes[0].count;
    int64_t outputs = 0;
    for (int64_t i = begin; i < end; i++) {
        const mls__conv_chunk chunk = mls__conv_chunk_at(conv, i);
        const int64_t last = mls__at_most(chunk.end, width);
        const int64_t own = (chunk.last - chunk.first) * (last - chunk.begin);
        mls_test_expect(chunk.first == *row && chunk.begin == *column, "chunk %d begins elsewhere",
                        (int) i);
        mls_test_expect(own > 0 && own <= MLS__CONV_CHUNK, "chunk %d has %d outputs", (int) i,
                        (int) own);
        mls_test_expect(chunk.last == chunk.first + 1 || last - chunk.begin == width,
                        "chunk %d has several rows, but not whole ones", (int) i);
        *row = last == width ? chunk.last : chunk.first;
        *column = last == width ? 0 : last;
        outputs += own;
    }
    return outputs;
}

/*
 * What a thread has more than another is a row, or a piece of one that ends where tiles may; or a
 * chunk, if there are several in each of many rows.
 */
static void check_regions(const mls__conv_op *conv, uint32_t threads)
{
    const int64_t width = conv->classes[0].count;
    const bool is_by_region = conv->is_region_of_rows && conv->chunks > threads;
    const int64_t piece = conv->rows > 1 ? MLS__CONV_CHUNK : conv->piece_unit;
    int64_t row = 0, column = 0, least = INT64_MAX, most = 0;
    for (uint32_t i = 0; i < threads; i++) {
        const int64_t outputs =
            walk(conv, mls__cpu_part_begin(conv->chunks, threads, i),
                 mls__cpu_part_begin(conv->chunks, threads, i + 1), &row, &column);
        least = mls__at_most(least, outputs);
        most = outputs > most ? outputs : most;
    }
    ck_assert_int_eq(row, conv->rows);
    ck_assert_int_eq(column, 0);
    if (is_by_region)
        ck_assert_int_le(most - least, conv->row_pieces > 1 ? piece : width);
}

static mls__cpu any_cpu(void)
{
    const char *isa;
    ck_assert_ok(mls__isa_select(NULL, &isa));
    return (mls__cpu){.allocator = &mls__allocator_default, .kernels = mls__cpu_kernels_find(isa)};
}

START_TEST(threads_have_equal_regions)
{
    const mls__cpu cpu = any_cpu();
    for (uint32_t threads = 1; threads <= 4; threads++) {
        mls_kernel *kernel = make(&cpu, &shapes[_i], threads);
        check_regions((const mls__conv_op *) kernel, threads);
        kernel->free(kernel);
    }
}
END_TEST

/* Windows that share nothing: as many bands for each thread, and none has a step for a row or two
 * that are left. */
START_TEST(threads_have_equal_bands)
{
    const mls__cpu cpu = any_cpu();
    for (uint32_t threads = 2; threads <= 4; threads++) {
        mls_kernel *kernel = make(&cpu, &pooled, threads);
        const mls__conv_op *conv = (const mls__conv_op *) kernel;
        const int64_t bands = conv->pool_bands;
        ck_assert_int_eq(bands % threads, 0);
        ck_assert_int_le((conv->pool_rows.output + bands - 1) / bands, conv->pool_step);
        kernel->free(kernel);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conv_chunks");
    TCase *tests = tcase_create("chunks");
    tcase_add_loop_test(tests, threads_have_equal_regions, 0, sizeof shapes / sizeof shapes[0]);
    tcase_add_test(tests, threads_have_equal_bands);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
