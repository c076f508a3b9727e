// Vectors of pixels: as many float32 as a register holds, and twice as many registers of float64.
#pragma once
#include "numbers.h"

#if defined(__AVX512DQ__)
#include <immintrin.h>
#define NB_VECTOR 64
#elif defined(__FMA__)
#include <immintrin.h>
#define NB_VECTOR 32
#else
#ifdef __aarch64__
#include <arm_neon.h>
#endif
#define NB_VECTOR 16
#endif

#define NB_METHOD __attribute__((always_inline)) inline
#define NB_SIMD _Pragma("omp simd")

// Ahead of short loops, whose arrays then stay in registers.
#if defined(__clang__)
#define NB_EACH _Pragma("unroll")
#else
#define NB_EACH _Pragma("GCC unroll 16")
#endif

constexpr int LANES = NB_VECTOR / 4;
constexpr int HALF_LANES = LANES / 2;
typedef float FLOATS __attribute__((vector_size(NB_VECTOR)));
typedef unsigned WORDS __attribute__((vector_size(NB_VECTOR)));
typedef int SIGNED_WORDS __attribute__((vector_size(NB_VECTOR)));
typedef double DOUBLES __attribute__((vector_size(NB_VECTOR)));
typedef float HALF_FLOATS __attribute__((vector_size(NB_VECTOR / 2)));

NB_INLINE WORDS bits_of(FLOATS x) { return (WORDS)x; }
NB_INLINE FLOATS float_of(WORDS bits) { return (FLOATS)bits; }
NB_INLINE FLOATS floats(float x) { return x - FLOATS{}; }
NB_INLINE DOUBLES doubles(double x) { return x - DOUBLES{}; }
NB_INLINE WORDS words(unsigned x) { return WORDS{} + x; }

// On processors that can, fma rounds a product and its sum only once.  On others it rounds both,
// and fma_exact goes through float64.
#if NB_VECTOR == 64
NB_INLINE FLOATS fma(FLOATS a, FLOATS b, FLOATS c) { return _mm512_fmadd_ps(a, b, c); }
NB_INLINE DOUBLES fma(DOUBLES a, DOUBLES b, DOUBLES c) { return _mm512_fmadd_pd(a, b, c); }
#elif NB_VECTOR == 32
NB_INLINE FLOATS fma(FLOATS a, FLOATS b, FLOATS c) { return _mm256_fmadd_ps(a, b, c); }
NB_INLINE DOUBLES fma(DOUBLES a, DOUBLES b, DOUBLES c) { return _mm256_fmadd_pd(a, b, c); }
#elif defined(__aarch64__)
NB_INLINE FLOATS fma(FLOATS a, FLOATS b, FLOATS c) { return vfmaq_f32(c, a, b); }
NB_INLINE DOUBLES fma(DOUBLES a, DOUBLES b, DOUBLES c) { return vfmaq_f64(c, a, b); }
#else
NB_INLINE FLOATS fma(FLOATS a, FLOATS b, FLOATS c) { return a * b + c; }
NB_INLINE DOUBLES fma(DOUBLES a, DOUBLES b, DOUBLES c) { return a * b + c; }
#endif

NB_INLINE FLOATS fma_exact(FLOATS a, FLOATS b, FLOATS c) {
#if NB_VECTOR > 16 || defined(__aarch64__)
  return fma(a, b, c);
#else
  FLOATS result{};
  NB_EACH
  for (int i = 0; i < LANES; ++i) result[i] = static_cast<float>(double{a[i]} * b[i] + c[i]);
  return result;
#endif
}

NB_INLINE DOUBLES fma_exact(DOUBLES a, DOUBLES b, DOUBLES c) {
#if NB_VECTOR > 16 || defined(__aarch64__)
  return fma(a, b, c);
#else
  for (int i = 0; i < HALF_LANES; ++i) c[i] = fma(a[i], b[i], c[i]);
  return c;
#endif
}

// The words of two vectors of float64: lanes of both in turn within each 128 bits, which takes one
// instruction.
#if NB_VECTOR == 64
#define NB_EVEN 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define NB_ODD 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
#elif NB_VECTOR == 32
#define NB_EVEN 0, 2, 8, 10, 4, 6, 12, 14
#define NB_ODD 1, 3, 9, 11, 5, 7, 13, 15
#else
#define NB_EVEN 0, 2, 4, 6
#define NB_ODD 1, 3, 5, 7
#endif
#if defined(__clang__)
#define NB_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define NB_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, SIGNED_WORDS{__VA_ARGS__})
#endif

