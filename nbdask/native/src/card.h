// Sums over steps: each thread has some pixels, whose evaluations it does in the order of the steps.
#pragma once
#include "amplitude.h"
#include "narrow.h"
#include "rays.h"

// One pixel of a thread.
struct Pixel {
  int slow, fast;
  Ray ray;
  double q[3];
  Pair narrow_q[3];
  // Of one source: the sum of its terms (in pairs a float32 sum and what it lost), and the product
  // of the factors that go with each.
  double terms;
  Pair narrow_terms;
  double weight;
  bool counted;
  // Of all steps.
  double total, gain;
  unsigned outside;
};

// A row of the table of orientations: nine numbers, or nine pairs of float32.
union Row {
  double2 both[AXES_ROW / 2];
  double number[AXES_ROW];
  Pair pair[AXES_ROW];
};

__device__ __forceinline__ void place_pixel(const Params& p, const int* __restrict__ listed,
                                            unsigned number, Pixel& pixel) {
  // Threads beyond the end repeat the last pixel.
  const unsigned count = static_cast<unsigned>(p.count);
  unsigned flat = number < count ? number : count - 1;
  if (p.listed) flat = static_cast<unsigned>(__ldg(listed + flat));
  const unsigned row = flat / static_cast<unsigned>(p.width);
  pixel.slow = p.slow0 + static_cast<int>(row);
  pixel.fast = p.fast0 + static_cast<int>(flat - row * static_cast<unsigned>(p.width));
}

// The product of the factors that go with each term of one source.
__device__ __forceinline__ double term_factors(const Params& p, const Source& source, int layer,
                                               const Ray& ray) {
  double weight = 1.0;
  if (p.each_thick) weight = ray_captured(p, layer, ray);
  if (p.each_polar) weight *= ray_polarization(p, source, ray);
  if (p.each_omega) weight *= solid_angle(p, ray);
  // What two exponentials of 0 leave in C where no sensor is modelled.
  if (FACTORS == PRODUCTS && p.each_thick && p.depth < 0.0) weight = 0.0;
  return weight;
}

__device__ __forceinline__ Pair pair_of(double x) {
  const float upper = static_cast<float>(x);
  return {upper, static_cast<float>(x - upper)};
}

__device__ __forceinline__ void begin_source(const Params& p, const Source& source, int layer,
                                             Pixel& pixel) {
  scatter(source, pixel.ray, pixel.q);
  pixel.counted = within_dmin(p, pixel.q);
  pixel.terms = 0.0;
  if (PAIRS) {
    // In units of 1e10 / m, as the cell vectors are in 1e-10 m.
#pragma unroll
    for (int i = 0; i < 3; ++i) pixel.narrow_q[i] = pair_of(1e-10 * pixel.q[i]);
    pixel.narrow_terms = {0.0f, 0.0f};
  }
  if (FACTORS != ONCE) pixel.weight = term_factors(p, source, layer, pixel.ray);
}

// One evaluation in float32: squared lattice factor, and the nearest whole indices.
__device__ __forceinline__ float narrow_evaluation(const Params& p, const Row& row,
                                                   const Pixel& pixel, Indices& at) {
  Fractions fractions;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    if (PAIRS) {
      split_pairs(row.pair + 3 * i, pixel.narrow_q, fractions.away[i], at.whole[i]);
    } else {
      at.h[i] = dot(row.number + 3 * i, pixel.q[0], pixel.q[1], pixel.q[2]);
      split(at.h[i], fractions.away[i], at.whole[i]);
    }
  }
  return narrow_factor(p, fractions);
}

// One evaluation: its term goes to the pixel's sum.
__device__ __forceinline__ void evaluate(const Params& p, const double* __restrict__ table,
                                         const Row& row, const Source& source, Pixel& pixel) {
  Indices at;
  Lattice lattice;
  if (LATTICE == NARROW_GRATING || LATTICE == NARROW_GAUSS) {
    const float squared = narrow_evaluation(p, row, pixel, at);
    if (PAIRS) {
      float term = squared;
      if (AMPLITUDE == NEAREST)
        term *= __ldg(reinterpret_cast<const float*>(table) + place_of(p, at.whole));
      // What the sum of two float32 loses, exactly.
      const float sum = pixel.narrow_terms.upper + term;
      const float part = sum - pixel.narrow_terms.upper;
      pixel.narrow_terms.lower += (pixel.narrow_terms.upper - (sum - part)) + (term - part);
      pixel.narrow_terms.upper = sum;
      return;
    }
    lattice = {squared, squared == 0.0f};
  } else {
#pragma unroll
    for (int i = 0; i < 3; ++i)
      at.h[i] = dot(row.number + 3 * i, pixel.q[0], pixel.q[1], pixel.q[2]);
    lattice = lattice_factor(p, at);
  }
  double strength = 1.0;
  if (AMPLITUDE == NEAREST) strength = __ldg(table + place_of(p, at.whole));
  if (AMPLITUDE == TRICUBIC) {
    strength = p.default_squared;
    const bool matters = FACTORS == PRODUCTS ? !lattice.zero : lattice.squared != 0.0;
    if (matters && pixel.counted) {
      if (inside_list(p, at.h))
        strength = interpolated_squared(p, table, at.h);
      else
        ++pixel.outside;
    }
  }
  if (FACTORS != PRODUCTS) {
    pixel.terms = fma(lattice.squared, strength, pixel.terms);
    return;
  }
  if (!pixel.counted || (lattice.zero && p.skip_zero)) return;
  const double term = lattice.squared * strength * (source.weight * p.height);
  pixel.total = (pixel.total + term) * pixel.weight;
  pixel.gain *= pixel.weight;
}

__device__ __forceinline__ void end_source(const Params& p, const Source& source, Pixel& pixel) {
  if (FACTORS == PRODUCTS || !pixel.counted) return;
  double constant = source.weight * p.height;
  if (FACTORS == EACH) constant *= pixel.weight;
  if (PAIRS)
    pixel.terms = static_cast<double>(pixel.narrow_terms.upper) + pixel.narrow_terms.lower;
  pixel.total = fma(pixel.terms, constant, pixel.total);
}

// Orientations that a block holds at once.
constexpr int CHUNK = 64;

// Brings one piece of the table of orientations into the block's memory.
__device__ __forceinline__ void load_rows(const double* __restrict__ axes, int chunk, int turns,
                                          Row* rows) {
  __syncthreads();
  const int first = chunk * CHUNK;
  const int numbers = (turns - first < CHUNK ? turns - first : CHUNK) * AXES_ROW;
  double* to = rows[0].number;
  for (int i = threadIdx.x; i < numbers; i += blockDim.x)
    to[i] = __ldg(axes + static_cast<long long>(first) * AXES_ROW + i);
  __syncthreads();
}
