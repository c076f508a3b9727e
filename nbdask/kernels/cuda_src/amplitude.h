// Squared structure factor amplitudes: of the nearest whole indices, or interpolated.
#pragma once
#include "choice.h"

// An index counted from the grid's first one, and held within the grid.
__device__ __forceinline__ int grid_index(int whole, int minimum, int last) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return __viaddmin_s32_relu(whole, -minimum, last);
#else
  const int index = whole - minimum;
  return index < 0 ? 0 : index < last ? index : last;
#endif
}

// Where the table holds the amplitude of whole indices.  Those outside the list fall on the border
// of the grid, which holds the default.
__device__ __forceinline__ unsigned place_of(const Params& p, const int* whole) {
  const unsigned h = grid_index(whole[0], p.minimum[0], p.last[0]);
  const unsigned k = grid_index(whole[1], p.minimum[1], p.last[1]);
  const unsigned l = grid_index(whole[2], p.minimum[2], p.last[2]);
  return h * static_cast<unsigned>(p.stride_h) + k * static_cast<unsigned>(p.stride_k) + l;
}

// Lagrange's weights of the values at -1, 0, 1, 2 for a place between 0 and 1.
__device__ __forceinline__ void cubic_weights(double t, double* weights) {
  const double below = t + 1.0, above = t - 1.0, far = t - 2.0;
  weights[0] = t * above * far * (-1.0 / 6.0);
  weights[1] = below * above * far * 0.5;
  weights[2] = below * t * far * -0.5;
  weights[3] = below * t * above * (1.0 / 6.0);
}

__device__ __forceinline__ bool inside_list(const Params& p, const double* h) {
  bool inside = true;
#pragma unroll
  for (int i = 0; i < 3; ++i) inside = inside && h[i] >= p.low[i] && h[i] <= p.high[i];
  return inside;
}

// The squared amplitude interpolated through 4 x 4 x 4 neighbours, all of them in the list.
__device__ __forceinline__ double interpolated_squared(const Params& p,
                                                       const double* __restrict__ table,
                                                       const double* h) {
  double weights[3][4];
  long long corner[3];
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double low = floor(h[i]);
    corner[i] = __double2int_rn(low) - p.minimum[i] - 1;
    cubic_weights(h[i] - low, weights[i]);
  }
  const double* start = table + corner[0] * p.stride_h + corner[1] * p.stride_k + corner[2];
  double total = 0.0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    double plane = 0.0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const double* place = start + static_cast<long long>(i) * p.stride_h + j * p.stride_k;
      double row = 0.0;
#pragma unroll
      for (int m = 0; m < 4; ++m) row = fma(weights[2][m], __ldg(place + m), row);
      plane = fma(weights[1][j], row, plane);
    }
    total = fma(weights[0][i], plane, total);
  }
  return total * total;
}
