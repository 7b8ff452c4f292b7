/* SPDX-License-Identifier: Apache-2.0 */
/* A module that has the entry but no driver. */
#include <mlscale/ext/plugin.h>

MLS_API const mls_plugin *const *mls_plugin_entry(void);

const mls_plugin *const *mls_plugin_entry(void)
{
    static const mls_plugin *const plugins[] = {NULL};
    return plugins;
}
