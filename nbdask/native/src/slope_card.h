// The card's derivatives: each thread has one pixel at a time, and does with it what the loops of
// slopes.cpp do with a block.  Sums over pixels have an order of their own, or none that matters.
#pragma once
#include "card.h"
#include "slope_residual.h"
#include "slope_steps.h"

// What is wanted; as Version.
#ifdef NB_LATTICE
struct Wanted {
  static constexpr int turned = NB_TURNED, moved = NB_MOVED, shaped = NB_SHAPED, spins = NB_SPINS;
};
NB_INLINE Wanted wanted_of(const Slopes&) { return {}; }
#else
struct Wanted {
  int turned, moved, shaped, spins;
};
NB_INLINE Wanted wanted_of(const Slopes& how) {
  return {how.turned, how.moved, how.shaped, how.spins};
}
#endif

// One pixel: where it is, and what multiplies its terms in sums that are pulled.
struct Spot {
  double slow, fast, pull;
  Ray ray;
  Vector q;
  // Of one source: what multiplies its terms, what pulls them, their sum, that of V.
  double factor, drag, terms;
  Vector v;
  // Of everything; see Block.
  double turns[9], shape[MOST_SHAPE], spins[MOST_SPINS], moves[12];
  // The amplitude that terms pull at the moment, and their sum: neighbouring orientations mostly have
  // the same.
  long long place;
  double held;
};

// The buffers of a call.
struct Tables {
  const Slope* slopes;
  const double *axes, *leads, *frames, *spins, *waves, *sources, *amplitudes;
  unsigned long long* pulled;
};

// Adds to a sum that does not depend on the order: two whole numbers, in units of a power of two and
// of a smaller one.
NB_INLINE void add_exactly(const Pulls& pulls, long long place, double value, unsigned long long* sums) {
  const double scaled = value * pulls.per_coarse, coarse = rint(scaled);
  // Not in range, or not a number: said once for all.
  if (!(coarse < pulls.most && coarse > -pulls.most)) {
    atomicAdd(sums, 1ull);
    return;
  }
  const double fine = rint((scaled - coarse) * pulls.fine);
  unsigned long long* to = sums + 1 + 2 * place;
  if (coarse != 0.0) atomicAdd(to, static_cast<unsigned long long>(static_cast<long long>(coarse)));
  if (fine != 0.0) atomicAdd(to + 1, static_cast<unsigned long long>(static_cast<long long>(fine)));
}

NB_INLINE void let_go(const Pulls& pulls, Spot& spot, unsigned long long* sums) {
  if (spot.place >= 0) add_exactly(pulls, spot.place, spot.held, sums);
  spot.place = -1;
  spot.held = 0.0;
}

// The sum over the threads of a block, in a fixed order.
NB_INLINE double block_sum(double value, double* room) {
  room[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    __syncthreads();
  }
  const double sum = room[0];
  __syncthreads();
  return sum;
}

NB_INLINE void place_spot(const Params& p, const int* __restrict__ listed, unsigned number,
                          Spot& spot) {
  Pixel pixel;
  place_pixel(p, listed, number, pixel);
  spot.slow = pixel.slow;
  spot.fast = pixel.fast;
}

NB_INLINE Ray spot_ray(const Params& p, const Spot& spot, int layer, int sub) {
  return slope_ray(p, spot.slow, spot.fast, layer * p.layer_step, sub / p.oversample,
                   sub % p.oversample);
}

// As begin_source of slopes.cpp.
NB_INLINE void begin_light(const Version& v, const Params& p, const Source& source, int layer,
                           Spot& spot) {
  spot.q = scatter(source, spot.ray.d);
  const double constant = source.weight * p.height;
  const double weight = v.factors == EACH ? term_factors(p, source, layer, spot.ray) : 1.0;
  spot.factor = within_dmin(p.dmin, spot.q) ? constant * weight : 0.0;
  spot.drag = spot.pull * spot.factor;
  spot.terms = 0.0;
  spot.v = {0.0, 0.0, 0.0};
}

// Indices as they are where amplitudes are interpolated.
struct Plain {
  static constexpr int lattice = GRATING, amplitude = TRICUBIC;
};

