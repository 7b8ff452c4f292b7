/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what fuzzing starts from into a folder for each kind of input. */
#include "support/onnx_samples.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int write_file(const char *directory, const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%.*s", directory, (int) strcspn(name, "/"), name);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        perror(path);
        return EXIT_FAILURE;
    }
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    const int ok = file && fwrite(data, 1, size, file) == size;
    if (!file || fclose(file) != 0 || !ok) {
        perror(path);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int write_models(const char *directory)
{
    int status = EXIT_SUCCESS;
    for (const onnx_sample *sample = onnx_samples; !status && sample->name; sample++) {
        char name[256];
        size_t size;
        snprintf(name, sizeof name, "onnx/%s.onnx", sample->name);
        onnx_build *build = onnx_sample_build(sample);
        const uint8_t *bytes = onnx_build_bytes(build, &size);
        status = write_file(directory, name, bytes, size);
        onnx_build_free(build);
    }
    return status;
}

/* Every key once, and what YAML can do that few files do. */
static int write_types(const char *directory)
{
    static const char *const texts[] = {
        "job-types:\n- name: a\n  version: 3\n  handler:\n    command: [sh, -c, 'x']\n"
        "    environment: {A: b}\n    directory: /x\n  queue: q\n"
        "  resources: {cpu: 1, gpu: 0, memory: 64M}\n  priority: 7\n"
        "  retries: {attempts: 2, backoff: 1ms, backoff-max: 1s, jitter: 0}\n"
        "  limits: {time: 1s, grace: 1s, cpu: 10s, cpus: 2, memory: 1G, output: 4K}\n"
        "  retention: 1h\n  schedule: {cron: 0 9 * * mon, zone: UTC, missed: once}\n  "
        "dependencies: any-end\n  batch: {size: 8, wait: 10ms}\n",
        ("job-types: [{name: m, handler: {score: m.onnx, inputs: {a: b}}}, "
         "{name: c, handler: {c: x}}]\n"),
        "job-types: [{name: b, handler: {container: i, engine: podman, options: [--x]}}]\n",
        "%YAML 1.1\n---\njob-types: [&a {name: !!str a, handler: &h {c: \"x\\u0041\"}}]\n...\n",
        "job-types:\n- {name: a, handler: &h {c: |-\n x\n}}\n- {name: b, handler: *h}\n",
    };
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof texts / sizeof texts[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "types/%zu.yaml", i);
        status = write_file(directory, name, texts[i], strlen(texts[i]));
    }
    return status;
}

/* Edits of each column of the first rows, with a value of each kind: see fuzz_rows.c. */
static int write_rows(const char *directory)
{
    static const uint8_t values[][9] = {
        {0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0, 0x80, 0, 0, 0, 0, 0, 0, 0},
        {1, 7, 't', 'e', 0xff, 'x', 0, '\n', 't'},
        {2, 3, 1, 2, 3, 3, 0, 0, 0},
        {3, 0, 0, 0, 0, 0, 0, 0, 0},
        {4, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0},
        {5, 2, 0, 0, 0, 0, 0, 0, 0},
    };
    int status = EXIT_SUCCESS;
    for (size_t v = 0; !status && v < sizeof values / sizeof values[0]; v++)
        for (uint8_t column = 0; !status && column < 60; column += 6) {
            uint8_t edits[66];
            char name[64];
            for (uint8_t i = 0; i < 6; i++) {
                edits[11 * i] = (uint8_t) (column + i);
                edits[11 * i + 1] = i + column / 6;
                memcpy(edits + 11 * i + 2, values[v], 9);
            }
            snprintf(name, sizeof name, "rows/%zu-%d", v, column);
            status = write_file(directory, name, edits, sizeof edits);
        }
    return status;
}

/* A line of cron each, and behind it a time zone of one change and a rule. */
static int write_lines(const char *directory)
{
    static const char *const lines[] = {"*/5 0-23/2 1,31 jan-dec mon\n", "30 2 29 2 */7\n",
                                        "@daily\n", "0 0 13 * fri"};
    static const char block[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\1";
    static const char changes[] = "\0\0\0\0\0\0\3\xe8\1\0\0\x0e\x10\0\0\0\0\x1c\x20\1\0\0";
    static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "<-02>2<-01>,J60/-1,300/167",
                                        "IST-5:30", ""};
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof lines / sizeof lines[0]; i++) {
        char name[64], bytes[512];
        size_t size = strlen(lines[i]);
        memcpy(bytes, lines[i], size);
        if (strchr(lines[i], '\n')) {
            memcpy(bytes + size, block, sizeof block - 1);
            memset(bytes + size + sizeof block - 1, 0, 5 + 2 * 6 + 1); /* times of 32 bits */
            size += sizeof block - 1 + 5 + 2 * 6 + 1;
            memcpy(bytes + size, block, sizeof block - 1);
            memcpy(bytes + size + sizeof block - 1, changes, sizeof changes - 1);
            size += sizeof block - 1 + sizeof changes - 1;
            size += (size_t) sprintf(bytes + size, "\n%s\n", rules[i]);
        }
        snprintf(name, sizeof name, "cron/%zu", i);
        status = write_file(directory, name, bytes, size);
    }
    return status;
}

