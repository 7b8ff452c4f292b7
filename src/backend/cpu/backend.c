/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU backend's driver table, and the list of its op families. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/families.h"

#include "base/error.h"

#include <stdarg.h>
#include <string.h>

/* Each family is a file in ops/. */
/* clang-format off */
static const mls__cpu_op *const families[] = {
    mls__cpu_ops_binary,
    mls__cpu_ops_cast,
    mls__cpu_ops_views,
    mls__cpu_ops_rearrange,
    mls__cpu_ops_join,
    mls__cpu_ops_gather,
    mls__cpu_ops_pad,
    mls__cpu_ops_generate,
    mls__cpu_ops_classify,
    mls__cpu_ops_clip,
    mls__cpu_ops_pow,
    mls__cpu_ops_unary,
    mls__cpu_ops_variadic,
    mls__cpu_ops_where,
    mls__cpu_ops_pointwise,
    mls__cpu_ops_product,
    mls__cpu_ops_conv,
    mls__cpu_ops_stack,
    mls__cpu_ops_deform_conv,
    mls__cpu_ops_int8_product,
    mls__cpu_ops_qlinear_binary,
    mls__cpu_ops_qlinear_map,
    mls__cpu_ops_qlinear_pool,
    mls__cpu_ops_int8_conv,
    mls__cpu_ops_quantize,
    mls__cpu_ops_ml_columns,
    mls__cpu_ops_ml_encoders,
    mls__cpu_ops_ml_features,
    mls__cpu_ops_ml_maps,
    mls__cpu_ops_ml_linear,
    mls__cpu_ops_ml_svm,
    mls__cpu_ops_ml_trees,
    mls__cpu_ops_reduction,
    mls__cpu_ops_position,
    mls__cpu_ops_top_k,
    mls__cpu_ops_cumsum,
    mls__cpu_ops_softmax,
    mls__cpu_ops_loss,
    mls__cpu_ops_einsum,
    mls__cpu_ops_gather_elements,
    mls__cpu_ops_gather_nd,
    mls__cpu_ops_dft,
    mls__cpu_ops_tfidf,
    mls__cpu_ops_window,
    mls__cpu_ops_multinomial,
    mls__cpu_ops_random,
    mls__cpu_ops_scatter_elements,
    mls__cpu_ops_scatter_nd,
    mls__cpu_ops_sequence_moves,
    mls__cpu_ops_det,
    mls__cpu_ops_diagonal,
    mls__cpu_ops_hardmax,
    mls__cpu_ops_one_hot,
    mls__cpu_ops_resize,
    mls__cpu_ops_affine_grid,
    mls__cpu_ops_col2im,
    mls__cpu_ops_depth_space,
    mls__cpu_ops_grid_sample,
    mls__cpu_ops_roi_align,
    mls__cpu_ops_max_roi_pool,
    mls__cpu_ops_non_max,
    mls__cpu_ops_select,
    mls__cpu_ops_unique,
    mls__cpu_ops_recurrent,
    mls__cpu_ops_norm_rows,
    mls__cpu_ops_norm_channels,
    mls__cpu_ops_lp_norm,
    mls__cpu_ops_lrn,
    mls__cpu_ops_mvn,
    mls__cpu_ops_pool,
    mls__cpu_ops_global_pool,
    mls__cpu_ops_max_unpool,
    mls__cpu_ops_attention,
    mls__cpu_ops_fused_attention,
    mls__cpu_ops_rotary,
    mls__cpu_ops_projected_attention,
    mls__cpu_ops_multi_head,
    mls__cpu_ops_group_attention,
    mls__cpu_ops_linear_attention,
    mls__cpu_ops_causal_conv,
    mls__cpu_ops_fused_matmul,
    mls__cpu_ops_block_product,
    mls__cpu_ops_gather_blocks,
    mls__cpu_ops_bias_gelu,
    mls__cpu_ops_embed_norm,
    NULL,
};
/* clang-format on */

