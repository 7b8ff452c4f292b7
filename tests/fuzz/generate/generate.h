/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Valid models at random: a table says how each op's inputs, outputs and attributes look, and a
 * graph is made of its rows, node by node. A node takes values that are there where they fit, and
 * inputs or constants of its own where none does. After each node the graph so far is run, which
 * tells the dims of what it gives and proves that the library takes what the table says: a graph
 * that is refused is a fault of one of them.
 */
#ifndef MLS_TESTS_FUZZ_GENERATE_GENERATE_H
#define MLS_TESTS_FUZZ_GENERATE_GENERATE_H

#include "support/onnx_build.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_RANK 12

/*
 * How far a value may differ from what the graph without optimizing passes gives
 * (docs/numerics.md): not by a bit; within a bound that the dtype decides; at will, since what
 * comes of a difference within a bound may be amplified.
 */
enum { GEN_EXACT, GEN_BOUNDED, GEN_FREE };

typedef struct gen_value {
    char name[12];
    int32_t dtype;
    int rank;
    int64_t dims[GEN_RANK];
    int accuracy;       /* GEN_EXACT, ... */
    double least, most; /* of an input's elements */
    bool is_input, is_used, is_sequence, is_hidden;
    bool is_wild; /* an input whose elements may be no numbers, or very large ones */
} gen_value;

typedef struct gen gen;
typedef struct gen_row gen_row;

/* A pass may compute otherwise what has such an op among its pieces. */
#define GEN_ROUNDS 1u
/* A small difference of an input may be a large one of the output. */
#define GEN_JUMPS 2u

/*
 * A row an op. `inputs` is a list of patterns and `outputs` one of dtypes, both as pattern.h says;
 * `attrs` is a list as gen_attrs() takes.
 */
struct gen_row {
    const char *op;  /* "Conv", or "com.microsoft:FusedConv" */
    uint32_t dtypes; /* what T may be: MLS__DTYPE_BIT() */
    const char *inputs, *outputs, *attrs;
    unsigned flags; /* GEN_* */
    /* Sets letters that depend on those of the first input. */
    void (*bind)(gen *g);
    /* Attributes that no list can say. */
    void (*finish)(gen *g, onnx_node *node);
    /* In place of all of the above. */
    void (*make)(gen *g, const gen_row *row);
};

/* Sets of dtypes for T. */
#define GEN_BIT(dtype) (UINT32_C(1) << (dtype))
#define GEN_F32        GEN_BIT(MLS_FLOAT32)
#define GEN_WIDE       (GEN_F32 | GEN_BIT(MLS_FLOAT64))
#define GEN_HALVES     (GEN_F32 | GEN_BIT(MLS_FLOAT16) | GEN_BIT(MLS_BFLOAT16))
#define GEN_FLOATS     (GEN_WIDE | GEN_HALVES)
#define GEN_LONGS      (GEN_BIT(MLS_INT32) | GEN_BIT(MLS_INT64))
#define GEN_SIGNED     (GEN_LONGS | GEN_BIT(MLS_INT8) | GEN_BIT(MLS_INT16))
#define GEN_UNSIGNED                                                                               \
    (GEN_BIT(MLS_UINT8) | GEN_BIT(MLS_UINT16) | GEN_BIT(MLS_UINT32) | GEN_BIT(MLS_UINT64))
#define GEN_INTS    (GEN_SIGNED | GEN_UNSIGNED)
#define GEN_NUMBERS (GEN_FLOATS | GEN_INTS)
#define GEN_ALL     (GEN_NUMBERS | GEN_BIT(MLS_BOOL) | GEN_BIT(MLS_STRING))
#define GEN_PLAIN   (GEN_NUMBERS | GEN_BIT(MLS_BOOL))

/* The families; ended by a row without an op. */
extern const gen_row gen_rows_elementwise[], gen_rows_features[], gen_rows_flow[],
    gen_rows_images[], gen_rows_movement[], gen_rows_patterns[], gen_rows_products[],
    gen_rows_quantized[], gen_rows_reductions[], gen_rows_sequences[], gen_rows_contrib[];

