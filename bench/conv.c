/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of float32 as the backend runs them, against the limit of one core, which is
 * measured in the same run: fused multiply-adds on registers alone.
 *
 *     bench/conv [ISA]
 *
 * The figures are the best of interleaved rounds, for tensors that are blocked and for those that
 * are not. Weights are packed; operands are as warm as they get.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "base/isa.h"
#include "base/alloc.h"
#include "limit.h"
#include "op/convolution.h"

#include <mlscale.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 7 };
#define ROUND_SECONDS 0.004

extern const mls_backend mls__backend_cpu;

/* Squares with pads of half a kernel. */
static const struct shape {
    const char *what;
    int64_t groups, channels, filters, size, kernel, stride;
} shapes[] = {
    {"ResNet-50", 1, 3, 64, 224, 7, 2},        {"ResNet-50", 1, 64, 64, 56, 1, 1},
    {"ResNet-50", 1, 64, 64, 56, 3, 1},        {"ResNet-50", 1, 64, 256, 56, 1, 1},
    {"ResNet-50", 1, 256, 64, 56, 1, 1},       {"ResNet-50", 1, 256, 128, 56, 1, 1},
    {"ResNet-50", 1, 128, 128, 56, 3, 2},      {"ResNet-50", 1, 128, 512, 28, 1, 1},
    {"ResNet-50", 1, 256, 512, 56, 1, 2},      {"ResNet-50", 1, 512, 128, 28, 1, 1},
    {"ResNet-50", 1, 128, 128, 28, 3, 1},      {"ResNet-50", 1, 256, 256, 14, 3, 1},
    {"ResNet-50", 1, 1024, 256, 14, 1, 1},     {"ResNet-50", 1, 256, 1024, 14, 1, 1},
    {"ResNet-50", 1, 512, 512, 7, 3, 1},       {"ResNet-50", 1, 512, 2048, 7, 1, 1},
    {"ResNet-50", 1, 2048, 512, 7, 1, 1},      {"SqueezeNet", 1, 16, 64, 55, 3, 1},
    {"SqueezeNet", 1, 64, 16, 55, 1, 1},       {"SqueezeNet", 1, 512, 1000, 13, 1, 1},
    {"MobileNetV2", 1, 3, 32, 224, 3, 2},      {"MobileNetV2", 1, 24, 144, 56, 1, 1},
    {"MobileNetV2", 32, 1, 1, 112, 3, 1},      {"MobileNetV2", 96, 1, 1, 112, 3, 2},
    {"MobileNetV2", 144, 1, 1, 56, 3, 1},      {"MobileNetV2", 384, 1, 1, 14, 3, 1},
    {"MobileNetV2", 960, 1, 1, 7, 3, 1},       {"ResNeXt", 32, 4, 4, 56, 3, 1},
    {"power of two", 1, 64, 64, 64, 3, 1},     {"power of two", 1, 128, 128, 32, 1, 1},
    {"super resolution", 1, 1, 64, 224, 5, 1}, {"super resolution", 1, 64, 9, 224, 3, 1},
};

#define SHAPES (sizeof shapes / sizeof shapes[0])

/* --- an op by hand --------------------------------------------------------------------------- */

/* Weights are filled again for each kernel: nothing is shared. */
static const void *get_weights(mls_weight_cache *cache, const void *key, size_t key_bytes,
                               size_t size_bytes, void (*fill)(void *block, void *arg), void *arg)
{
    (void) cache, (void) key, (void) key_bytes;
    void *block = limit_need(aligned_alloc(64, (size_bytes + 63) / 64 * 64));
    fill(block, arg);
    return block;
}

static const mls_weight_cache_ops weights_ops = {sizeof weights_ops, get_weights};

static mls_arg image(bool is_blocked, int64_t channels, int64_t size)
{
    mls_arg arg = {.dtype = MLS_FLOAT32, .rank = 4, .dims = {1, channels, size, size}};
    if (is_blocked) {
        arg.rank = 5;
        arg.dims[1] = mls__channel_blocks(channels);
        arg.dims[4] = MLS__CHANNEL_BLOCK;
    }
    return arg;
}

static int64_t elements(const mls_arg *arg)
{
    int64_t count = 1;
    for (int i = 0; i < arg->rank; i++)
        count *= arg->dims[i];
    return count;
}

/* A convolution, ready to be run. */
typedef struct bench {
    mls_kernel *kernel;
    mls_kernel_call call;
    void *buffers[4];
} bench;

