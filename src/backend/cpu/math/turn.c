/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/math/turn.h"

#include "backend/cpu/math/f64.h"

#define EIGHTH 0x1.921fb54442d18p-1 /* pi / 4 */

void mls__f64_turn(uint64_t k, uint64_t n, double *ret_cos, double *ret_sin)
{
    const uint64_t octant = 8 * k / n, rest = 8 * k - octant * n;
    /* From the nearest multiple of a quarter: rest / n of an eighth, or what is left of it. */
    const double part = (double) (octant % 2 ? n - rest : rest) / (double) n;
    const double x = part == 1 ? 0x1.6a09e667f3bcdp-1 : mls__f64_cos(part * EIGHTH);
    const double y = part == 1 ? 0x1.6a09e667f3bcdp-1 : mls__f64_sin(part * EIGHTH);
    const double near = octant % 4 == 0 || octant % 4 == 3 ? x : y; /* the cosine's magnitude */
    const double far = octant % 4 == 0 || octant % 4 == 3 ? y : x;
    *ret_cos = octant >= 2 && octant < 6 ? 0.0 - near : near; /* no -0 */
    *ret_sin = octant >= 4 ? 0.0 - far : far;
}