// As interpolate of slope_terms.h.
NB_INLINE void interpolate_spot(const Params& p, const Pulls& pulls, const Tables& tables,
                                const Source& source, const double* a, double weight,
                                LatticeSlope& found, const Spot& spot) {
  const Indices at = find_indices(Plain(), a, spot.q);
  Interpolated value = {0.0, {0.0, 0.0, 0.0}};
  double strength = p.default_squared;
  if (inside_list(p, at)) {
    const long long place = source.amplitudes + first_neighbour(p, at);
    value = interpolated_slope(p, tables.amplitudes + place, at);
    strength = value.value * value.value;
    const double pulled = weight * spot.drag * 2.0 * value.value * found.squared;
    if (pulls.amplitudes)
      each_neighbour(p, at, [&](long long to, double share) {
        add_exactly(pulls, place + to, pulled * share, tables.pulled);
      });
  }
  const double twice = 2.0 * value.value * found.squared;
  found.by = {fma(twice, value.by.x, strength * found.by.x),
              fma(twice, value.by.y, strength * found.by.y),
              fma(twice, value.by.z, strength * found.by.z)};
  found.squared *= strength;
  for (int j = 0; j < MOST_SHAPE; ++j) found.shape[j] *= strength;
}

// As accumulate of slope_terms.h.
NB_INLINE void add_sums(const Version& v, const Wanted& want, const double* a,
                        const double* __restrict__ frame, double strength,
                        const LatticeSlope& found, Spot& spot) {
  const Vector& by = found.by;
  const double x = strength * by.x, y = strength * by.y, z = strength * by.z;
  const bool distant = by_distance(v);
  spot.terms = distant ? spot.terms + strength : fma(strength, found.squared, spot.terms);
  if (want.moved) {
    spot.v.x = fma(a[0], x, fma(a[3], y, fma(a[6], z, spot.v.x)));
    spot.v.y = fma(a[1], x, fma(a[4], y, fma(a[7], z, spot.v.y)));
    spot.v.z = fma(a[2], x, fma(a[5], y, fma(a[8], z, spot.v.z)));
  }
  if (want.turned) {
    const double seen[3] = {dot(frame, spot.q), dot(frame + 3, spot.q), dot(frame + 6, spot.q)};
    NB_UNROLL
    for (int j = 0; j < 3; ++j) {
      spot.turns[j] = fma(x, seen[j], spot.turns[j]);
      spot.turns[3 + j] = fma(y, seen[j], spot.turns[3 + j]);
      spot.turns[6 + j] = fma(z, seen[j], spot.turns[6 + j]);
    }
  }
  if (distant && want.shaped) {
    const double ways[6][2] = {{x, by.x}, {y, by.y}, {z, by.z}, {x, by.y}, {x, by.z}, {y, by.z}};
    NB_UNROLL
    for (int j = 0; j < 6; ++j) spot.shape[j] = fma(ways[j][0], ways[j][1], spot.shape[j]);
    return;
  }
  NB_UNROLL
  for (int j = 0; j < MOST_SHAPE; ++j)
    if (j < want.shaped) spot.shape[j] = fma(strength, found.shape[j], spot.shape[j]);
}

// What an orientation adds, as add_orientation of slope_terms.h.
NB_INLINE void add_turn(const Version& v, const Wanted& want, const Params& p, const Pulls& pulls,
                        const Tables& tables, const Source& source, int o, Spot& spot) {
  double a[9];
  NB_UNROLL
  for (int i = 0; i < 9; ++i) a[i] = tables.axes[static_cast<long long>(o) * AXES_ROW + i];
  const double weight = weight_of(tables.axes, o);
  const Indices at = find_spot(v, p, a, spot.q);
  LatticeSlope found = lattice_slope(v, p, at);
  double strength = weight * spot.factor;
  if (v.amplitude == NEAREST) {
    const long long place = source.amplitudes + place_of(p, at);
    strength *= tables.amplitudes[place];
    if (pulls.amplitudes) {
      if (place != spot.place) let_go(pulls, spot, tables.pulled);
      spot.place = place;
      spot.held += weight * spot.drag * found.squared;
    }
  }
  if (v.amplitude == TRICUBIC)
    interpolate_spot(p, pulls, tables, source, a, weight, found, spot);
  if (by_distance(v)) strength *= found.squared;
  NB_UNROLL
  for (int i = 0; i < 9; ++i) a[i] = tables.leads[static_cast<long long>(o) * AXES_ROW + i];
  add_sums(v, want, a, tables.frames + static_cast<long long>(o) * 9, strength, found, spot);
  for (int number = 0; number < want.spins; ++number) {
    const double* w = tables.spins + (static_cast<long long>(number) * p.turns + o) * 3;
    spot.spins[number] = fma(strength, spin_slope(a, {w[0], w[1], w[2]}, found.by, spot.q),
                             spot.spins[number]);
  }
}

