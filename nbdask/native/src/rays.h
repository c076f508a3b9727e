// Rays to sub-pixels, scattering vectors, and the factors that depend on them.
#pragma once
#include "formulas.h"
#include "params.h"

// Unit vector from the sample to a sub-pixel, and 1 / its distance [1/m].
struct Ray {
  double x, y, z, inverse;
};

// Right-handed rotation about a unit vector.
NB_INLINE void rotate(const double* axis, double angle, double& x, double& y, double& z) {
  double s, c;
  sine_cosine(angle, s, c);
  const double along = dot(axis, x, y, z) * (1.0 - c);
  const double a = fma(fma(axis[1], z, -axis[2] * y), s, fma(x, c, axis[0] * along));
  const double b = fma(fma(axis[2], x, -axis[0] * z), s, fma(y, c, axis[1] * along));
  z = fma(fma(axis[0], y, -axis[1] * x), s, fma(z, c, axis[2] * along));
  x = a;
  y = b;
}

// slow, fast: the pixel's indices.
NB_INLINE Ray find_ray(const Params& p, double slow, double fast, int layer, int sub_slow,
                       int sub_fast) {
  const double across = p.oversample, half = 0.5 * p.sub_size;
  const double f = fma(p.sub_size, fma(fast, across, sub_fast), half);
  const double s = fma(p.sub_size, fma(slow, across, sub_slow), half);
  const double depth = layer * p.layer_step;
  double x = fma(f, p.fast[0], fma(s, p.slow[0], fma(depth, p.normal[0], p.origin[0])));
  double y = fma(f, p.fast[1], fma(s, p.slow[1], fma(depth, p.normal[1], p.origin[1])));
  double z = fma(f, p.fast[2], fma(s, p.slow[2], fma(depth, p.normal[2], p.origin[2])));
  if (p.curved) {
    // Onto the sphere around the sample, with y and z read as angles.
    const double up = y / p.distance, aside = z / p.distance;
    x = p.distance * p.beam[0];
    y = p.distance * p.beam[1];
    z = p.distance * p.beam[2];
    rotate(p.slow, up, x, y, z);
    rotate(p.fast, aside, x, y, z);
  }
  const double inverse = 1.0 / sqrt(square_length(x, y, z));
  return {x * inverse, y * inverse, z * inverse, inverse};
}

// A row of the table of sources.
struct Source {
  double incident[3], per_wavelength, weight, electric[3], magnetic[3];
};

NB_INLINE Source read_source(const double* sources, int number) {
  const double* row = sources + static_cast<long long>(number) * SOURCE_ROW;
  Source s;
  for (int i = 0; i < 3; ++i) s.incident[i] = row[i];
  s.per_wavelength = row[3];
  s.weight = row[4];
  for (int i = 0; i < 3; ++i) s.electric[i] = row[5 + i];
  for (int i = 0; i < 3; ++i) s.magnetic[i] = row[8 + i];
  return s;
}

NB_INLINE void scatter(const Source& s, const Ray& ray, double* q) {
  q[0] = (ray.x - s.incident[0]) * s.per_wavelength;
  q[1] = (ray.y - s.incident[1]) * s.per_wavelength;
  q[2] = (ray.z - s.incident[2]) * s.per_wavelength;
}

// Whether a term counts: no limit, or 1 / |q| of at least dmin.  At q = 0 that is infinite.
NB_INLINE bool within_dmin(const Params& p, const double* q) {
  const double half = 0.5 * sqrt(square_length(q[0], q[1], q[2]));
  return p.dmin <= 0.0 || p.dmin <= 0.5 / half;
}

NB_INLINE double ray_polarization(const Params& p, const Source& s, const Ray& ray) {
  return polarization(dot(s.incident, ray.x, ray.y, ray.z), dot(s.electric, ray.x, ray.y, ray.z),
                      dot(s.magnetic, ray.x, ray.y, ray.z), p.kahn);
}

// Of the whole pixel [sr].
NB_INLINE double solid_angle(const Params& p, const Ray& ray) {
  const double squared = ray.inverse * ray.inverse;
  if (p.point_pixel) return squared;
  return p.pixel_size * p.pixel_size * p.close_distance * (squared * ray.inverse);
}

// 1 where no sensor is modelled.
NB_INLINE double ray_captured(const Params& p, int layer, const Ray& ray) {
  return p.depth >= 0.0 ? captured(layer, p.depth, dot(p.normal, ray.x, ray.y, ray.z)) : 1.0;
}

// The product of the factors that go with each term of one source.
NB_INLINE double term_factors(const Params& p, const Source& source, int layer, const Ray& ray) {
  double weight = 1.0;
  if (p.each_thick) weight = ray_captured(p, layer, ray);
  if (p.each_polar) weight *= ray_polarization(p, source, ray);
  if (p.each_omega) weight *= solid_angle(p, ray);
  // What two exponentials of 0 leave in C where no sensor is modelled.
  if (p.factors == PRODUCTS && p.each_thick && p.depth < 0.0) weight = 0.0;
  return weight;
}
