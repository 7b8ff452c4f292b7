/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the sample models into a directory: what fuzzing the reader starts from. */
#include "support/onnx_samples.h"

#include <stdio.h>
#include <stdlib.h>

static int write_sample(const char *directory, const onnx_sample *sample)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.onnx", directory, sample->name);
    onnx_build *build = onnx_sample_build(sample);
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(build, &size);
    FILE *file = fopen(path, "wb");
    const int ok = file && fwrite(bytes, 1, size, file) == size;
    onnx_build_free(build);
    if (!file || fclose(file) != 0 || !ok) {
        perror(path);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus DIRECTORY\n");
        return 2;
    }
    for (const onnx_sample *sample = onnx_samples; sample->name; sample++)
        if (write_sample(argv[1], sample) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
