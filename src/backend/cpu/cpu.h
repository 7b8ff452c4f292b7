/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU backend's own types: the open instance, the table of ops, and what every
 * kernel starts with. An op family is a file in ops/ with a table of rows.
 */
#ifndef MLS_BACKEND_CPU_CPU_H
#define MLS_BACKEND_CPU_CPU_H

#include "backend/cpu/kernels/elementwise.h"
#include "base/context.h"
#include "op/op.h"

#include <mlscale/ext/backend.h>

struct mls__cpu_kernels;

/* An open instance; immutable, shared by all sessions of a context. */
typedef struct mls__cpu {
    const mls_plugin_host *host;
    const mls__allocator *allocator;
    const struct mls__cpu_kernels *kernels; /* of the chosen instruction set */
} mls__cpu;

/* Output 0 may take the memory of an input with as many elements of the same size. */
#define MLS__CPU_IN_PLACE 1u
/* The same, but of input 0 only. */
#define MLS__CPU_IN_PLACE_OF_FIRST 2u

/* How to make a kernel for one op. */
typedef struct mls__cpu_op {
    const char *domain, *type;
    mls_status (*create)(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);
    uint32_t flags; /* MLS__CPU_* */
} mls__cpu_op;

/* A family's rows; ended by a row whose type is NULL. */
typedef const mls__cpu_op mls__cpu_op_table[];

/* The row of an op, or NULL. */
const mls__cpu_op *mls__cpu_op_find(const char *domain, const char *type);

struct mls__cpu_kernel;

/*
 * n elements of an op that gives each from one of every input: x[i] is input i's, one after
 * another (steps[i] is 1) or one for all (0); that of an input that is left out is not to be read.
 * Unless n is 1 some step is 1. y may be the memory of an input whose elements are as large and
 * whose step is 1. Any thread may call it, so it sets no message.
 */
typedef mls_status (*mls__cpu_tile_fn)(const struct mls__cpu_kernel *kernel, void *y,
                                       const void *const *x, const int64_t *steps, int64_t n);

/* The first member of every kernel's struct. */
typedef struct mls__cpu_kernel {
    mls_kernel base;
    const mls__cpu *cpu;
    const char *node, *type; /* for messages; borrowed from the model */
    mls__cpu_tile_fn tile;   /* NULL: it runs as a whole only */
    const char *failure;     /* what it means that `tile` fails; NULL: it does not */
    /* What is all that `tile` calls, if it is one of these; at most one of them is set. */
    mls__unary_fn unary;
    const float *params; /* of `unary` */
    mls__binary_fn binary;
} mls__cpu_kernel;

/*
 * A zero-filled kernel of `size` bytes whose first member is an mls__cpu_kernel, with
 * everything in `base` set but reshape and workspace_bytes. base.free frees just this
 * block: a kernel that holds more memory sets its own and ends with
 * mls__cpu_kernel_free().
 */
mls_status mls__cpu_kernel_create(const mls__cpu *cpu, const mls_op *op, size_t size,
                                  const char *name,
                                  mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                                  void *ret_kernel);
void mls__cpu_kernel_free(mls_kernel *kernel);

/* An error of a run: "node 'x' (Gather): ...". */
mls_status mls__cpu_run_error(const mls_kernel *kernel, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* MLS_EUNSUPPORTED for an input's dtype, listing nothing: "input 1 is string". */
mls_status mls__cpu_dtype_error(const mls_op *op, size_t input);

static inline int64_t mls__at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

#endif
