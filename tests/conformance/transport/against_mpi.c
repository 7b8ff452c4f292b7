/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/transport/against_mpi.h"

#include <float.h>
#include <math.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

typedef struct kind {
    mls_dtype dtype;
    MPI_Datatype type, wrapping; /* for sums and products, which wrap as unsigned ones do */
    double epsilon;              /* of floats; 0: there is one result */
} kind;

enum { KINDS = 4 };

/* MPI's names are no constants everywhere. */
static kind kind_of(int number)
{
    switch (number) {
    case 0:
        return (kind){MLS_INT32, MPI_INT32_T, MPI_UINT32_T, 0};
    case 1:
        return (kind){MLS_INT64, MPI_INT64_T, MPI_UINT64_T, 0};
    case 2:
        return (kind){MLS_FLOAT32, MPI_FLOAT, MPI_FLOAT, FLT_EPSILON};
    default:
        return (kind){MLS_FLOAT64, MPI_DOUBLE, MPI_DOUBLE, DBL_EPSILON};
    }
}

/* Integers of all bits; floats from 1 to 1.5, of both signs. */
static mls_tensor *filled(mls_dtype dtype, int64_t count)
{
    mls_tensor *tensor = conformance_tensor(dtype, count);
    void *data = mls_tensor_data(tensor);
    uint64_t random = the_place->rank + 1;
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = mls_test_random(&random);
        const double real = (bits & 1 ? 1 : -1) * (1 + ldexp((double) (bits >> 11), -54));
        if (dtype == MLS_INT32)
            ((int32_t *) data)[i] = (int32_t) bits;
        else if (dtype == MLS_INT64)
            ((int64_t *) data)[i] = (int64_t) bits;
        else if (dtype == MLS_FLOAT32)
            ((float *) data)[i] = (float) real;
        else
            ((double *) data)[i] = real;
    }
    return tensor;
}

static double real_at(mls_dtype dtype, const void *data, int64_t i)
{
    return dtype == MLS_FLOAT32 ? (double) ((const float *) data)[i] : ((const double *) data)[i];
}

/* --- reductions ------------------------------------------------------------------------------ */

static const struct {
    uint32_t reduction;
    const char *name;
} reductions[] = {{MLS_REDUCE_SUM, "sum"},
                  {MLS_REDUCE_PRODUCT, "product"},
                  {MLS_REDUCE_MIN, "minimum"},
                  {MLS_REDUCE_MAX, "maximum"}};
enum { REDUCTIONS = sizeof reductions / sizeof reductions[0] };

static MPI_Op operation_of(uint32_t reduction)
{
    return reduction == MLS_REDUCE_SUM       ? MPI_SUM
           : reduction == MLS_REDUCE_PRODUCT ? MPI_PROD
           : reduction == MLS_REDUCE_MIN     ? MPI_MIN
                                             : MPI_MAX;
}

/*
 * Of sums and products of floats each order has results of its own, whose errors have a bound: for
 * each of the p - 1 steps of either a rounding of what has come together by then.
 */
static double error_of(const kind *k, uint32_t reduction, double expected)
{
    const double ranks = the_place->size;
    if (reduction == MLS_REDUCE_SUM)
        return 2 * ranks * k->epsilon * 1.5 * ranks;
    return reduction == MLS_REDUCE_PRODUCT ? 2 * ranks * k->epsilon * fabs(expected) : 0;
}

static void expect_close(const kind *k, uint32_t reduction, const char *name,
                         const mls_tensor *given, const void *expected, int64_t count)
{
    const void *data = mls_tensor_data(given);
    if (k->epsilon == 0)
        mls_test_expect(memcmp(data, expected, (size_t) count * mls_dtype_size(k->dtype)) == 0,
                        "a %s of %s is not what MPI gives", name, mls_dtype_name(k->dtype));
    for (int64_t i = 0; k->epsilon > 0 && i < count; i++) {
        const double is = real_at(k->dtype, data, i), mpi = real_at(k->dtype, expected, i);
        mls_test_expect(fabs(is - mpi) <= error_of(k, reduction, mpi),
                        "a %s of %s is %a, and MPI's %a", name, mls_dtype_name(k->dtype), is, mpi);
    }
}

