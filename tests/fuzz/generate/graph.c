/* SPDX-License-Identifier: Apache-2.0 */
/* Choices, values, nodes, and the run after each node that tells what its outputs are. */
#include "fuzz/generate/generate.h"

#include "fuzz/generate/graph.h"
#include "fuzz/generate/numbers.h"
#include "fuzz/generate/pattern.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const gen *g, const char *what)
{
    fprintf(stderr, "a generated graph is refused (%s): %s\n", what, mls_error_message());
    gen_print(g);
    abort();
}

size_t gen_below(gen *g, size_t count)
{
    if (g->left) {
        g->left--;
        return *g->bytes++ % count;
    }
    return mls_test_random_below(&g->state, count);
}

int64_t gen_between(gen *g, int64_t least, int64_t most)
{
    return least + (int64_t) gen_below(g, (size_t) (most - least + 1));
}

bool gen_chance(gen *g, size_t one_in)
{
    return gen_below(g, one_in) == 0;
}

float gen_float(gen *g, float least, float most)
{
    return least + (most - least) * (float) gen_below(g, 256) / 255;
}

onnx_build *gen_build(gen *g)
{
    return g->build;
}

int32_t gen_dtype(const gen *g)
{
    return g->dtype;
}

void gen_set_dtype(gen *g, int32_t dtype)
{
    g->dtype = dtype;
}

/* What a letter is that nothing has set: of few sizes a graph, so that values fit each other. */
int64_t gen_draw_letter(gen *g, char letter)
{
    switch (letter) {
    case 'N':
        return g->batch;
    case 'C':
    case 'M':
        return g->channels[gen_below(g, 3)];
    case 'Z':
        return gen_between(g, 1, 3);
    default:
        return g->spatial[gen_below(g, 3)];
    }
}

int64_t gen_letter(const gen *g, char letter)
{
    return g->letters[(unsigned char) letter];
}

void gen_set_letter(gen *g, char letter, int64_t value)
{
    g->letters[(unsigned char) letter] = value;
}

const gen_value *gen_first(const gen *g)
{
    return g->first < 0 ? NULL : &g->values[g->first];
}

static gen_value *add_value(gen *g, int32_t dtype)
{
    if (g->count == MAX_VALUES)
        abort();
    gen_value *value = &g->values[g->count];
    *value = (gen_value){.dtype = dtype};
    snprintf(value->name, sizeof value->name, "v%zu", g->count++);
    return value;
}

/* From -2 to 2, or all that a byte holds, or small whole numbers. */
static const struct range {
    int32_t dtype;
    double least, most;
} ranges[] = {
    {MLS_UINT8, 0, 255}, {MLS_INT8, -128, 127}, {MLS_INT16, -7, 9},
    {MLS_INT32, -7, 9},  {MLS_INT64, -7, 9},    {MLS_BOOL, 0, 1},
    {MLS_UINT16, 0, 40}, {MLS_UINT32, 0, 40},   {MLS_UINT64, 0, 40},
    {0, -2, 2},
};

const gen_value *gen_input(gen *g, int32_t dtype, int rank, const int64_t *dims)
{
    const struct range *range = ranges;
    while (range->dtype && range->dtype != dtype)
        range++;
    gen_input_between(g, dtype, rank, dims, range->least, range->most);
    g->values[g->count - 1].is_wild = g->is_wild;
    return &g->values[g->count - 1];
}

const gen_value *gen_input_between(gen *g, int32_t dtype, int rank, const int64_t *dims,
                                   double least, double most)
{
    char shape[256];
    gen_value *value = add_value(g, dtype);
    value->least = least;
    value->most = most;
    value->is_input = true;
    value->rank = rank;
    for (int i = 0; i < rank; i++)
        value->dims[i] = dims[i];
    gen_print_dims(shape, sizeof shape, rank, dims, gen_chance(g, 3) ? (int) gen_below(g, 4) : -1);
    onnx_build_input(g->build, value->name, dtype, shape);
    return value;
}

const gen_value *gen_find(gen *g, gen_fits *fits, const void *arg)
{
    if (g->count == 0)
        return NULL;
    /* The newest are looked at first, or chains would be rare. */
    const size_t begin =
        gen_chance(g, 3) ? gen_below(g, g->count) : g->count - 1 - gen_below(g, 3) % g->count;
    for (size_t i = 0; i < g->count; i++) {
        const gen_value *value = &g->values[(begin + g->count - i) % g->count];
        if (!value->is_hidden && fits(g, value, arg))
            return value;
    }
    return NULL;
}

void gen_take_name(gen *g, const char *name)
{
    if (g->taken_count == MAX_TAKEN)
        abort();
    taken *t = &g->taken[g->taken_count++];
    snprintf(t->name, sizeof t->name, "%s", name ? name : "-");
    t->value = -1;
}

