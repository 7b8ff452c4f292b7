/* SPDX-License-Identifier: Apache-2.0 */
#include "support/port.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Below those that the system gives out by itself, so that nobody gets it meanwhile; which one
 * is tried first depends on the process.
 */
int mls_test_free_port(void)
{
    for (int i = 0; i < 1000; i++) {
        const int port = 20000 + (int) (((unsigned) getpid() * 7u + (unsigned) i * 131u) % 12000u);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        const int bound = bind(fd, (const struct sockaddr *) &address, sizeof address);
        close(fd);
        if (bound == 0)
            return port;
    }
    abort();
}
