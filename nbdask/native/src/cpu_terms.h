// The innermost loops of the processor: terms of orientations, added to the pixels of a block.
#pragma once
#include "amplitude.h"
#include "cpu_block.h"
#include "cull.h"
#include "diffuse.h"
#include "lattice.h"

namespace {

// Squared amplitudes of kept terms: the places are looked up in a loop of their own.
void look_up(const double* __restrict table, int begin, int end, Block& b) {
  NB_SIMD
  for (int i = begin; i < end; ++i) b.terms[i] = fma(b.term[i], table[b.place[i]], b.terms[i]);
}

// What interpolation needs of some pixels: weights along each axis, and the first neighbour's place,
// -1 outside the list.
struct WeightRows {
  double a[STEP], b[STEP], c[STEP], d[STEP];

  void set(int j, const Weights& w) { a[j] = w.a, b[j] = w.b, c[j] = w.c, d[j] = w.d; }
  Weights get(int j) const { return {a[j], b[j], c[j], d[j]}; }
};

struct Cubic {
  WeightRows h, k, l;
  int place[STEP];
};

template <class V>
void find_neighbours(const V& v, const Params& p, const double* a, int begin, const Block& b,
                     Cubic& cubic) {
  const double *qx = b.qx + begin, *qy = b.qy + begin, *qz = b.qz + begin;
  NB_SIMD
  for (int j = 0; j < STEP; ++j) {
    const Indices at = find_indices(v, a, {qx[j], qy[j], qz[j]});
    cubic.h.set(j, cubic_weights(at.h.h));
    cubic.k.set(j, cubic_weights(at.k.h));
    cubic.l.set(j, cubic_weights(at.l.h));
    const int place = first_neighbour(p, at);
    cubic.place[j] = inside_list(p, at) ? place : -1;
  }
}

template <class V>
void interpolate(const V& v, const Params& p, const double* a, const double* table, int from,
                 int to, Block& b) {
  Cubic cubic;
  for (int begin = from; begin < to && begin < b.pixels; begin += STEP) {
    find_neighbours(v, p, a, begin, b, cubic);
    for (int j = 0; j < STEP && begin + j < b.pixels; ++j) {
      const int i = begin + j, place = cubic.place[j];
      if (b.term[i] == 0.0) continue;
      double strength = p.default_squared;
      if (place >= 0)
        strength = interpolated_squared(p, table + place, cubic.h.get(j), cubic.k.get(j),
                                        cubic.l.get(j));
      else
        b.outside += p.dmin <= 0.0 || b.counted[i];
      b.terms[i] = fma(b.term[i], strength, b.terms[i]);
    }
  }
}

// Groups of pixels of a block, and of each which orientations reach it; base: that of the first
// bit.
struct Reached {
  const cull::Bits* bits;
  int group, count, base;

