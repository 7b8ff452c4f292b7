/* SPDX-License-Identifier: Apache-2.0 */
/* Reading patterns, finding what fits them, and making it where nothing does. */
#include "fuzz/generate/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ELEMENTS 3000

/* One of a list, read. */
typedef struct pattern {
    char kind;  /* 'T', ... */
    char range; /* '<', '~', '+' or 0 */
    char limit; /* the letter behind '<' and '~' */
    bool is_optional;
    char dims[48];
} pattern;

static const char *read_pattern(const char *text, pattern *ret)
{
    *ret = (pattern){0};
    ret->is_optional = *text == '?';
    text += ret->is_optional;
    ret->kind = *text++;
    if (strchr("<~+", *text))
        ret->range = *text++;
    if (ret->range == '<' || ret->range == '~')
        ret->limit = *text++;
    const size_t size = strcspn(text, "]") - 1;
    memcpy(ret->dims, text + 1, size);
    text += size + 2;
    return text + (*text == ' ');
}

static int32_t kind_dtype(const gen *g, char kind)
{
    switch (tolower((unsigned char) kind)) {
    case 'f':
    case 's':
        return kind == 'S' ? MLS_STRING : MLS_FLOAT32;
    case 'q':
        return gen_letter(g, '!') ? MLS_INT8 : MLS_UINT8;
    case 'u':
        return MLS_UINT8;
    case 'b':
        return MLS_BOOL;
    case 'i':
        return MLS_INT64;
    case 'j':
        return MLS_INT32;
    default:
        return gen_dtype(g);
    }
}

/* A term, "4H": its factor and its letter (0 for a number). */
static const char *read_term(const char *dims, int64_t *ret_factor, char *ret_letter)
{
    char *end;
    *ret_factor = isdigit((unsigned char) *dims) ? strtoll(dims, &end, 10) : 1;
    if (isdigit((unsigned char) *dims))
        dims = end;
    *ret_letter = isalpha((unsigned char) *dims) ? *dims++ : 0;
    return dims + (*dims == ',');
}

/* Whether dims are of the pattern, given the letters that are set; those of its own are added. */
static bool match_terms(const char *dims, int rank, const int64_t *values, int64_t *letters)
{
    int i = 0;
    while (*dims && *dims != '*') {
        int64_t factor;
        char letter;
        dims = read_term(dims, &factor, &letter);
        if (i == rank)
            return false;
        const int64_t value = values[i++];
        int64_t *known = &letters[(unsigned char) letter];
        if (letter && !*known && value % factor == 0 && value)
            *known = value / factor;
        if (value != (letter ? factor * *known : factor))
            return false;
    }
    return *dims == '*' || i == rank;
}

static bool broadcasts(const gen_value *value, const gen_value *to)
{
    if (value->rank > to->rank)
        return false;
    for (int i = 0; i < value->rank; i++)
        if (value->dims[i] != 1 && value->dims[i] != to->dims[to->rank - value->rank + i])
            return false;
    return true;
}

static void copy_letters(const gen *g, int64_t *letters)
{
    for (int i = 0; i < 128; i++)
        letters[i] = gen_letter(g, (char) i);
}

static int64_t element_count(const gen_value *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++)
        count *= value->dims[i];
    return count;
}

static bool fits(const gen *g, const gen_value *value, const void *arg)
{
    const pattern *p = arg;
    int64_t letters[128];
    if (value->is_sequence || value->dtype != kind_dtype(g, p->kind) ||
        element_count(value) > MAX_ELEMENTS || element_count(value) == 0)
        return false; /* many an op has no result of nothing */
    const gen_value *first = gen_first(g);
    switch (p->dims[0]) {
    case '=':
        return value->rank == first->rank &&
               memcmp(value->dims, first->dims, (size_t) value->rank * sizeof *value->dims) == 0;
    case '^':
        return broadcasts(value, first);
    case '+':
        return value->rank > 0 && value->rank < 5;
    default:
        copy_letters(g, letters);
        return match_terms(p->dims, value->rank, value->dims, letters) && value->rank < 6;
    }
}

