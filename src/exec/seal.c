/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: everything that a run touches is made resident and locked, and the session stays with
 * one thread and one plan. What cannot be listed (the kernels' own blocks) is reached by a run.
 */
#include "exec/session.h"

#include "base/error.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a run may need of the stack. */
#define STACK_BYTES ((size_t) 64 << 10)

/* Locks one range after another; the first failure stays. */
typedef struct locker {
    uintptr_t page;
    size_t bytes;
    int error;
} locker;

static void lock_range(void *arg, void *data, size_t size)
{
    locker *l = arg;
    const uintptr_t begin = (uintptr_t) data & ~(l->page - 1);
    const uintptr_t end = ((uintptr_t) data + size + l->page - 1) & ~(l->page - 1);
    if (l->error || !data || !size)
        return;
    if (mlock((const void *) begin, end - begin) != 0)
        l->error = errno;
    else
        l->bytes += end - begin;
}

/* Only pages that hold nothing else. */
static void unlock_range(void *arg, void *data, size_t size)
{
    const locker *l = arg;
    const uintptr_t begin = ((uintptr_t) data + l->page - 1) & ~(l->page - 1);
    const uintptr_t end = ((uintptr_t) data + size) & ~(l->page - 1);
    if (begin < end)
        munlock((const void *) begin, end - begin);
}

/* The segments of the file that holds our code: the library, or the program it is linked into. */
static int lock_code(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void) size;
    const uintptr_t here = (uintptr_t) lock_code;
    bool is_ours = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        is_ours = is_ours || (info->dlpi_phdr[i].p_type == PT_LOAD && here >= begin &&
                              here - begin < info->dlpi_phdr[i].p_memsz);
    }
    for (int i = 0; is_ours && i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_R))
            lock_range(arg, (void *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                       info->dlpi_phdr[i].p_memsz);
    return is_ours;
}

static void lock_stack(locker *l)
{
    volatile unsigned char stack[STACK_BYTES];
    for (size_t i = 0; i < sizeof stack; i += l->page)
        stack[i] = 0;
    lock_range(l, (void *) (uintptr_t) stack, sizeof stack);
}

/* What belongs to this session alone; kernels, whose size is not known, are for `kernel`. */
static void visit_own(mls_session *session, mls__memory_visit visit, mls__memory_visit kernel,
                      void *arg)
{
    visit(arg, session, sizeof *session);
    mls__arena_visit(&session->dims.arena, visit, arg);
    if (session->flow) {
        mls__flow_visit(session->flow, visit, kernel, arg);
        mls__pool_visit(&session->flow_host.pool, visit, arg);
        return;
    }
    visit(arg, session->plan.block, session->plan.block_bytes);
    mls__arena_visit(&session->plan.arena, visit, arg);
    for (size_t i = 0; i < session->plan.run_count; i++)
        kernel(arg, (void *) (uintptr_t) session->plan.run_steps[i].kernel, 1);
}

/* The page with its beginning, and the next. */
static void lock_kernel(void *arg, void *kernel, size_t size)
{
    const locker *l = arg;
    lock_range(arg, kernel, size * l->page);
}

/* It shares its pages with others. */
static void leave_kernel(void *arg, void *kernel, size_t size)
{
    (void) arg;
    (void) kernel;
    (void) size;
}

static void lock_all(mls_session *session, locker *l)
{
    visit_own(session, lock_range, lock_kernel, l);
    if (session->flow)
        mls__graph_visit(session->plan.graph, lock_range, l);
    mls__weights_visit(&session->model->weights, lock_range, l);
    for (size_t i = 0; i < session->model->tensors.count; i++) {
        const mls_tensor *tensor = *(mls_tensor **) mls__vec_at(&session->model->tensors, i);
        lock_range(l, mls_tensor_data(tensor), mls_tensor_size_bytes(tensor));
    }
    const mls__binding *const bindings[] = {session->inputs, session->outputs};
    const size_t counts[] = {session->plan.graph->inputs.count, session->plan.graph->outputs.count};
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < counts[side]; i++)
            lock_range(l, bindings[side][i].data, bindings[side][i].size_bytes);
    dl_iterate_phdr(lock_code, l);
    lock_stack(l);
}

