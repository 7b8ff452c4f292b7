/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ellipses may stand for different numbers of axes, which are matched from the right, and need
 * not be in the output: axes that are not are summed over, like any other.
 */
#include "op/einsum.h"

#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define NO_LABEL 255

/* A term as it is written: letters, and where the ellipsis is among them (-1: nowhere). */
typedef struct written {
    int count, ellipsis;
    uint8_t letters[MLS_MAX_RANK];
} written;

typedef struct reader {
    const mls_op *op;
    const char *next, *end;
} reader;

static void skip_spaces(reader *r)
{
    while (r->next < r->end && *r->next == ' ')
        r->next++;
}

/* Takes `text` if it is what comes next. */
static bool take(reader *r, const char *text)
{
    const size_t size = strlen(text);
    skip_spaces(r);
    if ((size_t) (r->end - r->next) < size || memcmp(r->next, text, size) != 0)
        return false;
    r->next += size;
    return true;
}

/* In ASCII's order, which is that of implicit outputs. */
static uint8_t label_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t) (c - 'A');
    return c >= 'a' && c <= 'z' ? (uint8_t) (c - 'a' + 26) : NO_LABEL;
}

static char letter_of(uint8_t label)
{
    return (char) (label < 26 ? 'A' + label : label < MLS__EINSUM_LETTERS ? 'a' + label - 26 : '.');
}

/* Up to the first character that belongs to no term. */
static mls_status read_term(reader *r, written *ret_term)
{
    written term = {.ellipsis = -1};
    for (;;) {
        skip_spaces(r);
        if (take(r, "...")) {
            if (term.ellipsis >= 0)
                return mls__op_error(r->op, MLS_EINVAL, "a term of the equation has two ellipses");
            term.ellipsis = term.count;
            continue;
        }
        const uint8_t label = r->next < r->end ? label_of(*r->next) : NO_LABEL;
        if (label == NO_LABEL)
            break;
        if (term.count == MLS_MAX_RANK)
            return mls__op_error(r->op, MLS_EINVAL, "a term of the equation has more than %d axes",
                                 MLS_MAX_RANK);
        term.letters[term.count++] = label;
        r->next++;
    }
    *ret_term = term;
    return MLS_OK;
}

/* The term's letters with `dots` axes for its ellipsis. */
static mls_status expand(const mls_op *op, const written *term, int dots,
                         mls__einsum_term *ret_term)
{
    mls__einsum_term full = {0};
    if (term->count + dots > MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE,
                             "the output would have %d dimensions; at most %d are had",
                             term->count + dots, MLS_MAX_RANK);
    for (int i = 0; i <= term->count; i++) {
        for (int j = 0; i == term->ellipsis && j < dots; j++)
            full.labels[full.rank++] = (uint8_t) (MLS__EINSUM_LABELS - dots + j);
        if (i < term->count)
            full.labels[full.rank++] = term->letters[i];
    }
    *ret_term = full;
    return MLS_OK;
}

/* --- operands --------------------------------------------------------------------------------- */

static mls_status size_error(const mls_op *op, size_t index, int axis, uint8_t label, int64_t size)
{
    return mls__op_error(op, MLS_ESHAPE,
                         "axis %d of input %zu, '%c' in the equation, has %" PRId64
                         " elements; expected %" PRId64,
                         axis, index, letter_of(label), op->inputs[index].dims[axis], size);
}

static mls_status set_sizes(const mls_op *op, size_t index, mls__einsum *e)
{
    const mls_arg *arg = &op->inputs[index];
    const mls__einsum_term *term = &e->operands[index];
    for (int i = 0; i < term->rank; i++) {
        int64_t *size = &e->sizes[term->labels[i]];
        for (int j = 0; j < i; j++)
            if (term->labels[j] == term->labels[i] && arg->dims[j] != arg->dims[i])
                return size_error(op, index, i, term->labels[i], arg->dims[j]);
        if (*size < 0 || *size == 1)
            *size = arg->dims[i];
        else if (arg->dims[i] != *size && arg->dims[i] != 1)
            return size_error(op, index, i, term->labels[i], *size);
    }
    return MLS_OK;
}