static int any_dims(gen *g, int rank, int most, int64_t *dims)
{
    static const char letters[] = "NCHWABD";
    const int more = (int) gen_below(g, (size_t) most + 1);
    for (int i = 0; i < more && rank < GEN_RANK; i++)
        dims[rank++] = gen_draw_letter(g, letters[gen_below(g, 7)]);
    return rank;
}

/* Dims that are of the pattern; the rank. */
static int make_dims(gen *g, const char *dims, int64_t *ret_dims)
{
    const gen_value *first = gen_first(g);
    int rank = 0;
    if (*dims == '=' || *dims == '^') {
        const int skipped =
            *dims == '^' && gen_chance(g, 2) ? (int) gen_below(g, (size_t) first->rank + 1) : 0;
        for (int i = skipped; i < first->rank; i++)
            ret_dims[rank++] = *dims == '^' && gen_chance(g, 4) ? 1 : first->dims[i];
        return rank;
    }
    if (*dims == '+') {
        ret_dims[0] = gen_draw_letter(g, 'N');
        return any_dims(g, 1, 3, ret_dims);
    }
    while (*dims && *dims != '*') {
        int64_t factor;
        char letter;
        dims = read_term(dims, &factor, &letter);
        if (letter && !gen_letter(g, letter))
            gen_set_letter(g, letter, gen_draw_letter(g, letter));
        ret_dims[rank++] = letter ? factor * gen_letter(g, letter) : factor;
    }
    return *dims == '*' ? any_dims(g, rank, rank ? 2 : 4, ret_dims) : rank;
}

static void bounds(gen *g, const pattern *p, double *ret_least, double *ret_most)
{
    const int32_t dtype = kind_dtype(g, p->kind);
    const bool is_whole = dtype != MLS_FLOAT32 && dtype != MLS_FLOAT64 && dtype != MLS_FLOAT16 &&
                          dtype != MLS_BFLOAT16;
    const double limit = p->limit ? (double) gen_letter(g, p->limit) : 0;
    *ret_least = -1;
    *ret_most = 1;
    if (is_whole) {
        *ret_least = dtype == MLS_INT32 || dtype == MLS_INT64 || dtype == MLS_INT16 ? -3 : 0;
        *ret_most = dtype == MLS_BOOL ? 1 : 5;
    }
    if (tolower((unsigned char) p->kind) == 'q') {
        *ret_least = dtype == MLS_INT8 ? -128 : 0;
        *ret_most = dtype == MLS_INT8 ? 127 : 255;
    } else if (tolower((unsigned char) p->kind) == 'p') {
        *ret_least = is_whole ? 1 : 0.5;
        *ret_most = is_whole ? 4 : 2;
    } else if (p->kind == 's') {
        *ret_least = 0.01;
        *ret_most = 0.1;
    }
    if (p->range == '+') {
        *ret_least = 1;
        *ret_most = 3;
    } else if (p->range) {
        *ret_least = p->range == '~' ? -limit : 0;
        *ret_most = limit - 1;
    }
}

static void take(gen *g, const pattern *p)
{
    int64_t dims[GEN_RANK];
    double least, most;
    const bool is_bounded = p->range || p->kind == 'P';
    const gen_value *value = NULL;
    if (isupper((unsigned char) p->kind) && !is_bounded)
        value = gen_find(g, fits, p);
    if (value) {
        int64_t letters[128];
        copy_letters(g, letters);
        if (!strchr("=^+", p->dims[0]) || !p->dims[0])
            (void) match_terms(p->dims, value->rank, value->dims, letters);
        for (int i = 0; i < 128; i++)
            if (letters[i])
                gen_set_letter(g, (char) i, letters[i]);
        gen_take(g, value);
        return;
    }
    const int rank = make_dims(g, p->dims, dims);
    const int32_t dtype = kind_dtype(g, p->kind);
    bounds(g, p, &least, &most);
    if (islower((unsigned char) p->kind) || (is_bounded && gen_first(g) && gen_chance(g, 2)))
        gen_take_name(g, gen_constant(g, dtype, rank, dims, least, most));
    else if (is_bounded)
        gen_take(g, gen_input_between(g, dtype, rank, dims, least, most));
    else
        gen_take(g, gen_input(g, dtype, rank, dims));
}

