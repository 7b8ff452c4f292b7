/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and reads manifests; what is read may be anything. */
#include "sharded/manifest.h"

#include "base/error.h"
#include "base/hash.h"
#include "tensor/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC  "mlscale-sharded 1\n"
#define DIGEST "digest "
/* The last line. */
#define DIGEST_SIZE (sizeof DIGEST - 1 + 16 + 1)

size_t mls__chunk_count(size_t bytes)
{
    return bytes / MLS__CHUNK_BYTES + (bytes % MLS__CHUNK_BYTES != 0);
}

/* Against accidents: whoever can write the files can write this too. */
uint64_t mls__manifest_digest(const void *data, size_t size)
{
    static const uint64_t seed[2] = {0, 0};
    return mls__hash_bytes(seed, data, size);
}

void mls__part_name(uint64_t id, uint32_t part, char name[MLS__PART_NAME_SIZE])
{
    snprintf(name, MLS__PART_NAME_SIZE, "%016" PRIx64 "-%u.npy", id, part);
}

mls_status mls__manifest_init(mls__manifest *manifest, const mls__allocator *allocator,
                              uint32_t part_count)
{
    *manifest = (mls__manifest){.allocator = allocator};
    manifest->parts = mls__alloc_array(allocator, (size_t) part_count + 1, sizeof(mls__part));
    if (!manifest->parts)
        return mls__error_nomem(part_count * sizeof(mls__part));
    manifest->part_count = part_count;
    return MLS_OK;
}

mls_status mls__manifest_add_sums(mls__manifest *manifest, uint32_t index)
{
    mls__part *part = &manifest->parts[index];
    const size_t bytes = (size_t) mls__box_count(manifest->spread.rank, &part->box) *
                         mls__spread_size(&manifest->spread);
    part->sums =
        mls__alloc_array(manifest->allocator, mls__chunk_count(bytes) + 1, sizeof *part->sums);
    if (!part->sums)
        return mls__error_nomem(mls__chunk_count(bytes) * sizeof *part->sums);
    part->sum_count = mls__chunk_count(bytes);
    return MLS_OK;
}

void mls__manifest_clear(mls__manifest *manifest)
{
    if (!manifest->allocator)
        return;
    for (uint32_t i = 0; manifest->parts && i < manifest->part_count; i++)
        mls__free(manifest->allocator, manifest->parts[i].sums);
    mls__free(manifest->allocator, manifest->parts);
    *manifest = (mls__manifest){.allocator = NULL};
}

/* --- writing --------------------------------------------------------------------------------- */

/* An upper bound: names, and 21 bytes a number. */
static size_t text_bound(const mls__manifest *m)
{
    size_t size = 512 + 21 * MLS_MAX_RANK;
    for (uint32_t i = 0; i < m->part_count; i++)
        size += 64 + 42 * MLS_MAX_RANK + 17 * m->parts[i].sum_count;
    return size;
}

static size_t print_part(const mls__manifest *m, const mls__part *part, char *text, size_t size)
{
    size_t used = (size_t) snprintf(text, size, "part");
    for (int d = 0; d < m->spread.rank; d++)
        used += (size_t) snprintf(text + used, size - used, " %" PRId64 " %" PRId64,
                                  part->box.first[d], part->box.count[d]);
    used += (size_t) snprintf(text + used, size - used, "\nsums");
    for (size_t i = 0; i < part->sum_count; i++)
        used += (size_t) snprintf(text + used, size - used, " %016" PRIx64, part->sums[i]);
    return used + (size_t) snprintf(text + used, size - used, "\n");
}

