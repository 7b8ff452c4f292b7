/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the numbers of images' dims mean: each dim is a constant, a name, or follows from another
 * one by a rule, so that dims which come about in the same way are one number (images.h).
 */
#ifndef MLS_GRAPH_PASSES_IMAGE_DIMS_H
#define MLS_GRAPH_PASSES_IMAGE_DIMS_H

#include "graph/passes/images.h"

/* Attributes beyond this are for inference to refuse. */
#define MLS__IMAGE_DIM_MOST INT64_C(0x7fffffff)

#define MLS__IMAGE_NO_DIM UINT32_MAX

typedef enum mls__image_dim_kind {
    MLS__DIM_CONSTANT,   /* a */
    MLS__DIM_NAMED,      /* the model's dim `name` */
    MLS__DIM_OTHER,      /* the a-th that is like no other */
    MLS__DIM_WINDOW,     /* (from + a) / b + 1 */
    MLS__DIM_CEILING,    /* likewise, rounded up as pools do it */
    MLS__DIM_SHARE,      /* from / b rounded up */
    MLS__DIM_TRANSPOSED, /* (from - 1) * b + a */
    MLS__DIM_SCALED      /* from times the float whose bits are a */
} mls__image_dim_kind;

typedef struct mls__image_rule {
    mls__image_dim_kind kind;
    mls__image_dim from;
    int64_t a, b;
    const char *name;
} mls__image_rule;

/* Each gives MLS__IMAGE_NO_DIM, and sets `is_short`, where there is no memory. */
mls__image_dim mls__image_constant_dim(mls__images *images, int64_t value);
mls__image_dim mls__image_named_dim(mls__images *images, const char *name);
/* One that is like no other. */
mls__image_dim mls__image_other_dim(mls__images *images);
/* A constant where the rule makes one of a constant. */
mls__image_dim mls__image_derived_dim(mls__images *images, mls__image_rule rule);
/* A whole factor gives a constant where there was one. */
mls__image_dim mls__image_scaled_dim(mls__images *images, mls__image_dim from, float scale);

/* The number of elements of a dim; -1 where it is not known. */
int64_t mls__image_dim_size(const mls__images *images, mls__image_dim dim);

#endif
