// Rays to sub-pixels, scattering vectors, and the factors that depend on them.
#pragma once
#include "formulas.h"

// Unit vector from the sample to a sub-pixel, and 1 / its distance [1/m].
struct Ray {
  double x, y, z, inverse;
};

__device__ __forceinline__ double dot(const double* a, double x, double y, double z) {
  return a[0] * x + a[1] * y + a[2] * z;
}

__device__ __forceinline__ void rotate(const double* axis, double angle, double& x, double& y,
                                       double& z) {
  double s, c;
  sine_cosine(angle, s, c);
  const double along = dot(axis, x, y, z) * (1.0 - c);
  const double a = axis[0] * along + x * c + (-axis[2] * y + axis[1] * z) * s;
  const double b = axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s;
  z = axis[2] * along + z * c + (-axis[1] * x + axis[0] * y) * s;
  x = a;
  y = b;
}

__device__ __forceinline__ Ray find_ray(const Params& p, int slow, int fast, int layer,
                                        int sub_slow, int sub_fast) {
  const double across = p.oversample, half = 0.5 * p.sub_size;
  const double f = p.sub_size * (fast * across + sub_fast) + half;
  const double s = p.sub_size * (slow * across + sub_slow) + half;
  const double depth = layer * p.layer_step;
  double x = f * p.fast[0] + s * p.slow[0] + (depth * p.normal[0] + p.origin[0]);
  double y = f * p.fast[1] + s * p.slow[1] + (depth * p.normal[1] + p.origin[1]);
  double z = f * p.fast[2] + s * p.slow[2] + (depth * p.normal[2] + p.origin[2]);
  if (p.curved) {
    // Onto the sphere around the sample, with y and z read as angles.
    const double up = y * p.per_distance, aside = z * p.per_distance;
    x = p.distance * p.beam[0];
    y = p.distance * p.beam[1];
    z = p.distance * p.beam[2];
    rotate(p.slow, up, x, y, z);
    rotate(p.fast, aside, x, y, z);
  }
  const double inverse = reciprocal_root(x * x + y * y + z * z);
  return {x * inverse, y * inverse, z * inverse, inverse};
}

// A row of the table of sources.
struct Source {
  double incident[3], per_wavelength, weight, electric[3], magnetic[3];
};

__device__ __forceinline__ Source read_source(const double* __restrict__ sources, int number) {
  const double* row = sources + number * SOURCE_ROW;
  Source s;
  for (int i = 0; i < 3; ++i) s.incident[i] = __ldg(row + i);
  s.per_wavelength = __ldg(row + 3);
  s.weight = __ldg(row + 4);
  for (int i = 0; i < 3; ++i) s.electric[i] = __ldg(row + 5 + i);
  for (int i = 0; i < 3; ++i) s.magnetic[i] = __ldg(row + 8 + i);
  return s;
}

__device__ __forceinline__ void scatter(const Source& s, const Ray& ray, double* q) {
  q[0] = (ray.x - s.incident[0]) * s.per_wavelength;
  q[1] = (ray.y - s.incident[1]) * s.per_wavelength;
  q[2] = (ray.z - s.incident[2]) * s.per_wavelength;
}

// Whether a term counts: no limit, or 1 / |q| of at least dmin.
__device__ __forceinline__ bool within_dmin(const Params& p, const double* q) {
  if (p.dmin <= 0.0) return true;
  return (q[0] * q[0] + q[1] * q[1] + q[2] * q[2]) * (p.dmin * p.dmin) <= 1.0;
}

__device__ __forceinline__ double ray_polarization(const Params& p, const Source& s,
                                                   const Ray& ray) {
  return polarization(dot(s.incident, ray.x, ray.y, ray.z), dot(s.electric, ray.x, ray.y, ray.z),
                      dot(s.magnetic, ray.x, ray.y, ray.z), p.kahn);
}

__device__ __forceinline__ double solid_angle(const Params& p, const Ray& ray) {
  const double squared = ray.inverse * ray.inverse;
  if (p.point_pixel) return squared;
  return p.pixel_size * p.pixel_size * p.close_distance * (squared * ray.inverse);
}

// 1 where no sensor is modelled.
__device__ __forceinline__ double ray_captured(const Params& p, int layer, const Ray& ray) {
  return p.depth >= 0.0 ? captured(layer, p.depth, dot(p.normal, ray.x, ray.y, ray.z)) : 1.0;
}
