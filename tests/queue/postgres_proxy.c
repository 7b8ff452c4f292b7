/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/postgres_proxy.h"

#include "support/folder.h"
#include "support/postgres.h"
#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { QUIET, LISTENING, CUTTING, ARMED, SAID, LOSING, AWAY };

static atomic_int phase, phase_behind, commits, refusals;
static atomic_bool speaks_to_others;
static const char *the_words;
static struct sockaddr_un way, target;
static sem_t refused; /* once for each of them */
static int listener;
static pthread_t thread;

static struct sockaddr_un address_in(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int size = snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432",
                              mls_test_folder_path(folder));
    ck_assert_int_lt(size, (int) sizeof address.sun_path);
    return address;
}

static bool says(const char *data, size_t size, const char *words)
{
    return memmem(data, size, words, strlen(words)) != NULL;
}

static bool write_all(int to, const char *data, size_t size)
{
    while (size) {
        const ssize_t written = send(to, data, size, MSG_NOSIGNAL);
        if (written <= 0)
            return false;
        data += written;
        size -= (size_t) written;
    }
    return true;
}

/* What a client says comes whole, as it waits for the answer. false: it is not heard. */
static bool listen_to(const char *data, size_t size)
{
    const int now = phase;
    const bool says_words = now != QUIET && says(data, size, the_words);
    if (says(data, size, "COMMIT"))
        atomic_fetch_add(&commits, 1);
    if (now == LISTENING && says_words) {
        the_words = "COMMIT";
        phase = CUTTING;
    }
    if (now == CUTTING && says_words) {
        phase = phase_behind;
        return false;
    }
    if (now == ARMED && says_words)
        phase = SAID;
    if (phase == SAID && says(data, size, "COMMIT"))
        phase = LOSING;
    return true;
}

static bool hand_on(int from, int to, bool is_client)
{
    static char data[1 << 16];
    const ssize_t size = recv(from, data, sizeof data, 0);
    if (size <= 0 || (is_client && !listen_to(data, (size_t) size)))
        return false;
    if (!is_client && phase == LOSING) {
        phase = phase_behind;
        return false;
    }
    return write_all(to, data, (size_t) size);
}

static void refuse(void)
{
    atomic_fetch_add(&refusals, 1);
    sem_post(&refused);
}

/* A server that has no connection left says so. */
static void speak_to_other(void)
{
    static const char full[] = "E\0\0\0\34SFATAL\0C53300\0Mis full\0";
    char hello[1000];
    const int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (other >= 0 && recv(other, hello, sizeof hello, 0) > 0)
        write_all(other, full, sizeof full);
    close(other);
    refuse();
}

/* false: there is no server. */
static bool connect_both(int client)
{
    const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_there = connect(server, (const struct sockaddr *) &target, sizeof target) == 0;
    bool goes_on = is_there;
    while (goes_on) {
        struct pollfd fds[] = {{client, POLLIN, 0},
                               {server, POLLIN, 0},
                               {speaks_to_others ? listener : -1, POLLIN, 0}};
        poll(fds, 3, -1);
        if (fds[0].revents)
            goes_on = hand_on(client, server, true);
        if (goes_on && fds[1].revents)
            goes_on = hand_on(server, client, false);
        if (goes_on && fds[2].revents)
            speak_to_other();
    }
    close(server);
    return is_there;
}

static void *run(void *user)
{
    (void) user;
    for (int client; (client = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(client))
        if (phase == AWAY || !connect_both(client))
            refuse();
    return NULL;
}

/* Its folder is in place of the server's, which is the last part of the host. */
static void write_url(char *url, size_t size)
{
    const char *direct = mls_test_postgres_url(), *host_end = strstr(direct, "pg/postgres?");
    ck_assert_ptr_nonnull(host_end);
    snprintf(url, size, "%.*sway%s", (int) (host_end - direct), direct, host_end + strlen("pg"));
}

const char *proxy_start(void)
{
    static char url[640];
    phase = commits = refusals = 0;
    speaks_to_others = false;
    ck_assert_int_eq(sem_init(&refused, 0, 0), 0);
    ck_assert_int_eq(mkdir(mls_test_folder_path("way"), 0755), 0);
    way = address_in("way");
    target = address_in("pg");
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *) &way, sizeof way), 0);
    ck_assert_int_eq(listen(listener, 16), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    write_url(url, sizeof url);
    return url;
}

void proxy_stop(void)
{
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    sem_destroy(&refused);
    unlink(way.sun_path);
    rmdir(mls_test_folder_path("way"));
}

static void wait_for(const char *words, int next, int behind)
{
    the_words = words;
    phase_behind = behind;
    phase = next;
}

void proxy_lose_commit(const char *words)
{
    wait_for(words, ARMED, AWAY);
}

void proxy_cut_at(const char *words, bool goes)
{
    wait_for(words, CUTTING, goes ? AWAY : QUIET);
}

void proxy_cut_commit(const char *words, bool goes)
{
    wait_for(words, LISTENING, goes ? AWAY : QUIET);
}

int proxy_commits(void)
{
    return commits;
}

int proxy_refusals(void)
{
    return refusals;
}

void proxy_await_refusal(void)
{
    while (sem_wait(&refused))
        ;
}

void proxy_speak_to_others(void)
{
    speaks_to_others = true;
}

void proxy_let_back(void)
{
    phase = QUIET;
}
