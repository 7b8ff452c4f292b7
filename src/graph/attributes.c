/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a node has the attributes of its op. An attribute that the op does not have is no
 * detail to pass over: it shows that the model means something else than would be computed.
 */
#include "graph/graph.h"

#include "base/error.h"

#include <string.h>

static mls_status check_attr(const mls__node *node, const char *name, int32_t type)
{
    const char *list = node->schema->attrs;
    mls__attr_form form;
    if (!list)
        return mls__error(MLS_EUNSUPPORTED, "attribute '%.100s' is unknown; %s has none", name,
                          node->type);
    if (!mls__attr_form_find(list, name, &form))
        return mls__error(MLS_EUNSUPPORTED, "attribute '%.100s' is unknown; %s has %s", name,
                          node->type, list);
    if (type != form.type)
        return mls__error(MLS_EFORMAT, "attribute '%.100s' is of type %s; that of %s is of type %s",
                          name, mls__attr_type_name(type), node->type,
                          mls__attr_type_name(form.type));
    return MLS_OK;
}

static bool is_named(const mls__attr_form *form, const char *name)
{
    return strlen(name) == form->name_size && memcmp(name, form->name, form->name_size) == 0;
}

static bool has_attr(const mls__node *node, const mls__attr_form *form)
{
    for (size_t i = 0; i < node->attr_count; i++)
        if (is_named(form, node->attrs[i].name))
            return true;
    for (size_t i = 0; i < node->body_count; i++)
        if (is_named(form, node->bodies[i].name))
            return true;
    return false;
}

mls_status mls__node_check_attrs(const mls__node *node)
{
    const char *list = node->schema->attrs;
    mls__attr_form form;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < node->attr_count; i++)
        status = check_attr(node, node->attrs[i].name, node->attrs[i].type);
    for (size_t i = 0; !status && i < node->body_count; i++)
        status = check_attr(node, node->bodies[i].name, MLS__ATTR_BODY);
    while (!status && mls__attr_form_next(&list, &form))
        if (form.is_required && !has_attr(node, &form))
            status = mls__error(MLS_EFORMAT, "attribute '%.*s' (%s) is missing; %s must have it",
                                (int) form.name_size, form.name, mls__attr_type_name(form.type),
                                node->type);
    return status;
}