/* Frames of a rank of a group over TCP; the numbers of kinds are those of transport/tcp/frame.h. */
static int write_frames(const char *directory)
{
    static const struct {
        const char *name;
        struct {
            uint32_t kind;
            uint64_t id;
            const char *body;
            size_t size;
        } frames[8];
    } files[] = {
        {"tcp/messages",
         {{4, 1, "record", 6},
          {5, 1, "\1\0\0\0\0\0\0\0\100\0\0\0\0\0\0\0\40\0\0\0\0\0\0\0head", 28},
          {6, 1, "thirty-two bytes of a message...", 32},
          {8, 4, "thirty-two bytes of a message...", 32},
          {5, 2, "\1\0\0\0\0\0\0\0\100\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0head", 28},
          {10, 2, "\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0other", 29},
          {7, 2, "\1\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0", 16},
          {9, 2, "", 0}}},
        {"tcp/ends",
         {{5, 9, "\1\0\0\0\0\0\0\0\100\0\0\0\0\0\0\0\100\0\0\0\0\0\0\0head", 28},
          {12, 9, "", 0},
          {7, 2, "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
          {11, 2, "", 0},
          {13, 0, "\1\0\0\0\351\377\377\377\0\0\0\0\0\0\0\0why", 19},
          {15, 3, "", 0},
          {16, 1, "\0\0\0\0\1\0\0\0", 8},
          {14, 0, "", 0}}},
    };
    static const char url[] = "//[::1]:4000/name?bind=127.0.0.1&encrypt=off";
    int status = write_file(directory, "tcp/url", url, sizeof url - 1);
    for (size_t i = 0; !status && i < sizeof files / sizeof files[0]; i++) {
        unsigned char bytes[512];
        size_t count = 0;
        for (size_t k = 0; k < 8 && files[i].frames[k].kind; k++) {
            const uint32_t head[4] = {files[i].frames[k].kind, 0,
                                      (uint32_t) files[i].frames[k].size, 0};
            memcpy(bytes + count, head, 16);
            memcpy(bytes + count + 16, &files[i].frames[k].id, 8);
            memcpy(bytes + count + 24, files[i].frames[k].body, files[i].frames[k].size);
            count += 24 + files[i].frames[k].size;
        }
        status = write_file(directory, files[i].name, bytes, count);
    }
    return status;
}

/* Behind `text`, and behind a byte of zero: a file of .npy with its length in front. */
static size_t add_npy(unsigned char *bytes, size_t count, const char *dict, const void *elements,
                      size_t size)
{
    unsigned char *at = bytes + count + 2;
    memcpy(at, "\x93NUMPY\x01\0\x76\0", 10);
    memset(at + 10, ' ', 118); /* 128 in all, so that elements are aligned */
    memcpy(at + 10, dict, strlen(dict));
    memcpy(at + 128, elements, size);
    bytes[count] = (unsigned char) (128 + size);
    bytes[count + 1] = (unsigned char) ((128 + size) >> 8);
    return count + 2 + 128 + size;
}

/* Folders of saved tensors; see fuzz_sharded.c. */
static int write_folders(const char *directory)
{
    static const char elements[48] = {1, 0, 1};
    static const struct {
        const char *name, *text, *dicts[2];
        size_t sizes[2];
    } folders[] = {
        {"sharded/rows",
         "mlscale-sharded 1\nid 0123456789abcdef\ndtype float32\ndims 2 3 4\nparts 2\n"
         "part 0 2 0 4\nsums 0000000000000000\npart 2 1 0 4\nsums 0000000000000000\n",
         {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
          "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 4), }"},
         {32, 16}},
        {"sharded/columns",
         "mlscale-sharded 1\nid 00000000000000ff\ndtype bool\ndims 3 1 2 6\nparts 2\n"
         "part 0 1 0 2 0 3\nsums 0000000000000000\npart 0 1 0 2 3 3\nsums 0000000000000000\n",
         {"{'descr': '|b1', 'fortran_order': False, 'shape': (1, 2, 3), }",
          "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 2, 3), }"},
         {6, 6}},
        {"sharded/scalar",
         "mlscale-sharded 1\nid 0000000000000001\ndtype bfloat16\ndims 0\nparts 1\npart\n"
         "sums 0000000000000000\n",
         {"{'descr': '<u2', 'fortran_order': False, 'shape': (), }"},
         {2}},
        {"sharded/empty",
         "mlscale-sharded 1\nid 0000000000000001\ndtype int4\ndims 2 0 7\nparts 0\n",
         {NULL},
         {0}},
    };
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof folders / sizeof folders[0]; i++) {
        unsigned char bytes[1024];
        size_t count = strlen(folders[i].text) + 1;
        memcpy(bytes, folders[i].text, count);
        for (size_t k = 0; k < 2 && folders[i].dicts[k]; k++)
            count = add_npy(bytes, count, folders[i].dicts[k], elements, folders[i].sizes[k]);
        status = write_file(directory, folders[i].name, bytes, count);
    }
    return status;
}

