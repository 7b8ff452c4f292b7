/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run makes no malloc, takes no lock and makes no system call. All three are trapped
 * in a child process: the allocator and the locks by functions of the same name in this
 * program, system calls by a seccomp filter that kills.
 */
#include "exec/flow_models.h"
#include "exec/random_graph.h"
#include "support/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_QUIET      0
#define EXIT_MALLOC     41
#define EXIT_LOCK       42
#define EXIT_NO_SECCOMP 77

/* Sanitizers bring an allocator and system calls of their own. */
#if MLS_TEST_SANITIZED || !defined(__GLIBC__)
#define HAS_TRAPS 0
#else
#define HAS_TRAPS 1
#endif

#if HAS_TRAPS

static volatile bool is_armed;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static void trap(int code)
{
    if (is_armed)
        _exit(code);
}

void *malloc(size_t size)
{
    trap(EXIT_MALLOC);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    trap(EXIT_MALLOC);
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    trap(EXIT_MALLOC);
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    trap(EXIT_MALLOC);
    return __libc_memalign(alignment, size);
}

void free(void *block)
{
    trap(EXIT_MALLOC);
    __libc_free(block);
}

static int (*real_lock)(pthread_mutex_t *);

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    trap(EXIT_LOCK);
    if (!real_lock) {
        void *symbol = dlsym(RTLD_NEXT, "pthread_mutex_lock");
        __builtin_memcpy(&real_lock, &symbol, sizeof real_lock);
    }
    return real_lock(mutex);
}

/* From here on every system call but the last one kills the process. */
static bool forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Runs `body(arg)` in a child under all traps; how the child ended. */
static int run_trapped(void (*body)(void *arg), void *arg)
{
    int ended;
    const pid_t child = fork();
    if (child == 0) {
        if (!forbid_system_calls())
            _exit(EXIT_NO_SECCOMP);
        is_armed = true;
        body(arg);
        _exit(EXIT_QUIET);
    }
    ck_assert_int_gt(child, 0);
    while (waitpid(child, &ended, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return ended;
}

static bool can_trap(void (*body)(void *arg), void *arg, int *ret_ended)
{
    *ret_ended = run_trapped(body, arg);
    return !(WIFEXITED(*ret_ended) && WEXITSTATUS(*ret_ended) == EXIT_NO_SECCOMP);
}

static void call_malloc(void *arg)
{
    *(void **) arg = malloc(1);
}

static void call_lock(void *arg)
{
    pthread_mutex_lock(arg);
}

static void call_system(void *arg)
{
    (void) arg;
    syscall(SYS_getppid);
}

/* The traps themselves. */
START_TEST(traps_catch)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    void *block;
    int ended;
    if (!can_trap(call_malloc, &block, &ended))
        return;
    ck_assert_int_eq(WEXITSTATUS(ended), EXIT_MALLOC);
    can_trap(call_lock, &mutex, &ended);
    ck_assert_int_eq(WEXITSTATUS(ended), EXIT_LOCK);
    can_trap(call_system, NULL, &ended);
    ck_assert(WIFSIGNALED(ended));
    ck_assert_int_eq(WTERMSIG(ended), SIGSYS);
}
END_TEST

static void run_often(void *arg)
{
    mls_session *session = arg;
    for (int i = 0; i < 20; i++)
        if (mls_session_run(session) != MLS_OK)
            _exit(1);
}

/* Also the change of a dimension and of the bound memory, within the plan. */
static void run_batches(void *arg)
{
    static float memory[3][9 * 8];
    mls_session *session = arg;
    for (int64_t batch = 9; batch >= 0; batch--) {
        if (mls_session_set_dim(session, "batch", batch) != MLS_OK)
            _exit(1);
        for (size_t i = 0; i < 3 && batch; i++)
            if (mls_session_bind_input_data(session, i, memory[i],
                                            (size_t) batch * 8 * sizeof(float)) != MLS_OK)
                _exit(1);
        if (mls_session_run(session) != MLS_OK)
            _exit(1);
        for (size_t i = 0; i < 3; i++)
            if (mls_session_bind_input_data(session, i, NULL, 0) != MLS_OK)
                _exit(1);
    }
}

static void check_quiet_after(int runs_before, onnx_build *build, int64_t batch,
                              void (*body)(void *arg))
{
    mls_context *context;
    mls_model *model;
    mls_session *session;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    const mls_dim_value dim = {"batch", batch};
    int ended;
    options.dims = &dim;
    options.dim_count = batch ? 1 : 0;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    ck_assert_ok(mls_session_plan(session));
    for (int i = 0; i < runs_before; i++)
        ck_assert_ok(mls_session_run(session));
    if (can_trap(body, session, &ended)) {
        ck_assert_msg(!WIFSIGNALED(ended), "a run made a system call (signal %d)", WTERMSIG(ended));
        ck_assert_int_eq(WEXITSTATUS(ended), EXIT_QUIET);
    }
    mls_session_free(session);
    mls_model_free(model);
    mls_context_free(context);
    onnx_build_free(build);
}

static void check_quiet(onnx_build *build, int64_t batch, void (*body)(void *arg))
{
    check_quiet_after(0, build, batch, body);
}

START_TEST(runs_are_quiet)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        check_quiet(random_graph(seed, 3, 40), 9, run_often);
}
END_TEST

START_TEST(smaller_batches_are_quiet)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        check_quiet(random_graph(seed, 3, 40), 9, run_batches);
}
END_TEST

/* Layers of a network, with every kind of epilogue. */
static onnx_build *network(void)
{
    static float weights[64 * 64];
    onnx_build *b = onnx_build_create(17);
    for (size_t i = 0; i < 64 * 64; i++)
        weights[i] = (float) (i % 37) / 37.0f - 0.5f;
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,64");
    onnx_build_floats(b, "w", "64,64", weights);
    onnx_build_floats(b, "c", "64", weights);
    onnx_build_floats(b, "v", "64,1", weights);
    onnx_build_node(b, "Gemm", "x w c", "h");
    onnx_build_node(b, "Relu", "h", "r");
    onnx_build_node(b, "MatMul", "r w", "m");
    onnx_build_node(b, "Add", "m c", "a");
    onnx_build_node(b, "Tanh", "a", "t");
    onnx_build_node(b, "Softmax", "t", "s");
    onnx_build_node(b, "MatMul", "s v", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,1");
    return b;
}

START_TEST(networks_are_quiet)
{
    check_quiet(network(), 1, run_often);
    check_quiet(network(), 70, run_often);
}
END_TEST

/*
 * The first run plans what it reaches and finds memory for what goes between the steps; what it
 * gave is still there when the second makes its own.
 */
START_TEST(control_flow_is_quiet_after_two_runs)
{
    onnx_build *(*const models[])(void) = {flow_gathering, flow_growing,  flow_alternating,
                                           flow_scanning,  flow_sequence, flow_late};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        check_quiet_after(2, models[i](), 0, run_often);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("exec/quiet_run");
    TCase *tests = tcase_create("quiet_run");
#if HAS_TRAPS
    tcase_add_test(tests, traps_catch);
    tcase_add_test(tests, runs_are_quiet);
    tcase_add_test(tests, smaller_batches_are_quiet);
    tcase_add_test(tests, networks_are_quiet);
    tcase_add_test(tests, control_flow_is_quiet_after_two_runs);
#endif
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