NB_INLINE WORDS lower_words(DOUBLES first, DOUBLES second) {
  return (WORDS)NB_SHUFFLE((FLOATS)first, (FLOATS)second, NB_EVEN);
}

NB_INLINE WORDS upper_words(DOUBLES first, DOUBLES second) {
  return (WORDS)NB_SHUFFLE((FLOATS)first, (FLOATS)second, NB_ODD);
}

// The pixel of a lane of such words.
NB_INLINE int pixel_of(int lane) {
  return lane / 4 * 2 + lane % 2 + (lane & 2 ? HALF_LANES : 0);
}

NB_INLINE DOUBLES load(const double* from) {
  DOUBLES x;
  memcpy(&x, from, sizeof x);
  return x;
}

NB_INLINE FLOATS load(const float* from) {
  FLOATS x;
  memcpy(&x, from, sizeof x);
  return x;
}

NB_INLINE FLOATS floats_of(WORDS words) {
  return __builtin_convertvector((SIGNED_WORDS)words, FLOATS);
}

// The same of words without a sign, to 2^7.
NB_INLINE FLOATS floats_of_unsigned(WORDS words) {
#if NB_VECTOR == 64
  return __builtin_convertvector(words, FLOATS);
#else
  return floats_of(words ^ 0x80000000u) + 2147483648.0f;
#endif
}

// Adds a vector of float32 to float64 sums of the same lanes.
NB_INLINE void add_wide(DOUBLES (&total)[2], FLOATS x) {
  HALF_FLOATS part[2];
  memcpy(part, &x, sizeof x);
  NB_EACH
  for (int i = 0; i < 2; ++i) total[i] += __builtin_convertvector(part[i], DOUBLES);
}

NB_INLINE SIGNED_WORDS clamped(SIGNED_WORDS x, int low, int high) {
  const SIGNED_WORDS least = SIGNED_WORDS{} + low, most = SIGNED_WORDS{} + high;
  const SIGNED_WORDS above = x > least ? x : least;
  return above < most ? above : most;
}

NB_INLINE FLOATS gathered(const float* table, WORDS place) {
#if NB_VECTOR == 64
  return _mm512_i32gather_ps((__m512i)place, table, 4);
#else
  FLOATS result;
  NB_EACH
  for (int i = 0; i < LANES; ++i) result[i] = table[place[i]];
  return result;
#endif
}

// x less its nearest whole number.
NB_INLINE DOUBLES from_nearest(DOUBLES x) {
#if NB_VECTOR == 64
  return _mm512_reduce_pd(x, 8);
#else
  constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  return x - ((x + round) - round);
#endif
}

// x less the whole number below and a half; x from 1/2 to 2^22.
NB_INLINE FLOATS from_half(FLOATS x) {
  const FLOATS below = x - 0.5f;
  return below - ((below + ROUND32) - ROUND32);
}

// Whichever of two numbers is nearer to 0, without its sign; b has none.
NB_INLINE FLOATS nearer(FLOATS a, FLOATS b) {
  const WORDS size = bits_of(a) & 0x7fffffffu, other = bits_of(b);
  return float_of(size < other ? size : other);
}

// 1 / sqrt(x) to 2^-14 or better, for normal x.
NB_INLINE FLOATS inverse_root(FLOATS x) {
#if NB_VECTOR == 64
  return _mm512_rsqrt14_ps(x);
#else
  // A first guess from half the exponent, and two steps of Newton's.
  FLOATS guess = float_of(0x5f375a86u - (bits_of(x) >> 1));
  const FLOATS half = x * -0.5f;
  NB_EACH
  for (int i = 0; i < 2; ++i) guess *= fma(half * guess, guess, floats(1.5f));
  return guess;
#endif
}

NB_INLINE bool any_below(FLOATS a, float limit) {
#if NB_VECTOR == 64
  return _mm512_cmp_ps_mask(a, floats(limit), _CMP_LT_OQ) != 0;
#else
  bool found = false;
  NB_EACH
  for (int i = 0; i < LANES; ++i) found |= a[i] < limit;
  return found;
#endif
}

#if NB_VECTOR == 64
// 16 of 32 numbers in memory.
NB_INLINE FLOATS chosen(const float* table, WORDS place) {
  return _mm512_permutex2var_ps(load(table), (__m512i)place, load(table + LANES));
}
#endif
