// The loops of a processor: blocks of pixels inside, which become vector code; outside of them the
// orientations, sources, sub-pixels and layers of a range of steps.
#include <stddef.h>

#include "amplitude.h"
#include "diffuse.h"
#include "finish.h"
#include "lattice.h"
#include "mixed.h"
#include "rays.h"

#define NB_EXPORT extern "C" __attribute__((visibility("default")))
#define NB_SIMD _Pragma("omp simd")

namespace {

// Pixels of a block: a multiple of STEP, but not such a power of two that all rows begin at the same
// place of the cache.  The last block of a tile is filled up with copies of its last pixel to a
// multiple of STEP, so that loops have no remainder.
constexpr int BLOCK = 480, STEP = 32;

template <int LATTICE, int AMPLITUDE, int FACTORS, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, factors = FACTORS, degree = DEGREE;
};

typedef double Row[BLOCK] __attribute__((aligned(64)));

// Scratch memory of one call: rows that stay in the first cache.
struct Block {
  Row slow, fast, dx, dy, dz, inverse, qx, qy, qz, weight, terms, total, gain, term;
  int place[BLOCK] __attribute__((aligned(64)));
  int counted[BLOCK] __attribute__((aligned(64)));
  int pixels, count;
  long long outside;

  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

void place_pixels(const Params& p, const int* listed, int begin, Block& b) {
  b.pixels = p.count - begin < BLOCK ? p.count - begin : BLOCK;
  b.count = (b.pixels + STEP - 1) / STEP * STEP;
  int row = begin / p.width, column = begin % p.width;
  for (int i = 0; i < b.pixels; ++i) {
    if (p.listed) {
      row = listed[begin + i] / p.width;
      column = listed[begin + i] % p.width;
    }
    b.slow[i] = p.slow0 + row;
    b.fast[i] = p.fast0 + column;
    if (++column == p.width) {
      column = 0;
      ++row;
    }
  }
  for (int i = b.pixels; i < b.count; ++i) {
    b.slow[i] = b.slow[b.pixels - 1];
    b.fast[i] = b.fast[b.pixels - 1];
  }
}

template <bool CURVED>
void find_rays_of(const Params& shared, int layer, int sub_slow, int sub_fast, Block& b) {
  const Params p = shared;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = find_ray<CURVED>(p, b.slow[i], b.fast[i], layer, sub_slow, sub_fast);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

void find_rays(const Params& p, int layer, int sub, Block& b) {
  const auto find = p.curved ? find_rays_of<true> : find_rays_of<false>;
  find(p, layer, sub / p.oversample, sub % p.oversample, b);
}

void weigh_terms(const Params& shared, const Source& light, int layer, Block& b) {
  const Params p = shared;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.weight[i] = term_factors(p, source, layer, b.ray(i));
}

// Scattering vectors of a source, which of them count, and the factors that go with its terms.
// False: no pixel counts.
bool begin_source(const Params& p, const Source& light, int layer, Block& b) {
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x;
    b.qy[i] = q.y;
    b.qz[i] = q.z;
    b.terms[i] = 0.0;
  }
  if (p.dmin > 0.0) {
    const double dmin = p.dmin;
    int any = 0;
    NB_SIMD
    for (int i = 0; i < b.count; ++i) b.counted[i] = within_dmin(dmin, b.q(i));
    for (int i = 0; i < b.count; ++i) any |= b.counted[i];
    if (!any) return false;
  }
  if (p.factors != ONCE) weigh_terms(p, source, layer, b);
  return true;
}

void end_source(const Params& p, const Source& source, double weight, Block& b) {
  const double constant = source.weight * weight * p.height;
  if (p.dmin <= 0.0 && p.factors == ONCE) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) b.total[i] = fma(b.terms[i], constant, b.total[i]);
    return;
  }
  const bool each = p.factors == EACH, limited = p.dmin > 0.0;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double factor = each ? constant * b.weight[i] : constant;
    const double sum = fma(b.terms[i], factor, b.total[i]);
    b.total[i] = limited && !b.counted[i] ? b.total[i] : sum;
  }
}

