// From sums to photons: the factors that a pixel takes once, background and scale.
#pragma once
#include "sum.h"

// A pixel's polarization factor: that of the first source that passes dmin, at the first sub-pixel
// where one does; one that is exactly 0 gives way to the next.  0 where none does.
__device__ __forceinline__ double first_polarization(const Params& p,
                                                     const double* __restrict__ sources, int slow,
                                                     int fast) {
  const int subs = p.oversample * p.oversample;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    const int sub = outer % subs;
    const Ray ray = find_ray(p, slow, fast, outer / subs, sub / p.oversample, sub % p.oversample);
    for (int number = 0; number < p.sources; ++number) {
      const Source source = read_source(sources, number);
      double q[3];
      scatter(source, ray, q);
      if (!within_dmin(p, q)) continue;
      const double factor = ray_polarization(p, source, ray);
      if (factor != 0.0) return factor;
    }
  }
  return 0.0;
}

__device__ __forceinline__ float photons(const Params& p, const double* __restrict__ sources,
                                         const Pixel& pixel, double total, double gain) {
  const Ray front = find_ray(p, pixel.slow, pixel.fast, 0, 0, 0);
  // The factor of the terms, and that of the background.
  double terms = 1.0, start = 1.0;
  const double omega = solid_angle(p, front);
  start *= omega;
  if (!p.each_omega) terms *= omega;
  if (p.polarized) {
    const double polar = first_polarization(p, sources, pixel.slow, pixel.fast);
    start *= polar;
    if (!p.each_polar) terms *= polar;
  }
  if (p.depth >= 0.0) {
    const int last = p.layers - 1;
    const Ray back = find_ray(p, pixel.slow, pixel.fast, last, 0, 0);
    const double share = ray_captured(p, last, back);
    start *= share;
    if (!p.each_thick) terms *= share;
  }
  const double whole = FACTORS == PRODUCTS ? fma(gain, p.background, total) * terms
                                           : fma(p.background, start, total * terms);
  return static_cast<float>(p.scale * whole);
}
