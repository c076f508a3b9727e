// From sums to photons and their derivatives: the factors of a pixel, and how they change.
#pragma once
#include "lanes.h"
#include "slope_block.h"

namespace {

// The polarization factor of a source, and where a parameter changes it (BENT) its derivatives; all are
// 0 beyond dmin.
template <bool BENT>
NB_APART void polarize(const Params& shared, const Source& light, double* __restrict factor,
                       Row* by, double* __restrict kahn, const Block& b) {
  const Params p = shared;
  const Source source = light;
  double *__restrict x = by[0], *__restrict y = by[1], *__restrict z = by[2];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]};
    const FactorSlope found = polarization_slope(p, source, ray);
    const bool counts = within_dmin(p.dmin, scatter(source, ray.d));
    factor[i] = counts ? found.value : 0.0;
    if (BENT) {
      x[i] = counts ? found.place.x : 0.0;
      y[i] = counts ? found.place.y : 0.0;
      z[i] = counts ? found.place.z : 0.0;
      kahn[i] = counts ? found.kahn : 0.0;
    }
  }
}

// Polarization factors are those of the first sub-pixel.
void take_front(const Mover& mover, Block& b) {
  for (int i = 0; i < b.count; ++i) {
    b.front[i] = b.polar[i] != 0.0;
    b.turned_at[0][i] = fast_of(mover, b.fast[i]);
    b.turned_at[1][i] = slow_of(mover, b.slow[i]);
    b.turned_at[2][i] = mover.layer;
  }
}

// Where one is 0 so far, it is that of a later source, sub-pixel or layer.
void polarize_later(const Params& p, const Source& source, const Mover& mover, bool first,
                    Block& b) {
  Term& t = b.term[0];
  polarize<true>(p, source, t.squared, &t.gx, b.sum, b);
  for (int i = 0; i < b.count; ++i) {
    if (b.polar[i] != 0.0) continue;
    b.polar[i] = t.squared[i];
    b.front[i] = first && b.polar[i] != 0.0;
    b.turned[0][i] = t.gx[i];
    b.turned[1][i] = t.gy[i];
    b.turned[2][i] = t.gz[i];
    b.bent[8][i] = b.sum[i];
    b.turned_at[0][i] = fast_of(mover, b.fast[i]);
    b.turned_at[1][i] = slow_of(mover, b.slow[i]);
    b.turned_at[2][i] = mover.layer;
  }
}