void gen_take(gen *g, const gen_value *value)
{
    gen_take_name(g, value ? value->name : NULL);
    if (!value)
        return;
    const int index = (int) (value - g->values);
    g->taken[g->taken_count - 1].value = index;
    g->values[index].is_used = true;
    if (g->first < 0)
        g->first = index;
}

void gen_read_outside(gen *g, const gen_value *value)
{
    g->outer = value;
    g->values[value - g->values].is_used = true;
}

static bool is_small_float(int32_t dtype)
{
    return dtype == MLS_FLOAT16 || dtype == MLS_BFLOAT16;
}

static bool is_float(int32_t dtype)
{
    return dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64 || is_small_float(dtype);
}

/* What an op makes of a value's accuracy. A whole number that may differ does so by a step. */
static int passed_on(const gen_value *value, unsigned flags)
{
    if (value->accuracy == GEN_BOUNDED && (flags & GEN_JUMPS || !is_float(value->dtype)))
        return GEN_FREE;
    return value->accuracy;
}

static int accuracy_of(const gen *g, unsigned flags)
{
    int worst = flags & GEN_ROUNDS ? GEN_BOUNDED : GEN_EXACT;
    for (size_t i = 0; i < g->taken_count; i++) {
        const taken *t = &g->taken[i];
        const int accuracy = t->value < 0 ? GEN_EXACT : passed_on(&g->values[t->value], flags);
        worst = accuracy > worst ? accuracy : worst;
    }
    const int outer = g->outer ? passed_on(g->outer, flags) : GEN_EXACT;
    return outer > worst ? outer : worst;
}

onnx_node *gen_node(gen *g, const char *op, unsigned flags, size_t count, const int32_t *dtypes)
{
    char inputs[MAX_TAKEN * 16] = "", outputs[MAX_OUTS * 16] = "";
    const int accuracy = accuracy_of(g, flags);
    for (size_t i = 0; i < g->taken_count; i++) {
        strcat(inputs, g->taken[i].name);
        strcat(inputs, " ");
    }
    g->result_count = 0;
    for (size_t i = 0; i < count && i < MAX_OUTS; i++) {
        if (dtypes[i] == 0) {
            strcat(outputs, "- ");
            continue;
        }
        gen_value *value = add_value(g, dtypes[i]);
        value->accuracy = accuracy;
        if (accuracy == GEN_EXACT && is_small_float(value->dtype))
            value->accuracy = GEN_BOUNDED;
        g->results[g->result_count++] = (size_t) (value - g->values);
        strcat(outputs, value->name);
        strcat(outputs, " ");
    }
    g->taken_count = 0;
    g->outer = NULL;
    g->is_probed = false;
    return onnx_build_node(g->build, op, inputs, outputs);
}

/* Sets the outputs of the model. */
static void set_outputs(gen *g, const size_t *values, size_t count)
{
    mls__graph_proto *graph = onnx_build_model(g->build)->graph;
    graph->n_output = 0;
    for (size_t i = 0; i < count; i++) {
        onnx_build_output(g->build, g->values[values[i]].name, g->values[values[i]].dtype, NULL);
        if (g->values[values[i]].is_sequence)
            onnx_build_sequence_type(g->build, graph->output[i]);
        g->outputs[i] = values[i];
    }
    g->output_count = count;
}

static void learn_dims(gen *g, mls_session *session)
{
    for (size_t i = 0; i < g->result_count; i++) {
        gen_value *value = &g->values[g->results[i]];
        mls_tensor *item;
        if (value->is_sequence)
            continue;
        if (mls_session_output_item(session, i, 0, &item) != MLS_OK)
            die(g, "what it gave");
        value->rank = mls_tensor_rank(item);
        if (value->rank > GEN_RANK)
            abort();
        memcpy(value->dims, mls_tensor_dims(item), (size_t) value->rank * sizeof value->dims[0]);
        if ((int32_t) mls_tensor_dtype(item) != value->dtype)
            die(g, "its dtype is not what the table says");
        mls_tensor_free(item);
    }
}

/* Runs the graph so far, piece by piece, for the dims of what the node gave. */
static void probe(gen *g)
{
    static mls_context *context;
    mls_model *model;
    mls_session *session;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = MLS_SESSION_NO_OPTIMIZE;
    set_outputs(g, g->results, g->result_count);
    if (!context && mls_context_create(NULL, &context) != MLS_OK)
        abort();
    if (onnx_build_load(g->build, context, 0, &model) != MLS_OK)
        die(g, "loading");
    if (mls_session_create(model, &options, &session) != MLS_OK || gen_fill(g, session) != MLS_OK)
        die(g, "planning");
    if (mls_session_run(session) != MLS_OK)
        die(g, "running");
    learn_dims(g, session);
    mls_session_free(session);
    mls_model_free(model);
}

