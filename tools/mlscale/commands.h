/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, a file each; main.c lists them. */
#ifndef MLSCALE_TOOL_COMMANDS_H
#define MLSCALE_TOOL_COMMANDS_H

#include "options.h"

extern const command command_bench;
extern const command command_bench_group;
extern const command command_inspect;
extern const command command_launch;
extern const command command_queue;
extern const command command_run;
extern const command command_score;
extern const command command_verify;
extern const command command_worker;

#endif