// The row `polar` becomes each pixel's polarization factor; see once_factors.  Returns whether it is
// that of the first sub-pixel everywhere.
bool find_polarization(const Job& job, Block& b) {
  const Params& p = job.p;
  const int subs = p.oversample * p.oversample;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    find_rays(p, outer / subs, outer % subs, b);
    const Mover mover = mover_of(p, outer / subs, outer % subs);
    for (int number = 0; number < p.sources; ++number) {
      const Source source = read_source(job.sources, number);
      if (outer || number)
        polarize_later(p, source, mover, outer == 0, b);
      else
        (job.bent ? polarize<true> : polarize<false>)(p, source, b.polar, b.turned, b.bent[8], b);
      int open = 0;
      for (int i = 0; i < b.count; ++i) open |= b.polar[i] == 0.0;
      if (!open) return outer == 0;
      if (!outer && !number) take_front(mover, b);
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

// Photons over the scale, factors of background and terms.  BENT: what the change of each factor counts
// besides.
template <bool BENT>
NB_APART void weigh(const Params& given, const double* __restrict total, Block& b) {
  const Params p = given;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope open =
        solid_angle_slope(p, {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]});
    const Weighed found = weigh_factors(p, open.value, b.polar[i], b.share[i], total[i]);
    b.whole[i] = found.whole;
    b.start[i] = found.start;
    b.lift[i] = found.lift;
    if (BENT) {
      const double by_omega = found.by_omega, by_polar = found.by_polar, by_share = found.by_share;
      // Of each pixel for itself: its bits do not depend on the others of a block.
      const double here = b.front[i] * by_polar, elsewhere = by_polar - here;
      b.bent[0][i] = fma(by_omega, open.place.x, here * b.turned[0][i]);
      b.bent[1][i] = fma(by_omega, open.place.y, here * b.turned[1][i]);
      b.bent[2][i] = fma(by_omega, open.place.z, here * b.turned[2][i]);
      b.bent[3][i] *= by_share;
      b.bent[4][i] *= by_share;
      b.bent[5][i] *= by_share;
      b.bent[6][i] = by_omega * open.close_distance;
      b.bent[7][i] *= by_share;
      b.bent[8][i] *= by_polar;
      b.turned[0][i] *= elsewhere;
      b.turned[1][i] *= elsewhere;
      b.turned[2][i] *= elsewhere;
      b.sunk[0][i] *= by_share;
      b.sunk[1][i] *= by_share;
      b.sunk[2][i] *= by_share;
    }
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

// Factors of background and terms, and their derivatives where a parameter changes them.
Taken find_factors(const Job& job, Block& b) {
  const Params& p = job.p;
  const int last = p.layers - 1;
  const bool thick = p.depth >= 0.0;
  for (int i = 0; i < b.count; ++i) b.polar[i] = b.share[i] = b.front[i] = 1.0;
  if (job.bent && !p.polarized) {
    clear(b.turned, 3);
    clear(&b.bent[8], 1);
  }
  const bool polar_at_front = !p.polarized || find_polarization(job, b);
  if (job.bent && !thick) {
    clear(&b.bent[3], 3);
    clear(&b.bent[7], 1);
    clear(b.sunk, 3);
  }
  if (thick) {
    find_rays(p, last, 0, b);
    capture(p, last, b);
  }
  // Where the polarization was taken last.
  if (thick || !p.polarized || !polar_at_front) find_rays(p, 0, 0, b);
  (job.bent ? weigh<true> : weigh<false>)(p, job.plane(0), b);
  return {polar_at_front, thick};
}

void find_photons(const Job& job, double* photons, const Block& b) {
  const double scale = job.p.scale;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) photons[i] = scale * b.whole[i];
}

// What becomes of the plane of a parameter: sums, derivatives, or those over the root of their pixel's
// variance, which what multiplies them knows.
enum End { SUMS, SLOPES, WEIGHTED };

// Smaller numbers count as 0 there: their products are no normal ones, which takes processors long.
constexpr double TINY = 1e-150;

// SIMPLE: is_plain, and bent is all that factors change.
template <End END, bool SIMPLE>
NB_INLINE double end_of(const Params& p, const Slope& slope, double sum, double bent,
                        const Block& b, int i) {
  if (END == SUMS) return sum;
  const double found =
      SIMPLE ? fma(b.lift[i], sum, bent)
             : photon_slope(p, slope, b.start[i], b.lift[i], b.whole[i], sum, bent + b.sum[i]);
  return END == SLOPES || fabs(found) > TINY ? found : 0.0;
}

// Sums of everything, times a parameter's share of each; start: what its plane has already.
template <bool TURNED, int SHAPED, End END, bool SIMPLE>
NB_APART void mix(const Params& given, const Slope& steep, double log,
                  const double* __restrict total, const double* start, double* to,
                  const Block& b) {
  const Params p = given;
  const Slope slope = steep;
  double axes[9], shape[MOST_SHAPE];
  for (int j = 0; j < 9; ++j) axes[j] = steep.axes[j];
  for (int j = 0; j < MOST_SHAPE; ++j) shape[j] = steep.shape[j];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    double sum = fma(log, total[i], start[i]);
    if (TURNED) {
      NB_EACH
      for (int j = 0; j < 9; ++j) sum = fma(axes[j], b.turns[j][i], sum);
    }
    NB_EACH
    for (int j = 0; j < SHAPED; ++j) sum = fma(shape[j], b.shape[j][i], sum);
    to[i] = end_of<END, SIMPLE>(p, slope, sum, 0.0, b, i);
  }
}

typedef void (*Mix)(const Params&, const Slope&, double, const double*, const double*, double*,
                    const Block&);

template <bool TURNED, End END, bool SIMPLE>
Mix choose_shaped_mix(int shaped) {
  if (!shaped) return mix<TURNED, 0, END, SIMPLE>;
  return shaped == 3 ? mix<TURNED, 3, END, SIMPLE> : mix<TURNED, 6, END, SIMPLE>;
}

template <End END, bool SIMPLE>
Mix choose_mix(bool turned, int shaped) {
  return turned ? choose_shaped_mix<true, END, SIMPLE>(shaped)
                : choose_shaped_mix<false, END, SIMPLE>(shaped);
}

template <End END>
void mix_plane(const Job& job, const Slope& slope, bool simple, const double* start, double* to,
               const Block& b) {
  const int shaped = slope.shaped ? job.how.shaped : 0;
  const Mix chosen = simple ? choose_mix<END, true>(slope.turned, shaped)
                            : choose_mix<END, false>(slope.turned, shaped);
  chosen(job.p, slope, slope.log, job.plane(0), start, to, b);
}

