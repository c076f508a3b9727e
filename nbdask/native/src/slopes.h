// Derivatives of the formulas, beside which they stand: lattice factors by the indices and by what a
// shape depends on, interpolated amplitudes, rays, and the factors of a pixel.
#pragma once
#include "amplitude.h"
#include "rays.h"
#include "slope_params.h"

// A squared lattice factor over the height, its derivatives by h, k and l, and by the numbers that the
// shape depends on; see slope_params.h.
struct LatticeSlope {
  double squared;
  Vector by;
  double shape[MOST_SHAPE];
};

// (cos(pi x) - 1) / u for u = x * x, x from -1/2 to 1/2; error of the cosine 2.1e-15.
// S-GRAD-05
NB_INLINE double cosine_rest(double u) {
  double p = fma(u, -0.00010045783258113025, 0.001927908606175386);
  p = fma(u, p, -0.02580654632507807);
  p = fma(u, p, 0.23533059102642537);
  p = fma(u, p, -1.3352627664554553);
  p = fma(u, p, 4.058712126347368);
  return fma(u, p, -4.934802200544);
}

// One axis of few cells: the factor g as value * sqrt(rest), the derivative of its square by x,
// cos(pi x) and sin(pi x) / x.
struct FewSlope {
  double value, rest, by, cosine, ratio;
};

// The slope of P(s), s = sin^2(pi x), and of the cosine besides where the number is even.
// S-GRAD-05, S-NUM-11
template <class V>
NB_INLINE FewSlope few_slope(const V& v, const Params& p, int axis, double x) {
  const double* few = p.few[axis];
  const bool odd = v.lattice == FEW_ODD;
  const double u = x * x, ratio = sine_ratio(u), even = p.even[axis];
  const double c = fma(u, cosine_rest(u), 1.0), sine = x * ratio, s = sine * sine;
  const double rest = odd ? 1.0 : fma(-even, s, 1.0), value = polynomial(v, few, s);
  double steep = 2.0 * few[2];
  if (v.degree == 4) steep = fma(s, fma(s, 4.0 * few[4], 3.0 * few[3]), steep);
  steep = fma(s, steep, few[1]);
  const double slope = odd ? steep : fma(steep, rest, -0.5 * even * value);
  return {value, rest, 4.0 * PI * value * (slope * (sine * c)), c, ratio};
}

// Products, never quotients by a factor that may be 0.  By ln N: x dS/dx + 2 S pi x cot(pi x) of an
// axis, whatever N is.
// S-GRAD-05
template <class V>
NB_INLINE LatticeSlope few_slopes(const V& v, const Params& p, const Indices& at) {
  const double x = at.h.away, y = at.k.away, z = at.l.away;
  const FewSlope h = few_slope(v, p, 0, x), k = few_slope(v, p, 1, y), l = few_slope(v, p, 2, z);
  const double a = h.value * h.value * h.rest, b = k.value * k.value * k.rest;
  const double c = l.value * l.value * l.rest, bc = b * c, squared = a * bc;
  const Vector by = {h.by * bc, k.by * (a * c), l.by * (a * b)};
  const double kl = k.ratio * l.ratio, hl = h.ratio * l.ratio, hk = h.ratio * k.ratio;
  const double over = quotient(2.0 * PI * squared, h.ratio * kl);
  return {squared,
          by,
          {fma(x, by.x, over * (h.cosine * kl)), fma(y, by.y, over * (k.cosine * hl)),
           fma(z, by.z, over * (l.cosine * hk)), 0.0, 0.0, 0.0}};
}

// One axis of any number of cells, z = pi x, Z = N z: both sines, cos z, cos Z, and what is left of
// N sin z - sin Z and cos Z - cos z without cancellation.  The signs of sin Z and cos Z are left out:
// they drop out together.
struct Waves {
  double x, below, above, slow, fast, lag, fall;
};

// S-GRAD-05, S-NUM-12
NB_INLINE Waves find_waves(double x, double cells) {
  // As find_sines.
  constexpr double tiny = 1e-100;
  const double turns = rint(cells * x), y = fma(cells, x, -turns), u = x * x, w = y * y;
  const double below = u * sine_rest(u), above = w * sine_rest(w);
  const double low = u * cosine_rest(u), high = w * cosine_rest(w);
  const double ratio = PI + below;
  return {x + tiny / PI, fma(x, ratio, tiny), fma(y, PI + above, cells * tiny), 1.0 + low,
          1.0 + high, fma(turns, ratio, y * (below - above)), high - low};
}

// What the slope of the factor is to the factor's share of its square, over 2 pi.
// S-GRAD-05
NB_INLINE double steepness(const Waves& of, double cells, double over) {
  return fma(of.slow * of.lag, over, cells * of.fall) * over;
}

