/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the machine this process may use. */
#ifndef MLS_BASE_MACHINE_H
#define MLS_BASE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Thousandths of a processor: those it may run on, or what its control groups leave of them. */
int64_t mls__machine_cpu_milli(void);

/* Memory, or what its control groups leave of it. */
int64_t mls__machine_memory_bytes(void);

/*
 * The folder of the control group (version 2) that this process is in; false: there is none.
 * `ret_root` is how much of the path is where the file system is mounted.
 */
bool mls__machine_cgroup(char *ret_path, size_t size, size_t *ret_root);

#endif
