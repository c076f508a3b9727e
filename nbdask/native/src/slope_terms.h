// One evaluation after the other: squared lattice factors, amplitudes and their slopes, and the sums in
// which they end.
#pragma once
#include "slope_block.h"
#include "slope_narrow.h"

namespace {

template <int LATTICE, int AMPLITUDE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, degree = DEGREE;
};

// Squared lattice factors of an orientation and their slopes.
template <class V, bool SHAPED>
NB_APART void evaluate(const Job& job, const double* axes, Part part, const Block& b, Term& t) {
  const V v;
  const Params p = job.p;
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  NB_SIMD
  for (int i = part.begin; i < part.end; ++i) {
    const Indices at = find_spot(v, p, a, {b.qx[i], b.qy[i], b.qz[i]});
    const LatticeSlope found =
        v.lattice == CARD_GRATING ? narrow_slopes(p, at) : lattice_slope(v, p, at);
    t.squared[i] = found.squared;
    t.gx[i] = found.by.x;
    t.gy[i] = found.by.y;
    t.gz[i] = found.by.z;
    if (SHAPED && !by_distance(v)) {
      t.now[0][i] = found.shape[0];
      t.now[1][i] = found.shape[1];
      t.now[2][i] = found.shape[2];
    }
    if (SHAPED && !by_distance(v) && (v.lattice == GAUSS || v.lattice == NODES)) {
      t.now[3][i] = found.shape[3];
      t.now[4][i] = found.shape[4];
      t.now[5][i] = found.shape[5];
    }
    if (v.amplitude == NEAREST) t.place[i] = place_of(p, at);
  }
}

typedef void (*Evaluate)(const Job&, const double*, Part, const Block&, Term&);

template <int LATTICE, int DEGREE = 0>
Evaluate choose_amplitude(const Params& p, bool shaped) {
  if (p.amplitude == CONSTANT)
    return shaped ? evaluate<Version<LATTICE, CONSTANT, DEGREE>, true>
                  : evaluate<Version<LATTICE, CONSTANT, DEGREE>, false>;
  if (p.amplitude == TRICUBIC)
    return shaped ? evaluate<Version<LATTICE, TRICUBIC, DEGREE>, true>
                  : evaluate<Version<LATTICE, TRICUBIC, DEGREE>, false>;
  return shaped ? evaluate<Version<LATTICE, NEAREST, DEGREE>, true>
                : evaluate<Version<LATTICE, NEAREST, DEGREE>, false>;
}

template <int LATTICE>
Evaluate choose_few(const Params& p, bool shaped) {
  return p.degree == 2 ? choose_amplitude<LATTICE, 2>(p, shaped)
                       : choose_amplitude<LATTICE, 4>(p, shaped);
}

Evaluate choose(const Params& p, bool shaped, bool narrow) {
  if (p.lattice == FEW_ODD) return choose_few<FEW_ODD>(p, shaped);
  if (p.lattice == FEW) return choose_few<FEW>(p, shaped);
  if (p.lattice == GRATING && narrow) return choose_amplitude<CARD_GRATING>(p, shaped);
  if (p.lattice == GRATING) return choose_amplitude<GRATING>(p, shaped);
  if (p.lattice == SPHERE) return choose_amplitude<SPHERE>(p, shaped);
  return p.lattice == NODES ? choose_amplitude<NODES>(p, shaped) : choose_amplitude<GAUSS>(p, shaped);
}

