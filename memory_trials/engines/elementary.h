/* Elementary functions in single precision, of IEEE 754's operations alone: the same bits on every machine. */

#ifndef ELEMENTARY_H
#define ELEMENTARY_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "fast-math would give other bits"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float arithmetic with more digits would give other bits");

#define INLINE static inline __attribute__((always_inline))

INLINE float as_float(int32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE int32_t as_bits(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* The same number, but of all NaNs the one. */
INLINE float canonical(float x) {
    const int32_t bits = as_bits(x), quiet_nan = 0x7fc00000, infinity = 0x7f800000;
    return as_float((bits & INT32_MAX) > infinity ? quiet_nan : bits);
}

/* Within 6 units in the last place, never beyond 1, and 1 from 8.05 on. A minimax rational function of degree 4 over 4
   in x^2 (its relative error is a third of a unit; the rest is rounding): fewer operations, and fewer that wait for
   one another, than other degrees of that accuracy need. Comparisons are written such that NaN passes through. */
INLINE float tanh_of(float x) {
    const float bound = 8.05010986f;
    x = x < -bound ? -bound : x;
    x = x > bound ? bound : x;
    const float s = x * x;
    float p = 1.650285597e-08f;
    p = fmaf(p, s, 2.555833453e-05f);
    p = fmaf(p, s, 4.343716428e-03f);
    p = fmaf(p, s, 1.664207280e-01f);
    p = fmaf(p, s, 1.244010925e+00f);
    float q = 9.628952284e-07f;
    q = fmaf(q, s, 4.079459468e-04f);
    q = fmaf(q, s, 3.217286244e-02f);
    q = fmaf(q, s, 5.810908079e-01f);
    q = fmaf(q, s, 1.244010925e+00f);
    return x * p / q;
}

#endif
