/* SPDX-License-Identifier: Apache-2.0 */
/* Peers come as shared libraries, found when the program runs: nothing of them is needed to build.
 */
#include "engine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool engine_load_library(const char *path, const engine_symbol *symbols, size_t count,
                         void *ret_functions)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        void *const address = dlsym(library, symbols[i].name);
        if (!address) {
            fprintf(stderr, "%s: there is no %s\n", path, symbols[i].name);
            return false;
        }
        memcpy((char *) ret_functions + symbols[i].offset, &address, sizeof address);
    }
    return true;
}
