/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers the rules of dims: a rule that is there already keeps its number. */
#include "graph/passes/image_dims.h"

#include <string.h>

static bool is_same_rule(const mls__image_rule *a, const mls__image_rule *b)
{
    return a->kind == b->kind && a->from == b->from && a->a == b->a && a->b == b->b &&
           (a->name == b->name || (a->name && b->name && strcmp(a->name, b->name) == 0));
}

/* The number of a rule; MLS__IMAGE_NO_DIM where there is no memory. */
static mls__image_dim dim_of(mls__images *m, mls__image_rule r)
{
    for (size_t i = 0; i < m->dims.count; i++)
        if (is_same_rule(mls__vec_at(&m->dims, i), &r))
            return (mls__image_dim) i;
    mls__image_rule *added = mls__vec_push(&m->dims);
    if (!added) {
        m->is_short = true;
        return MLS__IMAGE_NO_DIM;
    }
    *added = r;
    return (mls__image_dim) (m->dims.count - 1);
}

mls__image_dim mls__image_constant_dim(mls__images *m, int64_t value)
{
    return dim_of(m, (mls__image_rule){.kind = MLS__DIM_CONSTANT, .a = value});
}

mls__image_dim mls__image_named_dim(mls__images *m, const char *name)
{
    return dim_of(m, (mls__image_rule){.kind = MLS__DIM_NAMED, .name = name});
}

mls__image_dim mls__image_derived_dim(mls__images *m, mls__image_rule r)
{
    const mls__image_rule *from = mls__vec_at(&m->dims, r.from);
    const bool is_constant = from->kind == MLS__DIM_CONSTANT;
    if ((r.kind == MLS__DIM_WINDOW && r.a == -1 && r.b == 1) ||
        (r.kind == MLS__DIM_SHARE && r.b == 1) ||
        (r.kind == MLS__DIM_TRANSPOSED && r.a == 1 && r.b == 1))
        return r.from;
    if (is_constant && r.kind == MLS__DIM_WINDOW && from->a + r.a >= 0)
        return mls__image_constant_dim(m, (from->a + r.a) / r.b + 1);
    if (is_constant && r.kind == MLS__DIM_SHARE)
        return mls__image_constant_dim(m, from->a / r.b + (from->a % r.b != 0));
    if (is_constant && r.kind == MLS__DIM_TRANSPOSED && from->a > 0 &&
        from->a < MLS__IMAGE_DIM_MOST)
        return mls__image_constant_dim(m, (from->a - 1) * r.b + r.a);
    return dim_of(m, r);
}

mls__image_dim mls__image_other_dim(mls__images *m)
{
    return dim_of(m, (mls__image_rule){.kind = MLS__DIM_OTHER, .a = (int64_t) m->dims.count});
}

mls__image_dim mls__image_scaled_dim(mls__images *m, mls__image_dim from, float scale)
{
    const mls__image_rule *r = mls__vec_at(&m->dims, from);
    uint32_t bits;
    if (scale == 1)
        return from;
    if (r->kind == MLS__DIM_CONSTANT && r->a < MLS__IMAGE_DIM_MOST && scale > 1 && scale < 1024 &&
        scale == (float) (int) scale)
        return mls__image_constant_dim(m, r->a * (int) scale);
    memcpy(&bits, &scale, sizeof bits);
    return dim_of(m, (mls__image_rule){MLS__DIM_SCALED, from, bits, 0, NULL});
}

int64_t mls__image_dim_size(const mls__images *m, mls__image_dim dim)
{
    const mls__image_rule *r = dim == MLS__IMAGE_NO_DIM ? NULL : mls__vec_at(&m->dims, dim);
    return r && r->kind == MLS__DIM_CONSTANT && r->a >= 0 && r->a <= MLS__IMAGE_DIM_MOST ? r->a
                                                                                         : -1;
}
