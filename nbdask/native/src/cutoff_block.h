// A block of lanes, each a sub-pixel of a pixel: its scattering vectors of a source, and what the
// bound of a term there has to be for a cutoff to leave it out.
#pragma once
#include "amplitude.h"
#include "blocks.h"
#include "cutoff.h"

namespace {

// Lanes of a block, each a sub-pixel of a pixel, and of a group.
constexpr int BLOCK = 480, GROUP = 16;

typedef double Row[BLOCK] __attribute__((aligned(64)));
typedef float NarrowRow[BLOCK] __attribute__((aligned(64)));

// Pixels of a block (slow, fast, where their results go, their sums and what D is times for each
// unit of a squared amplitude), and its lanes: sub-pixels of a square of a pixel, pixel by pixel.
struct Block {
  Row slow, fast, dx, dy, dz, inverse, per_amplitude, total;
  Row lane_slow, lane_fast, qx, qy, qz, weight, terms, spread;
  NarrowRow x, y, z, factor, need;
  int flat[BLOCK], place[BLOCK], counted[BLOCK];
  int pixels, count, lanes, edge, layer;
  long long done;

  // Sub-pixels of a pixel.
  int each() const { return edge * edge; }
  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

struct Loops {
  const Params& p;
  const Cutoff& cutoff;
  const double *axes, *sources, *table;
};

// Sub-pixels along the edge of a square whose sub-pixels stay together: a group then is small.
int edge_of(int oversample) { return oversample > 5 || oversample == 4 ? 4 : oversample > 1 ? 2 : 1; }

// What D is at least for a term to be left out, for each unit of a squared amplitude.
// S-CUT-03
template <bool CURVED>
void find_limits(const Loops& loops, const double* allowed, Block& b) {
  const Params p = loops.p;
  const Cutoff& c = loops.cutoff;
  // Half of the budget is for even shares.
  const double factor = 2.0 * p.scale * p.height * c.polar * c.shares * c.slack;
  for (int i = 0; i < b.count; ++i)
    b.total[i] = allowed ? allowed[b.flat[i < b.pixels ? i : b.pixels - 1]] : c.photons;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    b.inverse[i] = find_ray<CURVED>(p, b.slow[i], b.fast[i], 0, 0, 0).inverse;
    b.per_amplitude[i] = factor / b.total[i];
    b.total[i] = 0.0;
  }
  if (p.each_omega) return;
  NB_SIMD
  for (int i = 0; i < b.count; ++i)
    b.per_amplitude[i] *= solid_angle(p, {{0.0, 0.0, 0.0}, b.inverse[i]});
}

// The sub-pixels of lanes, and whether they are in a range; false: none is.
bool place_lanes(const Params& p, int outer0, int outer1, int square, Block& b) {
  const int n = p.oversample, squares = (n + b.edge - 1) / b.edge, each = b.each();
  const int slow = square / squares * b.edge, fast = square % squares * b.edge;
  double sub_slow[GROUP], sub_fast[GROUP];
  int inside[GROUP], any = 0;
  for (int j = 0; j < each; ++j) {
    const int s = slow + j / b.edge, f = fast + j % b.edge;
    const int outer = (b.layer * n + s) * n + f;
    inside[j] = s < n && f < n && outer >= outer0 && outer < outer1;
    sub_slow[j] = s < n ? s : n - 1, sub_fast[j] = f < n ? f : n - 1;
    any |= inside[j];
  }
  if (!any) return false;
  for (int j = 0; j < each; ++j) {
    const double own_slow = sub_slow[j], own_fast = sub_fast[j];
    const bool own = inside[j];
    for (int pixel = 0; pixel < b.count; ++pixel) {
      const int i = pixel * each + j;
      b.lane_slow[i] = b.slow[pixel] * n + own_slow;
      b.lane_fast[i] = b.fast[pixel] * n + own_fast;
      b.factor[i] = own ? static_cast<float>(b.per_amplitude[pixel]) : -1.0f;
    }
  }
  return true;
}

// A sub-pixel numbered along the detector's edge is that of a pixel of such size.
template <bool CURVED>
void find_rays(const Params& shared, Block& b) {
  Params p = shared;
  p.oversample = 1;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Ray ray = find_ray<CURVED>(p, b.lane_slow[i], b.lane_fast[i], b.layer, 0, 0);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

// The greatest squared amplitude that any orientation takes at a lane's scattering vector.
// S-CUT-03
void find_amplitudes(const Loops& loops, const Source& source, Block& b) {
  const Params p = loops.p;
  const Cutoff& c = loops.cutoff;
  if (!c.close) {
    for (int i = 0; i < b.lanes; ++i) b.need[i] = 1.0f;
    return;
  }
  const float *close = c.close + source.amplitudes, *far = c.far + source.amplitudes;
  const double *m = c.mean, *s = c.spread, limit = c.close_spread;
  const double most = s[0] > s[1] ? (s[0] > s[2] ? s[0] : s[2]) : (s[1] > s[2] ? s[1] : s[2]);
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Vector q = {b.qx[i], b.qy[i], b.qz[i]};
    const double spread = most * sqrt(square_length(q));
    const double h = dot(m, q), k = dot(m + 3, q), l = dot(m + 6, q);
    const bool near = spread < limit;
    // The first of two nodes, or the nearest one.
    const double back = near ? limit + 0.5 : 0.0;
    const Indices at = {{0.0, near ? ceil(h - back) : rint(h), 0.0},
                        {0.0, near ? ceil(k - back) : rint(k), 0.0},
                        {0.0, near ? ceil(l - back) : rint(l), 0.0}};
    b.place[i] = place_of(p, at);
    b.spread[i] = spread;
  }
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const float near = close[b.place[i]], wide = far[b.place[i]];
    b.need[i] = b.spread[i] < limit ? near : wide;
  }
}

