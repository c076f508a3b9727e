// The card's sums over steps: each thread has some pixels, whose evaluations it does in the order of
// the steps.
#pragma once
#include "amplitude.h"
#include "card_mixed.h"
#include "diffuse.h"
#include "finish.h"
#include "rays.h"

// The version of the loops.  A program for a card is told by macros, and everything else disappears
// from it; without them it is read when the loops run.
#ifdef NB_LATTICE
struct Version {
  static constexpr int lattice = NB_LATTICE, amplitude = NB_AMPLITUDE, factors = NB_FACTORS;
  static constexpr int degree = NB_DEGREE, pairs = NB_PAIRS, weighted = NB_WEIGHTED;
  static constexpr int laue = NB_LAUE;
};
NB_INLINE Version version_of(const Params&) { return {}; }
#else
struct Version {
  int lattice, amplitude, factors, degree, pairs, weighted, laue;
};
NB_INLINE Version version_of(const Params& p) {
  return {p.lattice, p.amplitude, p.factors, p.degree, p.pairs, p.weighted, p.laue};
}
#endif

// One pixel of a thread.
struct Pixel {
  int slow, fast;
  Ray ray;
  Vector q;
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

// A row of the table of orientations: ten numbers, or ten pairs of float32.
union Row {
  double2 both[AXES_ROW / 2];
  double number[AXES_ROW];
  Pair pair[AXES_ROW];
};

NB_INLINE void place_pixel(const Params& p, const int* __restrict__ listed,
                                            unsigned number, Pixel& pixel) {
  // Threads beyond the end repeat the last pixel.
  const unsigned count = static_cast<unsigned>(p.count);
  unsigned flat = number < count ? number : count - 1;
  if (p.listed) flat = static_cast<unsigned>(__ldg(listed + flat));
  const unsigned row = flat / static_cast<unsigned>(p.width);
  pixel.slow = p.slow0 + static_cast<int>(row);
  pixel.fast = p.fast0 + static_cast<int>(flat - row * static_cast<unsigned>(p.width));
}

NB_INLINE Pair pair_of(double x) {
  const float upper = static_cast<float>(x);
  return {upper, static_cast<float>(x - upper)};
}

NB_INLINE Ray pixel_ray(const Params& p, const Pixel& pixel, int layer, int sub) {
  const int slow = sub / p.oversample, fast = sub - slow * p.oversample;
  return p.curved ? find_ray<true>(p, pixel.slow, pixel.fast, layer, slow, fast)
                  : find_ray<false>(p, pixel.slow, pixel.fast, layer, slow, fast);
}

NB_INLINE void begin_source(const Version& v, const Params& p, const Source& source, int layer,
                            Pixel& pixel) {
  pixel.q = scatter(source, pixel.ray.d);
  pixel.counted = p.dmin <= 0.0 || within_dmin(p.dmin, pixel.q);
  pixel.terms = 0.0;
  if (v.pairs) {
    // In units of 1e10 / m, as the cell vectors are in 1e-10 m.
    pixel.narrow_q[0] = pair_of(1e-10 * pixel.q.x);
    pixel.narrow_q[1] = pair_of(1e-10 * pixel.q.y);
    pixel.narrow_q[2] = pair_of(1e-10 * pixel.q.z);
    pixel.narrow_terms = {0.0f, 0.0f};
  }
  if (v.factors != ONCE) pixel.weight = term_factors(p, source, layer, pixel.ray);
}

// A whole index counted from the grid's first one, and held within the grid.
NB_INLINE unsigned held_index(const Params& p, int axis, int whole) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return __viaddmin_s32_relu(whole, -p.minimum[axis], p.last[axis]);
#else
  const int index = whole - p.minimum[axis];
  return index < 0 ? 0 : index < p.last[axis] ? index : p.last[axis];
#endif
}

// As place_of, in integers: a card has other units for them than for float64.
NB_INLINE unsigned whole_place(const Params& p, const int* whole) {
  return held_index(p, 0, whole[0]) * static_cast<unsigned>(p.stride_h) +
         held_index(p, 1, whole[1]) * static_cast<unsigned>(p.stride_k) + held_index(p, 2, whole[2]);
}

// One evaluation in float32: squared lattice factor, and the nearest whole indices.
NB_INLINE float narrow_evaluation(const Version& v, const Params& p, const Row& row,
                                  const Pixel& pixel, Indices& at, int* whole) {
  Fractions fractions;
  Index* indices[3] = {&at.h, &at.k, &at.l};
  NB_UNROLL
  for (int i = 0; i < 3; ++i) {
    if (v.pairs) {
      split_pairs(row.pair + 3 * i, pixel.narrow_q, fractions.away[i], whole[i]);
    } else {
      indices[i]->h = dot(row.number + 3 * i, pixel.q);
      split_bits(indices[i]->h, fractions.away[i], whole[i]);
    }
  }
  return narrow_factor(v, p, fractions);
}

