/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes down what ops gave, so that two machines can be compared: `./dev cross` sets
 * MLS_TEST_DIGESTS to a folder, where each test program then keeps a file of its own.
 */

#include "cpu/op_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* FNV-1a. */
static uint64_t add_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Any NaN is any other. */
static uint64_t add_element(uint64_t hash, int32_t dtype, const void *element)
{
    static const unsigned char nan = 0x7f;
    if (dtype == MLS_STRING) {
        const mls_string *string = element;
        return add_bytes(hash, string->data, string->size);
    }
    if (op_part_is_nan(dtype, element))
        return add_bytes(hash, &nan, 1);
    return add_bytes(hash, element, mls_dtype_size((mls_dtype) dtype));
}

static uint64_t digest(const op_output *output)
{
    const size_t size = mls_dtype_size((mls_dtype) output->arg.dtype);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    hash = add_bytes(hash, output->arg.dims, (size_t) output->arg.rank * sizeof(int64_t));
    for (int64_t i = 0; i < mls__arg_count(&output->arg); i++)
        hash =
            add_element(hash, output->arg.dtype, (const char *) output->data + (size_t) i * size);
    return hash;
}

bool op_part_wants_digests(void)
{
    return getenv("MLS_TEST_DIGESTS") != NULL;
}

void op_part_write_digests(const op_test *test)
{
    char path[4096];
    const char *folder = getenv("MLS_TEST_DIGESTS");
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, program_invocation_short_name);
    FILE *file = fopen(path, "a");
    ck_assert_msg(file != NULL, "cannot write '%s'", path);
    for (size_t i = 0; i < test->op.output_count; i++)
        fprintf(file, "%s %zu %s %016" PRIx64 "\n", test->op.type, i,
                mls_dtype_name((mls_dtype) test->outputs[i].arg.dtype), digest(&test->outputs[i]));
    ck_assert_int_eq(fclose(file), 0);
}
