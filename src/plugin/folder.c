/* SPDX-License-Identifier: Apache-2.0 */
/* Where the library's own driver modules are installed: known when it is built. */
#include "plugin/drivers.h"

const char mls__driver_folder[] = MLS_DRIVER_FOLDER;