// One evaluation: its term goes to the pixel's sum.
NB_INLINE void evaluate(const Version& v, const Params& p, const double* __restrict__ table,
                        const Row& row, const Source& source, Pixel& pixel) {
  Indices at;
  Lattice lattice;
  int whole[3];
  if (v.lattice == CARD_GRATING || v.lattice == CARD_GAUSS) {
    const float squared = narrow_evaluation(v, p, row, pixel, at, whole);
    if (v.pairs) {
      float term = squared;
      if (v.amplitude == NEAREST)
        term *= __ldg(reinterpret_cast<const float*>(table) + source.amplitudes +
                      whole_place(p, whole));
      if (v.weighted) term *= row.pair[9].upper;
      // What the sum of two float32 loses, exactly.
      const float sum = pixel.narrow_terms.upper + term;
      const float part = sum - pixel.narrow_terms.upper;
      pixel.narrow_terms.lower += (pixel.narrow_terms.upper - (sum - part)) + (term - part);
      pixel.narrow_terms.upper = sum;
      return;
    }
    lattice = {squared, squared == 0.0f};
  } else {
    at = find_spot(v, p, row.number, pixel.q);
    lattice = lattice_factor(v, p, at);
    whole[0] = __double2int_ru(at.h.whole);
    whole[1] = __double2int_ru(at.k.whole);
    whole[2] = __double2int_ru(at.l.whole);
  }
  double strength = 1.0;
  if (v.amplitude == NEAREST) strength = __ldg(table + source.amplitudes + whole_place(p, whole));
  if (v.amplitude == TRICUBIC) {
    strength = p.default_squared;
    const bool matters = v.factors == PRODUCTS ? !lattice.zero : lattice.squared != 0.0;
    if (matters && pixel.counted) {
      if (inside_list(p, at))
        strength = interpolated_squared(p, table + source.amplitudes, at);
      else
        ++pixel.outside;
    }
  }
  if (v.weighted) strength *= row.number[9];
  if (v.factors != PRODUCTS) {
    pixel.terms = fma(lattice.squared, strength, pixel.terms);
    if (v.laue) {
      const double* own = table + source.amplitudes;
      const double scale = v.weighted ? p.diffuse * row.number[9] : p.diffuse;
      pixel.terms =
          fma(scale, diffuse_sum(p, v.amplitude, table + p.laue_at, own, at), pixel.terms);
    }
    return;
  }
  if (!pixel.counted || (lattice.zero && p.skip_zero)) return;
  const double term = lattice.squared * strength * (source.weight * p.height);
  pixel.total = (pixel.total + term) * pixel.weight;
  pixel.gain *= pixel.weight;
}

NB_INLINE void end_source(const Version& v, const Params& p, const Source& source, Pixel& pixel) {
  if (v.factors == PRODUCTS || !pixel.counted) return;
  double constant = source.weight * p.height;
  if (v.factors == EACH) constant *= pixel.weight;
  if (v.pairs)
    pixel.terms = static_cast<double>(pixel.narrow_terms.upper) + pixel.narrow_terms.lower;
  pixel.total = fma(pixel.terms, constant, pixel.total);
}

// A pixel's polarization factor; see once_factors.
NB_INLINE double first_polarization(const Params& p, const double* __restrict__ sources,
                                    const Pixel& pixel) {
  const int subs = p.oversample * p.oversample;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    const Ray ray = pixel_ray(p, pixel, outer / subs, outer % subs);
    for (int number = 0; number < p.sources; ++number) {
      const Source source = read_source(sources, number);
      if (!within_dmin(p.dmin, scatter(source, ray.d))) continue;
      const double factor = ray_polarization(p, source, ray.d);
      if (factor != 0.0) return factor;
    }
  }
  return 0.0;
}

NB_INLINE float finish_pixel(const Params& p, const double* __restrict__ sources,
                             const Pixel& pixel, double total, double gain) {
  const double omega = solid_angle(p, pixel_ray(p, pixel, 0, 0));
  const double polar = p.polarized ? first_polarization(p, sources, pixel) : 1.0;
  const int last = p.layers - 1;
  const double share = ray_captured(p, last, pixel_ray(p, pixel, last, 0).d);
  return photons(p, once_factors(p, omega, polar, share), total, gain);
}

// Orientations that a block holds at once.
constexpr int CHUNK = 64;

// Brings one piece of the table of orientations into the block's memory.
NB_INLINE void load_rows(const double* __restrict__ axes, int chunk, int turns,
                                          Row* rows) {
  __syncthreads();
  const int first = chunk * CHUNK;
  const int numbers = (turns - first < CHUNK ? turns - first : CHUNK) * AXES_ROW;
  double* to = rows[0].number;
  for (int i = threadIdx.x; i < numbers; i += blockDim.x)
    to[i] = __ldg(axes + static_cast<long long>(first) * AXES_ROW + i);
  __syncthreads();
}