void gen_take_patterns(gen *g, const char *patterns, void (*bind)(gen *g))
{
    pattern p;
    size_t left_out = 0;
    if (!gen_letter(g, '!') && gen_chance(g, 2))
        gen_set_letter(g, '!', 1);
    for (bool is_first = true; *patterns; is_first = false) {
        patterns = read_pattern(patterns, &p);
        if (p.is_optional && gen_chance(g, 2)) {
            left_out++;
            continue;
        }
        for (; left_out; left_out--)
            gen_take_name(g, NULL);
        take(g, &p);
        if (is_first && bind)
            bind(g);
    }
}

void gen_bind_axis(gen *g)
{
    const gen_value *first = gen_first(g);
    const int64_t axis = gen_between(g, 0, first->rank - 1);
    gen_set_letter(g, 'X', first->dims[axis]);
    gen_set_letter(g, 'a', gen_chance(g, 3) ? axis - first->rank : axis);
}

size_t gen_output_dtypes(gen *g, const char *outputs, int32_t *ret_dtypes, size_t capacity)
{
    size_t count = 0, end = 0;
    for (; *outputs && count < capacity; outputs++) {
        const bool is_optional = *outputs == '-';
        outputs += is_optional;
        ret_dtypes[count] = is_optional && gen_chance(g, 2) ? 0 : kind_dtype(g, *outputs);
        if (ret_dtypes[count++])
            end = count;
    }
    return end;
}

static void add_range(gen *g, onnx_node *node, const char *name, const char *spec)
{
    const char *comma = strchr(spec, ',');
    if (strchr(spec, '.'))
        onnx_node_float(node, name, gen_float(g, strtof(spec, NULL), strtof(comma + 1, NULL)));
    else
        onnx_node_int(node, name,
                      gen_between(g, strtoll(spec, NULL, 10), strtoll(comma + 1, NULL, 10)));
}

static void add_word(gen *g, onnx_node *node, const char *name, const char *spec)
{
    char words[128], *word = words, *rest;
    size_t count = 1;
    snprintf(words, sizeof words, "%s", spec);
    for (const char *c = spec; *c; c++)
        count += *c == '|';
    for (size_t skipped = gen_below(g, count); skipped; skipped--)
        word = strchr(word, '|') + 1;
    rest = strchr(word, '|');
    if (rest)
        *rest = '\0';
    onnx_node_string(node, name, word);
}

static void add_attr(gen *g, onnx_node *node, const char *name, const char *spec)
{
    const gen_value *first = gen_first(g);
    if (strcmp(spec, "axis") == 0)
        onnx_node_int(node, name, gen_between(g, -first->rank, first->rank - 1));
    else if (*spec == '*')
        onnx_node_int(node, name, gen_letter(g, spec[1]));
    else if (strchr(spec, ','))
        add_range(g, node, name, spec);
    else
        add_word(g, node, name, spec);
}

void gen_attrs(gen *g, onnx_node *node, const char *attrs)
{
    char name[48], spec[128];
    while (*attrs) {
        const bool is_optional = *attrs == '?';
        attrs += is_optional;
        const size_t name_size = strcspn(attrs, ":");
        snprintf(name, sizeof name, "%.*s", (int) name_size, attrs);
        attrs += name_size + 1;
        const size_t spec_size = strcspn(attrs, " ");
        snprintf(spec, sizeof spec, "%.*s", (int) spec_size, attrs);
        attrs += spec_size;
        attrs += *attrs == ' ';
        if (!is_optional || gen_chance(g, 2))
            add_attr(g, node, name, spec);
    }
}
