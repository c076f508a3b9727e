// The loops of the mixed precision: Miller indices in float64, lattice factors in float32.
//
// Sums of a few orientations are float32, everything beyond float64.
#pragma once
#include "cull.h"
#include "mixed_spots.h"

// g++ keeps two vectors side by side apart, one after the other, unless told to schedule before it
// allots registers: a quarter of the time of the longest loop.
#if NB_VECTOR < 64 && defined(__GNUC__) && !defined(__clang__)
#define NB_SCHEDULED
#pragma GCC push_options
#pragma GCC optimize("schedule-insns", "sched-pressure")
#endif

namespace mixed {

// A row of the table of orientations for each source: cell vectors over the wavelength, the indices
// of straight on, the same with the bias, the source's share of the light.
constexpr int LIT_START = 9, LIT_BIASED = 12, LIT_WEIGHT = 15, LIT_NUMBERS = 16;
// Orientations that are summed in float32 before their sum goes to float64.
constexpr long FEW_ORIENTATIONS = 8;
// Orientations that go over a block before the next: their axes stay in the first cache.
constexpr long MANY_ORIENTATIONS = cull::MOST_TURNS;

// Vectors that go through the loop side by side, so that one is worked on while the other waits.
// The widest keep a processor busy by themselves.
constexpr int VECTORS = NB_VECTOR == 64 ? 1 : 2;

// Scattering vectors or rays of a vector of pixels, both halves.
struct Pixels {
  DOUBLES q[3][2];
};

template <bool EXACT, bool LIT>
NB_INLINE void find_indices(double bias, const double* row, const Pixels& pixels,
                            Index (&at)[3]) {
  NB_EACH
  for (int axis = 0; axis < 3; ++axis) {
    const DOUBLES a = doubles(row[3 * axis]), b = doubles(row[3 * axis + 1]),
                  c = doubles(row[3 * axis + 2]);
    DOUBLES biased[2];
    NB_EACH
    for (int half = 0; half < 2; ++half) {
      const DOUBLES x = pixels.q[0][half], y = pixels.q[1][half], z = pixels.q[2][half];
      DOUBLES first;
      if (LIT)
        first = fma(a, x, doubles(row[(EXACT ? LIT_START : LIT_BIASED) + axis]));
      else
        first = EXACT ? a * x : fma(a, x, doubles(bias));
      const DOUBLES number = fma(c, z, fma(b, y, first));
      at[axis].numbers[half] = number;
      // Added to the finished index the bias rounds it once, by up to 2^-33.
      biased[half] = EXACT ? number + bias : number;
    }
    at[axis].low = lower_words(biased[0], biased[1]);
    at[axis].high = upper_words(biased[0], biased[1]);
  }
}

// Squared amplitudes of the nearest whole indices.
NB_INLINE FLOATS strength(const Mixed& m, const Index (&at)[3]) {
  SIGNED_WORDS whole[3];
  NB_EACH
  for (int i = 0; i < 3; ++i) whole[i] = clamped((SIGNED_WORDS)at[i].high, m.low[i], m.high[i]);
  const WORDS place = (WORDS)whole[2] + m.offset + (WORDS)whole[1] * unsigned(m.strides[1]) +
                      (WORDS)whole[0] * unsigned(m.strides[0]);
  return gathered(m.amplitudes, place);
}

// Adds a few orientations to a float32 sum.
template <bool SURE, bool LISTED, bool LIT, class Spot>
NB_INLINE void sum_few(const Mixed& m, Spot& spot, const double* axes, long first, long last,
                       const Pixels (&pixels)[VECTORS], FLOATS (&sum)[VECTORS]) {
  for (long o = first; o < last; ++o) {
    const double* row = axes + o * (LIT ? LIT_NUMBERS : int{AXES_ROW});
    NB_EACH
    for (int v = 0; v < VECTORS; ++v) {
      Index at[3];
      find_indices<SURE || Spot::EXACT, LIT>(Spot::ADDED, row, pixels[v], at);
      FLOATS term;
      if constexpr (SURE)
        term = spot.sure(at);
      else
        term = spot.term(at);
      if (LIT) term *= static_cast<float>(row[LIT_WEIGHT]);
      sum[v] = LISTED ? fma(strength(m, at), term, sum[v]) : sum[v] + term;
    }
  }
}

NB_INLINE void load_pixels(const double* const* q, long first, Pixels (&pixels)[VECTORS]) {
  NB_EACH
  for (int v = 0; v < VECTORS; ++v)
    NB_EACH
    for (int axis = 0; axis < 3; ++axis)
      NB_EACH
      for (int half = 0; half < 2; ++half)
        pixels[v].q[axis][half] = load(q[axis] + first + v * LANES + half * HALF_LANES);
}

NB_INLINE void add_totals(const DOUBLES (&total)[VECTORS][2], double* sum) {
  double terms[VECTORS * LANES];
  memcpy(terms, total, sizeof terms);
  for (int v = 0; v < VECTORS; ++v)
    for (int lane = 0; lane < LANES; ++lane)
      sum[v * LANES + pixel_of(lane)] += terms[v * LANES + lane];
}

template <class Spot, bool LISTED, bool LIT>
static void add_spots(const Mixed& m, const double* const* q, const double* axes, long first,
                      long last, double* sum, long count) {
  Spot spot(m);
  for (long i = 0; i < count; i += VECTORS * LANES) {
    Pixels pixels[VECTORS];
    DOUBLES total[VECTORS][2] = {};
    load_pixels(q, i, pixels);
    for (long start = first; start < last; start += FEW_ORIENTATIONS) {
      const long end = last - start < FEW_ORIENTATIONS ? last : start + FEW_ORIENTATIONS;
      FLOATS few[VECTORS] = {};
      if constexpr (Spot::DOUBTS) spot.start();
      sum_few<false, LISTED, LIT>(m, spot, axes, start, end, pixels, few);
      if constexpr (Spot::DOUBTS) {
        if (__builtin_expect(spot.doubtful(), 0)) {
          NB_EACH
          for (int v = 0; v < VECTORS; ++v) few[v] = FLOATS{};
          sum_few<true, LISTED, LIT>(m, spot, axes, start, end, pixels, few);
        }
      }
      NB_EACH
      for (int v = 0; v < VECTORS; ++v) add_wide(total[v], few[v]);
    }
    add_totals(total, sum + i);
  }
}

// The orientations that reach each group, of MANY_ORIENTATIONS, counted from the first of them.
struct Reaching {
  unsigned char numbers[cull::MOST_GROUPS][MANY_ORIENTATIONS];
  int count[cull::MOST_GROUPS] = {};

