/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what mls_session_report() tells, as text or JSON. */
#include "plan.h"

#include "common.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct plan_writer {
    uint64_t steps;
    json_t *entries; /* of JSON only */
} plan_writer;

/* The words for a kind of entry, in JSON, and in the text where it has no number. */
static const struct {
    const char *name, *mark;
} kinds[] = {
    [MLS_PLAN_BLOCK] = {"block", ""},      [MLS_PLAN_LATER] = {"later", ""},
    [MLS_PLAN_INPUT] = {"input", "input"}, [MLS_PLAN_STEP] = {"step", ""},
    [MLS_PLAN_KNOWN] = {"known", "known"}, [MLS_PLAN_VIEW] = {"view", "view"},
    [MLS_PLAN_NODE] = {"node", "later"},   [MLS_PLAN_HOST] = {"host", ""},
    [MLS_PLAN_BODY] = {"body", ""},
};

static const char *const places[] = {
    [MLS_PLACE_UNKNOWN] = NULL,
    [MLS_PLACE_BLOCK] = "block",
    [MLS_PLACE_INPUT] = "in place",
    [MLS_PLACE_APART] = "apart",
};

static bool is_run(const mls_plan_entry *entry)
{
    return entry->kind == MLS_PLAN_STEP || entry->kind == MLS_PLAN_HOST;
}

static const char *op_text(const mls_plan_entry *entry, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", entry->domain, entry->domain[0] ? "." : "", entry->op);
    return text;
}

static mls_status add_totals(void *user, const mls_plan_entry *entry)
{
    plan_totals *totals = user;
    totals->block_bytes += entry->block_bytes;
    totals->unshared_bytes += entry->unshared_bytes;
    return MLS_OK;
}

mls_status plan_measure(mls_session *session, plan_totals *ret_totals)
{
    plan_totals totals = {.block_bytes = 0};
    const mls_status status = mls_session_report(session, add_totals, &totals);
    if (!status)
        *ret_totals = totals;
    return status;
}

/* --- text --- */

static const char *shape_text(const mls_plan_value *value, char *text, size_t size)
{
    static const char *const no_names[MLS_MAX_RANK];
    const mls_model_value shape = {
        .size = sizeof shape,
        .rank = value->rank,
        .dims = value->dims,
        .dim_names = no_names,
    };
    return value_shape_text(&shape, text, size);
}

static void print_value(int indent, const mls_plan_value *value)
{
    char shape[512];
    printf("%*s%s %s %s", indent, "", value->name,
           value->dtype ? mls_dtype_name((mls_dtype) value->dtype) : "?",
           shape_text(value, shape, sizeof shape));
    if (value->place == MLS_PLACE_APART)
        printf(", %zu bytes, known before the run", value->bytes);
    else if (value->place != MLS_PLACE_UNKNOWN)
        printf(", %zu bytes at %zu%s", value->bytes, value->offset,
               value->place == MLS_PLACE_INPUT ? ", in place" : "");
    printf("\n");
}

static void print_node(const plan_writer *writer, int indent, const mls_plan_entry *entry)
{
    char number[24], op[256];
    snprintf(number, sizeof number, "%" PRIu64, writer->steps);
    printf("%*s%-6s  %s", indent, "", is_run(entry) ? number : kinds[entry->kind].mark,
           op_text(entry, op, sizeof op));
    if (entry->node[0])
        printf("  '%s'", entry->node);
    if (entry->kind == MLS_PLAN_HOST)
        printf("  by the session");
    if (entry->kernel[0])
        printf("  %s", entry->kernel);
    printf("\n");
    for (size_t i = 0; i < entry->value_count; i++)
        print_value(indent + 8, &entry->values[i]);
    if (entry->workspace_bytes && entry->kind == MLS_PLAN_STEP)
        printf("%*sworkspace, %zu bytes at %zu\n", indent + 8, "", entry->workspace_bytes,
               entry->workspace_offset);
}

