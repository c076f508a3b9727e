// From sums to photons: the factors that a pixel takes once, background and scale.
#pragma once
#include "rays.h"

// The factor of a pixel's terms, and that of its background.
struct Once {
  double terms, start;
};

// omega: solid angle of the front's first sub-pixel.
// polar: the pixel's polarization factor, that of the first source that passes dmin, at the first
// sub-pixel where one does; one that is exactly 0 gives way to the next.  0 where none does.
// share: captured by the last layer at its first sub-pixel.
// S-INT-20, S-INT-21, S-INT-22
NB_INLINE Once once_factors(const Params& p, double omega, double polar, double share) {
  Once once = {p.each_omega ? 1.0 : omega, omega};
  if (p.polarized) {
    once.start *= polar;
    once.terms *= p.each_polar ? 1.0 : polar;
  }
  if (p.depth >= 0.0) {
    once.start *= share;
    once.terms *= p.each_thick ? 1.0 : share;
  }
  return once;
}

// gain: what C's running product left of the background; 1 else.
// S-SCALE-01, S-SEM-02
NB_INLINE float photons(const Params& p, Once once, double total, double gain) {
  const double whole = p.factors == PRODUCTS ? fma(gain, p.background, total) * once.terms
                                             : fma(p.background, once.start, total * once.terms);
  return static_cast<float>(p.scale * whole);
}
