/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of AMX on the model of its tiles (simd/tiles.h), as mls__gemm_tiles_model. */
#define MLS_SIMD_PORTABLE 1
#define MLS_TILES_MODEL   1
#include "backend/cpu/kernels/gemm_tiles.c"