// Numbers of a pixel, in rows of p.count: the sum itself, and one of each parameter.
struct Column {
  double* first;
  long long step;
};

NB_INLINE double& plane_of(const Column& of, int number) { return of.first[number * of.step]; }

// What the factors that go with every term of a source change by, as bend_terms of slopes.cpp.
NB_INLINE void bend_light(const Params& p, const Slopes& how, const Slope* slopes,
                          const Source& source, int layer, int sub, const Column& planes,
                          const Spot& spot) {
  const FactorSlope found = term_factors_slope(p, source, layer, spot.ray);
  const Bend bent = bend_of(found, found.value != 0.0 ? spot.terms / found.value : 0.0);
  const Mover mover = mover_of(p, layer, sub);
  for (int k = 0; k < how.parameters; ++k)
    if (slopes[k].placed || slopes[k].kahn != 0.0)
      plane_of(planes, k + 1) +=
          bent_by(bent, slopes[k], move_of(mover, slopes[k], spot.slow, spot.fast));
}

// The sums of a source become part of those of everything; returns V . q.
NB_INLINE double end_light(const Version& v, const Wanted& want, const Params& p, const Slopes& how,
                           const Tables& tables, const Source& source, int number, int layer,
                           int sub, const Column& planes, Spot& spot) {
  plane_of(planes, 0) += spot.terms;
  double along = 0.0;
  if (want.moved) {
    const Moved found = moved_by(spot.ray, spot.q, spot.v, source.per_wavelength);
    along = found.along;
    const double times[4] = {1.0, 1.0 * (sub % p.oversample), 1.0 * (sub / p.oversample),
                             1.0 * layer};
    NB_UNROLL
    for (int part = 0; part < 4; ++part) {
      spot.moves[3 * part] = fma(times[part], found.y.x, spot.moves[3 * part]);
      spot.moves[3 * part + 1] = fma(times[part], found.y.y, spot.moves[3 * part + 1]);
      spot.moves[3 * part + 2] = fma(times[part], found.y.z, spot.moves[3 * part + 2]);
    }
    for (int k = 0; k < how.parameters; ++k)
      if (tables.slopes[k].lit)
        plane_of(planes, k + 1) =
            fma(-tables.waves[static_cast<long long>(k) * p.sources + number], along,
                plane_of(planes, k + 1));
  }
  if (v.factors == EACH)
    bend_light(p, how, tables.slopes, source, layer, sub, planes, spot);
  return along;
}

// As add_placed of slopes.cpp.
NB_INLINE double placed_sum(const Params& p, const Slope& slope, const Spot& spot, double sum) {
  const Vector move = move_of(mover_of(p, 0, 0), slope, spot.slow, spot.fast);
  const double* m = spot.moves;
  sum = fma(m[0], move.x, fma(m[1], move.y, fma(m[2], move.z, sum)));
  NB_UNROLL
  for (int j = 0; j < 3; ++j) sum = fma(p.sub_fast * slope.fast[j], m[3 + j], sum);
  NB_UNROLL
  for (int j = 0; j < 3; ++j) sum = fma(p.sub_slow * slope.slow[j], m[6 + j], sum);
  NB_UNROLL
  for (int j = 0; j < 3; ++j) sum = fma(slope.deep[j], m[9 + j], sum);
  return sum;
}

