// Squared lattice factors in float64, and the whole indices next to the fractional ones.
#pragma once
#include "choice.h"
#include "formulas.h"

// Fractional and nearest whole Miller indices, and what is between them.
struct Indices {
  double h[3];
  double away[3];
  int whole[3];
};

// A squared lattice factor over the height, and whether the factor itself is exactly 0.
struct Lattice {
  double squared;
  bool zero;
};

// Halves go down.  The way of the difference at a half is open: for even functions of it.
__device__ __forceinline__ void peel_even(double index, double& away, int& whole) {
  const double nearest = rint(index);
  away = index - nearest;
  // -1/2, of which all other bits are 0: the lower neighbour is as near.
  const bool half = __double2hiint(away) == static_cast<int>(0xbfe00000u);
  whole = __double2int_rn(nearest);
  if (half) --whole;
}

__device__ __forceinline__ void peel(double index, double& away, int& whole) {
  const double nearest = ceil(index - 0.5);
  away = index - nearest;
  whole = __double2int_rn(nearest);
}

// Few cells: sin(N pi x) / sin(pi x) is a polynomial in sin^2(pi x), for even N times cos(pi x).
__device__ __forceinline__ double lattice_few(const Params& p, const Indices& at) {
  double factor = 1.0, cosines = 1.0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double u = at.away[i] * at.away[i];
    const double ratio = sine_ratio(u);
    const double s = u * (ratio * ratio);
    double value = p.few[i][2];
    if (DEGREE == 4) {
      value = fma(s, p.few[i][4], p.few[i][3]);
      value = fma(s, value, p.few[i][2]);
    }
    value = fma(s, value, p.few[i][1]);
    factor *= fma(s, value, p.few[i][0]);
    if (LATTICE == FEW) cosines *= fma(-p.even[i], s, 1.0);
  }
  factor *= factor;
  return LATTICE == FEW ? factor * cosines : factor;
}

// Any number of cells: both sines, each of its own exact distance, and one division for all axes.
__device__ __forceinline__ Lattice lattice_grating(const Params& p, const Indices& at) {
  // Added to a sine over pi; 0 / 0 becomes N * tiny / tiny, and no number above 1e-84 changes.
  constexpr double tiny = 1e-100;
  double above = 1.0, below = 1.0;
  bool zero = false;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double x = at.away[i], cells = p.cells[i];
    const double many = cells * x;
    // The product is rounded, what is left of it is not.
    const double y = fma(cells, x, -rint(many));
    below *= fma(x, sine_ratio(x * x), tiny);
    above *= fma(y, sine_ratio(y * y), cells * tiny);
    if (FACTORS == PRODUCTS) zero = zero || (y == 0.0 && x != 0.0);
  }
  const double factor = above * reciprocal(below);
  return {zero ? 0.0 : factor * factor, zero};
}

// (sin X - X cos X) / x^3 with X = pi x: with x = y + r, r whole, sin X - X cos X is, up to its
// sign, (sin Y - Y cos Y) - pi r cos Y.  Within the first half turn nothing cancels.
__device__ __forceinline__ Lattice lattice_sphere(const Params& p, const Indices& at) {
  double radius2 = 0.0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double d = at.away[i] * p.cells[i];
    radius2 = fma(d, d, radius2);
  }
  // 0 / 0 becomes x^3 / x^3.
  radius2 = fma(p.fudge, radius2, 1e-60);
  const double inverse = reciprocal_root(radius2);
  const double x = radius2 * inverse;
  const double r = rint(x);
  const double y = x - r;
  const double u = y * y;
  const double above = fma(y * u, sphere_part(u), -PI * r * cosine(u));
  const double factor = above * (inverse * inverse) * inverse;
  return {factor * factor, factor == 0.0};
}

// The quadratic form of gauss and tophat spots, as the squared length of R (dh, dk, dl).
__device__ __forceinline__ double squared_length(const Params& p, const Indices& at) {
  const double* r = p.triangle;
  const double x = r[0] * at.away[0] + r[1] * at.away[1] + r[2] * at.away[2];
  const double y = r[3] * at.away[1] + r[4] * at.away[2];
  const double z = r[5] * at.away[2];
  return p.sign * (x * x + y * y + z * z);
}

__device__ __forceinline__ Lattice lattice_factor(const Params& p, Indices& at) {
  const bool even = LATTICE == FEW_ODD || LATTICE == FEW || LATTICE == GRATING;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    if (even)
      peel_even(at.h[i], at.away[i], at.whole[i]);
    else
      peel(at.h[i], at.away[i], at.whole[i]);
  }
  if (LATTICE == FEW_ODD || LATTICE == FEW) return {lattice_few(p, at), false};
  if (LATTICE == GRATING) return lattice_grating(p, at);
  if (LATTICE == SPHERE) return lattice_sphere(p, at);
  const double length = squared_length(p, at);
  // exp(-x) is exactly 0 from x = 1075 ln 2, and its square is 2^-length.
  if (LATTICE == GAUSS) return {power_of_two(-length), length > 2150.0};
  const bool inside = length < 1.0;
  return {inside ? 1.0 : 0.0, !inside};
}