  Reaching(const cull::Bits& bits, int groups, int turns) {
    for (int group = 0; group < groups; ++group)
      cull::each_turn(bits, group, 0, turns, [&](int o) {
        numbers[group][count[group]++] = static_cast<unsigned char>(o);
      });
  }
};

// The same sums of the orientations that reach each group of pixels: what is left out is 0.
template <class Spot, bool LISTED, bool LIT>
static void add_reaching(const Mixed& m, const double* const* q, const double* axes,
                         const Reaching& reaching, int group, double* sum, long count) {
  Spot spot(m);
  for (long i = 0; i < count; i += VECTORS * LANES) {
    const unsigned char* numbers = reaching.numbers[i / group];
    const int last = reaching.count[i / group];
    if (last == 0) continue;
    Pixels pixels[VECTORS];
    DOUBLES total[VECTORS][2] = {};
    load_pixels(q, i, pixels);
    for (int n = 0, start = 0; n < last; start = n) {
      const long end = numbers[n] / FEW_ORIENTATIONS * FEW_ORIENTATIONS + FEW_ORIENTATIONS;
      FLOATS few[VECTORS] = {};
      if constexpr (Spot::DOUBTS) spot.start();
      for (; n < last && numbers[n] < end; ++n)
        sum_few<false, LISTED, LIT>(m, spot, axes, numbers[n], numbers[n] + 1, pixels, few);
      if constexpr (Spot::DOUBTS) {
        if (__builtin_expect(spot.doubtful(), 0)) {
          NB_EACH
          for (int v = 0; v < VECTORS; ++v) few[v] = FLOATS{};
          for (int o = start; o < n; ++o)
            sum_few<true, LISTED, LIT>(m, spot, axes, numbers[o], numbers[o] + 1, pixels, few);
        }
      }
      NB_EACH
      for (int v = 0; v < VECTORS; ++v) add_wide(total[v], few[v]);
    }
    add_totals(total, sum + i);
  }
}

template <class Spot, bool LISTED>
static void add_lit(const Mixed& m, const double* const* q, const double* axes, long first,
                    long last, double* sum, long count) {
  if (m.lit)
    add_spots<Spot, LISTED, true>(m, q, axes, first, last, sum, count);
  else
    add_spots<Spot, LISTED, false>(m, q, axes, first, last, sum, count);
}

template <class Signed, class Spot>
static void add_listed(const Mixed& m, const double* const* q, const double* axes, long first,
                       long last, double* sum, long count) {
  if (m.listed)
    add_lit<Spot, true>(m, q, axes, first, last, sum, count);
  else
    add_lit<Signed, false>(m, q, axes, first, last, sum, count);
}

template <template <bool> class Spot>
static void add_reached(const Mixed& m, const double* const* q, const double* axes,
                        const Reaching& reaching, int group, double* sum, long count) {
  const auto add = m.listed ? m.lit ? add_reaching<Spot<false>, true, true>
                                    : add_reaching<Spot<false>, true, false>
                   : m.lit  ? add_reaching<Spot<true>, false, true>
                            : add_reaching<Spot<true>, false, false>;
  add(m, q, axes, reaching, group, sum, count);
}

}  // namespace mixed