mls_status mls__manifest_print(const mls__manifest *m, char **ret_text, size_t *ret_size)
{
    const size_t size = text_bound(m);
    char *text = mls__alloc(m->allocator, size);
    if (!text)
        return mls__error_nomem(size);
    size_t used = (size_t) snprintf(text, size, MAGIC "id %016" PRIx64 "\ndtype %s\ndims %d", m->id,
                                    mls_dtype_name((mls_dtype) m->spread.dtype), m->spread.rank);
    for (int d = 0; d < m->spread.rank; d++)
        used += (size_t) snprintf(text + used, size - used, " %" PRId64, m->spread.dims[d]);
    used += (size_t) snprintf(text + used, size - used, "\nparts %u\n", m->part_count);
    for (uint32_t i = 0; i < m->part_count; i++)
        used += print_part(m, &m->parts[i], text + used, size - used);
    used += (size_t) snprintf(text + used, size - used, DIGEST "%016" PRIx64 "\n",
                              mls__manifest_digest(text, used));
    *ret_text = text;
    *ret_size = used;
    return MLS_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

typedef struct reader {
    const char *at, *end;
    unsigned line;
} reader;

static mls_status malformed(const reader *r, const char *wanted)
{
    return mls__error(MLS_EFORMAT, "line %u: %s", r->line, wanted);
}

static bool take(reader *r, const char *word)
{
    const size_t size = strlen(word);
    if ((size_t) (r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return false;
    r->at += size;
    r->line += word[size - 1] == '\n';
    return true;
}

/* A number behind a space: no sign, no more digits than there can be. */
static bool take_number(reader *r, int64_t *ret_number)
{
    int64_t number = 0;
    if (!take(r, " "))
        return false;
    const char *start = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (!mls__mul_i64(number, 10, &number) || !mls__add_i64(number, *r->at - '0', &number))
            return false;
    *ret_number = number;
    return r->at > start;
}

static bool take_hex(reader *r, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (!take(r, " ") || r->end - r->at < 16)
        return false;
    for (int i = 0; i < 16; i++, r->at++) {
        const char *digits = "0123456789abcdef";
        const char *digit = *r->at ? strchr(digits, *r->at) : NULL;
        if (!digit)
            return false;
        number = number << 4 | (uint64_t) (digit - digits);
    }
    *ret_number = number;
    return true;
}

static mls_status read_dtype(reader *r, mls__spread *spread)
{
    if (!take(r, "dtype "))
        return malformed(r, "'dtype' and a name belong here");
    for (int32_t dtype = 1; dtype <= MLS_INT2; dtype++) {
        const size_t size = strlen(mls_dtype_name((mls_dtype) dtype));
        if (!mls__dtype_is_valid(dtype) || dtype == MLS_STRING ||
            (size_t) (r->end - r->at) <= size || r->at[size] != '\n' ||
            memcmp(r->at, mls_dtype_name((mls_dtype) dtype), size) != 0)
            continue;
        spread->dtype = dtype;
        r->at += size;
        return take(r, "\n") ? MLS_OK : malformed(r, "the line is too long");
    }
    return mls__error(MLS_EUNSUPPORTED, "line %u: this is no dtype that can be spread", r->line);
}

static mls_status read_dims(reader *r, mls__spread *spread)
{
    int64_t rank;
    size_t bytes;
    if (!take(r, "dims") || !take_number(r, &rank) || rank > MLS_MAX_RANK)
        return malformed(r, "'dims', a rank of at most 8 and as many numbers belong here");
    spread->rank = (int32_t) rank;
    for (int d = 0; d < spread->rank; d++)
        if (!take_number(r, &spread->dims[d]))
            return malformed(r, "'dims' has fewer numbers than its rank");
    const mls_status status =
        mls__tensor_check("dims", spread->dtype, spread->rank, spread->dims, &bytes);
    if (status)
        return mls__error_at(MLS_EFORMAT, "line %u", r->line);
    return take(r, "\n") ? MLS_OK : malformed(r, "'dims' has more numbers than its rank");
}

/* Each in the tensor, and not empty. */
static mls_status read_part(reader *r, mls__manifest *m, uint32_t index)
{
    mls__part *part = &m->parts[index];
    if (!take(r, "part"))
        return malformed(r, "'part' and a block belong here");
    for (int d = 0; d < m->spread.rank; d++) {
        if (!take_number(r, &part->box.first[d]) || !take_number(r, &part->box.count[d]))
            return malformed(r, "'part' has two numbers for each dimension");
        if (part->box.first[d] > m->spread.dims[d] || part->box.count[d] < 1 ||
            part->box.count[d] > m->spread.dims[d] - part->box.first[d])
            return malformed(r, "the part is empty, or not within the tensor");
    }
    if (!take(r, "\n") || !take(r, "sums"))
        return malformed(r, "'sums' belongs behind a part");
    const size_t bytes =
        (size_t) mls__box_count(m->spread.rank, &part->box) * mls__spread_size(&m->spread);
    if (mls__chunk_count(bytes) > (size_t) (r->end - r->at) / 17) /* before memory is asked for */
        return malformed(r, "'sums' has 16 hexadecimal digits for each MiB of the part");
    const mls_status status = mls__manifest_add_sums(m, index);
    if (status)
        return status;
    for (size_t i = 0; i < part->sum_count; i++)
        if (!take_hex(r, &part->sums[i]))
            return malformed(r, "'sums' has 16 hexadecimal digits for each MiB of the part");
    return take(r, "\n") ? MLS_OK : malformed(r, "'sums' has more than the part's");
}

/* Every element is in one part. */
static mls_status check_parts(const mls__manifest *m)
{
    const mls__box whole = mls__box_whole(&m->spread);
    const int rank = m->spread.rank;
    int64_t left = mls__box_count(rank, &whole);
    for (uint32_t i = 0; i < m->part_count; i++) {
        const int64_t count = mls__box_count(rank, &m->parts[i].box);
        for (uint32_t k = 0; k < i; k++) {
            const mls__box both = mls__box_meet(rank, &m->parts[i].box, &m->parts[k].box);
            if (mls__box_count(rank, &both))
                return mls__error(MLS_EFORMAT, "parts %u and %u overlap", k, i);
        }
        if (count > left)
            return mls__error(MLS_EFORMAT, "the parts have more elements than the tensor");
        left -= count;
    }
    if (left)
        return mls__error(MLS_EFORMAT, "%" PRId64 " elements of the tensor are in no part", left);
    return MLS_OK;
}

static mls_status read_all(reader *r, const mls__allocator *allocator, mls__manifest *m)
{
    mls__spread spread = {.dtype = 0};
    int64_t parts;
    uint64_t id;
    if (!take(r, MAGIC))
        return mls__error(MLS_EUNSUPPORTED, "it does not begin with 'mlscale-sharded 1'");
    if (!take(r, "id") || !take_hex(r, &id) || !take(r, "\n"))
        return malformed(r, "'id' and 16 hexadecimal digits belong here");
    mls_status status = read_dtype(r, &spread);
    if (!status)
        status = read_dims(r, &spread);
    if (status)
        return status;
    if (!take(r, "parts") || !take_number(r, &parts) || parts > MLS_GROUP_MAX_RANKS ||
        !take(r, "\n"))
        return malformed(r, "'parts' and a number of at most 1024 belong here");
    status = mls__manifest_init(m, allocator, (uint32_t) parts);
    m->id = id;
    m->spread = spread;
    for (uint32_t i = 0; !status && i < m->part_count; i++)
        status = read_part(r, m, i);
    if (!status && r->at != r->end)
        return malformed(r, "there is more than 'parts' says");
    return status ? status : check_parts(m);
}

static mls_status check_digest(const char *text, size_t size)
{
    if (size < DIGEST_SIZE || text[size - 1] != '\n')
        return mls__error(MLS_EFORMAT, "it is cut short: the last line is 'digest' and 16 digits");
    reader r = {text + size - DIGEST_SIZE, text + size, 0};
    uint64_t digest;
    if (!take(&r, "digest") || !take_hex(&r, &digest) ||
        digest != mls__manifest_digest(text, size - DIGEST_SIZE))
        return mls__error(MLS_EFORMAT, "it is damaged: its digest is another one");
    return MLS_OK;
}

mls_status mls__manifest_parse(const mls__allocator *allocator, const void *text, size_t size,
                               mls__manifest *ret_manifest)
{
    mls__manifest m = {.allocator = NULL};
    mls_status status = check_digest(text, size);
    if (status)
        return status;
    reader r = {text, (const char *) text + size - DIGEST_SIZE, 1};
    status = read_all(&r, allocator, &m);
    if (status) {
        mls__manifest_clear(&m);
        return status;
    }
    *ret_manifest = m;
    return MLS_OK;
}