static void make_bench(const mls__cpu *cpu, const struct shape *s, bool is_x_blocked,
                       bool is_y_blocked, bench *ret_bench)
{
    const int64_t pad = s->kernel / 2;
    const int64_t out = (s->size + 2 * pad - s->kernel) / s->stride + 1;
    const int64_t pads[] = {pad, pad, pad, pad}, strides[] = {s->stride, s->stride};
    const mls_string relu = {"Relu", 4};
    const mls_attr attrs[] = {
        {.name = "pads", .type = MLS_ATTR_INTS, .count = 4, .ints = pads},
        {.name = "strides", .type = MLS_ATTR_INTS, .count = 2, .ints = strides},
        {.name = "group", .type = MLS_ATTR_INT, .i = s->groups, .count = 1},
        {.name = "activation", .type = MLS_ATTR_STRING, .count = 1, .strings = &relu},
        {.name = "x_blocked", .type = MLS_ATTR_INT, .i = is_x_blocked, .count = 1},
        {.name = "y_blocked", .type = MLS_ATTR_INT, .i = is_y_blocked, .count = 1},
    };
    const mls_arg y = image(is_y_blocked, s->filters * s->groups, out);
    mls_arg inputs[3] = {
        image(is_x_blocked, s->channels * s->groups, s->size),
        {.dtype = MLS_FLOAT32,
         .rank = 4,
         .dims = {s->filters * s->groups, s->channels, s->kernel, s->kernel},
         .weight_id = 1},
        {.dtype = MLS_FLOAT32, .rank = 1, .dims = {s->filters * s->groups}},
    };
    for (int i = 0; i < 3; i++)
        ret_bench->buffers[i] = limit_random_floats(elements(&inputs[i]));
    ret_bench->buffers[3] = limit_random_floats(elements(&y));
    inputs[1].data = ret_bench->buffers[1];
    const mls_op op = {.size = sizeof op,
                       .domain = "mlscale",
                       .type = "FusedConv",
                       .node = "bench",
                       .node_id = 1,
                       .attr_count = 6,
                       .input_count = 3,
                       .output_count = 1,
                       .attrs = attrs,
                       .inputs = inputs,
                       .outputs = &y,
                       .weights_ops = &weights_ops,
                       .threads = 1};
    if (mls__backend_cpu.kernel_create((void *) (uintptr_t) cpu, &op, &ret_bench->kernel)) {
        fprintf(stderr, "%s\n", mls_error_message());
        exit(1);
    }
    ret_bench->call = (mls_kernel_call){
        .buffers = ret_bench->buffers,
        .workspace = limit_need(aligned_alloc(64, ret_bench->kernel->workspace_bytes + 64)),
    };
}

static void free_bench(bench *b)
{
    b->kernel->free(b->kernel);
    free(b->call.workspace);
    for (int i = 0; i < 4; i++)
        free(b->buffers[i]);
}

/* Seconds of one call, the mean of a round. */
static double run_bench(const bench *b, double flops)
{
    const int calls = 1 + (int) (ROUND_SECONDS / (flops / 100e9 + 20e-9));
    const double start = limit_now();
    for (int i = 0; i < calls; i++)
        b->kernel->run(b->kernel, &b->call);
    return (limit_now() - start) / calls;
}

static void bench_shape(const mls__cpu *cpu, const struct shape *s)
{
    const bool may_be_blocked = s->groups == 1 || s->channels == 1;
    bench plain, blocked = {.kernel = NULL};
    make_bench(cpu, s, false, false, &plain);
    if (may_be_blocked)
        make_bench(cpu, s, s->channels >= 16 || s->groups > 1, true, &blocked);
    const int64_t out = (s->size + s->kernel / 2 * 2 - s->kernel) / s->stride + 1;
    const double flops =
        2.0 * (double) (s->groups * s->channels * s->filters * out * out * s->kernel * s->kernel);
    double peak = 0, best[2] = {1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        const double limit = limit_measure(cpu->kernels->isa, 1);
        peak = limit > peak ? limit : peak;
        const double a = run_bench(&plain, flops);
        const double b = blocked.kernel ? run_bench(&blocked, flops) : a;
        best[0] = a < best[0] ? a : best[0];
        best[1] = b < best[1] ? b : best[1];
    }
    printf("%-17s%5" PRId64 "%6" PRId64 "%6" PRId64 "%5" PRId64 "%3" PRId64 "%3" PRId64
           "%11.1f%9.1f%11.1f%9.1f%9.1f%7.1f\n",
           s->what, s->groups, s->channels, s->filters, s->size, s->kernel, s->stride,
           best[0] * 1e6, flops / best[0] * 1e-9, best[1] * 1e6, flops / best[1] * 1e-9, peak,
           100 * flops / best[1] * 1e-9 / peak);
    free_bench(&plain);
    if (blocked.kernel)
        free_bench(&blocked);
}

int main(int argc, char **argv)
{
    const char *isa;
    if (mls__isa_select(argc > 1 ? argv[1] : NULL, &isa) != MLS_OK) {
        fprintf(stderr, "%s\n", mls_error_message());
        return 2;
    }
    const mls__cpu cpu = {.allocator = &mls__allocator_default,
                          .kernels = mls__cpu_kernels_find(isa)};
    printf("%s: y = relu(conv(x, w) + b), one core\n", isa);
    printf("                                              not blocked             blocked\n");
    printf("                group channel filter size k s      us  GFLOP/s         us  GFLOP/s"
           "    limit  share\n");
    for (size_t i = 0; i < SHAPES; i++)
        bench_shape(&cpu, &shapes[i]);
    return 0;
}
