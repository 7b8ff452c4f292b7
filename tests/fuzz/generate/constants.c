/* SPDX-License-Identifier: Apache-2.0 */
/* Initializers. */
#include "fuzz/generate/graph.h"
#include "fuzz/generate/numbers.h"

#include <stdio.h>
#include <string.h>

void gen_print_dims(char *text, size_t size, int rank, const int64_t *dims, int dynamic)
{
    text[0] = '\0';
    for (int i = 0; i < rank; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%s%lld", i ? "," : "", i == dynamic ? "d" : "",
                 (long long) dims[i]);
    }
}

static const char *add_constant(gen *g, int32_t dtype, int rank, const int64_t *dims,
                                const void *data, size_t size)
{
    char shape[256], name[16];
    gen_print_dims(shape, sizeof shape, rank, dims, -1);
    snprintf(name, sizeof name, "c%zu", g->constants++);
    onnx_build_raw(g->build, name, dtype, shape, data, size);
    return onnx_build_text(g->build, name);
}

const char *gen_constant(gen *g, int32_t dtype, int rank, const int64_t *dims, double least,
                         double most)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t) dims[i];
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    unsigned char *data = onnx_build_alloc(g->build, count * size + 1);
    for (size_t i = 0; i < count; i++)
        gen_put_number(&g->state, dtype, least, most, false, data + i * size);
    return add_constant(g, dtype, rank, dims, data, count * size);
}

const char *gen_table(gen *g, int32_t dtype, int rank, const int64_t *dims, const int64_t *values)
{
    size_t count = 1;
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    for (int i = 0; i < rank; i++)
        count *= (size_t) dims[i];
    unsigned char *data = onnx_build_alloc(g->build, count * size + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(data + i * size, &values[i], size);
    return add_constant(g, dtype, rank, dims, data, count * size);
}

const char *gen_ints(gen *g, int32_t dtype, size_t count, const int64_t *values)
{
    return gen_table(g, dtype, 1, (const int64_t[]){(int64_t) count}, values);
}

const char *gen_floats(gen *g, size_t rows, size_t count, const float *values)
{
    const int64_t dims[] = {(int64_t) rows, (int64_t) count};
    return add_constant(g, MLS_FLOAT32, rows ? 2 : 1, rows ? dims : dims + 1, values,
                        (rows ? rows : 1) * count * sizeof *values);
}
