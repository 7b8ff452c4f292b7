/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of inputs: "T[N,C,H,W] t[M,C,K,L] ?t[M]".
 *
 * A letter before the brackets tells the elements. Capitals stand for any value, small letters for
 * a constant of the same elements.
 *
 *     T t  the row's dtype, between -1 and 1 when constant     P p  the same, between 0.5 and 2
 *     F f  float32                                             s    float32, from 0.01 to 0.1
 *     Q q  uint8 or int8, one for all of a node                U u  uint8
 *     B b  bool                                                S    strings
 *     I i  int64; J j  int32
 *
 * Integers may have a range behind the letter: "I<K" is from 0 on and below K, "I~K" the same, also
 * counted from the end, "I+" from 1 to 3. Without one they are what they are.
 *
 * Dims are numbers, letters, or a number times a letter ("4H"). A letter is one number throughout
 * the node: what the first value with it has, or what is drawn. "*" is any rank; behind others, any
 * more dims; "+" is at least one. "=": those of the first input; "^": dims that broadcast to them.
 *
 * "?" before it: may be left out.
 *
 * Outputs: a letter for each, as above; "-" before it: may be left out.
 */
#ifndef MLS_TESTS_FUZZ_GENERATE_PATTERN_H
#define MLS_TESTS_FUZZ_GENERATE_PATTERN_H

#include "fuzz/generate/generate.h"

/* Takes a value for each pattern. `bind` may be NULL; it is called behind the first. */
void gen_take_patterns(gen *g, const char *patterns, void (*bind)(gen *g));

/* For `bind`: letter a becomes an axis, counted from either end, and X its dim. */
void gen_bind_axis(gen *g);

/* The dtypes of outputs, 0 for what is left out; how many. */
size_t gen_output_dtypes(gen *g, const char *outputs, int32_t *ret_dtypes, size_t capacity);

/*
 * Attributes: "alpha:0.1,2.0 axis:axis ?keepdims:0,1 mode:linear|nearest heads:*H". A range is of
 * floats where it has a point; "axis" is one of the first input's, also counted from the end; "*H"
 * is the letter's number. "?": left out at random.
 */
void gen_attrs(gen *g, onnx_node *node, const char *attrs);

#endif
