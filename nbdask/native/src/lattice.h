// Squared lattice factors in float64, and the whole indices next to the fractional ones.
//
// V is the version of the loops: constants where it is known when compiling, so that everything else
// disappears, or numbers.
#pragma once
#include "formulas.h"
#include "params.h"

// A fractional Miller index, the nearest whole one, and what is between them.
struct Index {
  double h, whole, away;
};

struct Indices {
  Index h, k, l;
};

// A squared lattice factor over the height, and whether the factor itself is exactly 0.
struct Lattice {
  double squared;
  bool zero;
};

// Halves go down, as in nanoBragg; to an even function without a look-up either neighbour is the same.
// S-INT-05
template <class V>
NB_INLINE Index split(const V& v, double h) {
  const bool either = v.amplitude == CONSTANT && v.lattice <= SPHERE;
  const double whole = either ? rint(h) : ceil(h - 0.5);
  return {h, whole, h - whole};
}

// The indices of an orientation: axes holds a, b, c [m].
// S-INT-04
template <class V>
NB_INLINE Indices find_indices(const V& v, const double* axes, const Vector& q) {
  return {split(v, dot(axes, q)), split(v, dot(axes + 3, q)), split(v, dot(axes + 6, q))};
}

// The quadratic form of gauss, tophat and spherical spots, as the squared length of R (dh, dk, dl).
// S-INT-08, S-INT-28, S-INT-29
NB_INLINE double spot_length(const double* r, const Vector& away) {
  return square_length({dot(r, away), fma(r[4], away.z, r[3] * away.y), r[5] * away.z});
}

// A node next to a place, and the quadratic form of what is between them.
struct Corner {
  Vector to;
  double length;
};

// The nearer of a corner and another one.
// S-INT-29
NB_INLINE Corner nearer(const Params& p, const Vector& rest, const Corner& one, double x, double y,
                        double z) {
  const double length = spot_length(p.triangle, {rest.x - x, rest.y - y, rest.z - z});
  const bool better = length < one.length;
  return {{better ? x : one.to.x, better ? y : one.to.y, better ? z : one.to.z},
          better ? length : one.length};
}

// The node of a centred lattice next to fractional indices, and what is between them in the basis
// of nodes: one of the corners around them.  Written out, so that loops over pixels become vectors.
// S-INT-29
NB_INLINE Indices nearest_node(const Params& p, const Indices& at) {
  const Vector h = {at.h.h, at.k.h, at.l.h};
  const Vector place = {dot(p.to_nodes[0], h), dot(p.to_nodes[1], h), dot(p.to_nodes[2], h)};
  const Vector low = {floor(place.x), floor(place.y), floor(place.z)};
  const Vector rest = {place.x - low.x, place.y - low.y, place.z - low.z};
  Corner best = {{0.0, 0.0, 0.0}, spot_length(p.triangle, rest)};
  best = nearer(p, rest, best, 0.0, 0.0, 1.0);
  best = nearer(p, rest, best, 0.0, 1.0, 0.0);
  best = nearer(p, rest, best, 0.0, 1.0, 1.0);
  best = nearer(p, rest, best, 1.0, 0.0, 0.0);
  best = nearer(p, rest, best, 1.0, 0.0, 1.0);
  best = nearer(p, rest, best, 1.0, 1.0, 0.0);
  best = nearer(p, rest, best, 1.0, 1.0, 1.0);
  const Vector corner = best.to;
  const Vector node = {low.x + corner.x, low.y + corner.y, low.z + corner.z};
  return {{h.x, dot(p.from_nodes[0], node), rest.x - corner.x},
          {h.y, dot(p.from_nodes[1], node), rest.y - corner.y},
          {h.z, dot(p.from_nodes[2], node), rest.z - corner.z}};
}

// The indices of an orientation, and the whole ones whose amplitude they take.
// S-INT-29
template <class V>
NB_INLINE Indices find_spot(const V& v, const Params& p, const double* axes, const Vector& q) {
  const Indices at = find_indices(v, axes, q);
  return v.lattice == NODES ? nearest_node(p, at) : at;
}

