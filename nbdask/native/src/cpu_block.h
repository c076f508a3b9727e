// A block of pixels of the processor's loops: scattering vectors of a source, and the factors that go
// with its terms.
#pragma once
#include "blocks.h"

namespace {

constexpr int BLOCK = 480, LEAST_GROUP = 16;

template <int LATTICE, int AMPLITUDE, int FACTORS, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, factors = FACTORS, degree = DEGREE;
};

typedef double Row[BLOCK] __attribute__((aligned(64)));

// Scratch memory of one call: rows that stay in the first cache.
struct Block {
  Row slow, fast, dx, dy, dz, inverse, qx, qy, qz, weight, terms, total, gain, term;
  int place[BLOCK] __attribute__((aligned(64)));
  int counted[BLOCK] __attribute__((aligned(64)));
  // Where the results of pixels go.
  int flat[BLOCK];
  int pixels, count;
  long long outside;

  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

void weigh_terms(const Params& shared, const Source& light, int layer, Block& b) {
  const Params p = shared;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.weight[i] = term_factors(p, source, layer, b.ray(i));
}

// Scattering vectors of a source, which of them count, and the factors that go with its terms.
// False: no pixel counts.
bool begin_source(const Params& p, const Source& light, int layer, Block& b) {
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x;
    b.qy[i] = q.y;
    b.qz[i] = q.z;
    b.terms[i] = 0.0;
  }
  if (p.dmin > 0.0) {
    const double dmin = p.dmin;
    int any = 0;
    NB_SIMD
    for (int i = 0; i < b.count; ++i) b.counted[i] = within_dmin(dmin, b.q(i));
    for (int i = 0; i < b.count; ++i) any |= b.counted[i];
    if (!any) return false;
  }
  if (p.factors != ONCE) weigh_terms(p, source, layer, b);
  return true;
}

void end_source(const Params& p, const Source& source, double weight, Block& b) {
  const double constant = source.weight * weight * p.height;
  if (p.dmin <= 0.0 && p.factors == ONCE) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) b.total[i] = fma(b.terms[i], constant, b.total[i]);
    return;
  }
  const bool each = p.factors == EACH, limited = p.dmin > 0.0;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double factor = each ? constant * b.weight[i] : constant;
    const double sum = fma(b.terms[i], factor, b.total[i]);
    b.total[i] = limited && !b.counted[i] ? b.total[i] : sum;
  }
}

}  // namespace
