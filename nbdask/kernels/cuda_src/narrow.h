// Squared lattice factors in float32, of the distances to the nearest whole indices in units of
// 2^-32.  Their whole numbers come from float64 (mixed) or from pairs of float32 (pairs).
#pragma once
#include "lattice.h"

constexpr float UNIT = 2.3283064365386963e-10f;  // 2^-32

// What is left of three indices, as 32-bit fractions.
struct Fractions {
  int away[3];
  int whole[3];
};

// A number as the sum of two float32.
struct Pair {
  float upper, lower;
};

// |index| must stay below 2^18.  A half, which 32 bits cannot hold, becomes minus a half.
__device__ __forceinline__ void split(double index, int& away, int& whole) {
  // The last bit of a number near 1.5 * 2^20 is worth 2^-32.
  away = __double2loint(index + 1572864.0);
  whole = __double2int_ru(index - 0.5);
}

// The product of a cell vector and a scattering vector in pairs.  Whole numbers are taken off each
// product, exactly; what is left is added as integers, which wrap around at whole numbers.
__device__ __forceinline__ void split_pairs(const Pair* axis, const Pair* q, int& away,
                                            int& whole) {
  float rest = 0.0f, about = 0.0f;
  int left = 0, sum = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const float product = axis[i].upper * q[i].upper;
    rest += fmaf(axis[i].lower, q[i].upper,
                 fmaf(axis[i].upper, q[i].lower, fmaf(axis[i].upper, q[i].upper, -product)));
    const float nearest = rintf(product);
    const float fraction = product - nearest;
    about += fraction;
    sum += static_cast<int>(nearest);
    left = static_cast<int>(static_cast<unsigned>(left) +
                            static_cast<unsigned>(__float2int_rn(fraction * 4294967296.0f)));
  }
  left = static_cast<int>(static_cast<unsigned>(left) +
                          static_cast<unsigned>(__float2int_rn(rest * 4294967296.0f)));
  away = left;
  // The fractions add up to a whole number and what the integers hold.
  sum += __float2int_rn(fmaf(static_cast<float>(left), -UNIT, about + rest));
  whole = left == static_cast<int>(0x80000000u) ? sum - 1 : sum;
}

__device__ __forceinline__ float narrow_grating(const Params& p, const Fractions& at) {
  constexpr float tiny = 3e-12f;
  float above = static_cast<float>(p.per_cell), below = 1.0f;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const unsigned cells = static_cast<unsigned>(p.whole_cells[i]);
    const float x = static_cast<float>(at.away[i]) * UNIT;
    // The product wraps around at whole numbers: what is left is N x less the nearest one.
    const int many = static_cast<int>(static_cast<unsigned>(at.away[i]) * cells);
    const float y = static_cast<float>(many) * UNIT;
    below *= fmaf(x, sine_ratio32(x * x), tiny);
    above *= fmaf(y, sine_ratio32(y * y), static_cast<float>(p.cells[i]) * tiny);
  }
  const float factor = __fdividef(above, below);
  return factor * factor;
}

__device__ __forceinline__ float narrow_gauss(const Params& p, const Fractions& at) {
  float d[3], r[6];
#pragma unroll
  for (int i = 0; i < 3; ++i) d[i] = static_cast<float>(at.away[i]) * UNIT;
#pragma unroll
  for (int i = 0; i < 6; ++i) r[i] = static_cast<float>(p.triangle[i]);
  const float x = r[0] * d[0] + r[1] * d[1] + r[2] * d[2];
  const float y = r[3] * d[1] + r[4] * d[2];
  const float z = r[5] * d[2];
  return power_of_two32(static_cast<float>(-p.sign) * (x * x + y * y + z * z));
}

__device__ __forceinline__ float narrow_factor(const Params& p, const Fractions& at) {
  return LATTICE == NARROW_GRATING ? narrow_grating(p, at) : narrow_gauss(p, at);
}
