/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcendental functions in double precision, the same bits on every machine. Special cases as
 * C99's Annex F has them; f64_inline.h and f64_trig_inline.h state the errors, all below 1 ulp.
 */
#ifndef MLS_BACKEND_CPU_MATH_F64_H
#define MLS_BACKEND_CPU_MATH_F64_H

double mls__f64_exp(double x);
double mls__f64_expm1(double x);
double mls__f64_log(double x);
double mls__f64_log1p(double x);
double mls__f64_tanh(double x);
double mls__f64_sigmoid(double x); /* 1 / (1 + e^-x) */
double mls__f64_erf(double x);
double mls__f64_pow(double x, double y);
double mls__f64_sin(double x);
double mls__f64_cos(double x);
double mls__f64_tan(double x);
double mls__f64_asin(double x);
double mls__f64_acos(double x);
double mls__f64_atan(double x);
double mls__f64_sinh(double x);
double mls__f64_cosh(double x);
double mls__f64_asinh(double x);
double mls__f64_acosh(double x);
double mls__f64_atanh(double x);

#endif