// sin^2(pi x)
// S-NUM-04
NB_INLINE double sine_squared(double x) {
  const double u = x * x;
  const double ratio = sine_ratio(u);
  return u * (ratio * ratio);
}

// S-INT-06, S-NUM-11
template <class V>
NB_INLINE double polynomial(const V& v, const double* few, double s) {
  double value = few[2];
  if (v.degree == 4) value = fma(s, fma(s, few[4], few[3]), few[2]);
  return fma(s, fma(s, value, few[1]), few[0]);
}

// Few cells: sin(N pi x) / sin(pi x) is a polynomial in sin^2(pi x), for even N times cos(pi x).
// S-INT-06, S-NUM-11
template <class V>
NB_INLINE double lattice_few(const V& v, const Params& p, const Indices& at) {
  const double h = sine_squared(at.h.away), k = sine_squared(at.k.away);
  const double l = sine_squared(at.l.away);
  const double factor =
      polynomial(v, p.few[0], h) * polynomial(v, p.few[1], k) * polynomial(v, p.few[2], l);
  const double squared = factor * factor;
  if (v.lattice == FEW_ODD) return squared;
  return squared * (fma(-p.even[0], h, 1.0) * fma(-p.even[1], k, 1.0) * fma(-p.even[2], l, 1.0));
}

// sin(pi x) and sin(N pi x), over pi and up to their sign.
struct Sines {
  double below, above;
  bool zero;
};

// S-INT-06, S-NUM-12
NB_INLINE Sines find_sines(double x, double cells) {
  // Added to a sine over pi; 0 / 0 becomes N * tiny / tiny, and no number above 1e-84 changes.
  constexpr double tiny = 1e-100;
  // The product is rounded, what is left of it is not.
  const double y = fma(cells, x, -rint(cells * x));
  return {fma(x, sine_ratio(x * x), tiny), fma(y, sine_ratio(y * y), cells * tiny),
          y == 0.0 && x != 0.0};
}

// Any number of cells: both sines, each of its own exact distance, and one division for all axes.
// S-INT-06, S-NUM-12
NB_INLINE Lattice lattice_grating(const Params& p, const Indices& at) {
  const Sines h = find_sines(at.h.away, p.cells[0]), k = find_sines(at.k.away, p.cells[1]);
  const Sines l = find_sines(at.l.away, p.cells[2]);
  const double factor = quotient(h.above * k.above * l.above, h.below * k.below * l.below);
  const bool zero = h.zero || k.zero || l.zero;
  return {factor * factor, zero};
}

// (sin X - X cos X) / x^3 with X = pi x: with x = y + r, r whole, sin X - X cos X is, up to its
// sign, (sin Y - Y cos Y) - pi r cos Y.  Within the first half turn nothing cancels.
// S-INT-07
NB_INLINE Lattice lattice_sphere(const Params& p, const Indices& at) {
  const Vector away = {at.h.away * p.cells[0], at.k.away * p.cells[1], at.l.away * p.cells[2]};
  // 0 / 0 becomes x^3 / x^3.
  const double radius2 = fma(p.fudge, square_length(away), 1e-60);
  const double x = root(radius2);
  const double r = rint(x);
  const double y = x - r;
  const double u = y * y;
  const double above = fma(y * u, sphere_part(u), -PI * r * cosine(u));
  const double factor = quotient(above, x * radius2);
  return {factor * factor, factor == 0.0};
}

// S-INT-06, S-INT-07, S-INT-09, S-INT-10, S-INT-29
template <class V>
NB_INLINE Lattice lattice_factor(const V& v, const Params& p, const Indices& at) {
  if (v.lattice == FEW_ODD || v.lattice == FEW) return {lattice_few(v, p, at), false};
  if (v.lattice == GRATING) return lattice_grating(p, at);
  if (v.lattice == SPHERE) return lattice_sphere(p, at);
  const double length = p.sign * spot_length(p.triangle, {at.h.away, at.k.away, at.l.away});
  // exp(-x) is exactly 0 from x = 1075 ln 2, and its square is 2^-length.
  if (v.lattice == GAUSS || v.lattice == NODES) return {power_of_two(-length), length > 2150.0};
  const bool inside = length < 1.0;
  return {inside ? 1.0 : 0.0, !inside};
}
