/* SPDX-License-Identifier: Apache-2.0 */
/* Formulas that exporters write out node by node: numbers, and products with all their factors. */
#ifndef MLS_GRAPH_PASSES_FORMULA_H
#define MLS_GRAPH_PASSES_FORMULA_H

#include "graph/passes/matching.h"

/* A constant of one float32 or float64 that gives a result no dimension. */
bool mls__formula_number(const mls__graph *graph, uint32_t value, double *ret_number);

/* Whether a value is such a number, as near as exporters round theirs (2e-5). */
bool mls__formula_is_number(const mls__graph *graph, uint32_t value, double number);
bool mls__formula_is_near(double a, double b);

/*
 * The input of a node of two inputs that is not a number, and the number; false unless one of
 * the two is one.
 */
bool mls__formula_operand(const mls__graph *graph, const mls__node *node, uint32_t *ret_value,
                          double *ret_number);

#define MLS__MAX_FACTORS 4

/* A number and factors, in no order; a power has its base several times. */
typedef struct mls__product {
    double number;
    int count;
    uint32_t factors[MLS__MAX_FACTORS];
} mls__product;

/*
 * The factors of a value: those of Mul, of Div by a number, of Pow by 2 and 3. `atom` is not taken
 * apart, whatever gives it. False: too many factors.
 */
bool mls__formula_product(const mls__links *links, uint32_t value, uint32_t atom,
                          mls__product *ret_product);

/* How often a value is a factor. */
int mls__formula_times(const mls__product *product, uint32_t value);

/* The factor that is not `value`, which occurs once; MLS__NO_VALUE unless there are these two. */
uint32_t mls__formula_cofactor(const mls__product *product, uint32_t value);

#define MLS__MAX_CANDIDATES 6

/*
 * What may be x in a product that a node of two inputs gives: its inputs, and theirs where they
 * have two. Gives their number.
 */
int mls__formula_candidates(const mls__links *links, const mls__node *node, uint32_t *ret_values);

/*
 * Adds a node of ai.onnx, of which nothing but its attributes is to be set, in place of `last`,
 * which dies. Errors: MLS_ENOMEM.
 */
mls_status mls__formula_replace(mls__graph *graph, mls__node *last, const char *type,
                                size_t input_count, const uint32_t *inputs, size_t attr_count,
                                mls_attr **ret_attrs);

#endif
