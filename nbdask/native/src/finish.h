// From sums to photons: the factors that a pixel takes once, background and scale.
#pragma once
#include "rays.h"

// The factor of a pixel's terms, and that of its background.
struct Once {
  double terms, start;
};

// polar: the pixel's polarization factor, that of the first source that passes dmin, at the first
// sub-pixel where one does; one that is exactly 0 gives way to the next.  0 where none does.
NB_INLINE Once once_factors(const Params& p, double slow, double fast, double polar) {
  const Ray front = find_ray(p, slow, fast, 0, 0, 0);
  const double omega = solid_angle(p, front);
  double terms = p.each_omega ? 1.0 : omega, start = omega;
  if (p.polarized) {
    start *= polar;
    terms *= p.each_polar ? 1.0 : polar;
  }
  if (p.depth >= 0.0) {
    const int last = p.layers - 1;
    const Ray back = last == 0 ? front : find_ray(p, slow, fast, last, 0, 0);
    const double share = ray_captured(p, last, back.d);
    start *= share;
    terms *= p.each_thick ? 1.0 : share;
  }
  return {terms, start};
}

// gain: what C's running product left of the background; 1 else.
NB_INLINE float photons(const Params& p, Once once, double total, double gain) {
  const double whole = p.factors == PRODUCTS ? fma(gain, p.background, total) * once.terms
                                             : fma(p.background, once.start, total * once.terms);
  return static_cast<float>(p.scale * whole);
}
