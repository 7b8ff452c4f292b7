/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The communicators that collectives of MPI run on, where a call gives up while one is made: MPI's
 * functions are this program's here, which count and can hold a rank up.
 */
#include "conformance/transport/makings.h"

#include <mpi.h>
#include <sched.h>
#include <stdatomic.h>

enum { COUNT = 5000 };

static atomic_int made, freed;
static atomic_bool is_held;
static _Atomic(MPI_Comm) last;

MLS_API int MPI_Comm_create_group(MPI_Comm base, MPI_Group group, int tag, MPI_Comm *ret_comm)
{
    while (atomic_load(&is_held))
        sched_yield();
    const int result = PMPI_Comm_create_group(base, group, tag, ret_comm);
    atomic_store(&last, *ret_comm);
    atomic_fetch_add(&made, 1);
    return result;
}

MLS_API int MPI_Comm_free(MPI_Comm *comm)
{
    if (*comm == atomic_load(&last))
        atomic_fetch_add(&freed, 1);
    return PMPI_Comm_free(comm);
}

static mls_group *create(void)
{
    mls_group *group;
    ck_assert_ok(mls_group_create(the_context, the_url, the_place->rank, 2, NULL, &group));
    return group;
}

static mls_status sum(mls_group *group, int64_t timeout_ms)
{
    mls_tensor *a = conformance_tensor(MLS_INT64, COUNT);
    mls_group_call call = conformance_call("making", timeout_ms);
    const mls_status status = mls_group_allreduce(group, a, a, MLS_REDUCE_SUM, &call, NULL);
    mls_tensor_free(a);
    return status;
}

/* Since then. */
static void expect(int made_before, int freed_before, int count_made, int count_freed)
{
    const int all_made = atomic_load(&made), all_freed = atomic_load(&freed);
    ck_assert_int_eq(all_made - made_before, count_made);
    ck_assert_int_eq(all_freed - freed_before, count_freed);
}

/* So that the other test sees what it means to see. */
START_TEST(engines_are_made_and_freed)
{
    const int made_before = atomic_load(&made), freed_before = atomic_load(&freed);
    if (the_place->rank < 2) {
        mls_group *group = create();
        ck_assert_ok(sum(group, 60000));
        expect(made_before, freed_before, 1, 0);
        mls_group_free(group);
        expect(made_before, freed_before, 1, 1);
    }
    the_place->meet(the_place->size);
}
END_TEST

/* Rank 1 takes part only when both calls have given up, and then must. */
START_TEST(late_engines_are_freed)
{
    const int made_before = atomic_load(&made), freed_before = atomic_load(&freed);
    if (the_place->rank < 2) {
        mls_group *group = create();
        atomic_store(&is_held, the_place->rank == 1);
        const mls_status status = sum(group, the_place->rank == 0 ? 500 : 60000);
        ck_assert_msg(status == MLS_EDEADLINE, "%s", mls_error_message());
        atomic_store(&is_held, false);
        mls_group_free(group);
        const int count = atomic_load(&made) - made_before; /* 0, if all was too slow for one */
        ck_assert_int_le(count, 1);
        expect(made_before, freed_before, count, count);
    }
    the_place->meet(the_place->size);
}
END_TEST

void conformance_add_makings(TCase *tests)
{
    tcase_add_test(tests, engines_are_made_and_freed);
    tcase_add_test(tests, late_engines_are_freed);
}
