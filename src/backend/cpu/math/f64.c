/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of f64_inline.h and f64_trig_inline.h for callers outside the kernels. */
#include "backend/cpu/math/f64.h"

#include "backend/cpu/math/f64_inline.h"
#include "backend/cpu/math/f64_trig_inline.h"

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

double mls__f64_sin(double x)
{
    return f64_sin(x);
}

double mls__f64_cos(double x)
{
    return f64_cos(x);
}

double mls__f64_tan(double x)
{
    return f64_tan(x);
}

double mls__f64_asin(double x)
{
    return f64_asin(x);
}

double mls__f64_acos(double x)
{
    return f64_acos(x);
}

double mls__f64_atan(double x)
{
    return f64_atan(x);
}

double mls__f64_sinh(double x)
{
    return f64_sinh(x);
}

double mls__f64_cosh(double x)
{
    return f64_cosh(x);
}

double mls__f64_asinh(double x)
{
    return f64_asinh(x);
}

double mls__f64_acosh(double x)
{
    return f64_acosh(x);
}

double mls__f64_atanh(double x)
{
    return f64_atanh(x);
}