/* Calls of each kind, in groups by messages and by reading: see fuzz_group.c. */
static int write_calls(const char *directory)
{
    int status = EXIT_SUCCESS;
    for (uint8_t which = 0; !status && which < 2 * 16; which++) {
        uint8_t bytes[600];
        char name[64];
        size_t size = 0;
        bytes[size++] = which % 2;
        memset(bytes + size, 0, 3); /* others open the group alike */
        size += 3;
        for (uint8_t k = 0; k < 6; k++) {
            const uint8_t call[] = {which / 2, k, (uint8_t) (k + 1), which % 2, k % 2, which / 2};
            memcpy(bytes + size, call, sizeof call);
            memset(bytes + size + sizeof call, k, 90);
            size += sizeof call + 90;
        }
        snprintf(name, sizeof name, "group/%u", which);
        status = write_file(directory, name, bytes, size);
    }
    return status;
}

#define BYTES(text) text, sizeof(text) - 1

/* Steps of a rank in shared memory, by their numbers in fuzz_shm.c. */
static int write_steps(const char *directory)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t size;
    } files[] = {
        /* A receive of 16 bytes; a frame that has them; a look. */
        {
            "shm/small",
            BYTES("\1\0\1\0\0\0\0\1\1\0\0\3\0\3\2head____________\1\3\0\0"),
        },
        /* A receive of 40000 bytes; what announces them, and two frames of them. */
        {
            "shm/large",
            BYTES("\1\1\3\0\0\0"
                  "\0\0\1\1\0\0\7\0\0\2head____________\1"
                  "\0\0\3\1\1\0\0\0\6\0________________\1"
                  "\0\0\3\1\1\0\0\6\7\0________________\1\3\1\0"),
        },
        /* A send of 40000 bytes; what wants them, and room for more; and who has them. */
        {
            "shm/sent",
            BYTES("\1\2\3\1\0\0"
                  "\0\0\2\1\1\0\0\0\0\2head____________\1\4\0\0\0\0\0\0\0\0\0\0"
                  "\0\0\4\1\0\0\0\0\0\2head____________\1\3\2\0"),
        },
        {
            "shm/rounds",
            BYTES("\5\15________________\0\3________________\0\6\1________________\1\1"),
        },
        {
            "shm/ends",
            BYTES("\7\1because_________\1\10\0\2\1\11\0\1\14________\20\3"),
        },
    };
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof files / sizeof files[0]; i++)
        status = write_file(directory, files[i].name, files[i].bytes, files[i].size);
    return status;
}

/* Choices for graphs: any bytes are some. */
static int write_choices(const char *directory)
{
    int status = EXIT_SUCCESS;
    uint64_t state = 1;
    for (int i = 0; !status && i < 16; i++) {
        char name[64];
        unsigned char bytes[20];
        for (size_t k = 0; k < sizeof bytes; k++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[k] = (unsigned char) (state >> 56);
        }
        snprintf(name, sizeof name, "ops/%d", i);
        status = write_file(directory, name, bytes, sizeof bytes - (size_t) i);
    }
    return status;
}

/* A dtype, and what two jobs give for a run of it: see fuzz_payload.c. */
static int write_payloads(const char *directory)
{
    static const struct {
        unsigned char dtype;
        const char *first, *second;
    } pairs[] = {
        {0, "{\"x\":[[1,2],[3,4.5]],\"k\":[1,2]}", "{\"x\":[[5,6]],\"k\":[7]}"},
        {1, "{\"x\":[[null,2e300]],\"k\":[9223372036854775807]}", "{\"x\":[],\"k\":[]}"},
        {2, "{\"x\":[[1,2]],\"k\":[3]}", "{\"x\":[[1,2]],\"k\":[3],\"more\":1}"},
        {3, "{\"x\":[[1,-2147483648]],\"k\":[3]}", "{\"x\":[[1,2],[3]],\"k\":[3,4]}"},
        {4, "{\"x\":[[true,false]],\"k\":[3]}", "{\"x\":[[[[[[[[[true]]]]]]]]],\"k\":3}"},
    };
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof pairs / sizeof pairs[0]; i++) {
        char name[64], bytes[200];
        const int size = snprintf(bytes, sizeof bytes, "%c%s%c%s", pairs[i].dtype, pairs[i].first,
                                  0, pairs[i].second);
        snprintf(name, sizeof name, "payload/%zu", i);
        status = write_file(directory, name, bytes, (size_t) size);
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus DIRECTORY\n");
        return 2;
    }
    static int (*const writers[])(const char *directory) = {
        write_models,  write_types, write_rows,  write_lines,   write_frames,
        write_folders, write_calls, write_steps, write_choices, write_payloads,
    };
    int status = EXIT_SUCCESS;
    for (size_t i = 0; !status && i < sizeof writers / sizeof writers[0]; i++)
        status = writers[i](argv[1]);
    return status;
}
