/* SPDX-License-Identifier: Apache-2.0 */
/* The rank that a launcher made of this process, from its environment. */
#include "group/group.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define OWN_TOKEN_BYTES 32

typedef struct launched {
    uint32_t rank, size;
    const char *url;
    unsigned char token[OWN_TOKEN_BYTES];
    bool has_token;
} launched;

/* Launchers whose ranks meet by MPI; the first one that has set both is meant. */
static const struct {
    const char *rank, *size;
} mpi_launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, /* Open MPI */
    {"PMI_RANK", "PMI_SIZE"},                         /* MPICH and its kin */
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},         /* srun; a batch script has only the first */
};

static mls_status read_number(const char *name, uint32_t least, uint32_t most, uint32_t *ret_value)
{
    const char *text = getenv(name);
    const size_t digits = text ? strspn(text, "0123456789") : 0;
    const bool is_number = digits > 0 && digits < 10 && !text[digits];
    const unsigned long value = is_number ? strtoul(text, NULL, 10) : 0;
    if (!is_number || value < least || value > most)
        return mls__error(MLS_EINVAL,
                          "environment: %s is '%.64s'; it is a whole number from %u to %u", name,
                          text ? text : "", least, most);
    *ret_value = (uint32_t) value;
    return MLS_OK;
}

static mls_status read_place(const char *rank, const char *size, launched *l)
{
    mls_status status = read_number(size, 1, MLS_GROUP_MAX_RANKS, &l->size);
    if (!status)
        status = read_number(rank, 0, MLS_GROUP_MAX_RANKS - 1, &l->rank);
    if (!status && l->rank >= l->size)
        return mls__error(MLS_EINVAL, "environment: %s is %u, and %s %u; ranks are 0 to %u", rank,
                          l->rank, size, l->size, l->size - 1);
    return status;
}

static int digit_value(char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int) ((at - digits) % 16) : -1;
}

/* The message does not show what may be a secret. */
static mls_status read_token(launched *l)
{
    const char *text = getenv("MLSCALE_GROUP_TOKEN");
    if (!text)
        return MLS_OK;
    bool is_good = strlen(text) == (size_t) 2 * OWN_TOKEN_BYTES;
    for (size_t i = 0; is_good && i < OWN_TOKEN_BYTES; i++) {
        const int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        is_good = high >= 0 && low >= 0;
        l->token[i] = (unsigned char) (16 * high + low);
    }
    if (!is_good)
        return mls__error(MLS_EINVAL,
                          "environment: MLSCALE_GROUP_TOKEN is not what it should be: "
                          "%d hexadecimal digits",
                          2 * OWN_TOKEN_BYTES);
    l->has_token = true;
    return MLS_OK;
}

/* What one of them says goes for all. */
static mls_status read_own(launched *l)
{
    static const char *const names[] = {"MLSCALE_RANK", "MLSCALE_SIZE", "MLSCALE_GROUP"};
    const char *set = NULL, *missing = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        *(getenv(names[i]) ? &set : &missing) = names[i];
    if (!set)
        return MLS_OK;
    if (missing)
        return mls__error(MLS_EINVAL,
                          "environment: %s is set and %s is not; mlscale launch sets both", set,
                          missing);
    l->url = getenv("MLSCALE_GROUP");
    if (!strchr(l->url, ':'))
        return mls__error(MLS_EINVAL,
                          "environment: MLSCALE_GROUP is '%.200s'; it is a URL such as shm:NAME",
                          l->url);
    const mls_status status = read_place("MLSCALE_RANK", "MLSCALE_SIZE", l);
    return status ? status : read_token(l);
}

static mls_status read_mpi(launched *l)
{
    for (size_t i = 0; i < sizeof mpi_launchers / sizeof mpi_launchers[0]; i++) {
        if (!getenv(mpi_launchers[i].rank) || !getenv(mpi_launchers[i].size))
            continue;
        l->url = "mpi:";
        return read_place(mpi_launchers[i].rank, mpi_launchers[i].size, l);
    }
    return MLS_OK;
}

static mls_status create(mls_context *context, const mls_group_options *given, launched *l,
                         mls_group **ret_group)
{
    mls_group_options options;
    const mls_group_options defaults = MLS_GROUP_OPTIONS_INIT;
    mls_status status = mls__group_read_options(given, &defaults, &options);
    if (!status)
        status = read_own(l);
    if (!status && !l->url)
        status = read_mpi(l);
    if (status)
        return status;
    if (l->has_token && !options.token_bytes) {
        options.token = l->token;
        options.token_bytes = sizeof l->token;
    }
    return mls_group_create(context, l->url ? l->url : "inproc:alone", l->rank, l->size, &options,
                            ret_group);
}

mls_status mls_group_create_launched(mls_context *context, const mls_group_options *given,
                                     mls_group **ret_group)
{
    if (!context || !ret_group)
        return mls__error_null(__func__, "context and ret_group");
    launched l = {.size = 1};
    const mls_status status = create(context, given, &l, ret_group);
    explicit_bzero(l.token, sizeof l.token);
    return status;
}
