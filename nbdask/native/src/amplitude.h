// Squared structure factor amplitudes: of the nearest whole indices, or interpolated.
#pragma once
#include "lattice.h"

#if defined(__FMA__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

// A whole index counted from the grid's first one, and held within the grid.
// S-INT-12, S-INT-13
NB_INLINE double grid_index(const Params& p, int axis, double whole) {
  const double index = whole - p.minimum[axis], last = p.last[axis];
  const double low = index > 0.0 ? index : 0.0;
  return low < last ? low : last;
}

// Where the table holds the amplitude of whole indices.  Those outside the list fall on the border
// of the grid, which holds the default.
// S-INT-12, S-INT-13
NB_INLINE int place_of(const Params& p, const Indices& at) {
  const double h = grid_index(p, 0, at.h.whole), k = grid_index(p, 1, at.k.whole);
  const double l = grid_index(p, 2, at.l.whole);
  // Below 2^31, so exact.
  return static_cast<int>(fma(h, p.stride_h, fma(k, p.stride_k, l)));
}

// Lagrange's weights of the values at -1, 0, 1, 2 for a place between 0 and 1.
struct Weights {
  double a, b, c, d;
};

// S-INT-15
NB_INLINE Weights cubic_weights(double index) {
  const double t = index - floor(index);
  const double below = t + 1.0, above = t - 1.0, far = t - 2.0;
  return {t * above * far * (-1.0 / 6.0), below * above * far * 0.5, below * t * far * -0.5,
          below * t * above * (1.0 / 6.0)};
}

// S-SEM-04, S-SEM-05
NB_INLINE bool inside_list(const Params& p, const Indices& at) {
  // Without branches.
  return (at.h.h >= p.low[0]) & (at.h.h <= p.high[0]) & (at.k.h >= p.low[1]) &
         (at.k.h <= p.high[1]) & (at.l.h >= p.low[2]) & (at.l.h <= p.high[2]);
}

// Where the table holds the first of the 4 x 4 x 4 neighbours of indices inside the list.
// S-INT-15
NB_INLINE int first_neighbour(const Params& p, const Indices& at) {
  const double h = floor(at.h.h) - (p.minimum[0] + 1), k = floor(at.k.h) - (p.minimum[1] + 1);
  const double l = floor(at.l.h) - (p.minimum[2] + 1);
  // Below 2^31, so exact.
  return static_cast<int>(fma(h, p.stride_h, fma(k, p.stride_k, l)));
}

// Four neighbouring numbers: one vector where the processor has it.
#if defined(__FMA__) && !defined(__CUDACC__)
typedef __m256d Four;

// S-INT-15
NB_INLINE Four read_four(const double* from) { return _mm256_loadu_pd(from); }
// S-INT-15
NB_INLINE void write_four(const Four& x, double* to) { _mm256_storeu_pd(to, x); }

// weight * x + sum
// S-INT-15
NB_INLINE Four add_weighted(double weight, const Four& x, const Four& sum) {
  return _mm256_fmadd_pd(_mm256_set1_pd(weight), x, sum);
}
#else
struct Four {
  double a, b, c, d;
};

// S-INT-15
NB_INLINE Four read_four(const double* from) { return {from[0], from[1], from[2], from[3]}; }
// S-INT-15
NB_INLINE void write_four(const Four& x, double* to) {
  to[0] = x.a, to[1] = x.b, to[2] = x.c, to[3] = x.d;
}

// S-INT-15
NB_INLINE Four add_weighted(double weight, const Four& x, const Four& sum) {
  return {fma(weight, x.a, sum.a), fma(weight, x.b, sum.b), fma(weight, x.c, sum.c),
          fma(weight, x.d, sum.d)};
}
#endif

// Four rows along l, weighted along k.
// S-INT-15
NB_INLINE Four weighted_rows(const double* first, int stride, const Weights& k) {
  Four sum = add_weighted(k.a, read_four(first), Four{});
  sum = add_weighted(k.b, read_four(first + stride), sum);
  sum = add_weighted(k.c, read_four(first + 2 * stride), sum);
  return add_weighted(k.d, read_four(first + 3 * stride), sum);
}

// The squared sum over 4 x 4 x 4 neighbours of their amplitudes and weights along h, k and l.
// S-INT-15
NB_INLINE double interpolated_squared(const Params& p, const double* first, const Weights& h,
                                      const Weights& k, const Weights& l) {
  const long long step = p.stride_h;
  Four sum = add_weighted(h.a, weighted_rows(first, p.stride_k, k), Four{});
  sum = add_weighted(h.b, weighted_rows(first + step, p.stride_k, k), sum);
  sum = add_weighted(h.c, weighted_rows(first + 2 * step, p.stride_k, k), sum);
  sum = add_weighted(h.d, weighted_rows(first + 3 * step, p.stride_k, k), sum);
  double x[4];
  write_four(sum, x);
  const double value = fma(l.d, x[3], fma(l.c, x[2], fma(l.b, x[1], l.a * x[0])));
  return value * value;
}

// The squared amplitude interpolated at indices inside the list.
// S-INT-15
NB_INLINE double interpolated_squared(const Params& p, const double* table, const Indices& at) {
  return interpolated_squared(p, table + first_neighbour(p, at), cubic_weights(at.h.h),
                              cubic_weights(at.k.h), cubic_weights(at.l.h));
}
