/* SPDX-License-Identifier: Apache-2.0 */
/* Taking maps apart; what is computed on their keys and values is a backend's. */
#include "exec/flow/flow.h"

#include "base/error.h"
#include "base/map.h"
#include "op/op.h"

#include <inttypes.h>

/* Key `index` as bytes: those of the text, or of the number. */
static const char *key_bytes(const mls__object *keys, int64_t index, size_t *ret_size)
{
    if (keys->dtype == MLS_STRING) {
        const mls_string *string = (const mls_string *) keys->data + index;
        *ret_size = string->size;
        return string->size ? string->data : "";
    }
    *ret_size = sizeof(int64_t);
    return (const char *) keys->data + (size_t) index * sizeof(int64_t);
}

static mls_status refuse_twice(const mls__flow_step *step, const mls__object *keys, int64_t index)
{
    if (keys->dtype != MLS_STRING)
        return mls__op_error(&step->op, MLS_EINVAL, "key %" PRId64 " is in the map twice",
                             ((const int64_t *) keys->data)[index]);
    const mls_string *string = (const mls_string *) keys->data + index;
    return mls__op_error(&step->op, MLS_EINVAL, "key '%.*s' is in the map twice",
                         string->size > 200 ? 200 : (int) string->size,
                         string->size ? string->data : "");
}

/* At each run: the caller may have written other keys since the last one. */
static mls_status check_keys(const mls__flow *flow, const mls__flow_step *step,
                             const mls__object *keys)
{
    const int64_t count = mls__object_count(keys);
    mls__map seen;
    mls_status status = MLS_OK;
    mls__map_init(&seen, &flow->host->pool.context->allocator);
    for (int64_t i = 0; !status && i < count; i++) {
        size_t size;
        const char *key = key_bytes(keys, i, &size);
        if (mls__map_get(&seen, key, size, NULL))
            status = refuse_twice(step, keys, i);
        else if (!mls__map_set(&seen, key, size, (size_t) i))
            status = mls__error_nomem((size_t) count);
    }
    mls__map_clear(&seen);
    return status;
}

static mls_status run_items(mls__flow *flow, const mls__flow_step *step)
{
    mls__object *map;
    mls_status status = mls__flow_map(flow, step, 0, &map);
    if (!status)
        status = check_keys(flow, step, map->items[0]);
    for (size_t i = 0; !status && i < map->count; i++)
        mls__flow_give(flow, step, i, mls__object_ref(map->items[i]));
    return status;
}

const mls__host_op mls__host_ops_map[] = {
    {MLS__DOMAIN_FUSED, "MapItems", run_items, MLS_VALUE_TENSOR, false},
    {NULL, NULL, NULL, 0, false},
};