// S-GRAD-05
NB_INLINE LatticeSlope square_slope(const Params& p, const Indices& at) {
  const Waves h = find_waves(at.h.away, p.cells[0]), k = find_waves(at.k.away, p.cells[1]);
  const Waves l = find_waves(at.l.away, p.cells[2]);
  const double kl = k.below * l.below, hl = h.below * l.below, hk = h.below * k.below;
  const double over = quotient(1.0, h.below * kl);
  const double over_h = over * kl, over_k = over * hl, over_l = over * hk;
  const double a = h.above * over_h, b = k.above * over_k, c = l.above * over_l;
  const double bc = b * c, factor = a * bc, twice = 2.0 * PI * factor;
  const double by_h = twice * bc, by_k = twice * (a * c), by_l = twice * (a * b);
  return {factor * factor,
          {by_h * steepness(h, p.cells[0], over_h), by_k * steepness(k, p.cells[1], over_k),
           by_l * steepness(l, p.cells[2], over_l)},
          {by_h * (h.fast * (h.x * over_h)), by_k * (k.fast * (k.x * over_k)),
           by_l * (l.fast * (l.x * over_l)), 0.0, 0.0, 0.0}};
}

// The derivative of (sin X - X cos X) / x^3, X = pi x, by u = x * x: its power series; relative error
// 1e-16 up to u = 0.1.
// S-GRAD-06
NB_INLINE double sphere_series(double u) {
  double p = fma(u, -9.706796392694624e-08, 3.3045737756068597e-06);
  p = fma(u, p, -8.90630048165257e-05);
  p = fma(u, p, 0.001840889689617737);
  p = fma(u, p, -0.02797816834605674);
  p = fma(u, p, 0.2948172378285739);
  p = fma(u, p, -1.9715012786670767);
  p = fma(u, p, 7.1911743518495035);
  return fma(u, p, -10.20065615950938);
}

// S-GRAD-06
NB_INLINE LatticeSlope sphere_slope(const Params& p, const Indices& at) {
  const double n0 = p.cells[0], n1 = p.cells[1], n2 = p.cells[2];
  const Vector away = {at.h.away * n0, at.k.away * n1, at.l.away * n2};
  const double radius2 = fma(p.fudge, square_length(away), 1e-60);
  const double x = root(radius2);
  const double r = rint(x);
  const double y = x - r;
  const double u = y * y;
  const double wave = cosine(u), sine = y * sine_ratio(u);
  const double over = quotient(1.0, x * radius2);
  const double factor = fma(y * u, sphere_part(u), -PI * r * wave) * over;
  const double direct = 0.5 * fma(PI * PI * sine, over * radius2, -3.0 * factor) * (over * x);
  const double steep = 2.0 * factor * (radius2 < 0.1 ? sphere_series(radius2) : direct);
  const double along = 2.0 * p.fudge * steep;
  return {factor * factor,
          {along * n0 * away.x, along * n1 * away.y, along * n2 * away.z},
          {steep * at.h.away * at.h.away, steep * at.k.away * at.k.away,
           steep * at.l.away * at.l.away, 0.0, 0.0, 0.0}};
}

// Spots end where products with their slopes would be no normal numbers, which takes processors long.
// S-GRAD-07
NB_INLINE double spot_squared(const Params& p, const Vector& away) {
  constexpr double LEAST_POWER = -900.0;
  return power_of_two(-p.sign * spot_length(p.triangle, away), LEAST_POWER);
}

// S-GRAD-07
NB_INLINE LatticeSlope gauss_slope(const Params& p, const Indices& at) {
  constexpr double LN2 = 0.6931471805599453;
  const double* r = p.triangle;
  const Vector d = {at.h.away, at.k.away, at.l.away};
  const Vector v = {dot(r, d), fma(r[4], d.z, r[3] * d.y), r[5] * d.z};
  const double squared = spot_squared(p, d), twice = -2.0 * LN2 * p.sign * squared;
  return {squared,
          {twice * (r[0] * v.x), twice * fma(r[1], v.x, r[3] * v.y),
           twice * fma(r[2], v.x, fma(r[4], v.y, r[5] * v.z))},
          {squared * d.x * d.x, squared * d.y * d.y, squared * d.z * d.z, squared * d.x * d.y,
           squared * d.x * d.z, squared * d.y * d.z}};
}

// By fractional indices, from what it is by those of the basis of nodes.
// S-GRAD-24
NB_INLINE LatticeSlope node_slope(const Params& p, const Indices& at) {
  LatticeSlope found = gauss_slope(p, at);
  const double(*to)[3] = p.to_nodes;
  const Vector by = found.by;
  found.by = {fma(to[2][0], by.z, fma(to[1][0], by.y, to[0][0] * by.x)),
              fma(to[2][1], by.z, fma(to[1][1], by.y, to[0][1] * by.x)),
              fma(to[2][2], by.z, fma(to[1][2], by.y, to[0][2] * by.x))};
  return found;
}

