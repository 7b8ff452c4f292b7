/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the input as a model, looks at it, and runs it when all of its ops are supported. */
#include "fuzz/fuzz.h"
#include "fuzz/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_heap heap = {0};
    mls_context *context = fuzz_context(&heap, NULL);
    mls_session *session = fuzz_session(context, data, size, 0);
    if (session) {
        fuzz_run(session, data, size);
        fuzz_digest(session);
    }
    mls_session_free(session);
    fuzz_context_free(context, &heap);
    return 0;
}