const mls__cpu_op *mls__cpu_op_find(const char *domain, const char *type)
{
    for (size_t f = 0; families[f]; f++)
        for (const mls__cpu_op *row = families[f]; row->type; row++)
            if (strcmp(row->type, type) == 0 && strcmp(row->domain, domain) == 0)
                return row;
    return NULL;
}

static mls_status cpu_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    const mls__cpu_kernels *kernels = mls__cpu_kernels_find(config);
    if (!kernels)
        return mls__error(MLS_EUNSUPPORTED, "the CPU backend was built without '%s'", config);
    mls__cpu *cpu = host->alloc(host->context, sizeof *cpu);
    if (!cpu)
        return mls__error_nomem(sizeof *cpu);
    *cpu = (mls__cpu){.host = host, .allocator = &host->context->allocator, .kernels = kernels};
    *ret_self = cpu;
    return MLS_OK;
}

static void cpu_close(void *self)
{
    mls__cpu *cpu = self;
    cpu->host->free(cpu->host->context, cpu);
}

static int cpu_has_op(void *self, const char *domain, const char *type)
{
    (void) self;
    return mls__cpu_op_find(domain, type) != NULL;
}

static mls_status cpu_kernel_create(void *self, const mls_op *op, mls_kernel **ret_kernel)
{
    const mls__cpu_op *row = mls__cpu_op_find(op->domain, op->type);
    if (!row)
        return mls__op_error(op, MLS_EUNSUPPORTED, "the CPU backend has no such op");
    return row->create(self, op, ret_kernel);
}

static int cpu_can_alias(void *self, const mls_op *op, size_t input, size_t output)
{
    (void) self;
    const mls__cpu_op *row = mls__cpu_op_find(op->domain, op->type);
    const uint32_t needed = MLS__CPU_IN_PLACE | (input == 0 ? MLS__CPU_IN_PLACE_OF_FIRST : 0);
    return row && (row->flags & needed) && output == 0 &&
           mls__arg_count(&op->inputs[input]) == mls__arg_count(&op->outputs[0]) &&
           mls__arg_bytes(&op->inputs[input]) == mls__arg_bytes(&op->outputs[0]);
}

extern const mls_backend mls__backend_cpu;

const mls_backend mls__backend_cpu = {
    .plugin = {sizeof(mls_backend), MLS_PLUGIN_ABI, MLS_PLUGIN_BACKEND, "cpu", cpu_open, cpu_close},
    .flags = MLS_BACKEND_SAME_BITS | MLS_BACKEND_JOINS,
    .has_op = cpu_has_op,
    .kernel_create = cpu_kernel_create,
    .can_alias = cpu_can_alias,
};

mls_status mls__cpu_kernel_create(const mls__cpu *cpu, const mls_op *op, size_t size,
                                  const char *name,
                                  mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                                  void *ret_kernel)
{
    mls__cpu_kernel *kernel = mls__alloc_array(cpu->allocator, 1, size);
    if (!kernel)
        return mls__error_nomem(size);
    kernel->base.run = run;
    kernel->base.free = mls__cpu_kernel_free;
    kernel->base.name = name;
    kernel->cpu = cpu;
    kernel->node = op->node;
    kernel->type = op->type;
    *(void **) ret_kernel = kernel;
    return MLS_OK;
}

void mls__cpu_kernel_free(mls_kernel *base)
{
    mls__cpu_kernel *kernel = (mls__cpu_kernel *) base;
    mls__free(kernel->cpu->allocator, kernel);
}

mls_status mls__cpu_run_error(const mls_kernel *base, mls_status status, const char *format, ...)
{
    const mls__cpu_kernel *kernel = (const mls__cpu_kernel *) base;
    va_list args;
    va_start(args, format);
    mls__error_v(status, format, args);
    va_end(args);
    return mls__error_at(status, "node '%.200s' (%.64s)", kernel->node, kernel->type);
}

mls_status mls__cpu_dtype_error(const mls_op *op, size_t input)
{
    return mls__op_error(op, MLS_EUNSUPPORTED, "there is no CPU kernel for input %zu of type %s",
                         input, mls_dtype_name((mls_dtype) op->inputs[input].dtype));
}
