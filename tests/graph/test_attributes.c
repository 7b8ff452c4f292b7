/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of attributes that schemas have, and what is said of a node that does not fit its. */
#include "support/test.h"

#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

/* --- lists ----------------------------------------------------------------------------------- */

static void check_form(const mls__op_schema *schema, const mls__attr_form *form)
{
    ck_assert_msg(form->name_size > 0 && form->name_size < 64, "%s: '%s'", schema->type,
                  schema->attrs);
    ck_assert_msg(form->type != 0, "%s: no type at '%s'", schema->type, form->name);
    ck_assert_msg(form->type != MLS__ATTR_BODY || (schema->flags & MLS__OP_HOST),
                  "%s is not run by the flow, and has the body '%s'", schema->type, form->name);
    char name[64] = "";
    mls__attr_form found;
    memcpy(name, form->name, form->name_size);
    ck_assert(mls__attr_form_find(schema->attrs, name, &found));
    ck_assert_msg(found.name == form->name, "%s has '%s' twice", schema->type, name);
}

/* Read and written again, a list is what it was: nothing in it was passed over. */
static void check_list(const mls__op_schema *schema)
{
    char text[2048] = "";
    const char *list = schema->attrs;
    mls__attr_form form;
    for (size_t n = 0; mls__attr_form_next(&list, &form); n = strlen(text)) {
        check_form(schema, &form);
        snprintf(text + n, sizeof text - n, "%s%.*s:%s%s", n ? " " : "", (int) form.name_size,
                 form.name, mls__attr_type_name(form.type), form.is_required ? "!" : "");
    }
    ck_assert_str_eq(text, schema->attrs);
    ck_assert_str_ne(text, "");
}

START_TEST(lists_are_well_formed)
{
    const mls__op_schema *schema;
    size_t cursor = 0, lists = 0;
    while ((schema = mls__op_schema_next(&cursor)))
        if (schema->attrs) {
            check_list(schema);
            lists++;
        }
    ck_assert_uint_gt(lists, 100);
}
END_TEST

START_TEST(what_is_no_list_has_no_types)
{
    const char *list = "axis keepdims:flaot to!";
    mls__attr_form form;
    ck_assert(mls__attr_form_next(&list, &form));
    ck_assert_int_eq(form.type, 0);
    ck_assert_uint_eq(form.name_size, 4);
    ck_assert(mls__attr_form_next(&list, &form));
    ck_assert_int_eq(form.type, 0);
    ck_assert(mls__attr_form_next(&list, &form));
    ck_assert_int_eq(form.type, 0);
    ck_assert(form.is_required);
    ck_assert(!mls__attr_form_next(&list, &form));
    ck_assert(!mls__attr_form_find("axis:int", "axi", &form));
    ck_assert(!mls__attr_form_find("axis:int", "axis:int", &form));
    ck_assert(!mls__attr_form_find(NULL, "axis", &form));
    ck_assert_str_eq(mls__attr_type_name(99), "no type that ops have");
}
END_TEST

/* --- nodes ----------------------------------------------------------------------------------- */

static mls_status check(const char *type, size_t attr_count, const mls_attr *attrs,
                        size_t body_count, mls__body *bodies)
{
    const mls__node node = {
        .type = type,
        .schema = mls__op_schema_find("", type),
        .attrs = attrs,
        .attr_count = attr_count,
        .bodies = bodies,
        .body_count = body_count,
    };
    ck_assert_ptr_nonnull(node.schema);
    return mls__node_check_attrs(&node);
}

static const mls_attr axis = {.name = "axis", .type = MLS_ATTR_INT, .count = 1};
static const mls_attr axes = {.name = "axis", .type = MLS_ATTR_INTS};
static const mls_attr axi = {.name = "axi", .type = MLS_ATTR_INT, .count = 1};

START_TEST(attributes_fit)
{
    ck_assert_ok(check("MatMul", 0, NULL, 0, NULL));
    ck_assert_ok(check("Gather", 0, NULL, 0, NULL));
    ck_assert_ok(check("Gather", 1, &axis, 0, NULL));
    ck_assert_ok(check("Concat", 1, &axis, 0, NULL));
    mls__body branches[] = {{.name = "else_branch"}, {.name = "then_branch"}};
    ck_assert_ok(check("If", 0, NULL, 2, branches));
}
END_TEST

START_TEST(attributes_are_unknown)
{
    ck_assert_fails(check("MatMul", 1, &axis, 0, NULL), MLS_EUNSUPPORTED,
                    "attribute 'axis' is unknown; MatMul has none");
    ck_assert_fails(check("Gather", 1, &axi, 0, NULL), MLS_EUNSUPPORTED,
                    "attribute 'axi' is unknown; Gather has axis:int");
    mls__body bodies[] = {{.name = "body"}, {.name = "boddy"}};
    ck_assert_fails(check("Loop", 0, NULL, 2, bodies), MLS_EUNSUPPORTED, "'boddy' is unknown");
    ck_assert_fails(check("Neg", 0, NULL, 1, bodies), MLS_EUNSUPPORTED, "Neg has none");
}
END_TEST

START_TEST(attributes_have_another_type)
{
    mls__body body = {.name = "axis"};
    const mls_attr branch = {.name = "then_branch", .type = MLS_ATTR_TENSOR};
    ck_assert_fails(check("Gather", 1, &axes, 0, NULL), MLS_EFORMAT,
                    "attribute 'axis' is of type ints; that of Gather is of type int");
    ck_assert_fails(check("Gather", 0, NULL, 1, &body), MLS_EFORMAT, "'axis' is of type graph");
    ck_assert_fails(check("If", 1, &branch, 0, NULL), MLS_EFORMAT, "that of If is of type graph");
}
END_TEST

START_TEST(attributes_are_missing)
{
    mls__body branch = {.name = "then_branch"};
    ck_assert_fails(check("Concat", 0, NULL, 0, NULL), MLS_EFORMAT,
                    "attribute 'axis' (int) is missing; Concat must have it");
    ck_assert_fails(check("If", 0, NULL, 1, &branch), MLS_EFORMAT,
                    "attribute 'else_branch' (graph) is missing; If must have it");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/attributes");
    TCase *tests = tcase_create("attributes");
    tcase_add_test(tests, lists_are_well_formed);
    tcase_add_test(tests, what_is_no_list_has_no_types);
    tcase_add_test(tests, attributes_fit);
    tcase_add_test(tests, attributes_are_unknown);
    tcase_add_test(tests, attributes_have_another_type);
    tcase_add_test(tests, attributes_are_missing);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