  // Calls with each of a range of orientations that reaches a group.
  template <class Called>
  NB_METHOD void each(int g, int first, int last, const Called& called) const {
    cull::each_turn(*bits, g, first - base, last - base, [&](int n) { called(base + n); });
  }
};

// Adds the squared lattice factors times squared amplitudes of orientations to the row of terms.
template <class V>
__attribute__((noinline)) void add_terms(const Params& shared, const double* axes,
                                         const double* table, int first, int last,
                                         const Reached& reached, Block& b) {
  const V v;
  const Params p = shared;
  const double *__restrict qx = b.qx, *__restrict qy = b.qy, *__restrict qz = b.qz;
  double* __restrict terms = v.amplitude == CONSTANT ? b.terms : b.term;
  int* __restrict place = b.place;
  for (int g = 0; g < reached.count; ++g) {
    const int begin = g * reached.group, end = begin + reached.group;
    reached.each(g, first, last, [&](int o) {
      double a[9];
      for (int i = 0; i < 9; ++i) a[i] = axes[static_cast<ptrdiff_t>(o) * AXES_ROW + i];
      for (int start = begin; start < end; start += LEAST_GROUP) {
        NB_SIMD
        for (int i = start; i < start + LEAST_GROUP; ++i) {
          const Indices at = find_spot(v, p, a, {qx[i], qy[i], qz[i]});
          const double squared = lattice_factor(v, p, at).squared;
          terms[i] = v.amplitude == CONSTANT ? terms[i] + squared : squared;
          if (v.amplitude == NEAREST) place[i] = place_of(p, at);
        }
      }
      if (v.amplitude == NEAREST) look_up(table, begin, end, b);
      if (v.amplitude == TRICUBIC) interpolate(v, p, a, table, begin, end, b);
    });
  }
}

// Adds diffuse scattering of an orientation to the row of terms; table: the source's amplitudes.
// S-DIF-01
__attribute__((noinline)) void add_diffuse(const Params& shared, const Source& source,
                                           const double* axes, const double* table, int o,
                                           Block& b) {
  const Params p = shared;
  const double *own = table, *laue = table - source.amplitudes + p.laue_at;
  const double *__restrict qx = b.qx, *__restrict qy = b.qy, *__restrict qz = b.qz;
  double h[STEP], k[STEP], l[STEP], x[STEP], y[STEP], z[STEP], strength[STEP], sum[STEP];
  double moved[MOST_LAUE][STEP];
  const double* a = axes + static_cast<ptrdiff_t>(o) * AXES_ROW;
  for (int begin = 0; begin < b.count; begin += STEP) {
    NB_SIMD
    for (int j = 0; j < STEP; ++j) {
      const Vector q = {qx[begin + j], qy[begin + j], qz[begin + j]};
      const double at[3] = {dot(a, q), dot(a + 3, q), dot(a + 6, q)};
      h[j] = ceil(at[0] - 0.5), k[j] = ceil(at[1] - 0.5), l[j] = ceil(at[2] - 0.5);
      x[j] = at[0] - h[j], y[j] = at[1] - k[j], z[j] = at[2] - l[j];
      sum[j] = 0.0;
    }
    for (int number = 0; number < p.laue; ++number) {
      NB_SIMD
      for (int j = 0; j < STEP; ++j)
        moved[number][j] = motion(laue + number * LAUE_ROW, h[j], k[j], l[j]);
    }
    for (int dh = -p.stencil; dh <= p.stencil; ++dh)
      for (int dk = -p.stencil; dk <= p.stencil; ++dk)
        for (int dl = -p.stencil; dl <= p.stencil; ++dl) {
          for (int j = 0; j < STEP; ++j)
            strength[j] = whole_squared(p, p.amplitude, own, h[j] + dh, k[j] + dk, l[j] + dl);
          for (int number = 0; number < p.laue; ++number) {
            const double* row = laue + number * LAUE_ROW;
            NB_SIMD
            for (int j = 0; j < STEP; ++j) {
              const double left = halo(row, x[j] - dh, y[j] - dk, z[j] - dl);
              sum[j] = fma(strength[j] * moved[number][j], left, sum[j]);
            }
          }
        }
    NB_SIMD
    for (int j = 0; j < STEP; ++j)
      b.terms[begin + j] = fma(p.diffuse, sum[j], b.terms[begin + j]);
  }
}

typedef void (*AddTerms)(const Params&, const double*, const double*, int, int, const Reached&,
                         Block&);

template <int LATTICE, int DEGREE = 0>
AddTerms choose_amplitude(int amplitude) {
  if (amplitude == CONSTANT) return add_terms<Version<LATTICE, CONSTANT, ONCE, DEGREE>>;
  if (amplitude == NEAREST) return add_terms<Version<LATTICE, NEAREST, ONCE, DEGREE>>;
  return add_terms<Version<LATTICE, TRICUBIC, ONCE, DEGREE>>;
}

template <int LATTICE = 0>
AddTerms choose_terms(const Params& p) {
  if constexpr (LATTICE == CARD_GRATING) {
    return nullptr;
  } else {
    if (p.lattice != LATTICE) return choose_terms<LATTICE + 1>(p);
    if constexpr (LATTICE == FEW_ODD || LATTICE == FEW)
      return p.degree == 2 ? choose_amplitude<LATTICE, 2>(p.amplitude)
                           : choose_amplitude<LATTICE, 4>(p.amplitude);
    return choose_amplitude<LATTICE>(p.amplitude);
  }
}

// What every lattice factor does, chosen when it runs: for C's running product and single values.
struct AnyVersion {
  int lattice, amplitude, factors, degree;
};

// One term of one pixel in C's running product: I becomes (I + term) * factor.
void multiply_term(const Params& p, const Source& source, const double* a, const double* table,
                   int i, Block& b) {
  if (p.dmin > 0.0 && !b.counted[i]) return;
  const AnyVersion v = {p.lattice, p.amplitude, p.factors, p.degree};
  const Indices at = find_spot(v, p, a, b.q(i));
  const Lattice lattice = lattice_factor(v, p, at);
  double strength = 1.0;
  if (p.amplitude == NEAREST) strength = table[place_of(p, at)];
  if (p.amplitude == TRICUBIC) {
    strength = p.default_squared;
    if (inside_list(p, at))
      strength = interpolated_squared(p, table, at);
    else
      b.outside += !lattice.zero;
  }
  if (lattice.zero && p.skip_zero) return;
  const double term = lattice.squared * strength * (source.weight * a[9] * p.height);
  b.total[i] = (b.total[i] + term) * b.weight[i];
  b.gain[i] *= b.weight[i];
}

void multiply_terms(const Params& p, const Source& source, const double* axes, const double* table,
                    int first, int last, Block& b) {
  for (int o = first; o < last; ++o)
    for (int i = 0; i < b.pixels; ++i)
      multiply_term(p, source, axes + static_cast<ptrdiff_t>(o) * AXES_ROW, table, i, b);
}

}  // namespace