const gen_value *gen_result(gen *g, size_t index)
{
    if (!g->is_probed)
        probe(g);
    g->is_probed = true;
    return &g->values[g->results[index]];
}

static void set_dims(mls_session *session, const gen *g)
{
    char name[16];
    for (size_t i = 0; i < g->count; i++)
        for (int k = 0; g->values[i].is_input && k < g->values[i].rank; k++) {
            snprintf(name, sizeof name, "d%lld", (long long) g->values[i].dims[k]);
            (void) mls_session_set_dim(session, name, g->values[i].dims[k]);
        }
}

mls_status gen_fill(const gen *g, mls_session *session)
{
    size_t index;
    set_dims(session, g);
    const mls_status status = mls_session_plan(session);
    for (size_t i = 0; !status && i < g->count; i++) {
        const gen_value *value = &g->values[i];
        if (!value->is_input || mls_session_input_index(session, value->name, &index) != MLS_OK)
            continue;
        unsigned char *data = mls_session_input_data(session, index);
        if (data)
            gen_put_all(1000 + i, value, data);
    }
    return status;
}

void gen_forget(gen *g)
{
    memset(g->letters, 0, sizeof g->letters);
    g->first = -1;
}

void gen_drop(gen *g)
{
    g->taken_count = 0;
}

void gen_hide(gen *g, size_t index)
{
    g->values[g->results[index]].is_hidden = g->values[g->results[index]].is_used = true;
    g->is_probed = true;
}

void gen_make_sequence(gen *g, size_t index)
{
    g->values[g->results[index]].is_sequence = true;
}

void gen_add(gen *g, const gen_row *row)
{
    static const int32_t common[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT32,
                                     MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};
    int32_t dtypes[MAX_OUTS];
    gen_forget(g);
    g->dtype = 0;
    for (int tries = 0; row->dtypes && !g->dtype; tries++) {
        const int32_t drawn = tries < 3 ? common[gen_below(g, 6)] : (int32_t) gen_below(g, 24);
        g->dtype = row->dtypes & (UINT32_C(1) << drawn) ? drawn : 0;
    }
    if (row->make) {
        row->make(g, row);
    } else {
        gen_take_patterns(g, row->inputs, row->bind);
        const size_t count = gen_output_dtypes(g, row->outputs, dtypes, MAX_OUTS);
        onnx_node *node = gen_node(g, row->op, row->flags, count, dtypes);
        gen_attrs(g, node, row->attrs ? row->attrs : "");
        if (row->finish)
            row->finish(g, node);
    }
    if (g->result_count)
        gen_result(g, 0);
}

/* What nothing reads, and some others. */
static void choose_outputs(gen *g)
{
    size_t chosen[MAX_VALUES], count = 0;
    for (size_t i = 0; i < g->count; i++)
        if (!g->values[i].is_input && !g->values[i].is_hidden &&
            (!g->values[i].is_used || gen_chance(g, 8)))
            chosen[count++] = i;
    set_outputs(g, chosen, count);
}

static const gen_row *draw_row(gen *g)
{
    size_t count = 0, cursor = 0;
    while (gen_row_next(&cursor))
        count++;
    size_t skipped = (gen_below(g, 256) << 8 | gen_below(g, 256)) % count;
    for (cursor = 0; skipped; skipped--)
        gen_row_next(&cursor);
    return gen_row_next(&cursor);
}

gen *gen_create(const uint8_t *bytes, size_t size, const gen_row *first, int nodes)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17};
    gen *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->state = size;
    g->bytes = bytes;
    g->left = size;
    for (size_t i = 0; i < size; i++)
        g->state = g->state * UINT64_C(6364136223846793005) + bytes[i] + 1;
    g->build = onnx_build_create(24);
    onnx_build_opset(g->build, "com.microsoft", 1);
    onnx_build_opset(g->build, "ai.onnx.ml", 5);
    g->batch = gen_between(g, 1, 4);
    for (size_t i = 0; i < 3; i++) {
        g->spatial[i] = sizes[2 + gen_below(g, 8)];
        g->channels[i] = sizes[gen_below(g, 12)];
    }
    g->is_wild = gen_chance(g, 8);
    for (int i = 0; i < nodes; i++)
        gen_add(g, i == 0 && first ? first : draw_row(g));
    choose_outputs(g);
    return g;
}

void gen_free(gen *g)
{
    onnx_build_free(g->build);
    free(g);
}

const uint8_t *gen_model(gen *g, size_t *ret_size)
{
    return onnx_build_bytes(g->build, ret_size);
}

const gen_value *gen_output(const gen *g, size_t index)
{
    return &g->values[g->outputs[index]];
}

bool gen_is_wild(const gen *g)
{
    return g->is_wild;
}