// Squared amplitudes of kept terms: the places are looked up in a loop of their own.
void look_up(const double* __restrict table, Block& b) {
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.terms[i] = fma(b.term[i], table[b.place[i]], b.terms[i]);
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
void interpolate(const V& v, const Params& p, const double* a, const double* table, Block& b) {
  Cubic cubic;
  for (int begin = 0; begin < b.pixels; begin += STEP) {
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

// Adds the squared lattice factors times squared amplitudes of orientations to the row of terms.
template <class V>
__attribute__((noinline)) void add_terms(const Params& shared, const double* axes,
                                         const double* table, int first, int last, Block& b) {
  const V v;
  const Params p = shared;
  const double *__restrict qx = b.qx, *__restrict qy = b.qy, *__restrict qz = b.qz;
  const int count = b.count;
  for (int o = first; o < last; ++o) {
    double a[9];
    for (int i = 0; i < 9; ++i) a[i] = axes[static_cast<ptrdiff_t>(o) * AXES_ROW + i];
    double* __restrict terms = v.amplitude == CONSTANT ? b.terms : b.term;
    int* __restrict place = b.place;
    NB_SIMD
    for (int i = 0; i < count; ++i) {
      const Indices at = find_spot(v, p, a, {qx[i], qy[i], qz[i]});
      const double squared = lattice_factor(v, p, at).squared;
      terms[i] = v.amplitude == CONSTANT ? terms[i] + squared : squared;
      if (v.amplitude == NEAREST) place[i] = place_of(p, at);
    }
    if (v.amplitude == NEAREST) look_up(table, b);
    if (v.amplitude == TRICUBIC) interpolate(v, p, a, table, b);
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

typedef void (*AddTerms)(const Params&, const double*, const double*, int, int, Block&);

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

// What the sums are made with: the loops in float64, or where there is a struct for them, those of
// the mixed precision, which have a table of orientations of their own.
struct Loops {
  AddTerms add;
  const Mixed* mixed;
  const double* mixed_axes;
};

void add_mixed_terms(const Params& p, const Loops& loops, const Source& source, const double* axes,
                     const double* table, int first, int last, Block& b) {
  if (p.amplitude != TRICUBIC) {
    Mixed own = *loops.mixed;
    if (own.listed) own.amplitudes += source.amplitudes;
    add_mixed(own, b.qx, b.qy, b.qz, axes, first, last, b.terms, b.count);
    return;
  }
  for (int o = first; o < last; ++o) {
    for (int i = 0; i < b.count; ++i) b.term[i] = 0.0;
    add_mixed(*loops.mixed, b.qx, b.qy, b.qz, axes, o, o + 1, b.term, b.count);
    interpolate(Version<GRATING, TRICUBIC, ONCE, 0>(), p, axes + o * AXES_ROW, table, b);
  }
}

// All sources of one sub-pixel whose orientations stand in the table of each source.
void add_lit_terms(const Params& p, const Loops& loops, long low, long high, Block& b) {
  for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
  add_mixed(*loops.mixed, b.dx, b.dy, b.dz, loops.mixed_axes, low, high, b.terms, b.count);
  const double height = p.height;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.total[i] = fma(b.terms[i], height, b.total[i]);
}

// The terms of one source: orientations of equal weight are added before they are weighted.
void add_source(const Params& p, const Loops& loops, const Source& source, const double* axes,
                const double* table, int first, int last, Block& b) {
  for (int begin = first, end = last; begin < last; begin = end) {
    const double weight = weight_of(axes, begin);
    end = last;
    if (p.weighted)
      for (end = begin + 1; end < last && weight_of(axes, end) == weight;) ++end;
    if (begin != first)
      for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
    if (loops.mixed)
      add_mixed_terms(p, loops, source, axes, table, begin, end, b);
    else if (!p.laue)
      loops.add(p, axes, table, begin, end, b);
    // One by one, in the order of a card's sum.
    for (int o = begin; p.laue && o < end; ++o) {
      loops.add(p, axes, table, o, o + 1, b);
      add_diffuse(p, source, axes, table, o, b);
    }
    end_source(p, source, weight, b);
  }
}

// The sums of a block over the range of steps.
void sum_block(const Params& p, const double* axes, const double* sources, const double* table,
               const Loops& loops, Block& b) {
  const int subs = p.oversample * p.oversample;
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const int layer = outer / subs;
    find_rays(p, layer, outer % subs, b);
    // The range may begin and end inside a sub-pixel, and inside a source.
    const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
    const int source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
    const int turn0 = begins ? p.turn0 : 0, turn1 = ends ? p.turn1 : p.turns;
    if (loops.mixed && loops.mixed->lit) {
      const long low = static_cast<long>(source0) * p.turns + turn0;
      add_lit_terms(p, loops, low, static_cast<long>(source1 - 1) * p.turns + turn1, b);
      continue;
    }
    for (int number = source0; number < source1; ++number) {
      const int first = number == source0 ? turn0 : 0;
      const int last = number == source1 - 1 ? turn1 : p.turns;
      const Source source = read_source(sources, number);
      const double* own = table + source.amplitudes;
      if (!begin_source(p, source, layer, b)) continue;
      if (p.factors == PRODUCTS) {
        multiply_terms(p, source, axes, own, first, last, b);
        continue;
      }
      add_source(p, loops, source, axes, own, first, last, b);
    }
  }
}

// The row of terms becomes each pixel's polarization factor; see once_factors.
void find_polarization(const Params& shared, const double* sources, Block& b) {
  const Params p = shared;
  const int subs = p.oversample * p.oversample;
  for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    find_rays(p, outer / subs, outer % subs, b);
    for (int number = 0; number < p.sources; ++number) {
      const Source source = read_source(sources, number);
      NB_SIMD
      for (int i = 0; i < b.count; ++i) {
        const Vector d = {b.dx[i], b.dy[i], b.dz[i]};
        const bool counted = within_dmin(p.dmin, scatter(source, d));
        const double factor = counted ? ray_polarization(p, source, d) : 0.0;
        b.terms[i] = b.terms[i] == 0.0 ? factor : b.terms[i];
      }
      int open = 0;
      for (int i = 0; i < b.count; ++i) open |= b.terms[i] == 0.0;
      if (!open) return;
    }
  }
}

void finish_block(const Params& shared, const double* sources, const double* totals,
                  const double* gains, float* image, Block& b) {
  const Params p = shared;
  find_rays(p, 0, 0, b);
  for (int i = 0; i < b.count; ++i) b.weight[i] = solid_angle(p, b.ray(i));
  if (p.polarized) find_polarization(p, sources, b);
  if (p.depth >= 0.0) {
    find_rays(p, p.layers - 1, 0, b);
    NB_SIMD
    for (int i = 0; i < b.count; ++i) b.term[i] = ray_captured(p, p.layers - 1, b.ray(i).d);
  }
  for (int i = 0; i < b.pixels; ++i) {
    const Once once = once_factors(p, b.weight[i], b.terms[i], b.term[i]);
    image[i] = photons(p, once, totals[i], gains ? gains[i] : 1.0);
  }
}

}  // namespace

// Sums the terms of a range of steps for p.count pixels.
//
// axes, sources: rows of AXES_ROW and SOURCE_ROW numbers; table: (squared) amplitudes; listed: flat
// indices in the tile, read where p.listed; mixed, mixed_axes: null for float64; totals, gains: the
// effect on each pixel's running sum (gains only for products).  Returns the evaluations whose
// interpolation left the list.
NB_EXPORT long long nb_sum(const Params* p, const double* axes, const double* sources,
                           const double* table, const int* listed, const Mixed* mixed,
                           const double* mixed_axes, double* totals, double* gains) {
  Block b;
  b.outside = 0;
  const Loops loops = {choose_terms(*p), mixed, mixed_axes};
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, b);
    for (int i = 0; i < b.count; ++i) b.total[i] = 0.0, b.gain[i] = 1.0;
    sum_block(*p, axes, sources, table, loops, b);
    for (int i = 0; i < b.pixels; ++i) totals[begin + i] = b.total[i];
    if (p->factors == PRODUCTS)
      for (int i = 0; i < b.pixels; ++i) gains[begin + i] = b.gain[i];
  }
  return b.outside;
}

