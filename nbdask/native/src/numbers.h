// Numbers: what a card and a processor call by different names.
//
// Nothing is contracted or reassociated by a compiler: a product and a sum that are to be rounded
// once are written fma.  With division and root as IEEE 754 has them every processor, and a card,
// gets the same bits.
#pragma once

#ifdef __CUDACC__
#define NB_INLINE __device__ __forceinline__
#define NB_UNROLL _Pragma("unroll")

NB_INLINE long long bits_of(double x) { return __double_as_longlong(x); }
NB_INLINE double double_of(long long bits) { return __longlong_as_double(bits); }
NB_INLINE unsigned bits_of(float x) { return __float_as_uint(x); }
NB_INLINE float float_of(unsigned bits) { return __uint_as_float(bits); }

#else
#include <math.h>
#include <string.h>
#define NB_INLINE static inline __attribute__((always_inline))
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

NB_INLINE unsigned bits_of(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

NB_INLINE float float_of(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
#endif

constexpr float UNIT32 = 2.3283064365386963e-10f;  // 2^-32
// Adding and subtracting it rounds a float32 below 2^22 to a whole number, which is in the lowest
// bits of the sum.
constexpr float ROUND32 = 12582912.0f;

// A quotient of the inner loops, of a normal b with a normal 1 / b.  A card built with
// NB_QUICK_DIVISION takes its first guess and one step of third order, which make 20 bits 60; the
// last bit may then differ from a processor's.
NB_INLINE double quotient(double a, double b) {
#if defined(__CUDACC__) && defined(NB_QUICK_DIVISION)
  double guess;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(guess) : "d"(b));
  const double rest = fma(-b, guess, 1.0);
  return a * fma(guess, fma(rest, rest, rest), guess);
#else
  return a / b;
#endif
}

// A root of the inner loops, of a normal x; on a card as a quotient.
NB_INLINE double root(double x) {
#if defined(__CUDACC__) && defined(NB_QUICK_DIVISION)
  double guess;
  asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(guess) : "d"(x));
  const double rest = fma(-x * guess, guess, 1.0);
  return x * fma(guess * rest, fma(0.375, rest, 0.5), guess);
#else
  return sqrt(x);
#endif
}

struct Vector {
  double x, y, z;
};

NB_INLINE double dot(const double* a, const Vector& v) {
  return fma(a[2], v.z, fma(a[1], v.y, a[0] * v.x));
}

NB_INLINE double square_length(const Vector& v) { return fma(v.z, v.z, fma(v.y, v.y, v.x * v.x)); }
