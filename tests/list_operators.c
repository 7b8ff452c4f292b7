/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/operators.md from the table of op schemas and the reader's rules. */
#include "graph/schema/schema.h"
#include "onnx/translate/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Standard ops that nothing here runs, and why. An op that gets a schema must go from here. */
static const struct {
    const char *domain, *ops, *why;
} missing[] = {
    {"ai.onnx", "BatchNormalization with training_mode", "training"},
    {"ai.onnx", "ImageDecoder", "decodes image files, which is the host's to choose"},
    {"ai.onnx", "RegexFullMatch",
     "RE2's syntax; no C library of Debian's matches it in linear time"},
    {"ai.onnx.preview", "FlexAttention", "preview"},
    {"ai.onnx.preview.training", "Adagrad, Adam, Gradient, Momentum", "training"},
};

static void print_missing(void)
{
    printf("\n## What is not here\n\nModels with these load with `MLS_MODEL_ALLOW_UNSUPPORTED` to "
           "be looked at, and do not run.\n\n| Domain | Ops | Why |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
        printf("| %s | %s | %s |\n", missing[i].domain, missing[i].ops, missing[i].why);
}

/* An op that rules alone know: the reader makes others of it. */
static void print_rewritten(const mls__onnx_rule *rules)
{
    for (const mls__onnx_rule *rule = rules; rule->type; rule++) {
        if (mls__op_schema_find(rule->domain, rule->type))
            continue;
        if (rule > rules && strcmp(rule[-1].type, rule->type) == 0)
            continue;
        printf("| %s | %s |\n", rule->domain[0] ? rule->domain : "ai.onnx", rule->type);
    }
}

static void print_all_rewritten(void)
{
    static const mls__onnx_rule *const families[] = {
        mls__onnx_rules_contrib,        mls__onnx_rules_control,  mls__onnx_rules_early,
        mls__onnx_rules_image,          mls__onnx_rules_indexing, mls__onnx_rules_maps,
        mls__onnx_rules_movement,       mls__onnx_rules_nn,       mls__onnx_rules_norm,
        mls__onnx_rules_quantized_lstm, mls__onnx_rules_reduce,   mls__onnx_rules_spectral,
    };
    printf("\n## Read as other ops\n\nModels with these run, too: the reader makes ops of the "
           "lists above of them.\n\n| Domain | Op |\n| --- | --- |\n");
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        print_rewritten(families[i]);
}

static int compare(const void *a, const void *b)
{
    const mls__op_schema *x = *(const mls__op_schema *const *) a;
    const mls__op_schema *y = *(const mls__op_schema *const *) b;
    const int domains = strcmp(x->domain, y->domain);
    return domains ? domains : strcmp(x->type, y->type);
}

static void print_count(int least, int most)
{
    if (most == MLS__VARIADIC)
        printf("%d or more", least);
    else if (least == most)
        printf("%d", least);
    else
        printf("%d to %d", least, most);
}

static void print_domain(const char *domain)
{
    if (!domain[0])
        printf("\n## ai.onnx\n\nOpsets 7 to 27, in all their forms.\n");
    else if (strcmp(domain, "mlscale") == 0)
        printf("\n## mlscale\n\nMade by the reader and the optimizing passes; not for models.\n");
    else if (strcmp(domain, "com.microsoft") == 0)
        printf("\n## com.microsoft\n\nVersion 1: ops that exporters of ONNX Runtime write.\n");
    else
        printf("\n## %s\n\nVersions 1 to 5, in all their forms.\n", domain);
    printf("\n| Op | Inputs | Outputs |\n| --- | --- | --- |\n");
}

int main(void)
{
    static const mls__op_schema *rows[1024];
    size_t count = 0, cursor = 0;
    const mls__op_schema *row;
    while (count < 1024 && (row = mls__op_schema_next(&cursor)))
        rows[count++] = row;
    qsort(rows, count, sizeof rows[0], compare);
    printf("# Operators\n\nMade from the op table by tests/list_operators.c; "
           "tests/check_operators.sh keeps it so.\n");
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(rows[i]->domain, rows[i - 1]->domain) != 0)
            print_domain(rows[i]->domain);
        printf("| %s | ", rows[i]->type);
        print_count(rows[i]->min_inputs, rows[i]->max_inputs);
        printf(" | ");
        print_count(rows[i]->min_outputs, rows[i]->max_outputs);
        printf(" |\n");
    }
    print_all_rewritten();
    print_missing();
    return 0;
}