// Turns sums over all steps into photons.
NB_EXPORT void nb_finish(const Params* p, const double* sources, const int* listed,
                         const double* totals, const double* gains, float* image) {
  Block b;
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, b);
    const double* gain = p->factors == PRODUCTS ? gains + begin : nullptr;
    finish_block(*p, sources, totals + begin, gain, image + begin, b);
  }
}

// The values of one evaluation, in the order of nbdask/kernels/cpu.py: direction, distance, solid
// angle, captured share, scattering vector, polarization, indices, squared lattice factor over the
// height, squared amplitude.
NB_EXPORT void nb_probe(const Params* p, const double* axes, const double* sources,
                        const double* table, int outer, int number, int orientation,
                        double* found) {
  const AnyVersion v = {p->lattice, p->amplitude, p->factors, p->degree};
  const int subs = p->oversample * p->oversample, layer = outer / subs, sub = outer % subs;
  const auto find = p->curved ? find_ray<true> : find_ray<false>;
  const Ray ray = find(*p, p->slow0, p->fast0, layer, sub / p->oversample, sub % p->oversample);
  const Source source = read_source(sources, number);
  const Vector q = scatter(source, ray.d);
  const Indices at =
      find_spot(v, *p, axes + static_cast<ptrdiff_t>(orientation) * AXES_ROW, q);
  double squared = p->default_squared;
  table += source.amplitudes;
  if (p->amplitude == NEAREST) squared = table[place_of(*p, at)];
  if (p->amplitude == TRICUBIC && inside_list(*p, at))
    squared = interpolated_squared(*p, table, at);
  const double values[] = {ray.d.x, ray.d.y, ray.d.z, 1.0 / ray.inverse, solid_angle(*p, ray),
                           ray_captured(*p, layer, ray.d), q.x, q.y, q.z,
                           ray_polarization(*p, source, ray.d), at.h.h, at.k.h, at.l.h,
                           lattice_factor(v, *p, at).squared, squared};
  for (int i = 0; i < 15; ++i) found[i] = values[i];
}

NB_EXPORT long long nb_params_size() { return sizeof(Params); }