static mls_status check_sealable(const mls_session *session, uint64_t flags)
{
    if (flags & ~MLS_SEAL_CHECK)
        return mls__error(MLS_EINVAL, "mls_session_seal: flags 0x%llx are not known",
                          (unsigned long long) flags);
    const mls__flow_step *loud = session->flow ? mls__flow_find_allocating(session->flow) : NULL;
    if (loud)
        return mls__error(
            MLS_EUNSUPPORTED,
            "node '%.200s' (%.64s) allocates in each run; its session cannot be sealed",
            loud->op.node, loud->op.type);
    if (session->plan.share.threads > 1)
        return mls__error(MLS_EUNSUPPORTED,
                          "the session runs on %u threads, which wait for each other; create it "
                          "with threads = 1",
                          session->plan.share.threads);
    return MLS_OK;
}

static mls_status run_once(mls_session *session)
{
    return session->flow ? mls__session_run_flow(session)
                         : mls__plan_run(&session->plan, &session->control);
}

/*
 * Two runs plan what these inputs reach and find memory for what goes between the steps. An input
 * that is bound later has an object before that of now is gone.
 */
static mls_status prepare_flow(mls_session *session)
{
    mls_status status = MLS_OK;
    for (int i = 0; !status && i < 2; i++)
        status = run_once(session);
    if (status)
        return status;
    return mls__pool_reserve(&session->flow_host.pool, session->plan.graph->inputs.count,
                             sizeof(mls__object));
}

static mls_status prepare(mls_session *session)
{
    mls_status status = mls__session_settle(session);
    if (!status && session->flow)
        return prepare_flow(session);
    return status ? status : mls__session_check_bindings(session);
}

mls_status mls_session_seal(mls_session *session, uint64_t flags)
{
    mls_status status = check_sealable(session, flags);
    if (!status)
        status = prepare(session);
    if (status)
        return status;
    locker l = {.page = (uintptr_t) sysconf(_SC_PAGESIZE)};
    lock_all(session, &l);
    if (l.error) {
        visit_own(session, unlock_range, leave_kernel, &l);
        return mls__error(MLS_EIO,
                          "cannot lock memory (%s) after %zu KiB; raise RLIMIT_MEMLOCK (ulimit -l) "
                          "or grant CAP_IPC_LOCK",
                          strerror(l.error), l.bytes / 1024);
    }
    /* Twice: the first faults the rest in. What a plan computes from is not there yet. */
    session->flow_host.pool.is_sealed = true;
    for (int i = 0; i < 2; i++)
        run_once(session);
    session->is_sealed = true;
    session->is_seal_checked = (flags & MLS_SEAL_CHECK) != 0;
    session->sealed_by = pthread_self();
    return MLS_OK;
}

void mls__session_unseal(mls_session *session)
{
    locker l = {.page = (uintptr_t) sysconf(_SC_PAGESIZE)};
    if (session->is_sealed)
        visit_own(session, unlock_range, leave_kernel, &l);
    session->is_sealed = false;
}

mls_status mls__session_check_thread(const mls_session *session)
{
    if (pthread_equal(session->sealed_by, pthread_self()))
        return MLS_OK;
    return mls__error(MLS_ESTATE, "the session is sealed for the thread that sealed it");
}

/* What must not change over a sealed run. */
typedef struct account {
    uint64_t allocations;
    struct rusage usage;
} account;

static account take_account(void)
{
    account a;
    getrusage(RUSAGE_THREAD, &a.usage);
    a.allocations = mls__alloc_calls();
    return a;
}

mls_status mls__session_run_checked(mls_session *session)
{
    const account before = take_account();
    const mls_status status = run_once(session);
    const account after = take_account();
    const uint64_t allocations = after.allocations - before.allocations;
    const long faults = after.usage.ru_minflt - before.usage.ru_minflt + after.usage.ru_majflt -
                        before.usage.ru_majflt;
    const long waits = after.usage.ru_nvcsw - before.usage.ru_nvcsw;
    if (!status && (allocations || faults || waits))
        return mls__error(MLS_ESTATE,
                          "the seal is broken: the run asked for memory %llu times, had %ld page "
                          "faults and waited %ld times",
                          (unsigned long long) allocations, faults, waits);
    return status;
}
