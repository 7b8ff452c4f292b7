/* SPDX-License-Identifier: Apache-2.0 */
/* Small models of ai.onnx.ml against what ONNX Runtime gave (make_ml_references.py). */
#include "cpu/op_harness.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_ATTRS = 16 };

typedef struct ml_attr {
    const char *name;
    char type; /* i, f, s, and I, F, S for several */
    size_t count;
    const void *values;
} ml_attr;

typedef struct ml_value {
    mls_dtype dtype;
    int rank;
    int64_t dims[3];
    const void *data;
} ml_value;

typedef struct ml_case {
    const char *op, *name;
    size_t attr_count, input_count, output_count;
    ml_attr attrs[MAX_ATTRS];
    ml_value inputs[2], outputs[2];
} ml_case;

#include "cpu/ml_references_features.h"
#include "cpu/ml_references_linear.h"
#include "cpu/ml_references_svm.h"
#include "cpu/ml_references_trees.h"

static void add_attr(op_test *test, const ml_attr *attr)
{
    if (attr->type == 'i')
        op_test_int(test, attr->name, *(const int64_t *) attr->values);
    else if (attr->type == 'f')
        op_test_float(test, attr->name, *(const float *) attr->values);
    else if (attr->type == 's')
        op_test_string(test, attr->name, *(const char *const *) attr->values);
    else if (attr->type == 'I')
        op_test_ints(test, attr->name, attr->count, attr->values);
    else if (attr->type == 'F')
        op_test_floats(test, attr->name, attr->count, attr->values);
    else
        op_test_strings(test, attr->name, attr->count, attr->values);
}

/* ONNX Runtime's PROBIT loses digits where its terms cancel. */
static double tolerance(const ml_case *c)
{
    for (size_t i = 0; i < c->attr_count; i++)
        if (strcmp(c->attrs[i].name, "post_transform") == 0 &&
            strcmp(*(const char *const *) c->attrs[i].values, "PROBIT") == 0)
            return 1e-3;
    return 1e-5;
}

static void check_case(const ml_case *c)
{
    op_test *test = op_test_create("ai.onnx.ml", c->op);
    op_test_outputs(test, c->output_count);
    for (size_t i = 0; i < c->attr_count; i++)
        add_attr(test, &c->attrs[i]);
    for (size_t i = 0; i < c->input_count; i++)
        op_test_input(test, c->inputs[i].dtype, c->inputs[i].rank, c->inputs[i].dims,
                      c->inputs[i].data);
    const mls_status status = op_test_run(test);
    ck_assert_msg(status == MLS_OK, "%s %s: %s", c->op, c->name, mls_error_message());
    for (size_t i = 0; i < c->output_count; i++) {
        const ml_value *y = &c->outputs[i];
        if (y->dtype == MLS_FLOAT32)
            op_test_expect_near(test, i, y->dtype, y->rank, y->dims, y->data, 1e-6, tolerance(c));
        else
            op_test_expect(test, i, y->dtype, y->rank, y->dims, y->data);
    }
    op_test_free(test);
}

START_TEST(features)
{
    check_case(&features_cases[_i]);
}
END_TEST

START_TEST(linear)
{
    check_case(&linear_cases[_i]);
}
END_TEST

START_TEST(svm)
{
    check_case(&svm_cases[_i]);
}
END_TEST

START_TEST(trees)
{
    check_case(&trees_cases[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_ml_references");
    TCase *tests = tcase_create("ml_references");
    tcase_add_loop_test(tests, features, 0, COUNT(features_cases));
    tcase_add_loop_test(tests, linear, 0, COUNT(linear_cases));
    tcase_add_loop_test(tests, svm, 0, COUNT(svm_cases));
    tcase_add_loop_test(tests, trees, 0, COUNT(trees_cases));
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