// Interpolated amplitudes, which change with the indices as well, and what multiplies the rows of a
// term, whose own slopes by the indices become those of the whole.
void interpolate(const Job& job, const Source& source, const double* axes, double weight,
                 Part part, Block& b, Term& t) {
  const Params& p = job.p;
  const Version<GRATING, TRICUBIC, 0> v;
  const double* table = job.table + source.amplitudes;
  const int last = part.end < b.pixels ? part.end : b.pixels;
  for (int i = part.begin; i < last; ++i) {
    const Indices at = find_indices(v, axes, b.q(i));
    Interpolated found = {0.0, {0.0, 0.0, 0.0}};
    double strength = p.default_squared;
    if (inside_list(p, at)) {
      const int place = first_neighbour(p, at);
      found = interpolated_slope(p, table + place, at);
      strength = found.value * found.value;
      double* first = job.pulled ? job.pulled + source.amplitudes + place : nullptr;
      const double pulled = weight * b.drag[i] * 2.0 * found.value * t.squared[i];
      if (first)
        each_neighbour(p, at, [=](long long to, double share) { first[to] += pulled * share; });
    }
    const double twice = 2.0 * found.value * t.squared[i];
    t.gx[i] = fma(twice, found.by.x, strength * t.gx[i]);
    t.gy[i] = fma(twice, found.by.y, strength * t.gy[i]);
    t.gz[i] = fma(twice, found.by.z, strength * t.gz[i]);
    t.squared[i] *= strength;
    for (int j = 0; j < job.how.shaped; ++j) t.now[j][i] *= strength;
  }
  // Copies of the last pixel: no numbers, not looked at.
  for (int i = last; i < part.end; ++i) t.squared[i] = t.gx[i] = t.gy[i] = t.gz[i] = 0.0;
  for (int i = part.begin; i < part.end; ++i) t.strength[i] = weight * b.factor[i];
}

// What multiplies the rows of a term: with the amplitudes at the nearest whole indices.
void look_up(const Job& job, const Source& source, double weight, Part part, Block& b, Term& t) {
  const double* __restrict table = job.table + source.amplitudes;
  NB_SIMD
  for (int i = part.begin; i < part.end; ++i) t.strength[i] = weight * b.factor[i] * table[t.place[i]];
  if (!job.pulled) return;
  double* pulled = job.pulled + source.amplitudes;
  NB_SIMD
  for (int i = part.begin; i < part.end; ++i) b.sum[i] = weight * b.drag[i] * t.squared[i];
  // Neighbours have the same place mostly, and each sum would wait for the one before: so pixels from
  // eight places take turns.  What fills the block up is not pulled.
  const int eighth = (part.end - part.begin) / 8;
  for (int i = part.begin; i < part.begin + eighth; ++i)
    for (int j = i; j < part.end; j += eighth) pulled[t.place[j]] += b.sum[j];
}

// Sums of a pixel while terms are added.
struct Held {
  double terms;
  Vector v;
  double turns[9], shape[MOST_SHAPE];
};

// DISTANT: by_distance, and S is in the strength already.
template <bool MOVED, bool TURNED, int SHAPED, bool DISTANT>
NB_INLINE void add_term(const double* a, const double* f, const Vector& q, const Term& t, int i,
                        Held& sum) {
  const double strength = t.strength[i];
  const double x = strength * t.gx[i], y = strength * t.gy[i], z = strength * t.gz[i];
  sum.terms = DISTANT ? sum.terms + strength : fma(strength, t.squared[i], sum.terms);
  if (MOVED) {
    sum.v.x = fma(a[0], x, fma(a[3], y, fma(a[6], z, sum.v.x)));
    sum.v.y = fma(a[1], x, fma(a[4], y, fma(a[7], z, sum.v.y)));
    sum.v.z = fma(a[2], x, fma(a[5], y, fma(a[8], z, sum.v.z)));
  }
  if (TURNED) {
    const double q0 = dot(f, q), q1 = dot(f + 3, q), q2 = dot(f + 6, q);
    sum.turns[0] = fma(x, q0, sum.turns[0]);
    sum.turns[1] = fma(x, q1, sum.turns[1]);
    sum.turns[2] = fma(x, q2, sum.turns[2]);
    sum.turns[3] = fma(y, q0, sum.turns[3]);
    sum.turns[4] = fma(y, q1, sum.turns[4]);
    sum.turns[5] = fma(y, q2, sum.turns[5]);
    sum.turns[6] = fma(z, q0, sum.turns[6]);
    sum.turns[7] = fma(z, q1, sum.turns[7]);
    sum.turns[8] = fma(z, q2, sum.turns[8]);
  }
  if (SHAPED && DISTANT) {
    const double dy = t.gy[i], dz = t.gz[i];
    sum.shape[0] = fma(x, t.gx[i], sum.shape[0]);
    sum.shape[1] = fma(y, dy, sum.shape[1]);
    sum.shape[2] = fma(z, dz, sum.shape[2]);
    sum.shape[3] = fma(x, dy, sum.shape[3]);
    sum.shape[4] = fma(x, dz, sum.shape[4]);
    sum.shape[5] = fma(y, dz, sum.shape[5]);
  }
  if (SHAPED && !DISTANT) {
    sum.shape[0] = fma(strength, t.now[0][i], sum.shape[0]);
    sum.shape[1] = fma(strength, t.now[1][i], sum.shape[1]);
    sum.shape[2] = fma(strength, t.now[2][i], sum.shape[2]);
  }
  if (SHAPED == 6 && !DISTANT) {
    sum.shape[3] = fma(strength, t.now[3][i], sum.shape[3]);
    sum.shape[4] = fma(strength, t.now[4][i], sum.shape[4]);
    sum.shape[5] = fma(strength, t.now[5][i], sum.shape[5]);
  }
}

