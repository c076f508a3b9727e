// Numbers: what a card and a processor call by different names.
//
// Nothing is contracted or reassociated by a compiler: a product and a sum that are to be rounded
// once are written fma.  With division and root as IEEE 754 has them every processor, and a card,
// gets the same bits.
#pragma once

#ifdef __CUDACC__
#define NB_INLINE __device__ __forceinline__
#define NB_UNROLL _Pragma("unroll")
#else
#include <math.h>
#include <string.h>
#ifdef __FMA__
#include <immintrin.h>
#endif
#ifndef NB_CARD_HOST
#define NB_INLINE static inline __attribute__((always_inline))
#endif
#define NB_UNROLL

NB_INLINE long long bits_of(double x) {
  long long bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

NB_INLINE double double_of(long long bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
#endif

#ifdef __CUDACC__
NB_INLINE long long bits_of(double x) { return __double_as_longlong(x); }
NB_INLINE double double_of(long long bits) { return __longlong_as_double(bits); }

// With NB_QUICK_DIVISION the card's first guess and one step of third order: 20 bits become 60.
// The last bit may then differ from a processor's.
#ifdef NB_QUICK_DIVISION
NB_INLINE double reciprocal(double x) {
  double guess;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(guess) : "d"(x));
  const double rest = fma(-x, guess, 1.0);
  return fma(guess, fma(rest, rest, rest), guess);
}
// For a normal b and a normal 1 / b.
NB_INLINE double quotient(double a, double b) { return a * reciprocal(b); }
#else
NB_INLINE double quotient(double a, double b) { return a / b; }
#endif
#else
NB_INLINE double quotient(double a, double b) { return a / b; }
#endif

struct Vector {
  double x, y, z;
};

NB_INLINE double dot(const double* a, const Vector& v) {
  return fma(a[2], v.z, fma(a[1], v.y, a[0] * v.x));
}

NB_INLINE double square_length(const Vector& v) { return fma(v.z, v.z, fma(v.y, v.y, v.x * v.x)); }