static mls_status print_entry(void *user, const mls_plan_entry *entry)
{
    plan_writer *writer = user;
    const int indent = 2 + 4 * (int) (entry->depth + (entry->kind == MLS_PLAN_BODY));
    switch (entry->kind) {
    case MLS_PLAN_BLOCK:
        printf("%*sblock of %zu bytes; %zu without reuse\n", indent, "", entry->block_bytes,
               entry->unshared_bytes);
        break;
    case MLS_PLAN_LATER:
        printf("%*sblock that the run plans\n", indent, "");
        break;
    case MLS_PLAN_BODY:
        printf("%*s%s\n", indent - 2, "", entry->op);
        break;
    case MLS_PLAN_INPUT:
        printf("%*s%-6s  ", indent, "", kinds[entry->kind].mark);
        print_value(0, &entry->values[0]);
        break;
    default:
        print_node(writer, indent, entry);
    }
    writer->steps += is_run(entry);
    return MLS_OK;
}

mls_status plan_print(mls_session *session)
{
    plan_writer writer = {.steps = 0};
    printf("plan\n");
    return mls_session_report(session, print_entry, &writer);
}

/* --- JSON --- */

static json_t *json_value(const mls_plan_value *value)
{
    json_t *shape = value->rank < 0 ? json_null() : json_array();
    for (int k = 0; k < value->rank; k++)
        json_array_append_new(shape,
                              value->dims[k] < 0 ? json_null() : json_integer(value->dims[k]));
    json_t *object =
        json_pack("{s:s, s:s?, s:o}", "name", value->name, "dtype",
                  value->dtype ? mls_dtype_name((mls_dtype) value->dtype) : NULL, "shape", shape);
    if (value->place == MLS_PLACE_UNKNOWN)
        return object;
    json_object_set_new(object, "bytes", json_integer((json_int_t) value->bytes));
    json_object_set_new(object, "place", json_string(places[value->place]));
    if (value->place != MLS_PLACE_APART)
        json_object_set_new(object, "offset", json_integer((json_int_t) value->offset));
    return object;
}

static void add_block(json_t *object, const mls_plan_entry *entry)
{
    json_object_set_new(object, "bytes", json_integer((json_int_t) entry->block_bytes));
    json_object_set_new(object, "unshared_bytes", json_integer((json_int_t) entry->unshared_bytes));
}

static void add_node(const plan_writer *writer, json_t *object, const mls_plan_entry *entry)
{
    char op[256];
    if (is_run(entry))
        json_object_set_new(object, "step", json_integer((json_int_t) writer->steps));
    json_object_set_new(object, "op", json_string(op_text(entry, op, sizeof op)));
    json_object_set_new(object, "node", json_string(entry->node));
    if (entry->kernel[0])
        json_object_set_new(object, "kernel", json_string(entry->kernel));
    if (entry->workspace_bytes && entry->kind == MLS_PLAN_STEP)
        json_object_set_new(object, "workspace",
                            json_pack("{s:I, s:I}", "bytes", (json_int_t) entry->workspace_bytes,
                                      "offset", (json_int_t) entry->workspace_offset));
}

static mls_status add_entry(void *user, const mls_plan_entry *entry)
{
    plan_writer *writer = user;
    json_t *object = json_pack("{s:s, s:I}", "kind", kinds[entry->kind].name, "depth",
                               (json_int_t) entry->depth);
    json_t *values = json_array();
    for (size_t i = 0; i < entry->value_count; i++)
        json_array_append_new(values, json_value(&entry->values[i]));
    if (entry->kind == MLS_PLAN_BLOCK)
        add_block(object, entry);
    else if (entry->kind == MLS_PLAN_BODY)
        json_object_set_new(object, "body", json_string(entry->op));
    else if (entry->op[0])
        add_node(writer, object, entry);
    json_object_set_new(object, "values", values);
    json_array_append_new(writer->entries, object);
    writer->steps += is_run(entry);
    return MLS_OK;
}

mls_status plan_json(mls_session *session, json_t **ret_entries)
{
    plan_writer writer = {.entries = json_array()};
    const mls_status status = mls_session_report(session, add_entry, &writer);
    if (status)
        json_decref(writer.entries);
    else
        *ret_entries = writer.entries;
    return status;
}
