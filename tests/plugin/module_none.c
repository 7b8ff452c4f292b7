/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object that is no driver module. */
#include <mlscale/status.h>

MLS_API int mls_no_plugin_entry(void);

int mls_no_plugin_entry(void)
{
    return 0;
}