// Which sums a plane still lacks: none; those of the first sub-pixel's place, besides the others; all.
enum Lacks { NOTHING, FRONT, ALL };

// Planes of parameters that move the detector, after add_elsewhere.  SIMPLE: and neither that nor a
// sensor's depth has a part.
template <Lacks LACKS, End END, bool SIMPLE>
NB_APART void end_placed(const Params& given, const Slope& steep, const double* start, double* to,
                         const Block& b) {
  const Params p = given;
  const Slope slope = steep;
  const Mover front = mover_of(p, 0, 0);
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector move = move_of(front, slope, b.slow[i], b.fast[i]);
    double sum = start[i];
    if (LACKS != NOTHING)
      sum = fma(b.moves[0][i], move.x, fma(b.moves[1][i], move.y, fma(b.moves[2][i], move.z, sum)));
    if (LACKS == ALL) {
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
    const Bend bend = {{b.bent[0][i], b.bent[1][i], b.bent[2][i], SIMPLE ? 0.0 : b.bent[3][i],
                        SIMPLE ? 0.0 : b.bent[4][i], SIMPLE ? 0.0 : b.bent[5][i], b.bent[6][i],
                        SIMPLE ? 0.0 : b.bent[7][i], b.bent[8][i]}};
    const double bent = END == SUMS ? 0.0 : bent_by(bend, slope, move);
    to[i] = end_of<END, SIMPLE>(p, slope, sum, bent, b, i);
  }
}

// Which of these sums a parameter needs: where the axes stay, all sub-pixels move as the first one does.
Lacks lacks_of(const Slope& slope, Lacks most) {
  bool stay = true;
  for (int i = 0; i < 3; ++i)
    stay &= slope.fast[i] == 0.0 && slope.slow[i] == 0.0 && slope.deep[i] == 0.0;
  return most == ALL && stay ? FRONT : most;
}

template <End END, bool SIMPLE>
decltype(&end_placed<ALL, END, SIMPLE>) choose_placed(Lacks lacks) {
  if (lacks == NOTHING) return end_placed<NOTHING, END, SIMPLE>;
  return lacks == FRONT ? end_placed<FRONT, END, SIMPLE> : end_placed<ALL, END, SIMPLE>;
}

// Where planes of a block go.
struct Rows {
  double* first;
  ptrdiff_t step;

  double* row(int number) const { return first + number * step; }
};

// Whether a parameter has a share of sums of everything but those of moves.
bool mixes(const Slope& slope) { return slope.turned || slope.shaped || slope.log != 0.0; }

// The plane of a parameter from sums of everything; the row `sum` is 0 before and after.
template <End END>
void end_plane(const Job& job, int k, Lacks most, const Taken& taken, double* to, Block& b) {
  const Params& p = job.p;
  const Slope& slope = job.slopes[k - 1];
  const bool lacks = most != NOTHING;
  double* plane = job.plane(k);
  const double* start = !lacks || job.grows(slope) ? plane : b.none;
  if (lacks && slope.spin >= 0) add_row(1.0, b.spins[slope.spin], plane, b.count);
  const bool bent = END != SUMS && bends(slope) &&
                    (!slope.placed || !taken.polar_at_front || taken.thick);
  const bool simple = !bent && is_plain(slope);
  if (!slope.placed) {
    if (bent) add_bent(slope, mover_of(p, 0, 0), b.sum, b);
    if (lacks)
      mix_plane<END>(job, slope, simple, start, to, b);
    else
      mix<false, 0, END, false>(p, slope, 0.0, job.plane(0), start, to, b);
  } else {
    if (lacks && mixes(slope)) {
      mix_plane<SUMS>(job, slope, false, start, plane, b);
      start = plane;
    }
    if (bent)
      add_elsewhere(slope, mover_of(p, p.layers - 1, 0), taken.polar_at_front, taken.thick, b);
    const Lacks own = lacks_of(slope, most);
    (simple ? choose_placed<END, true>(own) : choose_placed<END, false>(own))(p, slope, start, to, b);
  }
  if (bent) clear(&b.sum, 1);
}

template <End END>
void end_planes(const Job& job, Lacks most, const Taken& taken, const Rows& to, Block& b) {
  clear(&b.sum, 1);
  for (int k = 1; k <= job.how.parameters; ++k) end_plane<END>(job, k, most, taken, to.row(k), b);
}

// The rows of planes become photons and their derivatives.
void finish_block(const Job& job, Lacks most, const Rows& to, Block& b) {
  end_planes<SLOPES>(job, most, find_factors(job, b), to, b);
  find_photons(job, to.row(0), b);
}

}  // namespace
