/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a fuzz target on files, without libFuzzer: what was once found stays fixed, and
 * any compiler can do it.
 */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return EXIT_FAILURE;
    }
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? (size_t) size : 1);
    const size_t got = data && size > 0 ? fread(data, 1, (size_t) size, file) : 0;
    fclose(file);
    if (data)
        LLVMFuzzerTestOneInput(data, got);
    free(data);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    return status;
}
