/* SPDX-License-Identifier: Apache-2.0 */
/* Each op in graphs at random, which all ways to run them must agree on. */
#include "fuzz/generate/compare.h"
#include "graph/schema/schema.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool check_graph(uint64_t seed, const gen_row *first, int nodes)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t) (mls_test_random(&seed) >> 32);
    gen *g = gen_create(bytes, sizeof bytes, first, nodes);
    const bool is_same = gen_compare(g);
    gen_free(g);
    return is_same;
}

START_TEST(each_row_makes_graphs_that_agree)
{
    const gen_row *row;
    const uint64_t rounds = mls_test_is_quick() ? 1 : 3;
    for (size_t cursor = 0; (row = gen_row_next(&cursor));)
        for (uint64_t i = 0; i < rounds; i++)
            mls_test_expect(check_graph(mls_test_seed(1) + i + 1000 * cursor, row, 3),
                            "a graph that begins with %s, round %d", row->op, (int) i);
}
END_TEST

START_TEST(graphs_of_all_rows_agree)
{
    const uint64_t graphs = mls_test_is_quick() ? 30 : 200;
    for (uint64_t i = 0; i < graphs; i++)
        mls_test_expect(check_graph(mls_test_seed(7) + i, NULL, 4 + (int) (i % 12)), "graph %d",
                        (int) i);
}
END_TEST

/* Ops of the table that no row makes, and why. */
static const struct {
    const char *op, *why;
} left_out[] = {
    {"ai.onnx.ml:CastMap", "its input is a map, which only the host gives"},
    {"ai.onnx.ml:DictVectorizer", "its input is a map, which only the host gives"},
};

static bool is_left_out(const char *op)
{
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (strcmp(left_out[i].op, op) == 0)
            return true;
    return false;
}

typedef struct seen {
    const char *op;
    bool is_seen;
} seen;

static void see(void *arg, const char *op)
{
    seen *s = arg;
    s->is_seen |= strcmp(op, s->op) == 0;
}

/* Whether any row's first graphs hold the op. */
static bool is_made(const char *op)
{
    seen s = {.op = op};
    const gen_row *row;
    for (size_t cursor = 0; (row = gen_row_next(&cursor)) && !s.is_seen;)
        see(&s, row->op);
    for (size_t cursor = 0; !s.is_seen && (row = gen_row_next(&cursor));)
        for (uint8_t i = 0; row->make && i < 8 && !s.is_seen; i++) {
            gen *g = gen_create((const uint8_t[]){i, 77, i}, 3, row, 1);
            gen_each_op(g, &s, see);
            gen_free(g);
        }
    return s.is_seen;
}

START_TEST(every_op_is_made)
{
    char op[96];
    const mls__op_schema *schema;
    for (size_t cursor = 0; (schema = mls__op_schema_next(&cursor));) {
        if (strcmp(schema->domain, "mlscale") == 0)
            continue; /* made by passes */
        snprintf(op, sizeof op, "%s%s%s", schema->domain, schema->domain[0] ? ":" : "",
                 schema->type);
        ck_assert_msg(is_left_out(op) || is_made(op), "no row makes %s", op);
        ck_assert_msg(!is_left_out(op) || !is_made(op), "%s is made and listed as left out", op);
    }
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 4) { /* FIRST COUNT NODES: look for what differs */
        for (uint64_t i = strtoull(argv[1], NULL, 10), end = i + strtoull(argv[2], NULL, 10);
             i < end; i++)
            if (!check_graph(i, NULL, atoi(argv[3]))) {
                fprintf(stderr, "graph %llu\n", (unsigned long long) i);
                return 1;
            }
        return 0;
    }
    Suite *suite = suite_create("generate");
    TCase *agree = mls_test_case(suite, "agree", NULL, NULL);
    tcase_set_timeout(agree, 600);
    tcase_add_test(agree, every_op_is_made);
    tcase_add_test(agree, each_row_makes_graphs_that_agree);
    tcase_add_test(agree, graphs_of_all_rows_agree);
    return mls_test_run(suite);
}
