/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes down what ops gave, so that two machines can be compared: `./dev cross` sets
 * MLS_TEST_DIGESTS to a folder, where each test program then keeps a file of its own.
 */

#include "cpu/op_parts.h"

#include "support/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t digest(const op_output *output)
{
    const size_t size = mls_dtype_size((mls_dtype) output->arg.dtype);
    uint64_t hash = MLS_TEST_HASH;
    hash = mls_test_hash_bytes(hash, output->arg.dims, (size_t) output->arg.rank * sizeof(int64_t));
    for (int64_t i = 0; i < mls__arg_count(&output->arg); i++)
        hash = mls_test_hash_element(hash, output->arg.dtype,
                                     (const char *) output->data + (size_t) i * size);
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
