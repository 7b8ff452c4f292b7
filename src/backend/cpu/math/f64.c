/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of f64_inline.h for callers outside the kernels. */
#include "backend/cpu/math/f64.h"

#include "backend/cpu/math/f64_inline.h"

double mls__f64_exp(double x)
{
    return f64_exp(x);
}

double mls__f64_expm1(double x)
{
    return f64_expm1(x);
}

double mls__f64_log(double x)
{
    return f64_log(x);
}

double mls__f64_log1p(double x)
{
    return f64_log1p(x);
}

double mls__f64_tanh(double x)
{
    return f64_tanh(x);
}

double mls__f64_sigmoid(double x)
{
    return f64_sigmoid(x);
}

double mls__f64_erf(double x)
{
    return f64_erf(x);
}

double mls__f64_pow(double x, double y)
{
    return f64_pow(x, y);
}
