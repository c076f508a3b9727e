// Point-spread functions: the sums of nbdask/derive/spread.py, in the same order.

#include "derive_vectors.h"

namespace {

// Weight times the middle one, plus weights times the sums of two at equal distances on both sides.
//
// stride is the distance of neighbours; with more, the sums are added to what is there.  N numbers
// of type T, side by side, are kept in registers.
template <class T, int N, bool more>
NB_INLINE void sum(const double *middle, int64_t stride, const double *weights, int64_t reach,
                   double *out) {
  const int64_t width = sizeof(T) / sizeof(double);
  T total[N];
  for (int n = 0; n < N; ++n) {
    const T first = weights[0] * load<T>(middle + n * width);
    total[n] = more ? load<T>(out + n * width) + first : first;
  }
  for (int64_t d = 1; d <= reach; ++d) {
    const double *before = middle - d * stride, *behind = middle + d * stride;
    for (int n = 0; n < N; ++n) {
      const T pair = load<T>(before + n * width) + load<T>(behind + n * width);
      total[n] += weights[d] * pair;
    }
  }
  memcpy(out, total, sizeof total);
}

// The sums of a row.
template <bool more>
void sum_row(const double *middle, int64_t stride, const double *weights, int64_t reach,
             double *out, int64_t size) {
  // As many as there are registers for.
  constexpr int many = kLanes == 2 ? 4 : 8;
  int64_t x = 0;
  for (; x + many * kLanes <= size; x += many * kLanes) {
    sum<Doubles, many, more>(middle + x, stride, weights, reach, out + x);
  }
  for (; x + kLanes <= size; x += kLanes) {
    sum<Doubles, 1, more>(middle + x, stride, weights, reach, out + x);
  }
  for (; x < size; ++x) sum<double, 1, more>(middle + x, stride, weights, reach, out + x);
}

}  // namespace

// Convolve with a symmetric separable kernel, fast first.
//
// padded (n_slow + 2 reach, n_fast + 2 reach), weights (reach + 1), the middle one first,
// scratch (n_slow + 2 reach, n_fast), out (n_slow, n_fast).
NB_EXPORT void nb_spread_separable(const double *padded, const double *weights, int64_t reach,
                                   int64_t n_slow, int64_t n_fast, double *scratch, double *out) {
  const int64_t width = n_fast + 2 * reach;
  for (int64_t y = 0; y < n_slow + 2 * reach; ++y) {
    sum_row<false>(padded + y * width + reach, 1, weights, reach, scratch + y * n_fast, n_fast);
  }
  for (int64_t y = 0; y < n_slow; ++y) {
    const double *middle = scratch + (y + reach) * n_fast;
    sum_row<false>(middle, n_fast, weights, reach, out + y * n_fast, n_fast);
  }
}

// Convolve with a kernel symmetric in both axes.
//
// quadrant (reach + 1, reach + 1), the middle one first; a weight of 0 ends its row.
// scratch (n_fast + 2 reach).
NB_EXPORT void nb_spread_round(const double *padded, const double *quadrant, int64_t reach,
                               int64_t n_slow, int64_t n_fast, double *scratch, double *out) {
  const int64_t width = n_fast + 2 * reach;
  for (int64_t y = 0; y < n_slow; ++y) {
    double *row = out + y * n_fast;
    for (int64_t x = 0; x < n_fast; ++x) row[x] = 0.0;
    for (int64_t dy = 0; dy <= reach; ++dy) {
      const double *weights = quadrant + dy * (reach + 1);
      int64_t count = 0;
      while (count <= reach && weights[count] != 0.0) ++count;
      if (count == 0) continue;
      const double *both = padded + (y + reach) * width;
      if (dy > 0) {
        const double *above = both - dy * width, *below = both + dy * width;
#pragma omp simd
        for (int64_t x = 0; x < width; ++x) scratch[x] = above[x] + below[x];
        both = scratch;
      }
      sum_row<true>(both + reach, 1, weights, count - 1, row, n_fast);
    }
  }
}