/* Pieces that go with a record, and those that MPI gets. */
static void reduce_as_mpi(mls_group *group, const kind *k, int count, size_t which)
{
    const uint32_t reduction = reductions[which].reduction, root = the_place->size - 1;
    const char *name = reductions[which].name;
    const MPI_Op op = operation_of(reduction);
    const MPI_Datatype type =
        reduction == MLS_REDUCE_MIN || reduction == MLS_REDUCE_MAX ? k->type : k->wrapping;
    const int piece = count / (int) the_place->size;
    mls_tensor *source = filled(k->dtype, count), *target = conformance_tensor(k->dtype, count);
    mls_tensor *part, *whole;
    void *expected = calloc((size_t) count, mls_dtype_size(k->dtype));
    MPI_Allreduce(mls_tensor_data(source), expected, count, type, op, MPI_COMM_WORLD);
    ck_assert_ok(mls_group_allreduce(group, source, target, reduction, NULL, NULL));
    expect_close(k, reduction, name, target, expected, count);
    memset(mls_tensor_data(target), 0, mls_tensor_size_bytes(target));
    ck_assert_ok(mls_group_reduce(group, source, target, reduction, root, NULL, NULL));
    if (the_place->rank == root)
        expect_close(k, reduction, name, target, expected, count);
    MPI_Reduce_scatter_block(mls_tensor_data(source), expected, piece, type, op, MPI_COMM_WORLD);
    ck_assert_ok(mls_tensor_slice(target, 0, 0, piece, 1, &part));
    ck_assert_ok(mls_tensor_slice(source, 0, 0, piece * (int) the_place->size, 1, &whole));
    ck_assert_ok(mls_group_reduce_scatter(group, whole, part, reduction, NULL, NULL));
    expect_close(k, reduction, name, part, expected, piece);
    free(expected);
    mls_tensor_free(whole);
    mls_tensor_free(part);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

/* --- moves ----------------------------------------------------------------------------------- */

static void expect_same(const void *given, const void *expected, size_t size, const char *what)
{
    mls_test_expect(memcmp(given, expected, size) == 0, "%s is not what MPI gives", what);
}

/* From each rank to the next one. */
static void send_as_mpi(mls_group *group, mls_tensor *source, mls_tensor *target, void *expected)
{
    const int ranks = (int) the_place->size, rank = (int) the_place->rank;
    const int to = (rank + 1) % ranks, from = (rank + ranks - 1) % ranks;
    const int count = (int) mls_tensor_element_count(source);
    mls_work *work;
    MPI_Sendrecv(mls_tensor_data(source), count, MPI_INT64_T, to, 7, expected, count, MPI_INT64_T,
                 from, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    ck_assert_ok(mls_group_send(group, source, (uint32_t) to, NULL, &work));
    ck_assert_ok(mls_group_receive(group, target, (uint32_t) from, NULL, NULL));
    ck_assert_ok(mls_work_wait(work, -1));
    mls_work_free(work);
    expect_same(mls_tensor_data(target), expected, mls_tensor_size_bytes(source), "a message");
}

static void move_as_mpi(mls_group *group, int count)
{
    const int ranks = (int) the_place->size, root = ranks / 2;
    mls_tensor *one = filled(MLS_INT64, count), *all = filled(MLS_INT64, count * ranks);
    mls_tensor *target = conformance_tensor(MLS_INT64, count * ranks), *part;
    const size_t size = (size_t) count * 8;
    unsigned char *expected = malloc(size * the_place->size);
    memcpy(expected, mls_tensor_data(one), size);
    MPI_Bcast(expected, count, MPI_INT64_T, root, MPI_COMM_WORLD);
    ck_assert_ok(mls_group_broadcast(group, one, (uint32_t) root, NULL, NULL));
    expect_same(mls_tensor_data(one), expected, size, "a broadcast");
    ((int64_t *) mls_tensor_data(one))[0] += the_place->rank;
    MPI_Allgather(mls_tensor_data(one), count, MPI_INT64_T, expected, count, MPI_INT64_T,
                  MPI_COMM_WORLD);
    ck_assert_ok(mls_group_allgather(group, one, target, NULL, NULL));
    expect_same(mls_tensor_data(target), expected, size * the_place->size, "an allgather");
    memset(mls_tensor_data(target), 0, size * the_place->size);
    ck_assert_ok(mls_group_gather(group, one, target, (uint32_t) root, NULL, NULL));
    if ((int) the_place->rank == root)
        expect_same(mls_tensor_data(target), expected, size * the_place->size, "a gather");
    MPI_Alltoall(mls_tensor_data(all), count, MPI_INT64_T, expected, count, MPI_INT64_T,
                 MPI_COMM_WORLD);
    ck_assert_ok(mls_group_all_to_all(group, all, target, NULL, NULL));
    expect_same(mls_tensor_data(target), expected, size * the_place->size, "an all_to_all");
    MPI_Scatter(mls_tensor_data(all), count, MPI_INT64_T, expected, count, MPI_INT64_T, root,
                MPI_COMM_WORLD);
    ck_assert_ok(mls_tensor_slice(target, 0, 0, count, 1, &part));
    ck_assert_ok(mls_group_scatter(group, all, part, (uint32_t) root, NULL, NULL));
    expect_same(mls_tensor_data(part), expected, size, "a scatter");
    send_as_mpi(group, one, part, expected);
    free(expected);
    mls_tensor_free(part);
    mls_tensor_free(one);
    mls_tensor_free(all);
    mls_tensor_free(target);
}

/* Of more ranks than processors MPI takes long, so that they try a part of what fewer do. */
START_TEST(results_are_those_of_mpi)
{
    /* With a record; several pieces of messages, and of collectives of eight bytes. */
    static const int counts[] = {40, 5001, 70000};
    mls_group *group;
    ck_assert_ok(
        mls_group_create(the_context, the_url, the_place->rank, the_place->size, NULL, &group));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int number = 0; number < KINDS; number++) {
            const kind k = kind_of(number);
            for (size_t which = 0; which < REDUCTIONS; which++)
                if (the_place->size <= 4 || (i + which + (size_t) number) % 4 == 0)
                    reduce_as_mpi(group, &k, counts[i], which);
        }
        move_as_mpi(group, counts[i]);
    }
    mls_group_free(group);
}
END_TEST

void against_mpi_add(TCase *tests)
{
    tcase_add_test(tests, results_are_those_of_mpi);
}
