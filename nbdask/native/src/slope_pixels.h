// From sums to photons and their derivatives: the factors of a pixel, and how they change.
#pragma once
#include "slope_block.h"

namespace {

// Where the row `polar` is 0, the polarization factor of a source, and its derivatives.
NB_APART void polarize(const Params& shared, const Source& light, const Mover& how, Block& b) {
  const Params p = shared;
  const Source source = light;
  const Mover mover = how;
  Term& t = b.term[0];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]};
    const FactorSlope found = polarization_slope(p, source, ray);
    t.squared[i] = within_dmin(p.dmin, scatter(source, ray.d)) ? found.value : 0.0;
    t.gx[i] = found.place.x;
    t.gy[i] = found.place.y;
    t.gz[i] = found.place.z;
    b.sum[i] = found.kahn;
  }
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const bool fresh = b.polar[i] == 0.0;
    b.polar[i] = fresh ? t.squared[i] : b.polar[i];
    b.turned[0][i] = fresh ? t.gx[i] : b.turned[0][i];
    b.turned[1][i] = fresh ? t.gy[i] : b.turned[1][i];
    b.turned[2][i] = fresh ? t.gz[i] : b.turned[2][i];
    b.bent[8][i] = fresh ? b.sum[i] : b.bent[8][i];
    b.turned_at[0][i] = fresh ? fast_of(mover, b.fast[i]) : b.turned_at[0][i];
    b.turned_at[1][i] = fresh ? slow_of(mover, b.slow[i]) : b.turned_at[1][i];
    b.turned_at[2][i] = fresh ? mover.layer : b.turned_at[2][i];
  }
}

// The row `polar` becomes each pixel's polarization factor; see once_factors.  Returns whether it is
// that of the first sub-pixel everywhere.
bool find_polarization(const Job& job, Block& b) {
  const Params& p = job.p;
  const int subs = p.oversample * p.oversample;
  clear(&b.polar, 1);
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    find_rays(p, outer / subs, outer % subs, b);
    const Mover mover = mover_of(p, outer / subs, outer % subs);
    for (int number = 0; number < p.sources; ++number) {
      polarize(p, read_source(job.sources, number), mover, b);
      int open = 0;
      for (int i = 0; i < b.count; ++i) open |= b.polar[i] == 0.0;
      if (!open) return outer == 0;
    }
  }
  return false;
}

// Captured shares, and their derivatives.
NB_APART void capture(const Params& shared, int layer, Block& b) {
  const Params p = shared;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope found =
        captured_slope(p, layer, {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]});
    b.share[i] = found.value;
    b.sunk[0][i] = found.place.x;
    b.sunk[1][i] = found.place.y;
    b.sunk[2][i] = found.place.z;
    b.bent[3][i] = found.normal.x;
    b.bent[4][i] = found.normal.y;
    b.bent[5][i] = found.normal.z;
    b.bent[7][i] = found.depth;
  }
}

// Solid angles, and everything else times what its change counts: photons over the scale; and the
// factors of background and terms.
NB_APART void weigh_bends(const Params& given, const double* __restrict total,
                          bool polar_at_front, Block& b) {
  const Params p = given;
  const double front = polar_at_front;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope open =
        solid_angle_slope(p, {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]});
    const Weighed found = weigh_factors(p, open.value, b.polar[i], b.share[i], total[i]);
    b.start_factor[i] = found.start;
    b.terms_factor[i] = found.terms;
    const double by_omega = found.by_omega, by_polar = found.by_polar, by_share = found.by_share;
    const double here = front * by_polar;
    b.bent[0][i] = fma(by_omega, open.place.x, here * b.turned[0][i]);
    b.bent[1][i] = fma(by_omega, open.place.y, here * b.turned[1][i]);
    b.bent[2][i] = fma(by_omega, open.place.z, here * b.turned[2][i]);
    b.bent[3][i] *= by_share;
    b.bent[4][i] *= by_share;
    b.bent[5][i] *= by_share;
    b.bent[6][i] = by_omega * open.close_distance;
    b.bent[7][i] *= by_share;
    b.bent[8][i] *= by_polar;
    b.turned[0][i] *= by_polar;
    b.turned[1][i] *= by_polar;
    b.turned[2][i] *= by_polar;
    b.sunk[0][i] *= by_share;
    b.sunk[1][i] *= by_share;
    b.sunk[2][i] *= by_share;
  }
}

// Adds what changes where the polarization, and the captured share, are taken.
NB_APART void add_elsewhere(const Slope& steep, const Mover& how, bool polar_at_front,
                            bool captured, Block& b) {
  const Slope slope = steep;
  const Mover back = how;
  if (!polar_at_front) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      const Vector move =
          place_slope(slope, b.turned_at[0][i], b.turned_at[1][i], b.turned_at[2][i]);
      b.sum[i] += fma(b.turned[0][i], move.x,
                      fma(b.turned[1][i], move.y, b.turned[2][i] * move.z));
    }
  }
  if (captured) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      const Vector move = move_of(back, slope, b.slow[i], b.fast[i]);
      b.sum[i] += fma(b.sunk[0][i], move.x, fma(b.sunk[1][i], move.y, b.sunk[2][i] * move.z));
    }
  }
}

