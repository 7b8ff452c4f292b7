/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes and the calling thread's error message.
 *
 * Every function that can fail returns an mls_status: MLS_OK or one of the
 * negative codes below, whose values never change. The message that belongs to
 * the code is kept for each thread until that thread's next failing call.
 *
 * NULL where an object, array or result is required is MLS_EINVAL from a function
 * that returns a status; a function that returns a value gives 0 or NULL for it.
 * Functions that free accept NULL.
 */
#ifndef MLSCALE_STATUS_H
#define MLSCALE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MLS_API __attribute__((visibility("default")))
#else
#define MLS_API
#endif

typedef enum mls_status {
    MLS_OK = 0,
    MLS_EINVAL = -1,       /* an argument or option is wrong */
    MLS_ENOMEM = -2,       /* the allocator returned NULL */
    MLS_EIO = -3,          /* the operating system reported an error */
    MLS_EFORMAT = -4,      /* a file or payload is malformed */
    MLS_EUNSUPPORTED = -5, /* valid, but not provided here: op, dtype, opset, capability */
    MLS_ESHAPE = -6,       /* shapes do not fit together */
    MLS_EDTYPE = -7,       /* element types do not fit together */
    MLS_ENOTFOUND = -8,    /* no such name, file or id */
    MLS_EEXIST = -9,       /* the name, key or id is taken */
    MLS_ESTATE = -10,      /* not allowed in the object's present state */
    MLS_ELIMIT = -11,      /* past a planned, configured or built-in limit */
    MLS_ERANGE = -12,      /* a value, such as an index in the data, is out of range */
    MLS_EFULL = -13,       /* a bounded queue has no room */
    MLS_EEMPTY = -14,      /* nothing to take */
    MLS_ETIMEDOUT = -15,   /* the stated time passed */
    MLS_EDEADLINE = -16,   /* a deadline passed before the work was done */
    MLS_ECANCELLED = -17,  /* cancelled on request */
    MLS_ESTALE = -18,      /* the claim was lost: a newer epoch exists */
    MLS_EFORKED = -19,     /* used in a child of the process that created it */
    MLS_EABI = -20,        /* a table or option struct of an incompatible build */
    MLS_EHANDLER = -21,    /* a job's handler reported failure */
    MLS_EINTERNAL = -22,   /* a broken invariant of the library: please report it */
    MLS_EPEER = -23,       /* another rank of the group has left, died or shut this one out */
    MLS_EMISMATCH = -24    /* ranks of the group called different things */
} mls_status;

/*
 * The message of the calling thread's last failing call: what was wrong, where,
 * and what would be right. "" when nothing failed yet. Borrowed: valid until the
 * same thread's next call into the library.
 */
MLS_API const char *mls_error_message(void);

/*
 * The constant's name, such as "MLS_EINVAL", for logs. An unknown value gives
 * "MLS_E?". Static storage.
 */
MLS_API const char *mls_status_name(mls_status status);

#ifdef __cplusplus
}
#endif
#endif
