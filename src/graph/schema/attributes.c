/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of attributes that schemas have: short texts, so that a row is read at one glance. */
#include "graph/schema/schema.h"

#include <string.h>

static const struct {
    const char *name;
    int32_t type;
} types[] = {
    {"float", MLS_ATTR_FLOAT},   {"int", MLS_ATTR_INT},         {"string", MLS_ATTR_STRING},
    {"tensor", MLS_ATTR_TENSOR}, {"graph", MLS__ATTR_BODY},     {"floats", MLS_ATTR_FLOATS},
    {"ints", MLS_ATTR_INTS},     {"strings", MLS_ATTR_STRINGS},
};

#define TYPES (sizeof types / sizeof types[0])

const char *mls__attr_type_name(int32_t type)
{
    for (size_t i = 0; i < TYPES; i++)
        if (types[i].type == type)
            return types[i].name;
    return "no type that ops have";
}

/* 0: no such type. */
static int32_t find_type(const char *name, size_t size)
{
    for (size_t i = 0; i < TYPES; i++)
        if (strlen(types[i].name) == size && memcmp(types[i].name, name, size) == 0)
            return types[i].type;
    return 0;
}

bool mls__attr_form_next(const char **list, mls__attr_form *ret_form)
{
    const char *name = *list;
    if (!name || !*name)
        return false;
    const size_t name_size = strcspn(name, ":! "), colon = name[name_size] == ':';
    const char *type = name + name_size + colon;
    const size_t type_size = strcspn(type, "! ");
    const char *end = type + type_size;
    const bool is_required = *end == '!';
    end += is_required;
    *list = end + (*end == ' ');
    *ret_form = (mls__attr_form){name, name_size, find_type(type, type_size), is_required};
    return true;
}

bool mls__attr_form_find(const char *list, const char *name, mls__attr_form *ret_form)
{
    const size_t size = strlen(name);
    mls__attr_form form;
    while (mls__attr_form_next(&list, &form))
        if (form.name_size == size && memcmp(form.name, name, size) == 0) {
            *ret_form = form;
            return true;
        }
    return false;
}