// Whether slopes are S times the distance d from a node, times what all orientations share: sums are
// then those of S d and S d d, and parameters know the rest; see nbdask/gradients/pack.py.
// S-GRAD-07, S-GRAD-24
template <class V>
NB_INLINE bool by_distance(const V& v) {
  return (v.lattice == GAUSS || v.lattice == NODES) && v.amplitude != TRICUBIC;
}

// S and d.
// S-GRAD-07, S-GRAD-24
NB_INLINE LatticeSlope distance_slope(const Params& p, const Indices& at) {
  const Vector d = {at.h.away, at.k.away, at.l.away};
  return {spot_squared(p, d), d, {0.0, 0.0, 0.0, 0.0, 0.0, 0.0}};
}

// S-GRAD-05, S-GRAD-06, S-GRAD-07, S-GRAD-24
template <class V>
NB_INLINE LatticeSlope lattice_slope(const V& v, const Params& p, const Indices& at) {
  if (v.lattice == FEW_ODD || v.lattice == FEW) return few_slopes(v, p, at);
  if (v.lattice == GRATING) return square_slope(p, at);
  if (v.lattice == SPHERE) return sphere_slope(p, at);
  if (by_distance(v)) return distance_slope(p, at);
  return v.lattice == NODES ? node_slope(p, at) : gauss_slope(p, at);
}

// Derivatives of Lagrange's weights.
// S-GRAD-09
NB_INLINE Weights cubic_slopes(double index) {
  const double t = index - floor(index), square = 3.0 * t * t;
  return {fma(6.0, t, -square - 2.0) * (1.0 / 6.0), (fma(-4.0, t, square) - 1.0) * 0.5,
          fma(2.0, t, 2.0 - square) * 0.5, (square - 1.0) * (1.0 / 6.0)};
}

// An interpolated amplitude and its derivatives by h, k and l.
struct Interpolated {
  double value;
  Vector by;
};

// S-GRAD-09
NB_INLINE double weighted(const Weights& w, const Four& sum) {
  double x[4];
  write_four(sum, x);
  return fma(w.d, x[3], fma(w.c, x[2], fma(w.b, x[1], w.a * x[0])));
}

// S-GRAD-09
NB_INLINE Interpolated interpolated_slope(const Params& p, const double* first, const Indices& at) {
  const Weights h = cubic_weights(at.h.h), k = cubic_weights(at.k.h), l = cubic_weights(at.l.h);
  const Weights dh = cubic_slopes(at.h.h), dk = cubic_slopes(at.k.h), dl = cubic_slopes(at.l.h);
  const double along[4] = {h.a, h.b, h.c, h.d}, steep[4] = {dh.a, dh.b, dh.c, dh.d};
  Four value{}, by_h{}, by_k{};
  for (int i = 0; i < 4; ++i) {
    const double* plane = first + static_cast<long long>(i) * p.stride_h;
    const Four rows = weighted_rows(plane, p.stride_k, k);
    value = add_weighted(along[i], rows, value);
    by_h = add_weighted(steep[i], rows, by_h);
    by_k = add_weighted(along[i], weighted_rows(plane, p.stride_k, dk), by_k);
  }
  return {weighted(l, value), {weighted(l, by_h), weighted(l, by_k), weighted(dl, value)}};
}

// Calls with where each of the 64 neighbours of indices stands behind the first one, and its weight.
// S-INT-15
template <class Called>
NB_INLINE void each_neighbour(const Params& p, const Indices& at, const Called& called) {
  const Weights h = cubic_weights(at.h.h), k = cubic_weights(at.k.h), l = cubic_weights(at.l.h);
  const double hs[] = {h.a, h.b, h.c, h.d}, ks[] = {k.a, k.b, k.c, k.d};
  const double ls[] = {l.a, l.b, l.c, l.d};
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      for (int m = 0; m < 4; ++m)
        called(static_cast<long long>(i) * p.stride_h + static_cast<long long>(j) * p.stride_k + m,
               hs[i] * ks[j] * ls[m]);
}

// How a sub-pixel's place changes [m]: f and s its distances along the detector's axes.
// S-GRAD-10
NB_INLINE Vector place_slope(const Slope& slope, double f, double s, double layer) {
  const double *o = slope.origin, *a = slope.fast, *b = slope.slow, *c = slope.deep;
  return {fma(f, a[0], fma(s, b[0], fma(layer, c[0], o[0]))),
          fma(f, a[1], fma(s, b[1], fma(layer, c[1], o[1]))),
          fma(f, a[2], fma(s, b[2], fma(layer, c[2], o[2])))};
}

