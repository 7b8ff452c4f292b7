/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/operators.md from the table of op schemas. */
#include "graph/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        printf("\n## mlscale\n\nMade by the optimizing passes; not for models.\n");
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
    return 0;
}
