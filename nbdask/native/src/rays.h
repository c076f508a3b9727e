// Rays to sub-pixels, scattering vectors, and the factors that depend on them.
#pragma once
#include "formulas.h"
#include "params.h"

// Unit vector from the sample to a sub-pixel, and 1 / its distance [1/m].
struct Ray {
  Vector d;
  double inverse;
};

// Right-handed rotation about a unit vector.
// S-NUM-10
NB_INLINE Vector rotate(const double* axis, double angle, const Vector& v) {
  double s, c;
  sine_cosine(angle, s, c);
  const double along = dot(axis, v) * (1.0 - c);
  return {fma(fma(axis[1], v.z, -axis[2] * v.y), s, fma(v.x, c, axis[0] * along)),
          fma(fma(axis[2], v.x, -axis[0] * v.z), s, fma(v.y, c, axis[1] * along)),
          fma(fma(axis[0], v.y, -axis[1] * v.x), s, fma(v.z, c, axis[2] * along))};
}

// slow, fast: the pixel's indices; CURVED: p.curved, known when compiling.
// S-GEO-18, S-GEO-19, S-GEO-20
template <bool CURVED>
NB_INLINE Ray find_ray(const Params& p, double slow, double fast, int layer, int sub_slow,
                       int sub_fast) {
  const double across = p.oversample;
  const double f = fma(p.sub_fast, fma(fast, across, sub_fast), 0.5 * p.sub_fast);
  const double s = fma(p.sub_slow, fma(slow, across, sub_slow), 0.5 * p.sub_slow);
  const double depth = layer * p.layer_step;
  Vector at = {fma(f, p.fast[0], fma(s, p.slow[0], fma(depth, p.normal[0], p.origin[0]))),
               fma(f, p.fast[1], fma(s, p.slow[1], fma(depth, p.normal[1], p.origin[1]))),
               fma(f, p.fast[2], fma(s, p.slow[2], fma(depth, p.normal[2], p.origin[2])))};
  if (CURVED) {
    // Onto the sphere around the sample, with y and z read as angles.
    const double up = at.y / p.distance, aside = at.z / p.distance;
    at = {p.distance * p.beam[0], p.distance * p.beam[1], p.distance * p.beam[2]};
    at = rotate(p.fast, aside, rotate(p.slow, up, at));
  }
  const double inverse = 1.0 / sqrt(square_length(at));
  return {{at.x * inverse, at.y * inverse, at.z * inverse}, inverse};
}

// A row of the table of sources.
// S-XTAL-23
NB_INLINE double weight_of(const double* axes, long long orientation) {
  return axes[orientation * AXES_ROW + 9];
}

struct Source {
  Vector incident;
  double per_wavelength, weight, electric[3], magnetic[3];
  long long amplitudes;
};

// S-SRC-10, S-SRC-11, S-SRC-16
NB_INLINE Source read_source(const double* sources, int number) {
  const double* row = sources + static_cast<long long>(number) * SOURCE_ROW;
  return {{row[0], row[1], row[2]}, row[3], row[4], {row[5], row[6], row[7]},
          {row[8], row[9], row[10]}, static_cast<long long>(row[11])};
}

// The scattering vector [1/m] of a direction.
// S-INT-02
NB_INLINE Vector scatter(const Source& s, const Vector& d) {
  return {(d.x - s.incident.x) * s.per_wavelength, (d.y - s.incident.y) * s.per_wavelength,
          (d.z - s.incident.z) * s.per_wavelength};
}

// Whether a term counts: no limit, or 1 / |q| of at least dmin.  At q = 0 that is infinite.
// S-INT-03
NB_INLINE bool within_dmin(double dmin, const Vector& q) {
  const double half = 0.5 * sqrt(square_length(q));
  return dmin <= 0.0 || dmin <= 0.5 / half;
}

// S-INT-18
NB_INLINE double ray_polarization(const Params& p, const Source& s, const Vector& d) {
  const double c = fma(s.incident.z, d.z, fma(s.incident.y, d.y, s.incident.x * d.x));
  return polarization(c, dot(s.electric, d), dot(s.magnetic, d), p.kahn);
}

// Of the whole pixel [sr].
// S-GEO-21
NB_INLINE double solid_angle(const Params& p, const Ray& ray) {
  const double squared = ray.inverse * ray.inverse;
  if (p.point_pixel) return squared;
  return p.area * p.close_distance * (squared * ray.inverse);
}

// 1 where no sensor is modelled.
// S-INT-19
NB_INLINE double ray_captured(const Params& p, int layer, const Vector& d) {
  return p.depth >= 0.0 ? captured(layer, p.depth, dot(p.normal, d)) : 1.0;
}

// The product of the factors that go with each term of one source.
// S-INT-24, S-SEM-06
NB_INLINE double term_factors(const Params& p, const Source& source, int layer, const Ray& ray) {
  double weight = 1.0;
  if (p.each_thick) weight = ray_captured(p, layer, ray.d);
  if (p.each_polar) weight *= ray_polarization(p, source, ray.d);
  if (p.each_omega) weight *= solid_angle(p, ray);
  // What two exponentials of 0 leave in C where no sensor is modelled.
  if (p.factors == PRODUCTS && p.each_thick && p.depth < 0.0) weight = 0.0;
  return weight;
}
