/* SPDX-License-Identifier: Apache-2.0 */
/* Where in its file a type says what. */
#include "job_types/reader.h"

#include "base/error.h"

#include <string.h>

static const yaml_node_pair_t *find_pair(yaml_document_t *document, const yaml_node_t *mapping,
                                         const char *key)
{
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++)
        if (strcmp(mls__types_text(yaml_document_get_node(document, pair->key)), key) == 0)
            return pair;
    return NULL;
}

yaml_mark_t mls__types_mark(yaml_document_t *document, const mls__type *type,
                            const mls__type_keys *keys)
{
    const yaml_node_t *node = yaml_document_get_node(document, type->node);
    yaml_mark_t mark = node->start_mark;
    for (size_t i = 0; i < MLS__TYPE_DEPTH && keys->items[i]; i++) {
        const yaml_node_pair_t *pair =
            node->type == YAML_MAPPING_NODE ? find_pair(document, node, keys->items[i]) : NULL;
        if (!pair)
            break;
        mark = yaml_document_get_node(document, pair->key)->start_mark;
        node = yaml_document_get_node(document, pair->value);
    }
    return mark;
}

mls_status mls__type_error_at(const mls_job_types *types, const mls__type *type,
                              const mls__type_keys *keys, mls_status status)
{
    const yaml_mark_t mark = mls__types_mark(types->document, type, keys);
    return mls__error_at(status, "%s:%zu:%zu: type '%s'", types->path, mark.line + 1,
                         mark.column + 1, type->name);
}