#ifdef NB_SCHEDULED
#pragma GCC pop_options
#endif

// Adds the terms of a range of orientations to the sums of a block of pixels: squared lattice
// factors times squared amplitudes.
//
// axes: rows of AXES_ROW numbers, an orientation each (a, b, c in m), or of LIT_NUMBERS.
// q0, q1, q2: scattering vectors [1/m], or unit vectors of the rays where m.lit.
// count: a multiple of 16.
static void add_mixed(const Mixed& m, const double* q0, const double* q1, const double* q2,
                      const double* axes, long first, long last, double* sum, long count) {
  using namespace mixed;
  const double* const q[3] = {q0, q1, q2};
  for (long start = first; start < last; start += MANY_ORIENTATIONS) {
    const long end = last - start < MANY_ORIENTATIONS ? last : start + MANY_ORIENTATIONS;
    switch (m.lattice) {
#if NB_VECTOR == 64
      case MIXED_FEW:
        add_listed<Few<4>, Few<4>>(m, q, axes, start, end, sum, count);
        break;
      case MIXED_MORE:
        add_listed<Few<5>, Few<5>>(m, q, axes, start, end, sum, count);
        break;
#endif
      case MIXED_GRATING:
        add_listed<Grating<true>, Grating<false>>(m, q, axes, start, end, sum, count);
        break;
      case MIXED_MANY:
        add_listed<ManyCells<true>, ManyCells<false>>(m, q, axes, start, end, sum, count);
        break;
      case MIXED_GAUSS:
        add_listed<Gauss<true>, Gauss<false>>(m, q, axes, start, end, sum, count);
        break;
      case MIXED_TOPHAT:
        add_listed<Tophat<true>, Tophat<false>>(m, q, axes, start, end, sum, count);
        break;
      case MIXED_SPHERE:
        add_listed<Sphere, Sphere>(m, q, axes, start, end, sum, count);
        break;
    }
  }
}

// The same of orientations that spots reach groups of pixels with; bits: of up to
// MANY_ORIENTATIONS.
static void add_mixed_reached(const Mixed& m, const double* q0, const double* q1, const double* q2,
                              const double* axes, long first, long last, const cull::Bits& bits,
                              int group, double* sum, long count) {
  using namespace mixed;
  const double* const q[3] = {q0, q1, q2};
  const Reaching reaching(bits, static_cast<int>(count / group), static_cast<int>(last - first));
  axes += first * (m.lit ? LIT_NUMBERS : int{AXES_ROW});
  if (m.lattice == MIXED_TOPHAT)
    add_reached<Tophat>(m, q, axes, reaching, group, sum, count);
  else
    add_reached<Gauss>(m, q, axes, reaching, group, sum, count);
}
