/* SPDX-License-Identifier: Apache-2.0 */
#include "group/shm_ranks.h"

#include "support/folder.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

stage *ranks_stage;
mls_context *ranks_context;

void ranks_set_up(void)
{
    pthread_barrierattr_t shared;
    ranks_stage =
        mmap(NULL, sizeof *ranks_stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(ranks_stage, MAP_FAILED);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&ranks_stage->three, &shared, 3);
    pthread_barrier_init(&ranks_stage->two, &shared, 2);
    setenv("XDG_RUNTIME_DIR", mls_test_folder(), 1);
}

mls_status ranks_create(uint32_t rank, uint32_t size, int64_t timeout_ms, mls_group **ret_group)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    return mls_group_create(ranks_context, "shm:faults", rank, size, &options, ret_group);
}

pid_t ranks_start(uint32_t rank, void (*body)(uint32_t rank))
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child)
        return child;
    ck_assert_ok(mls_context_create(NULL, &ranks_context));
    body(rank);
    mls_context_free(ranks_context);
    _exit(0);
}

void ranks_end(pid_t child, int signal)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (signal)
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    else
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a rank ended with %#x",
                      (unsigned) status);
}

void ranks_run(uint32_t count, void (*body)(uint32_t rank), uint32_t dying, int signal)
{
    pid_t children[4];
    for (uint32_t i = 0; i < count; i++)
        children[i] = ranks_start(i, body);
    for (uint32_t i = 0; i < count; i++)
        ranks_end(children[i], i == dying ? signal : 0);
}

mls_group_call ranks_within(int64_t timeout_ms)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.timeout_ms = timeout_ms;
    return call;
}

mls_status ranks_add_up(mls_group *group, int64_t count, int64_t timeout_ms)
{
    mls_tensor *tensor;
    const mls_group_call call = ranks_within(timeout_ms);
    ck_assert_ok(mls_tensor_create(ranks_context, MLS_FLOAT32, 1, &count, &tensor));
    float *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < count; i++)
        data[i] = 1;
    const mls_status status =
        mls_group_allreduce(group, tensor, tensor, MLS_REDUCE_SUM, &call, NULL);
    for (int64_t i = 0; !status && i < count; i++)
        mls_test_expect(data[i] == (float) mls_group_size(group), "element %lld is %g",
                        (long long) i, (double) data[i]);
    mls_tensor_free(tensor);
    return status;
}