// What D has to be for a term to be left out; those outside the range are.
// S-CUT-03
void find_needs(const Loops& loops, Block& b) {
  const Params& p = loops.p;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i)
    b.need[i] = b.factor[i] < 0.0f ? -1.0f : b.need[i] * b.factor[i] * 1.000001f;
  for (int i = 0; p.each_omega && i < b.lanes; ++i)
    b.need[i] = static_cast<float>(b.need[i] * solid_angle(p, b.ray(i)));
  for (int i = 0; p.dmin > 0.0 && i < b.lanes; ++i)
    b.need[i] = b.counted[i] ? b.need[i] : -1.0f;
}

void begin_source(const Loops& loops, const Source& light, Block& b) {
  const Params& p = loops.p;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x, b.qy[i] = q.y, b.qz[i] = q.z;
    b.x[i] = static_cast<float>(q.x);
    b.y[i] = static_cast<float>(q.y);
    b.z[i] = static_cast<float>(q.z);
    b.terms[i] = 0.0;
  }
  for (int i = 0; p.dmin > 0.0 && i < b.lanes; ++i) b.counted[i] = within_dmin(p.dmin, b.q(i));
  for (int i = 0; p.factors != ONCE && i < b.lanes; ++i)
    b.weight[i] = term_factors(p, source, b.layer, b.ray(i));
  find_amplitudes(loops, source, b);
  find_needs(loops, b);
}

// Adds the lanes of each pixel, and empties them.
void end_source(const Params& p, const Source& source, double weight, Block& b) {
  const double constant = source.weight * weight * p.height;
  for (int i = 0; p.factors != ONCE && i < b.lanes; ++i) b.terms[i] *= b.weight[i];
  const int each = b.each();
  if (each == 1) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      b.total[i] = fma(b.terms[i], constant, b.total[i]);
      b.terms[i] = 0.0;
    }
    return;
  }
  for (int pixel = 0; pixel < b.count; ++pixel)
    for (int i = pixel * each; i < (pixel + 1) * each; ++i) {
      b.total[pixel] = fma(b.terms[i], constant, b.total[pixel]);
      b.terms[i] = 0.0;
    }
}

}  // namespace
