// The card's squared lattice factors in float32, of the distances to the nearest whole indices in
// units of 2^-32.  Their whole numbers come from float64 (mixed) or from pairs of float32 (pairs).
#pragma once
#include "formulas32.h"
#include "lattice.h"

#ifdef __CUDACC__
// 1 / x for normal x and 1 / x; relative error 2e-7.
NB_INLINE float reciprocal32(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
#endif

// What is left of three indices, as 32-bit fractions.
struct Fractions {
  int away[3];
};

// A number as the sum of two float32.
struct Pair {
  float upper, lower;
};

// |index| must stay below 2^18.  A half, which 32 bits cannot hold, becomes minus a half.
NB_INLINE void split_bits(double index, int& away, int& whole) {
  // The last bit of a number near 1.5 * 2^20 is worth 2^-32.
  away = __double2loint(index + 1572864.0);
  whole = __double2int_ru(index - 0.5);
}

// Rounds to a whole number without the slow conversion unit, |x| below 2^22.
NB_INLINE float whole_number(float x) { return (x + ROUND32) - ROUND32; }

// The product of a cell vector and a scattering vector in pairs.  Whole numbers are taken off each
// product, exactly; what is left is added as a pair.
NB_INLINE void split_pairs(const Pair* axis, const Pair* q, int& away,
                                            int& whole) {
  float upper = 0.0f, lower = 0.0f, taken = 0.0f;
  NB_UNROLL
  for (int i = 0; i < 3; ++i) {
    // Rounded whatever the compiler makes of multiplications that are followed by additions.
    const float product = __fmul_rn(axis[i].upper, q[i].upper);
    lower = fmaf(axis[i].lower, q[i].upper, lower);
    lower = fmaf(axis[i].upper, q[i].lower, lower);
    lower += fmaf(axis[i].upper, q[i].upper, -product);
    const float nearest = whole_number(product);
    const float fraction = product - nearest;
    taken += nearest;
    if (i == 0) {
      upper = fraction;
      continue;
    }
    // The sum and, exactly, what it loses.
    const float sum = upper + fraction;
    const float part = sum - upper;
    lower += (upper - (sum - part)) + (fraction - part);
    upper = sum;
  }
  const float nearest = whole_number(upper);
  taken += nearest;
  upper -= nearest;
  // As integers they wrap around at whole numbers.
  away = static_cast<int>(static_cast<unsigned>(__float2int_rn(upper * 4294967296.0f)) +
                          static_cast<unsigned>(__float2int_rn(lower * 4294967296.0f)));
  // Near a half they may have wrapped around, and the difference is a whole number, all but.
  whole = __float2int_rn(taken + fmaf(static_cast<float>(away), -UNIT32, upper + lower));
  if (away == static_cast<int>(0x80000000u)) --whole;
}

NB_INLINE float narrow_grating(const Params& p, const Fractions& at) {
  constexpr float tiny = 3e-12f;
  float above = static_cast<float>(p.per_cell), below = 1.0f;
  NB_UNROLL
  for (int i = 0; i < 3; ++i) {
    const unsigned cells = static_cast<unsigned>(p.whole_cells[i]);
    const float x = static_cast<float>(at.away[i]) * UNIT32;
    // The product wraps around at whole numbers: what is left is N x less the nearest one.
    const int many = static_cast<int>(static_cast<unsigned>(at.away[i]) * cells);
    const float y = static_cast<float>(many) * UNIT32;
    below *= fmaf(x, sine_ratio32(x * x), tiny);
    above *= fmaf(y, sine_ratio32(y * y), static_cast<float>(p.cells[i]) * tiny);
  }
  const float factor = above * reciprocal32(below);
  return factor * factor;
}

NB_INLINE float narrow_gauss(const Params& p, const Fractions& at) {
  float d[3], r[6];
  NB_UNROLL
  for (int i = 0; i < 3; ++i) d[i] = static_cast<float>(at.away[i]) * UNIT32;
  NB_UNROLL
  for (int i = 0; i < 6; ++i) r[i] = static_cast<float>(p.triangle[i]);
  const float x = r[0] * d[0] + r[1] * d[1] + r[2] * d[2];
  const float y = r[3] * d[1] + r[4] * d[2];
  const float z = r[5] * d[2];
  return power_of_two32(static_cast<float>(-p.sign) * (x * x + y * y + z * z));
}

template <class V>
NB_INLINE float narrow_factor(const V& v, const Params& p, const Fractions& at) {
  return v.lattice == CARD_GRATING ? narrow_grating(p, at) : narrow_gauss(p, at);
}
