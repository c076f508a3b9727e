// A block of pixels with everything that derivatives need, and what a call is told.
#pragma once
#include "blocks.h"
#include "cull.h"
#include "slope_steps.h"

namespace {

// Smaller than the blocks of cpu.cpp: there are more rows to keep in the first cache.
constexpr int BLOCK = 96;

typedef double Row[BLOCK] __attribute__((aligned(64)));

// Orientations whose terms are added in one go, so that sums are read and written less often.
constexpr int TOGETHER = 2;

// One evaluation: S, G, the shape's, what multiplies them, and where the amplitude is.
struct Term {
  Row squared, gx, gy, gz, now[MOST_SHAPE], strength;
  int place[BLOCK] __attribute__((aligned(64)));
};

struct Block {
  Row slow, fast, dx, dy, dz, inverse, qx, qy, qz;
  // Evaluations of some orientations.
  Term term[TOGETHER];
  // Of a source: what multiplies its terms, what pulls them, sums over its orientations.
  Row factor, pull, drag, terms, vx, vy, vz, yx, yy, yz, along, sum;
  // Sums over everything: with the unturned axes, the shape, ways to turn; Y of the place, times the
  // sub-pixel along fast and along slow, times the layer.
  Row turns[9], shape[MOST_SHAPE], spins[MOST_SPINS], moves[12];
  // Derivatives of a pixel's factors: by the place of the first sub-pixel, by the normal, by distance,
  // depth and Kahn's factor; by the place where the polarization is taken, that place, and 1 where it is
  // that of the first sub-pixel; by the place in the last layer.  Photons over the scale, and the
  // factors of background and terms; see weigh_factors.
  Row bent[9], turned[3], turned_at[3], front, sunk[3], polar, share, whole, start, lift;
  // Zeros.
  Row none;
  int pixels, count;
  // Of what is skipped: boxes of rays, and of the scattering vectors of a source.
  cull::Groups boxes, lit;

  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
  Bend bend(int i) const {
    return {{bent[0][i], bent[1][i], bent[2][i], bent[3][i], bent[4][i], bent[5][i], bent[6][i],
             bent[7][i], bent[8][i]}};
  }
  void keep(const Bend& found, int i) {
    bent[0][i] = found.by[0];
    bent[1][i] = found.by[1];
    bent[2][i] = found.by[2];
    bent[3][i] = found.by[3];
    bent[4][i] = found.by[4];
    bent[5][i] = found.by[5];
    bent[6][i] = found.by[6];
    bent[7][i] = found.by[7];
    bent[8][i] = found.by[8];
  }
};

// Pixels of a block.
struct Part {
  int begin, end;
};

// Whether a parameter changes the factors of a pixel.
bool bends(const Slope& slope) { return slope.placed || slope.kahn != 0.0; }

bool bends_any(const Slopes& how, const Slope* slopes) {
  bool any = false;
  for (int k = 0; k < how.parameters; ++k) any |= bends(slopes[k]);
  return any;
}

// Everything that a call is told.
struct Job {
  const Params& p;
  const Slopes& how;
  const Slope* slopes;
  const double *axes, *leads, *frames, *spins, *waves, *sources, *table;
  // Sums of derivatives by squared amplitudes (interpolated: by amplitudes), by weights and by
  // wavelengths of sources, times what pulls the pixels; null: not wanted.
  double *pulled, *pulled_sources;
  // Rows of a block: the sum itself, then one of each parameter; behind them room for sums over pixels.
  double* planes;
  // Null: nothing is skipped.
  const Cull* cull;
  // Whether any parameter changes the factors of a pixel.
  bool bent;

  double* room() const { return plane(1 + how.parameters); }
  double* plane(int number) const { return planes + static_cast<ptrdiff_t>(number) * BLOCK; }
  // Whether there are sums in the plane of a parameter before its share of those of everything.
  bool grows(const Slope& slope) const {
    return slope.lit || slope.spin >= 0 || (p.factors == EACH && bends(slope));
  }
};

void find_rays(const Params& shared, int layer, int sub, Block& b) {
  const Params p = shared;
  const double first_slow = sub / p.oversample, first_fast = sub % p.oversample;
  const double depth = layer * p.layer_step;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = slope_ray(p, b.slow[i], b.fast[i], depth, first_slow, first_fast);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

// Whole rows, which is one call for all of them.
void clear(Row* rows, int number) { memset(rows, 0, number * sizeof(Row)); }

void add_row(double times, const double* __restrict row, double* __restrict plane, int count) {
  NB_SIMD
  for (int i = 0; i < count; ++i) plane[i] = fma(times, row[i], plane[i]);
}

// Adds the change of a pixel's factors with a parameter.
NB_APART void add_bent(const Slope& steep, const Mover& how, double* __restrict sum, Block& b) {
  const Slope slope = steep;
  const Mover mover = how;
  NB_SIMD
  for (int i = 0; i < b.count; ++i)
    sum[i] += bent_by(b.bend(i), slope, move_of(mover, slope, b.slow[i], b.fast[i]));
}

}  // namespace
