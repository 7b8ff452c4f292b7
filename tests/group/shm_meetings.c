/* SPDX-License-Identifier: Apache-2.0 */
/* Processes die while they meet, strangers knock, and folders are not what they should be. */
#include "group/shm_ranks.h"
#include "support/folder.h"
#include "transport/shm/shm.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t count_files(void)
{
    char path[4096];
    uint32_t count = 0;
    snprintf(path, sizeof path, "%s/mlscale", mls_test_folder());
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static void wait_alone(uint32_t rank)
{
    mls_group *group;
    ranks_create(rank, 3, GENEROUS_MS, &group);
}

static void meet_and_add(uint32_t rank)
{
    mls_group *group;
    ck_assert_ok(ranks_create(rank, 3, GENEROUS_MS, &group));
    ck_assert_ok(ranks_add_up(group, 3000, GENEROUS_MS));
    mls_group_free(group);
}

static void wait_for_socket(void)
{
    while (!count_files())
        sched_yield();
}

/* The first one listens: the others find out, and meet anew. Nothing is left of either. */
START_TEST(deaths_while_meeting_are_mended)
{
    const pid_t first = ranks_start(0, wait_alone);
    wait_for_socket();
    const pid_t guest = ranks_start(1, meet_and_add);
    kill(first, SIGKILL);
    ranks_end(first, SIGKILL);
    const pid_t killed = ranks_start(2, wait_alone);
    kill(killed, SIGKILL);
    ranks_end(killed, SIGKILL);
    const pid_t again = ranks_start(0, meet_and_add), third = ranks_start(2, meet_and_add);
    ranks_end(guest, 0);
    ranks_end(again, 0);
    ranks_end(third, 0);
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

static int knock(void)
{
    char path[4096];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, sizeof path, "%s/mlscale", mls_test_folder());
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            ck_assert_int_lt(snprintf(address.sun_path, sizeof address.sun_path, "%.60s/%.40s",
                                      path, entry->d_name),
                             (int) sizeof address.sun_path);
    closedir(folder);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    while (connect(fd, (struct sockaddr *) (void *) &address, sizeof address)) {
        ck_assert_msg(errno == ECONNREFUSED, "%s", strerror(errno)); /* it does not listen yet */
        sched_yield();
    }
    return fd;
}

/* Those who say nothing, nonsense, or what is nearly right, disturb nobody. */
START_TEST(strangers_disturb_nothing)
{
    enum { STRANGERS = 40 };
    int strangers[STRANGERS];
    uint64_t state = mls_test_seed(3);
    const pid_t first = ranks_start(0, meet_and_add);
    wait_for_socket();
    for (int i = 0; i < STRANGERS; i++) {
        unsigned char bytes[sizeof(shm_hello)];
        shm_hello hello = {.magic = SHM_MAGIC, .version = SHM_VERSION, .size = 3, .rank = 9999};
        strangers[i] = knock();
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (unsigned char) mls_test_random(&state);
        hello.key_size = hello.token_size = (uint32_t) mls_test_random(&state);
        if (i % 3 == 1)
            send(strangers[i], bytes, mls_test_random_below(&state, sizeof bytes), MSG_NOSIGNAL);
        if (i % 3 == 2)
            send(strangers[i], &hello, sizeof hello, MSG_NOSIGNAL);
    }
    const pid_t second = ranks_start(1, meet_and_add), third = ranks_start(2, meet_and_add);
    ranks_end(first, 0);
    ranks_end(second, 0);
    ranks_end(third, 0);
    for (int i = 0; i < STRANGERS; i++)
        close(strangers[i]);
}
END_TEST

/* What the host says to `hello`, and the memory that comes with it, or -1. */
static int32_t greet(int fd, const shm_hello *hello, int *ret_memory)
{
    shm_answer answer;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&answer, sizeof answer};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ck_assert_int_eq(send(fd, hello, sizeof *hello, MSG_NOSIGNAL), (ssize_t) sizeof *hello);
    ck_assert_int_eq(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), (ssize_t) sizeof answer);
    const struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    *ret_memory = -1;
    if (first)
        memcpy(ret_memory, CMSG_DATA(first), sizeof *ret_memory);
    return answer.status;
}

/* A guest says in its own seat that nobody sits there, and comes again and again. */
START_TEST(guests_come_once)
{
    enum { TIMES = 40 };
    int guests[TIMES], file;
    shm_hello hello = {.magic = SHM_MAGIC,
                       .version = SHM_VERSION,
                       .rank = 1,
                       .size = 3,
                       .pid = (int32_t) getpid(),
                       .key = "nfaults",
                       .key_size = 7};
    const size_t seats = sizeof(shm_room) + 3 * sizeof(shm_seat);
    const pid_t first = ranks_start(0, meet_and_add);
    wait_for_socket();
    guests[0] = knock();
    ck_assert_int_eq(greet(guests[0], &hello, &file), SHM_ACCEPTED);
    shm_memory memory = {.base = mmap(NULL, seats, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
                         .fd = file,
                         .ranks = 3};
    ck_assert_ptr_ne(memory.base, MAP_FAILED);
    for (int i = 1; i < TIMES; i++) {
        atomic_store(&shm_memory_seat(&memory, 1)->pid, 0);
        guests[i] = knock();
        const int32_t answer = greet(guests[i], &hello, &file);
        ck_assert_msg(answer == MLS_EEXIST, "guest %d was told %d", i, (int) answer);
    }
    munmap(memory.base, seats);
    close(memory.fd);
    for (int i = 0; i < TIMES; i++)
        close(guests[i]);
    const pid_t second = ranks_start(1, meet_and_add), third = ranks_start(2, meet_and_add);
    ranks_end(first, 0);
    ranks_end(second, 0);
    ranks_end(third, 0);
}
END_TEST

START_TEST(folders_are_checked)
{
    char path[4096];
    mls_group *group;
    ck_assert_ok(mls_context_create(NULL, &ranks_context));
    snprintf(path, sizeof path, "%s/open", mls_test_folder());
    ck_assert_int_eq(mkdir(path, 0755), 0);
    setenv("XDG_RUNTIME_DIR", path, 1);
    strcat(path, "/mlscale");
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_fails(ranks_create(0, 1, GENEROUS_MS, &group), MLS_EIO, "nobody else may enter");
    chmod(path, 0700);
    ck_assert_ok(ranks_create(0, 1, GENEROUS_MS, &group));
    mls_group_free(group);
    ck_assert_fails(mls_group_create(ranks_context, "shm:x?arena=1t", 0, 1, NULL, &group),
                    MLS_EINVAL, "?arena=SIZE");
    ck_assert_ok(mls_group_create(ranks_context, "shm:x?arena=64m", 0, 1, NULL, &group));
    mls_group_free(group);
    mls_context_free(ranks_context);
}
END_TEST

void shm_meetings_add(TCase *tests)
{
    tcase_add_test(tests, deaths_while_meeting_are_mended);
    tcase_add_test(tests, strangers_disturb_nothing);
    tcase_add_test(tests, guests_come_once);
    tcase_add_test(tests, folders_are_checked);
}
