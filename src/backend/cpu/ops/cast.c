/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cast and CastLike: convert.h between numbers, number_text.h to and from strings. The
 * strings that a cast makes live in its kernel, so until the session's next run.
 */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/number_text.h"
#include "backend/cpu/ops/ranges.h"

#include "base/error.h"

#include <inttypes.h>
#include <locale.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

typedef struct cast_kernel {
    mls__cpu_kernel base;
    int64_t count;
    int32_t from, to;
    uint32_t threads;
    mls__cast_rules rules;
    /* n elements, where the two are numbers. */
    void (*run)(const struct cast_kernel *kernel, void *y, const void *x, int64_t n);
    mls__direct_cast direct;
    mls__half half;
    uint8_t output;         /* its buffer */
    uint8_t x_size, y_size; /* bytes of an element */
    locale_t c_locale;      /* for texts */
    char *texts;            /* MLS__NUMBER_TEXT bytes for each element */
} cast_kernel;

/* --- numbers --------------------------------------------------------------------------------- */

static void run_copy(const cast_kernel *k, void *y, const void *x, int64_t n)
{
    if (y != x)
        memcpy(y, x, (size_t) n * k->y_size);
}

static void run_direct(const cast_kernel *k, void *y, const void *x, int64_t n)
{
    k->direct(y, x, n);
}

static void run_from_half(const cast_kernel *k, void *y, const void *x, int64_t n)
{
    k->half.to_f32(y, x, n);
}

static void run_to_half(const cast_kernel *k, void *y, const void *x, int64_t n)
{
    k->half.from_f32(y, x, n);
}

static void run_blocks(const cast_kernel *k, void *y, const void *x, int64_t n)
{
    const mls__wide_kind kind = mls__wide_kind_of(k->from);
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->from, &wide, (const char *) x + i * k->x_size, m);
        mls__narrow(k->to, kind, &wide, (char *) y + i * k->y_size, m, &k->rules);
    }
}

typedef struct work {
    const cast_kernel *kernel;
    char *y;
    const char *x;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const cast_kernel *k = w->kernel;
    k->run(k, w->y + begin * k->y_size, w->x + begin * k->x_size, end - begin);
    return MLS_OK;
}

static mls_status cast_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                            const int64_t *steps, int64_t n)
{
    const cast_kernel *k = (const cast_kernel *) base;
    (void) steps;
    k->run(k, y, x[0], n);
    return MLS_OK;
}

static mls_status cast_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const cast_kernel *k = (const cast_kernel *) base;
    work w = {k, call->buffers[k->output], call->buffers[0]};
    if (!k->count)
        return MLS_OK;
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
}

/* --- texts ----------------------------------------------------------------------------------- */

static void write_texts(const cast_kernel *k, mls_string *y, const char *x)
{
    for (int64_t i = 0; i < k->count; i += MLS__BLOCK) {
        const int64_t m = k->count - i < MLS__BLOCK ? k->count - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->from, &wide, x + i * k->x_size, m);
        for (int64_t j = 0; j < m; j++) {
            char *text = k->texts + (i + j) * MLS__NUMBER_TEXT;
            y[i + j] = (mls_string){text, mls__number_write(k->from, &wide, j, text)};
        }
    }
}

static mls_status to_text_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const cast_kernel *k = (const cast_kernel *) base;
    const locale_t before = uselocale(k->c_locale);
    write_texts(k, call->buffers[k->output], call->buffers[0]);
    uselocale(before);
    return MLS_OK;
}

/* Texts differ in what number they hold: one at a time, each of its own kind. */
static mls_status from_text_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const cast_kernel *k = (const cast_kernel *) base;
    const mls_string *x = call->buffers[0];
    char *y = call->buffers[k->output];
    const locale_t before = uselocale(k->c_locale);
    int64_t i = 0;
    for (; i < k->count; i++) {
        mls__wide wide;
        mls__wide_kind kind;
        if (!mls__number_read(k->to, x[i], &kind, &wide, 0))
            break;
        mls__narrow(k->to, kind, &wide, y + i * k->y_size, 1, &k->rules);
    }
    uselocale(before);
    if (i == k->count)
        return MLS_OK;
    return mls__cpu_run_error(base, MLS_EFORMAT, "element %" PRId64 ", '%.*s', is no number of %s",
                              i, x[i].size > 64 ? 64 : (int) x[i].size, x[i].data,
                              mls_dtype_name((mls_dtype) k->to));
}

/* --- the kernel ------------------------------------------------------------------------------ */

static mls_status cast_reshape(mls_kernel *base, const mls_op *op)
{
    cast_kernel *k = (cast_kernel *) base;
    k->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static void cast_free(mls_kernel *base)
{
    cast_kernel *k = (cast_kernel *) base;
    mls__free(k->base.cpu->allocator, k->texts);
    if (k->c_locale)
        freelocale(k->c_locale);
    mls__cpu_kernel_free(base);
}

static mls__cast_rules read_rules(const mls_op *op)
{
    mls__cast_rules rules = {mls__op_int(op, "saturate", 1) != 0, MLS__POWER_UP};
    if (mls__op_string_is(op, "round_mode", "down", "up"))
        rules.rounding = MLS__POWER_DOWN;
    if (mls__op_string_is(op, "round_mode", "nearest", "up"))
        rules.rounding = MLS__POWER_NEAREST;
    return rules;
}

static void choose_run(cast_kernel *k)
{
    k->base.tile = cast_tile;
    k->direct = mls__direct_cast_find(k->from, k->to);
    k->run = run_blocks;
    if (k->from == k->to) {
        k->run = run_copy;
    } else if (k->direct) {
        k->run = run_direct;
    } else if (mls__is_half(k->from) && k->to == MLS_FLOAT32) {
        k->half = mls__half_of(k->base.cpu, k->from);
        k->run = run_from_half;
    } else if (k->from == MLS_FLOAT32 && mls__is_half(k->to)) {
        k->half = mls__half_of(k->base.cpu, k->to);
        k->run = run_to_half;
    }
}

/* What a cast to or from strings needs besides. */
static mls_status prepare_texts(cast_kernel *k)
{
    k->base.base.run = k->to == MLS_STRING ? to_text_run : from_text_run;
    k->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    if (!k->c_locale)
        return mls__error(MLS_ENOMEM, "no memory for a locale");
    if (k->to != MLS_STRING)
        return MLS_OK;
    k->texts = mls__alloc_array(k->base.cpu->allocator, (size_t) k->count, MLS__NUMBER_TEXT);
    return k->texts ? MLS_OK : mls__error_nomem((size_t) k->count * MLS__NUMBER_TEXT);
}

static mls_status cast_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    cast_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "cast", cast_run, &k);
    if (status)
        return status;
    mls_kernel *base = &k->base.base;
    base->reshape = cast_reshape;
    base->free = cast_free;
    k->from = op->inputs[0].dtype;
    k->to = op->outputs[0].dtype;
    k->x_size = (uint8_t) mls_dtype_size((mls_dtype) k->from);
    k->y_size = (uint8_t) mls_dtype_size((mls_dtype) k->to);
    k->output = (uint8_t) op->input_count;
    k->threads = op->threads;
    k->rules = read_rules(op);
    cast_reshape(base, op);
    if (k->from == k->to || (k->from != MLS_STRING && k->to != MLS_STRING))
        choose_run(k);
    else
        status = prepare_texts(k);
    if (status) {
        base->free(base);
        return status;
    }
    *ret_kernel = base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_cast = {
    {"", "Cast", cast_create, MLS__CPU_IN_PLACE},
    {"", "CastLike", cast_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