// A factor of a pixel, and its derivatives by the place of the sub-pixel, the detector's normal and
// distance along it, the depth of a layer, and Kahn's factor.
struct FactorSlope {
  double value;
  Vector place, normal;
  double close_distance, depth, kahn;
};

// The derivative by a place from that by a direction.
// S-GRAD-10
NB_INLINE Vector by_place(const Ray& ray, const Vector& by) {
  const double along = fma(ray.d.z, by.z, fma(ray.d.y, by.y, ray.d.x * by.x));
  return {fma(-along, ray.d.x, by.x) * ray.inverse, fma(-along, ray.d.y, by.y) * ray.inverse,
          fma(-along, ray.d.z, by.z) * ray.inverse};
}

// S-GRAD-11
NB_INLINE FactorSlope solid_angle_slope(const Params& p, const Ray& ray) {
  const double squared = ray.inverse * ray.inverse;
  const double area = p.area * (squared * ray.inverse);
  const double value = p.point_pixel ? squared : area * p.close_distance;
  const double fall = (p.point_pixel ? -2.0 : -3.0) * value * ray.inverse;
  return {value, {fall * ray.d.x, fall * ray.d.y, fall * ray.d.z}, {0.0, 0.0, 0.0},
          p.point_pixel ? 0.0 : area, 0.0, 0.0};
}

// On the beam psi is 0, and does not change.
// S-GRAD-11
NB_INLINE FactorSlope polarization_slope(const Params& p, const Source& s, const Ray& ray) {
  const double c = fma(s.incident.z, ray.d.z, fma(s.incident.y, ray.d.y, s.incident.x * ray.d.x));
  const double e = dot(s.electric, ray.d), b = dot(s.magnetic, ray.d);
  const double length = fma(e, e, b * b), across = fma(-c, c, 1.0);
  const double over = length > 0.0 ? quotient(1.0, length) : 0.0;
  const double twice = length > 0.0 ? (e * e - b * b) * over : 1.0;
  const double by_c = c * fma(p.kahn, twice, 1.0);
  const double turn = -2.0 * across * p.kahn * e * b * (over * over);
  const double by_e = turn * b, by_b = -turn * e;
  const Vector by = {
      fma(by_c, s.incident.x, fma(by_e, s.electric[0], by_b * s.magnetic[0])),
      fma(by_c, s.incident.y, fma(by_e, s.electric[1], by_b * s.magnetic[1])),
      fma(by_c, s.incident.z, fma(by_e, s.electric[2], by_b * s.magnetic[2]))};
  return {0.5 * fma(-p.kahn * twice, across, fma(c, c, 1.0)), by_place(ray, by), {0.0, 0.0, 0.0},
          0.0, 0.0, -0.5 * across * twice};
}

// S-GRAD-11
NB_INLINE FactorSlope captured_slope(const Params& p, int layer, const Ray& ray) {
  const double rho = dot(p.normal, ray.d), over = quotient(1.0, rho), one = p.depth * over;
  const double deeper = exponential(-(layer + 1.0) * one);
  const double before = layer == 0 ? 1.0 : exponential(-layer * one);
  const double by_depth = fma(layer + 1.0, deeper, -layer * before) * over;
  const double by_rho = -by_depth * one;
  const Vector by = {by_rho * p.normal[0], by_rho * p.normal[1], by_rho * p.normal[2]};
  return {before - deeper, by_place(ray, by),
          {by_rho * ray.d.x, by_rho * ray.d.y, by_rho * ray.d.z}, 0.0, by_depth, 0.0};
}

// S-GRAD-11
NB_INLINE Vector weighted_sum(double a, const Vector& x, double b, const Vector& y) {
  return {fma(a, x.x, b * y.x), fma(a, x.y, b * y.y), fma(a, x.z, b * y.z)};
}

// The product of two factors.
// S-GRAD-11
NB_INLINE FactorSlope both(const FactorSlope& a, const FactorSlope& b) {
  return {a.value * b.value,
          weighted_sum(a.value, b.place, b.value, a.place),
          weighted_sum(a.value, b.normal, b.value, a.normal),
          fma(a.value, b.close_distance, b.value * a.close_distance),
          fma(a.value, b.depth, b.value * a.depth),
          fma(a.value, b.kahn, b.value * a.kahn)};
}

// Of the factors that go with each term of one source.
// S-GRAD-11
NB_INLINE FactorSlope term_factors_slope(const Params& p, const Source& source, int layer,
                                         const Ray& ray) {
  FactorSlope found = {1.0, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.0, 0.0, 0.0};
  if (p.each_thick && p.depth >= 0.0) found = captured_slope(p, layer, ray);
  if (p.each_polar) found = both(found, polarization_slope(p, source, ray));
  if (p.each_omega) found = both(found, solid_angle_slope(p, ray));
  return found;
}