// The sums of everything become those of the parameters, as add_parameters of slopes.cpp.
NB_INLINE void end_sums(const Wanted& want, const Params& p, const Slopes& how, const Slope* slopes,
                        const Column& planes, const Spot& spot) {
  const double total = plane_of(planes, 0);
  for (int k = 0; k < how.parameters; ++k) {
    const Slope& slope = slopes[k];
    double sum = plane_of(planes, k + 1);
    for (int number = 0; number < want.spins; ++number)
      if (slope.spin == number) sum += spot.spins[number];
    if (slope.log != 0.0) sum = fma(slope.log, total, sum);
    if (want.turned && slope.turned)
      for (int j = 0; j < 9; ++j) sum = fma(slope.axes[j], spot.turns[j], sum);
    NB_UNROLL
    for (int j = 0; j < MOST_SHAPE; ++j)
      if (j < want.shaped && slope.shaped) sum = fma(slope.shape[j], spot.shape[j], sum);
    if (want.moved && slope.placed) sum = placed_sum(p, slope, spot, sum);
    plane_of(planes, k + 1) = sum;
  }
}

// The polarization factor of a pixel, where it is taken, and whether that is the first sub-pixel; as
// find_polarization of slope_pixels.h.
struct Polarized {
  FactorSlope factor;
  Vector at;
  bool front;
};

NB_INLINE Polarized polarize_spot(const Params& p, const double* __restrict__ sources,
                                  const Spot& spot) {
  const FactorSlope one = {1.0, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.0, 0.0, 0.0};
  const FactorSlope none = {0.0, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.0, 0.0, 0.0};
  Polarized taken = {one, {0.0, 0.0, 0.0}, true};
  if (!p.polarized) return taken;
  const int subs = p.oversample * p.oversample;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    const Ray ray = spot_ray(p, spot, outer / subs, outer % subs);
    const Mover mover = mover_of(p, outer / subs, outer % subs);
    for (int number = 0; number < p.sources; ++number) {
      const Source source = read_source(sources, number);
      const bool counts = within_dmin(p.dmin, scatter(source, ray.d));
      taken.factor = counts ? polarization_slope(p, source, ray) : none;
      taken.at = {fast_of(mover, spot.fast), slow_of(mover, spot.slow), mover.layer};
      taken.front = outer == 0;
      if (taken.factor.value != 0.0) return taken;
    }
  }
  taken.front = false;
  return taken;
}

NB_INLINE double inner(const Vector& a, double times, const Vector& b) {
  return fma(a.x * times, b.x, fma(a.y * times, b.y, a.z * times * b.z));
}

// The sums of a pixel become photons and their derivatives, as finish_block of slope_pixels.h.
NB_INLINE void finish_spot(const Params& p, const Slopes& how, const Slope* slopes,
                           const double* __restrict__ sources, const Column& planes,
                           const Spot& spot) {
  const double total = plane_of(planes, 0);
  const Polarized polar = polarize_spot(p, sources, spot);
  FactorSlope share = {1.0, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, 0.0, 0.0, 0.0};
  if (p.depth >= 0.0) share = captured_slope(p, p.layers - 1, spot_ray(p, spot, p.layers - 1, 0));
  const FactorSlope open = solid_angle_slope(p, spot_ray(p, spot, 0, 0));
  const Weighed found = weigh_factors(p, open.value, polar.factor.value, share.value, total);
  const double here = polar.front ? found.by_polar : 0.0;
  const Vector& turned = polar.factor.place;
  const Bend bent = {{fma(found.by_omega, open.place.x, here * turned.x),
                      fma(found.by_omega, open.place.y, here * turned.y),
                      fma(found.by_omega, open.place.z, here * turned.z),
                      share.normal.x * found.by_share, share.normal.y * found.by_share,
                      share.normal.z * found.by_share, found.by_omega * open.close_distance,
                      share.depth * found.by_share, polar.factor.kahn * found.by_polar}};
  const Mover front = mover_of(p, 0, 0), back = mover_of(p, p.layers - 1, 0);
  for (int k = 0; k < how.parameters; ++k) {
    const Slope& slope = slopes[k];
    double more = 0.0;
    if (slope.placed && !polar.front)
      more += inner(turned, found.by_polar,
                    place_slope(slope, polar.at.x, polar.at.y, polar.at.z));
    if (slope.placed && p.depth >= 0.0)
      more += inner(share.place, found.by_share, move_of(back, slope, spot.slow, spot.fast));
    if (slope.placed || slope.kahn != 0.0)
      more = bent_by(bent, slope, move_of(front, slope, spot.slow, spot.fast)) + more;
    plane_of(planes, k + 1) = photon_slope(p, slope, found.start, found.lift, found.whole,
                                           plane_of(planes, k + 1), more);
  }
  plane_of(planes, 0) = p.scale * found.whole;
}
