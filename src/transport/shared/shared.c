/* SPDX-License-Identifier: Apache-2.0 */
/* Links nothing of the library. */
#include "transport/shared/shared.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOOK_NS UINT64_C(50000000)

bool mls__subset_is_over(const mls_transport_subset *subset)
{
    return subset && subset->size > offsetof(mls_transport_subset, user) && subset->is_over &&
           subset->is_over(subset->user);
}

uint64_t mls__subset_look_ns(const mls_transport_subset *subset, uint64_t until_ns)
{
    struct timespec now;
    if (!subset)
        return until_ns;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t look_ns =
        (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec + LOOK_NS;
    return look_ns < until_ns ? look_ns : until_ns;
}

void mls__missing_text(uint32_t ranks, const mls_transport_subset *subset,
                       bool (*has_come)(const void *user, uint32_t rank), const void *user,
                       char ret_text[MLS__MISSING_TEXT])
{
    size_t used = 0, named = 0;
    ret_text[0] = '\0';
    for (uint32_t i = 0; i < ranks; i++) {
        const size_t left = MLS__MISSING_TEXT - used;
        if (has_come(user, i))
            continue;
        if (left < 24 || ++named > 8) {
            snprintf(ret_text + used, left, " and others");
            return;
        }
        used += (size_t) snprintf(ret_text + used, left, named > 1 ? ", %u" : " %u",
                                  subset ? subset->ranks[i] : i);
    }
}

uint64_t mls__spin_ns(uint32_t spin_us, uint32_t ranks)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < (int) ranks)
        return 0;
    return spin_us * UINT64_C(1000);
}

void mls__message_show_head(mls_transport_message *message, const void *head, size_t size)
{
    memset(message->other_head, 0, sizeof message->other_head);
    if (size)
        memcpy(message->other_head, head, size);
}

void mls__peer_heard(mls_transport_peer *peer, uint64_t heard_ns)
{
    if (peer->size > offsetof(mls_transport_peer, heard_ns))
        peer->heard_ns = heard_ns;
}
