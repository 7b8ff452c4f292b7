/* SPDX-License-Identifier: Apache-2.0 */
/* Links nothing of the library. */
#include "transport/shared/shared.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

void mls__missing_text(uint32_t ranks, bool (*has_come)(const void *user, uint32_t rank),
                       const void *user, char ret_text[MLS__MISSING_TEXT])
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
        used += (size_t) snprintf(ret_text + used, left, named > 1 ? ", %u" : " %u", i);
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