static mls_status read_operand(reader *r, size_t index, mls__einsum *e, int *dots)
{
    const mls_arg *arg = &r->op->inputs[index];
    written term;
    if (index && !take(r, ","))
        return mls__op_error(r->op, MLS_EINVAL, "the equation has %zu terms for %zu inputs", index,
                             r->op->input_count);
    mls_status status = read_term(r, &term);
    if (status)
        return status;
    const int rest = arg->rank - term.count;
    if (rest < 0 || (rest > 0 && term.ellipsis < 0))
        return mls__op_error(r->op, MLS_ESHAPE,
                             "input %zu has %d dimensions, its term of the equation %d", index,
                             arg->rank, term.count);
    *dots = rest > *dots ? rest : *dots;
    status = expand(r->op, &term, rest, &e->operands[index]);
    return status ? status : set_sizes(r->op, index, e);
}

/* --- the output ------------------------------------------------------------------------------- */

static int occurrences(const mls__einsum *e, uint8_t label)
{
    int count = 0;
    for (size_t i = 0; i < e->count; i++)
        for (int j = 0; j < e->operands[i].rank; j++)
            count += e->operands[i].labels[j] == label;
    return count;
}

/* What is not written: the ellipsis, then the letters that occur once. */
static mls_status implicit_output(const mls_op *op, int dots, mls__einsum *e)
{
    written term = {.ellipsis = 0};
    for (uint8_t label = 0; label < MLS__EINSUM_LETTERS; label++) {
        if (occurrences(e, label) != 1)
            continue;
        if (term.count == MLS_MAX_RANK)
            return mls__op_error(op, MLS_ESHAPE, "the output would have more than %d dimensions",
                                 MLS_MAX_RANK);
        term.letters[term.count++] = label;
    }
    return expand(op, &term, dots, &e->output);
}

static mls_status explicit_output(reader *r, int dots, mls__einsum *e)
{
    written term;
    mls_status status = read_term(r, &term);
    if (!status)
        status = expand(r->op, &term, term.ellipsis < 0 ? 0 : dots, &e->output);
    for (int i = 0; !status && i < term.count; i++) {
        if (!occurrences(e, term.letters[i]))
            return mls__op_error(r->op, MLS_EINVAL, "'%c' of the output is in no other term",
                                 letter_of(term.letters[i]));
        if (memchr(term.letters, term.letters[i], (size_t) i))
            return mls__op_error(r->op, MLS_EINVAL, "'%c' is twice in the output",
                                 letter_of(term.letters[i]));
    }
    return status;
}

mls_status mls__op_einsum(const mls_op *op, mls__einsum *ret_einsum)
{
    const mls_string equation = mls__op_string(op, "equation");
    mls__einsum *e = ret_einsum;
    int dots = 0;
    if (!equation.data)
        return mls__op_error(op, MLS_EINVAL, "there is no attribute equation");
    reader r = {op, equation.data, equation.data + equation.size};
    *e = (mls__einsum){.count = op->input_count};
    for (int i = 0; i < MLS__EINSUM_LABELS; i++)
        e->sizes[i] = -1;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < op->input_count; i++)
        status = read_operand(&r, i, e, &dots);
    if (!status)
        status = take(&r, "->") ? explicit_output(&r, dots, e) : implicit_output(op, dots, e);
    if (status)
        return status;
    skip_spaces(&r);
    if (r.next < r.end)
        return mls__op_error(op, MLS_EINVAL,
                             "byte %td of the equation, '%c', goes on with nothing that was "
                             "expected after %zu terms",
                             r.next - equation.data,
                             *r.next >= ' ' && *r.next <= '~' ? *r.next : '?', op->input_count);
    return MLS_OK;
}
