// Vectors as wide as the processor's own, and how they go from and to memory.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "derive_export.h"

#if defined(__AVX512F__)
constexpr int kLanes = 8;
#elif defined(__AVX2__)
constexpr int kLanes = 4;
#else
constexpr int kLanes = 2;
#endif
typedef double Doubles __attribute__((vector_size(8 * kLanes)));
typedef uint64_t Words __attribute__((vector_size(8 * kLanes)));

// Numbers from any place in memory, whether or not it is a multiple of their size.
template <class T>
NB_INLINE T load(const void *from) {
  T numbers;
  memcpy(&numbers, from, sizeof numbers);
  return numbers;
}

template <class T>
NB_INLINE void store(void *to, T numbers) {
  memcpy(to, &numbers, sizeof numbers);
}

// Products of the lower 32 bits of words and a number of 32 bits.
NB_INLINE Words product_of_halves(Words a, uint64_t b) {
  const Words factor = Words{} + b;
  // One instruction that compilers do not find.
#if defined(__AVX512F__)
  return (Words)_mm512_mul_epu32((__m512i)a, (__m512i)factor);
#elif defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#elif defined(__x86_64__)
  return (Words)_mm_mul_epu32((__m128i)a, (__m128i)factor);
#else
  return (a & 0xffffffffu) * factor;
#endif
}