/* All rows: call with *cursor = 0 until it gives NULL. */
const gen_row *gen_row_next(size_t *cursor);

/*
 * A graph of some nodes. The bytes decide it: each choice takes one of them, and where they end a
 * generator of random numbers that they seed goes on. `first` is the row of its first node, or
 * NULL. Aborts with a message when the library refuses what was made.
 */
gen *gen_create(const uint8_t *bytes, size_t size, const gen_row *first, int nodes);
void gen_free(gen *g);

const uint8_t *gen_model(gen *g, size_t *ret_size);
/* Sets dynamic dims and fills the inputs of a session of the model. */
mls_status gen_fill(const gen *g, mls_session *session);
/* What output `index` of the model is. */
const gen_value *gen_output(const gen *g, size_t index);
/* Whether inputs hold numbers that are none, or very large ones. */
bool gen_is_wild(const gen *g);
/* Calls `each` with the name of each op in it ("com.microsoft:FusedConv"). */
void gen_each_op(const gen *g, void *arg, void (*each)(void *arg, const char *op));
/* The nodes in words, to stderr. */
void gen_print(const gen *g);

/* Choices. */
size_t gen_below(gen *g, size_t count);
int64_t gen_between(gen *g, int64_t least, int64_t most);
bool gen_chance(gen *g, size_t one_in);
float gen_float(gen *g, float least, float most);

/* What rows work with. Values live as long as the graph. */
onnx_build *gen_build(gen *g);
int32_t gen_dtype(const gen *g); /* T */
void gen_set_dtype(gen *g, int32_t dtype);
int64_t gen_letter(const gen *g, char letter);
void gen_set_letter(gen *g, char letter, int64_t value);
/* What it may be that nothing has set. */
int64_t gen_draw_letter(gen *g, char letter);
/* The value that the node took as its first input. */
const gen_value *gen_first(const gen *g);

/* An index of a value that fits: one that is there, else a new input. */
typedef bool gen_fits(const gen *g, const gen_value *value, const void *arg);
const gen_value *gen_find(gen *g, gen_fits *fits, const void *arg);
const gen_value *gen_input(gen *g, int32_t dtype, int rank, const int64_t *dims);
const gen_value *gen_input_between(gen *g, int32_t dtype, int rank, const int64_t *dims,
                                   double least, double most);
/* An initializer of numbers in [least, most]; its name. */
const char *gen_constant(gen *g, int32_t dtype, int rank, const int64_t *dims, double least,
                         double most);
/* ... of these integers. */
const char *gen_table(gen *g, int32_t dtype, int rank, const int64_t *dims, const int64_t *values);
const char *gen_ints(gen *g, int32_t dtype, size_t count, const int64_t *values);
/* `rows` rows of `count`; 0: one without a dim for rows. */
const char *gen_floats(gen *g, size_t rows, size_t count, const float *values);

/* The node to come takes it: a value, a name, or NULL for what is left out. */
void gen_take(gen *g, const gen_value *value);
void gen_take_name(gen *g, const char *name);
/* A body of the node to come reads it, from where it is. */
void gen_read_outside(gen *g, const gen_value *value);
/*
 * Adds the node of what was taken. Its outputs are values, one for each dtype of the list, but
 * for those that are 0, which are left out.
 */
onnx_node *gen_node(gen *g, const char *op, unsigned flags, size_t count, const int32_t *dtypes);
/* Output `index` of the node added last, with its dims. */
const gen_value *gen_result(gen *g, size_t index);

/* Before another node of a row that makes several: no letter is set, nothing was taken first. */
void gen_forget(gen *g);
/* What was taken is not for a node now. */
void gen_drop(gen *g);
/* The output is no tensor: only the row itself takes it. */
void gen_hide(gen *g, size_t index);
void gen_make_sequence(gen *g, size_t index);

/* Adds a node of the row. */
void gen_add(gen *g, const gen_row *row);

#endif