// Adds the terms of COUNT orientations that follow one another.
template <bool MOVED, bool TURNED, int SHAPED, bool DISTANT, int COUNT>
NB_APART void accumulate(const double* leads, const double* frames, Part part, Block& b) {
  double a[COUNT][9], f[COUNT][9];
  for (int n = 0; n < COUNT; ++n)
    for (int i = 0; i < 9; ++i) a[n][i] = leads[n * AXES_ROW + i], f[n][i] = frames[n * 9 + i];
  NB_SIMD
  for (int i = part.begin; i < part.end; ++i) {
    const Vector q = {b.qx[i], b.qy[i], b.qz[i]};
    Held sum = {b.terms[i],
                {b.vx[i], b.vy[i], b.vz[i]},
                {b.turns[0][i], b.turns[1][i], b.turns[2][i], b.turns[3][i], b.turns[4][i],
                 b.turns[5][i], b.turns[6][i], b.turns[7][i], b.turns[8][i]},
                {b.shape[0][i], b.shape[1][i], b.shape[2][i], b.shape[3][i], b.shape[4][i],
                 b.shape[5][i]}};
    const auto add = add_term<MOVED, TURNED, SHAPED, DISTANT>;
    add(a[0], f[0], q, b.term[0], i, sum);
    if (COUNT > 1) add(a[COUNT - 1], f[COUNT - 1], q, b.term[1], i, sum);
    b.terms[i] = sum.terms;
    if (MOVED) b.vx[i] = sum.v.x, b.vy[i] = sum.v.y, b.vz[i] = sum.v.z;
    if (TURNED) {
      b.turns[0][i] = sum.turns[0], b.turns[1][i] = sum.turns[1], b.turns[2][i] = sum.turns[2];
      b.turns[3][i] = sum.turns[3], b.turns[4][i] = sum.turns[4], b.turns[5][i] = sum.turns[5];
      b.turns[6][i] = sum.turns[6], b.turns[7][i] = sum.turns[7], b.turns[8][i] = sum.turns[8];
    }
    if (SHAPED)
      b.shape[0][i] = sum.shape[0], b.shape[1][i] = sum.shape[1], b.shape[2][i] = sum.shape[2];
    if (SHAPED == 6)
      b.shape[3][i] = sum.shape[3], b.shape[4][i] = sum.shape[4], b.shape[5][i] = sum.shape[5];
  }
}

typedef void (*Accumulate)(const double*, const double*, Part, Block&);

// For one orientation, and for two.
struct Adders {
  Accumulate one, two;
};

template <bool MOVED, bool TURNED, int SHAPED, bool DISTANT>
Adders adders() {
  return {accumulate<MOVED, TURNED, SHAPED, DISTANT, 1>,
          accumulate<MOVED, TURNED, SHAPED, DISTANT, 2>};
}

template <bool MOVED, bool TURNED>
Adders choose_shaped(int shaped, bool distant) {
  if (distant)
    return shaped ? adders<MOVED, TURNED, 6, true>() : adders<MOVED, TURNED, 0, true>();
  if (!shaped) return adders<MOVED, TURNED, 0, false>();
  return shaped == 3 ? adders<MOVED, TURNED, 3, false>() : adders<MOVED, TURNED, 6, false>();
}