// Where the factors of a pixel are taken.
struct Taken {
  bool polar_at_front, thick;
};

// Factors of background and terms, and their derivatives.
Taken find_factors(const Job& job, Block& b) {
  const Params& p = job.p;
  const int last = p.layers - 1;
  clear(b.bent, 9);
  clear(b.turned, 3);
  clear(b.turned_at, 3);
  clear(b.sunk, 3);
  for (int i = 0; i < b.count; ++i) b.polar[i] = b.share[i] = 1.0;
  const bool polar_at_front = !p.polarized || find_polarization(job, b), thick = p.depth >= 0.0;
  if (thick) {
    find_rays(p, last, 0, b);
    capture(p, last, b);
  }
  // Where the polarization was taken last.
  if (thick || !p.polarized || !polar_at_front) find_rays(p, 0, 0, b);
  weigh_bends(p, job.plane(0), polar_at_front, b);
  return {polar_at_front, thick};
}

NB_APART void finish_plane(const Params& given, const Slope& steep, const double* __restrict total,
                           const double* plane, double* to, Block& b) {
  const Params p = given;
  const Slope slope = steep;
  NB_SIMD
  for (int i = 0; i < b.count; ++i)
    to[i] = photon_slope(p, slope, b.start_factor[i], b.terms_factor[i], total[i], plane[i],
                         b.sum[i]);
}

// Which sums of moves a plane still lacks: none, those of the first sub-pixel's place, or all.
enum Moves { NO_MOVES, FRONT, ALL };

// The same of a parameter that moves the detector, after add_elsewhere.  What add_placed, add_bent and
// finish_plane do one after the other.
template <Moves MOVES>
NB_APART void finish_placed(const Params& given, const Slope& steep,
                            const double* __restrict total, const double* plane, double* to,
                            Block& b) {
  const Params p = given;
  const Slope slope = steep;
  const Mover front = mover_of(p, 0, 0);
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector move = move_of(front, slope, b.slow[i], b.fast[i]);
    double sum = plane[i];
    if (MOVES != NO_MOVES)
      sum = fma(b.moves[0][i], move.x, fma(b.moves[1][i], move.y, fma(b.moves[2][i], move.z, sum)));
    if (MOVES == ALL) {
      sum = fma(p.sub_fast * slope.fast[0], b.moves[3][i], sum);
      sum = fma(p.sub_fast * slope.fast[1], b.moves[4][i], sum);
      sum = fma(p.sub_fast * slope.fast[2], b.moves[5][i], sum);
      sum = fma(p.sub_slow * slope.slow[0], b.moves[6][i], sum);
      sum = fma(p.sub_slow * slope.slow[1], b.moves[7][i], sum);
      sum = fma(p.sub_slow * slope.slow[2], b.moves[8][i], sum);
      sum = fma(slope.deep[0], b.moves[9][i], sum);
      sum = fma(slope.deep[1], b.moves[10][i], sum);
      sum = fma(slope.deep[2], b.moves[11][i], sum);
    }
    const double bent = bent_by(b.bend(i), slope, move) + b.sum[i];
    to[i] = photon_slope(p, slope, b.start_factor[i], b.terms_factor[i], total[i], sum, bent);
  }
}

// Which of these sums a parameter needs: where the axes stay, all sub-pixels move as the first one does.
Moves moves_of(const Slope& slope, Moves most) {
  bool stay = true;
  for (int i = 0; i < 3; ++i)
    stay &= slope.fast[i] == 0.0 && slope.slow[i] == 0.0 && slope.deep[i] == 0.0;
  return most == ALL && stay ? FRONT : most;
}

// Where photons and derivatives of a block go.
struct Rows {
  double* first;
  ptrdiff_t step;

  double* row(int number) const { return first + number * step; }
};

// The rows of planes become photons and their derivatives.
void finish_block(const Job& job, Moves moves, const Rows& to, Block& b) {
  const Params& p = job.p;
  const Taken taken = find_factors(job, b);
  const Mover front = mover_of(p, 0, 0), back = mover_of(p, p.layers - 1, 0);
  constexpr decltype(&finish_placed<ALL>) finish[] = {finish_placed<NO_MOVES>, finish_placed<FRONT>,
                                                      finish_placed<ALL>};
  const double* total = job.plane(0);
  clear(&b.sum, 1);
  for (int k = 1; k <= job.how.parameters; ++k) {
    const Slope& slope = job.slopes[k - 1];
    if (slope.placed) {
      add_elsewhere(slope, back, taken.polar_at_front, taken.thick, b);
      finish[moves_of(slope, moves)](p, slope, total, job.plane(k), to.row(k), b);
    } else {
      if (bends(slope)) add_bent(slope, front, b.sum, b);
      finish_plane(p, slope, total, job.plane(k), to.row(k), b);
    }
    if (bends(slope)) clear(&b.sum, 1);
  }
  double* photons = to.row(0);
  for (int i = 0; i < b.count; ++i)
    photons[i] = p.scale * fma(p.background, b.start_factor[i], total[i] * b.terms_factor[i]);
}

}  // namespace
