/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the op harness share: the test itself, and its memory. */
#ifndef TESTS_CPU_OP_PARTS_H
#define TESTS_CPU_OP_PARTS_H

#include "cpu/op_harness.h"

#include "op/op.h"

#define OP_MAX_INPUTS  32
#define OP_MAX_OUTPUTS 16
#define OP_MAX_ATTRS   64
#define OP_GARBAGE     0xa5

/* Memory that lives as long as the test. */
typedef struct op_block {
    struct op_block *next;
    void *memory;
} op_block;

typedef enum op_input_kind {
    OP_INPUT_RUN,
    OP_INPUT_CONSTANT,
    OP_INPUT_KNOWN,
    OP_INPUT_LEFT_OUT
} op_input_kind;

typedef struct op_input {
    op_input_kind kind;
    mls_arg arg, planned; /* as the last run and as the kernel's creation see them */
    const void *data;     /* NULL when empty */
} op_input;

typedef struct op_output {
    mls_arg arg;
    void *data; /* deep for strings */
} op_output;

struct op_test {
    op_block *blocks;
    mls_op op;
    mls_attr attrs[OP_MAX_ATTRS];
    op_input inputs[OP_MAX_INPUTS];
    op_output outputs[OP_MAX_OUTPUTS];
    bool has_results;
    mls_test_heap *heap;
    mls_context *context; /* of the instruction set being run; attributes' tensors have their own */
    mls_context *tensors;
};

/* Fails the test where there is no memory. */
void *op_part_checked(void *memory);

/* No better aligned than to `alignment`; *ret_memory is to be freed. */
void *op_part_misaligned(size_t size, size_t alignment, void **ret_memory);

/* A deep copy of elements, and its end. */
void *op_part_copy_results(const mls_arg *arg, const void *data);
void op_part_free_elements(const mls_arg *arg, void *copy);

/* The outputs of the last run. */
void op_part_free_results(op_test *test);

/* Inference for the dims of the run, or for the planned ones. Sets test->op.inputs. */
mls_status op_part_infer(op_test *test, bool planned, mls_arg *inputs, mls_arg *ret_outputs);

/* Whether only that is asked for: emulated tests are slow, and others have checked the rest. */
bool op_part_wants_digests(void);

/* What the outputs are goes to the file of the program, if anybody asks for it. */
void op_part_write_digests(const op_test *test);

/* Fails the test unless all elements are the same (any NaN is any other). */
void op_part_expect_same(const char *what, const mls_arg *arg, const void *got,
                         const void *expected);

#endif
