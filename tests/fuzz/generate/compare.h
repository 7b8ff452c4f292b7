/* SPDX-License-Identifier: Apache-2.0 */
/* Running a generated graph in all ways that must give the same. */
#ifndef MLS_TESTS_FUZZ_GENERATE_COMPARE_H
#define MLS_TESTS_FUZZ_GENERATE_COMPARE_H

#include "fuzz/generate/generate.h"

/*
 * Runs the graph on each instruction set, with one thread and three, and with memory of its own
 * for each value, twice each: the bytes must be the same. Without the optimizing passes they must
 * be so where docs/numerics.md states no bound, and within one where it does. Prints what
 * differs and the graph to stderr; false if anything did.
 */
bool gen_compare(gen *g);

#endif
