/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer of a network whose weights are spread over processes: relu(X W + b), with X cut by
 * columns and W by rows, so that no rank has all of either. Sums go over eight shards, whatever
 * the number of ranks: one process and seven give the same bytes.
 *
 *   cc sharded_matmul.c $(pkg-config --cflags --libs mlscale) -o sharded_matmul
 *   ./sharded_matmul                              alone
 *   mlscale launch -n 7 -- ./sharded_matmul       or mpirun -n 7 ./sharded_matmul
 */
#include <mlscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, DEPTH = 1000, COLUMNS = 96, SHARDS = 8 };

static const int32_t by_row[1] = {0}, by_column[1] = {1}, on_all[1] = {MLS_LAYOUT_REPLICATED};

/* A tensor of two dimensions; each rank makes up the block that is its own. */
static mls_status make(mls_mesh *mesh, int64_t rows, int64_t columns, const int32_t *layout,
                       mls_sharded **ret_x)
{
    const int64_t dims[2] = {rows, columns};
    int64_t first[2], count[2];
    mls_status status = mls_sharded_create(mesh, MLS_FLOAT32, 2, dims, layout, ret_x);
    if (!status)
        status = mls_sharded_block(*ret_x, first, count);
    if (status)
        return status;
    float *values = mls_tensor_data(mls_sharded_local(*ret_x));
    for (int64_t i = 0; i < count[0]; i++)
        for (int64_t k = 0; k < count[1]; k++)
            *values++ = 1.0f / (float) ((first[0] + i) * 7 + (first[1] + k) * 3 + 1) - 0.01f;
    return MLS_OK;
}

static mls_status apply(const char *op, const mls_sharded *x, const mls_sharded *y,
                        mls_sharded **ret_result)
{
    const mls_sharded *const inputs[2] = {x, y};
    return mls_sharded_apply(op, inputs, y ? 2 : 1, NULL, ret_result);
}

/* The whole layer on every rank. */
static mls_status compute(mls_mesh *mesh, mls_sharded **ret_layer)
{
    mls_sharded *x = NULL, *w = NULL, *bias = NULL;
    mls_sharded *terms = NULL, *product = NULL, *sum = NULL, *layer = NULL;
    mls_status status = make(mesh, ROWS, DEPTH, by_column, &x);
    if (!status)
        status = make(mesh, DEPTH, COLUMNS, by_row, &w);
    if (!status)
        status = make(mesh, 1, COLUMNS, on_all, &bias);
    if (!status) /* moves nothing: each rank has terms of the product */
        status = mls_sharded_matmul(x, w, NULL, &terms);
    if (!status) /* adds them up, each rank some rows */
        status = mls_sharded_redistribute(terms, by_row, NULL, &product);
    if (!status)
        status = apply("Add", product, bias, &sum);
    if (!status)
        status = apply("Relu", sum, NULL, &layer);
    if (!status)
        status = mls_sharded_redistribute(layer, on_all, NULL, ret_layer);
    mls_sharded *const made[] = {x, w, bias, terms, product, sum, layer};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        mls_sharded_free(made[i]);
    return status;
}

/* A checksum of the bytes: FNV-1a. */
static void print_digest(const mls_tensor *tensor)
{
    const unsigned char *bytes = mls_tensor_data(tensor);
    unsigned long long hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < mls_tensor_size_bytes(tensor); i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    printf("the layer has digest %016llx\n", hash);
}

int main(void)
{
    mls_context *context = NULL;
    mls_group *group = NULL;
    mls_mesh *mesh = NULL;
    mls_sharded *layer = NULL;
    mls_mesh_options options = MLS_MESH_OPTIONS_INIT;
    options.shards[0] = SHARDS;
    mls_status status = mls_context_create(NULL, &context);
    if (!status)
        status = mls_group_create_launched(context, NULL, &group);
    const uint32_t ranks = mls_group_size(group);
    if (!status)
        status = mls_mesh_create(group, 1, &ranks, &options, &mesh);
    if (!status)
        status = compute(mesh, &layer);
    if (status && group)
        fprintf(stderr, "rank %u: %s\n", mls_group_rank(group), mls_error_message());
    else if (status) /* and no rank */
        fprintf(stderr, "%s\n", mls_error_message());
    else
        print_digest(mls_sharded_local(layer));
    mls_sharded_free(layer);
    mls_mesh_free(mesh);
    mls_group_free(group);
    mls_context_free(context);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
