// Squared structure factor amplitudes: of the nearest whole indices, or interpolated.
#pragma once
#include "lattice.h"

// A whole index counted from the grid's first one, and held within the grid.
NB_INLINE double grid_index(const Params& p, int axis, double whole) {
  const double index = whole - p.minimum[axis], last = p.last[axis];
  const double low = index > 0.0 ? index : 0.0;
  return low < last ? low : last;
}

// Where the table holds the amplitude of whole indices.  Those outside the list fall on the border
// of the grid, which holds the default.
NB_INLINE int place_of(const Params& p, const Indices& at) {
  const double h = grid_index(p, 0, at.h.whole), k = grid_index(p, 1, at.k.whole);
  const double l = grid_index(p, 2, at.l.whole);
  // Below 2^31, so exact.
  return static_cast<int>(fma(h, p.stride_h, fma(k, p.stride_k, l)));
}

// Lagrange's weights of the values at -1, 0, 1, 2 for a place between 0 and 1.
NB_INLINE void cubic_weights(double t, double* weights) {
  const double below = t + 1.0, above = t - 1.0, far = t - 2.0;
  weights[0] = t * above * far * (-1.0 / 6.0);
  weights[1] = below * above * far * 0.5;
  weights[2] = below * t * far * -0.5;
  weights[3] = below * t * above * (1.0 / 6.0);
}

NB_INLINE bool inside_list(const Params& p, const Indices& at) {
  return at.h.h >= p.low[0] && at.h.h <= p.high[0] && at.k.h >= p.low[1] &&
         at.k.h <= p.high[1] && at.l.h >= p.low[2] && at.l.h <= p.high[2];
}

// Where the table holds the first of the 4 x 4 x 4 neighbours of indices inside the list.
NB_INLINE long long first_neighbour(const Params& p, const Indices& at) {
  const long long h = static_cast<long long>(floor(at.h.h)) - p.minimum[0] - 1;
  const long long k = static_cast<long long>(floor(at.k.h)) - p.minimum[1] - 1;
  const long long l = static_cast<long long>(floor(at.l.h)) - p.minimum[2] - 1;
  return h * p.stride_h + k * p.stride_k + l;
}

// The sum over 4 x 4 x 4 neighbours of their amplitudes and weights: four sums along l, joined last.
NB_INLINE double weighted_rows(const Params& p, const double* __restrict__ start,
                               const double* along_h, const double* along_k,
                               const double* along_l) {
  double total[4] = {0.0, 0.0, 0.0, 0.0};
  NB_UNROLL
  for (int i = 0; i < 4; ++i) {
    double plane[4] = {0.0, 0.0, 0.0, 0.0};
    NB_UNROLL
    for (int j = 0; j < 4; ++j) {
      const double* row = start + static_cast<long long>(i) * p.stride_h + j * p.stride_k;
      NB_UNROLL
      for (int m = 0; m < 4; ++m) plane[m] = fma(along_k[j], row[m], plane[m]);
    }
    NB_UNROLL
    for (int m = 0; m < 4; ++m) total[m] = fma(along_h[i], plane[m], total[m]);
  }
  double sum = 0.0;
  NB_UNROLL
  for (int m = 0; m < 4; ++m) sum = fma(along_l[m], total[m], sum);
  return sum;
}

// The squared amplitude interpolated through 4 x 4 x 4 neighbours, all of them in the list.
NB_INLINE double interpolated_squared(const Params& p, const double* __restrict__ table,
                                      const Indices& at) {
  double h[4], k[4], l[4];
  cubic_weights(at.h.h - floor(at.h.h), h);
  cubic_weights(at.k.h - floor(at.k.h), k);
  cubic_weights(at.l.h - floor(at.l.h), l);
  const double value = weighted_rows(p, table + first_neighbour(p, at), h, k, l);
  return value * value;
}
