// Diffuse scattering around reflections: liquid-like motion.
#pragma once
#include "amplitude.h"

// Most rotations of a Laue group, and numbers of each in the table behind the amplitudes: the form
// that widens a halo, and the one that gives the strength of the motion.
constexpr int MOST_LAUE = 24, LAUE_ROW = 12;

// A quadratic form: xx, yy, zz, 2 xy, 2 xz, 2 yz.
// S-DIF-02
NB_INLINE double quadratic(const double* form, double x, double y, double z) {
  const double squares = fma(form[0] * x, x, fma(form[1] * y, y, form[2] * z * z));
  return fma(form[3] * x, y, fma(form[4] * x, z, fma(form[5] * y, z, squares)));
}

// W exp(-W) of whole indices.
// S-DIF-03
NB_INLINE double motion(const double* row, double h, double k, double l) {
  const double w = quadratic(row + 6, h, k, l);
  return w * exponential(-w);
}

// What is left of a halo at a distance in indices.
// S-DIF-02
NB_INLINE double halo(const double* row, double h, double k, double l) {
  const double wide = 1.0 + quadratic(row, h, k, l);
  return 1.0 / (wide * wide);
}

// The squared amplitude of whole indices, whatever is interpolated.
// S-DIF-01, S-INT-12
NB_INLINE double whole_squared(const Params& p, int amplitude, const double* table, double h,
                               double k, double l) {
  if (amplitude == CONSTANT) return p.default_squared;
  if (amplitude == NEAREST) {
    const Indices at = {{h, h, 0.0}, {k, k, 0.0}, {l, l, 0.0}};
    return table[place_of(p, at)];
  }
  const double at[3] = {h - p.minimum[0], k - p.minimum[1], l - p.minimum[2]};
  for (int axis = 0; axis < 3; ++axis)
    if (at[axis] < 0.0 || at[axis] > p.last[axis]) return p.default_squared;
  const double place = fma(at[0], p.stride_h, fma(at[1], p.stride_k, at[2]));
  const double value = table[static_cast<int>(place)];
  return value * value;
}

// The sum over the stencil and the Laue group at one place; own: the amplitudes of the source.
// S-DIF-01
NB_INLINE double diffuse_sum(const Params& p, int amplitude, const double* laue, const double* own,
                             const Indices& at) {
  const double h = ceil(at.h.h - 0.5), k = ceil(at.k.h - 0.5), l = ceil(at.l.h - 0.5);
  double moved[MOST_LAUE], total = 0.0;
  for (int number = 0; number < p.laue; ++number)
    moved[number] = motion(laue + number * LAUE_ROW, h, k, l);
  for (int dh = -p.stencil; dh <= p.stencil; ++dh)
    for (int dk = -p.stencil; dk <= p.stencil; ++dk)
      for (int dl = -p.stencil; dl <= p.stencil; ++dl) {
        const double strength = whole_squared(p, amplitude, own, h + dh, k + dk, l + dl);
        for (int number = 0; number < p.laue; ++number) {
          const double* row = laue + number * LAUE_ROW;
          const double left = halo(row, at.h.h - h - dh, at.k.h - k - dk, at.l.h - l - dl);
          total = fma(strength * moved[number], left, total);
        }
      }
  return total;
}
