// What derivatives need of one pixel between formulas, for the loops of processors and cards: rays and
// how they move, sums of a source, the factors of a pixel, photons.
#pragma once
#include "slopes.h"

// x / y, rounded once, from 1 / y.
// S-GRAD-10
NB_INLINE double ratio_of(double x, double y, double inverse) {
  const double ratio = x * inverse;
  return fma(fma(-ratio, y, x), inverse, ratio);
}

// A ray as the NumPy gradient rounds it: near the beam, and at the top of a peak, a derivative is what
// rounding leaves of q.
// S-GEO-18, S-GEO-19, S-GRAD-10
NB_INLINE Ray slope_ray(const Params& p, double slow, double fast, double depth, double first_slow,
                        double first_fast) {
  const double across = p.oversample;
  const double f = p.sub_fast * (fast * across + first_fast) + p.sub_fast / 2.0;
  const double s = p.sub_slow * (slow * across + first_slow) + p.sub_slow / 2.0;
  const double x = f * p.fast[0] + s * p.slow[0] + depth * p.normal[0] + p.origin[0];
  const double y = f * p.fast[1] + s * p.slow[1] + depth * p.normal[1] + p.origin[1];
  const double z = f * p.fast[2] + s * p.slow[2] + depth * p.normal[2] + p.origin[2];
  const double path = sqrt(x * x + y * y + z * z), inverse = 1.0 / path;
  return {{ratio_of(x, path, inverse), ratio_of(y, path, inverse), ratio_of(z, path, inverse)},
          inverse};
}

// How the place of a sub-pixel changes with a parameter.
struct Mover {
  double wide, high, across, first_slow, first_fast, layer;
};

// S-GRAD-10
NB_INLINE Mover mover_of(const Params& p, int layer, int sub) {
  return {p.sub_fast, p.sub_slow, 1.0 * p.oversample, 1.0 * (sub / p.oversample),
          1.0 * (sub % p.oversample), 1.0 * layer};
}

// Distances of a sub-pixel along the detector's axes [m].
// S-GRAD-10
NB_INLINE double fast_of(const Mover& mover, double fast) {
  return fma(mover.wide, fma(fast, mover.across, mover.first_fast), 0.5 * mover.wide);
}

// S-GRAD-10
NB_INLINE double slow_of(const Mover& mover, double slow) {
  return fma(mover.high, fma(slow, mover.across, mover.first_slow), 0.5 * mover.high);
}

// S-GRAD-10
NB_INLINE Vector move_of(const Mover& mover, const Slope& slope, double slow, double fast) {
  return place_slope(slope, fast_of(mover, fast), slow_of(mover, slow), mover.layer);
}

// What a sum V of one source does: V . dq = y . dX, and V . q.
struct Moved {
  Vector y;
  double along;
};

// S-GRAD-10
NB_INLINE Moved moved_by(const Ray& ray, const Vector& q, const Vector& v, double per_wavelength) {
  const double along = fma(ray.d.z, v.z, fma(ray.d.y, v.y, ray.d.x * v.x));
  const double per = ray.inverse * per_wavelength;
  return {{fma(-along, ray.d.x, v.x) * per, fma(-along, ray.d.y, v.y) * per,
           fma(-along, ray.d.z, v.z) * per},
          fma(q.z, v.z, fma(q.y, v.y, q.x * v.x))};
}

// omega . (V x q), V = A^T G.
// S-GRAD-10
NB_INLINE double spin_slope(const double* a, const Vector& omega, const Vector& by,
                            const Vector& q) {
  const double vx = fma(a[0], by.x, fma(a[3], by.y, a[6] * by.z));
  const double vy = fma(a[1], by.x, fma(a[4], by.y, a[7] * by.z));
  const double vz = fma(a[2], by.x, fma(a[5], by.y, a[8] * by.z));
  return fma(omega.x, fma(vy, q.z, -vz * q.y),
             fma(omega.y, fma(vz, q.x, -vx * q.z), omega.z * fma(vx, q.y, -vy * q.x)));
}

// Derivatives of a pixel's factors, times what they count: by the place of the first sub-pixel, the
// normal, distance, depth and Kahn's factor.
struct Bend {
  double by[9];
};

// S-GRAD-11
NB_INLINE double bent_by(const Bend& bent, const Slope& slope, const Vector& move) {
  double change = fma(bent.by[0], move.x, fma(bent.by[1], move.y, bent.by[2] * move.z));
  change = fma(bent.by[3], slope.normal[0], change);
  change = fma(bent.by[4], slope.normal[1], change);
  change = fma(bent.by[5], slope.normal[2], change);
  change = fma(bent.by[6], slope.close_distance, change);
  change = fma(bent.by[7], slope.depth, change);
  return fma(bent.by[8], slope.kahn, change);
}

// S-GRAD-11
NB_INLINE Bend bend_of(const FactorSlope& found, double times) {
  return {{times * found.place.x, times * found.place.y, times * found.place.z,
           times * found.normal.x, times * found.normal.y, times * found.normal.z,
           times * found.close_distance, times * found.depth, times * found.kahn}};
}

// Photons over the scale; factors of background and terms, the latter times the scale; what changes of
// solid angle, polarization and captured share count.
struct Weighed {
  double whole, start, lift, by_omega, by_polar, by_share;
};

// S-GRAD-11, S-GRAD-12
NB_INLINE Weighed weigh_factors(const Params& p, double omega, double polar, double share,
                                double total) {
  const double omega_once = !p.each_omega, polar_once = p.polarized && !p.each_polar;
  const double share_once = p.depth >= 0.0 && !p.each_thick;
  const double o1 = fma(omega_once, omega, 1.0 - omega_once);
  const double l1 = fma(polar_once, polar, 1.0 - polar_once);
  const double c1 = fma(share_once, share, 1.0 - share_once);
  const double start = omega * polar * share, terms = o1 * l1 * c1;
  return {fma(p.background, start, total * terms),
          start,
          p.scale * terms,
          p.scale * fma(p.background, polar * share, total * (omega_once * l1 * c1)),
          p.scale * fma(p.background, omega * share, total * (polar_once * o1 * c1)),
          p.scale * fma(p.background, omega * polar, total * (share_once * o1 * l1))};
}

// Whether a parameter changes neither background nor scale.
// S-GRAD-12
NB_INLINE bool is_plain(const Slope& slope) {
  return slope.background == 0.0 && slope.scale == 0.0;
}

// The derivative of photons: sum before factors, bent what the factors change.
// S-GRAD-12
NB_INLINE double photon_slope(const Params& p, const Slope& slope, double start, double lift,
                              double whole, double sum, double bent) {
  const double rest = fma(p.scale * slope.background, start, bent);
  return fma(lift, sum, fma(slope.scale, whole, rest));
}
