/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a saved tensor are: a text that a person can read, whose last line is a
 * digest of all before it.
 *
 *   mlscale-sharded 1
 *   id 16 hexadecimal digits, which the names of the parts begin with
 *   dtype float32
 *   dims 2 1000 500
 *   parts 4
 *   part 0 250 0 500      for each dimension the first element and how many
 *   sums 16 digits each   of each MLS__CHUNK_BYTES of the part's elements
 *   ...
 *   digest 16 digits
 *
 * The parts do not overlap, and together are the tensor; those of no elements are not there.
 */
#ifndef MLS_SHARDED_MANIFEST_H
#define MLS_SHARDED_MANIFEST_H

#include "sharded/sharded.h"

#define MLS__MANIFEST_NAME  "manifest"
#define MLS__CHUNK_BYTES    ((size_t) 1 << 20)
#define MLS__PART_NAME_SIZE 32

typedef struct mls__part {
    mls__box box;
    uint64_t *sums; /* one a chunk */
    size_t sum_count;
} mls__part;

typedef struct mls__manifest {
    const mls__allocator *allocator;
    uint64_t id;
    mls__spread spread; /* its layout means nothing */
    mls__part *parts;
    uint32_t part_count;
} mls__manifest;

size_t mls__chunk_count(size_t bytes);

/* The digest of a chunk, and of the text. */
uint64_t mls__manifest_digest(const void *data, size_t size);

/* "0123456789abcdef-3.npy" */
void mls__part_name(uint64_t id, uint32_t part, char name[MLS__PART_NAME_SIZE]);

/* Parts without elements and sums, to be filled in. `manifest` may be cleared if it fails. */
mls_status mls__manifest_init(mls__manifest *manifest, const mls__allocator *allocator,
                              uint32_t part_count);
/* Room for the sums of a part whose box is set. */
mls_status mls__manifest_add_sums(mls__manifest *manifest, uint32_t part);
void mls__manifest_clear(mls__manifest *manifest);

/* The text, to be freed. */
mls_status mls__manifest_print(const mls__manifest *manifest, char **ret_text, size_t *ret_size);

/* Checks everything. Errors: MLS_EFORMAT, MLS_EUNSUPPORTED (version, dtype), MLS_ENOMEM. */
mls_status mls__manifest_parse(const mls__allocator *allocator, const void *text, size_t size,
                               mls__manifest *ret_manifest);

#endif