Adders choose_sums(const Slopes& how, bool distant) {
  const int shaped = how.shaped;
  if (how.moved)
    return how.turned ? choose_shaped<true, true>(shaped, distant)
                      : choose_shaped<true, false>(shaped, distant);
  return how.turned ? choose_shaped<false, true>(shaped, distant)
                    : choose_shaped<false, false>(shaped, distant);
}

// What orientations share that turn in one way: omega . (V x q).
void add_spins(const Job& job, const double* leads, int orientation, Part part, const Term& t,
               Block& b) {
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = leads[i];
  for (int number = 0; number < job.how.spins; ++number) {
    const double* w =
        job.spins + (static_cast<ptrdiff_t>(number) * job.p.turns + orientation) * 3;
    const Vector omega = {w[0], w[1], w[2]};
    if (omega.x == 0.0 && omega.y == 0.0 && omega.z == 0.0) continue;
    double* __restrict sum = b.spins[number];
    NB_SIMD
    for (int i = part.begin; i < part.end; ++i) {
      const double turn = spin_slope(a, omega, {t.gx[i], t.gy[i], t.gz[i]}, b.q(i));
      sum[i] = fma(t.strength[i], turn, sum[i]);
    }
  }
}

// The loops of a model.
struct Chosen {
  Evaluate evaluate;
  Adders add;
  bool distant;
};

Chosen choose_loops(const Params& p, const Slopes& how) {
  const bool distant = by_distance(p);
  return {choose(p, how.shaped, how.narrow), choose_sums(how, distant), distant};
}

// Finds the terms of an orientation, and adds what is not common to all.
void find_term(const Job& job, const Source& source, const Chosen& chosen, int o, Part part,
               Term& t, Block& b) {
  const ptrdiff_t row = static_cast<ptrdiff_t>(o) * AXES_ROW;
  const double *axes = job.axes + row, weight = weight_of(job.axes, o);
  chosen.evaluate(job, axes, part, b, t);
  if (job.p.amplitude == NEAREST) look_up(job, source, weight, part, b, t);
  if (job.p.amplitude == TRICUBIC) interpolate(job, source, axes, weight, part, b, t);
  if (job.p.amplitude == CONSTANT)
    for (int i = part.begin; i < part.end; ++i) t.strength[i] = weight * b.factor[i];
  if (chosen.distant)
    for (int i = part.begin; i < part.end; ++i) t.strength[i] *= t.squared[i];
  add_spins(job, job.leads + row, o, part, t, b);
}

// What some orientations, at most TOGETHER, add to some pixels.
void add_orientations_of(const Job& job, const Source& source, const Chosen& chosen, int first,
                         int count, Part part, Block& b) {
  for (int n = 0; n < count; ++n)
    find_term(job, source, chosen, first + n, part, b.term[n], b);
  const auto add = count == TOGETHER ? chosen.add.two : chosen.add.one;
  add(job.leads + static_cast<ptrdiff_t>(first) * AXES_ROW,
      job.frames + static_cast<ptrdiff_t>(first) * 9, part, b);
}

// The orientations of a source, each of the pixels that its spots may reach: elsewhere S, and all its
// slopes, are exactly 0.
// S-GRAD-22
void add_orientations(const Job& job, const Source& source, const Chosen& chosen, int first,
                      int last, Block& b) {
  if (job.cull) cull::groups_of(*job.cull, source, b.boxes, b.lit);
  if (!job.cull) {
    for (int o = first; o < last; o += TOGETHER)
      add_orientations_of(job, source, chosen, o, last - o < TOGETHER ? 1 : TOGETHER,
                          {0, b.count}, b);
    return;
  }
  const auto reached = [&](int o) {
    return cull::reached_groups(job.cull->turns + static_cast<ptrdiff_t>(o) * cull::TURN_ROW, b.lit);
  };
  for (int o = first; o < last;) {
    unsigned long long left = reached(o);
    const int count = o + 1 < last && left && left == reached(o + 1) ? TOGETHER : 1;
    while (left) {
      const int begin = __builtin_ctzll(left), length = __builtin_ctzll(~(left >> begin));
      left &= ~(((1ull << length) - 1) << begin);
      add_orientations_of(job, source, chosen, o, count,
                          {begin * job.cull->group, (begin + length) * job.cull->group}, b);
    }
    o += count;
  }
}

}  // namespace
