/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends: where ops run.
 *
 * A backend sees an op as a plain descriptor, never a graph. Planning asks it for
 * a kernel once for each node; a run calls the kernel's function through a flat
 * array. Kernels are made for the planned maximum of every dimension and follow
 * smaller ones through reshape(), which must not allocate.
 */
#ifndef MLSCALE_EXT_BACKEND_H
#define MLSCALE_EXT_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/ext/plugin.h>
#include <mlscale/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mls_attr_type {
    MLS_ATTR_FLOAT = 1,  /* f */
    MLS_ATTR_INT = 2,    /* i */
    MLS_ATTR_STRING = 3, /* strings[0] */
    MLS_ATTR_TENSOR = 4, /* tensor */
    MLS_ATTR_FLOATS = 6, /* floats, count */
    MLS_ATTR_INTS = 7,   /* ints, count */
    MLS_ATTR_STRINGS = 8 /* strings, count */
} mls_attr_type;

/* An attribute of an op. Arrays are borrowed for the life of the model. */
typedef struct mls_attr {
    const char *name;
    int32_t type; /* mls_attr_type */
    float f;
    int64_t i;
    size_t count; /* of the array; 1 for a single value */
    const float *floats;
    const int64_t *ints;
    const mls_string *strings;
    const mls_tensor *tensor;
} mls_attr;

/* An input or output of an op: contiguous, row-major. */
typedef struct mls_arg {
    int32_t dtype; /* mls_dtype; MLS_DTYPE_NONE: an optional input left out */
    int32_t rank;
    int64_t dims[MLS_MAX_RANK];
    /*
     * The contents, where they are known before the run: constants, and values
     * computed from shapes. NULL for everything else, and for empty tensors.
     */
    const void *data;
    /*
     * Not 0: `data` is a constant of the model that never changes; the number
     * names it within the model (see mls_weight_cache). 0 with `data` set: the
     * contents may differ after each reshape.
     */
    uint64_t weight_id;
} mls_arg;

/*
 * Memory shared by all sessions of a model: packed weights, prepared trees.
 *
 * get: returns the block made for `key` (compared byte by byte), or allocates
 * `size_bytes` aligned to 64 and calls fill(block, arg) once. The block lives as
 * long as the model. NULL when there is no memory. Not to be called by a run.
 */
typedef struct mls_weight_cache mls_weight_cache;
typedef struct mls_weight_cache_ops {
    size_t size;
    const void *(*get)(mls_weight_cache *cache, const void *key, size_t key_bytes,
                       size_t size_bytes, void (*fill)(void *block, void *arg), void *arg);
} mls_weight_cache_ops;

/* An op to be run. Everything is borrowed; `attrs` for the life of the model. */
typedef struct mls_op {
    size_t size;
    const char *domain; /* "" is ai.onnx; "mlscale" holds the fused ops */
    const char *type;   /* "Gemm" */
    const char *node;   /* the node's name for messages, never NULL */
    uint64_t node_id;   /* unique within the model, never 0; for weight cache keys */
    size_t attr_count, input_count, output_count;
    const mls_attr *attrs;
    const mls_arg *inputs;
    const mls_arg *outputs;
    mls_weight_cache *weights;
    const mls_weight_cache_ops *weights_ops;
    uint32_t threads; /* that a run may use, at least 1 */
    /* MLS_NUMERICS_*: what the session asked for; exact where results are known before the run. */
    uint64_t numerics;
} mls_op;

/* What a run hands to a kernel. */
typedef struct mls_kernel_call {
    /*
     * The memory of inputs, then outputs, by position; NULL only for those left out:
     * an empty tensor has an address too. Contiguous; aligned to the element's size.
     */
    void *const *buffers;
    /* kernel->workspace_bytes bytes, aligned to 64. */
    void *workspace;
    /* Runs task(arg, 0 .. count-1); on the caller's thread when threads is 1. */
    void (*parallel_for)(void *executor, size_t count, mls_task_fn task, void *arg);
    void *executor;
    /*
     * For ops whose outputs' dims follow from contents (NonZero): where run() writes the
     * dims of output k, as many as its rank; the output's memory has room for those of
     * the op, which are the largest. NULL for all other ops.
     */
    int64_t *const *output_dims;
} mls_kernel_call;

/* A prepared op; the first member of the backend's own struct. */
typedef struct mls_kernel {
    /*
     * Computes the outputs. Never allocates, locks or calls the system. On an
     * error it sets the message through the host's error().
     */
    mls_status (*run)(const struct mls_kernel *kernel, const mls_kernel_call *call);
    /*
     * Follows new dims, none larger than those the kernel was made for (the
     * number of elements of no argument is larger), and new contents of shape
     * data. Must not allocate. NULL: run() depends on no dims.
     */
    mls_status (*reshape)(struct mls_kernel *kernel, const mls_op *op);
    void (*free)(struct mls_kernel *kernel);
    const char *name;         /* "gemm.avx512"; lives as long as the kernel */
    uint64_t workspace_bytes; /* for the largest dims; fixed once made */
} mls_kernel;

/* Set in mls_backend.flags. */
#define MLS_BACKEND_SAME_BITS UINT64_C(1) /* honours MLS_NUMERICS_EXACT */
/* Concat leaves alone an input that lies in the output already, where it goes. */
#define MLS_BACKEND_JOINS UINT64_C(2)

typedef struct mls_backend {
    mls_plugin plugin;
    uint64_t flags;
    /* Whether some kernel exists for domain and type; cheap. Mandatory. */
    int (*has_op)(void *self, const char *domain, const char *type);
    /*
     * A kernel for `op`, whose dims are the planned maxima. Mandatory.
     * Errors: MLS_EUNSUPPORTED (dtypes), MLS_EINVAL (attributes), MLS_ENOMEM.
     */
    mls_status (*kernel_create)(void *self, const mls_op *op, mls_kernel **ret_kernel);
    /*
     * Whether output `output` of `op` may share memory with input `input`: the
     * kernel reads each element of the input before it, or nothing else, writes
     * there. Optional.
     */
    int (*can_alias)(void *self, const mls_op *op, size_t input, size_t output);
} mls_backend;

#ifdef __cplusplus
}
#endif
#endif
