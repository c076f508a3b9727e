// The moments of pixels: a loop of its own beside that of their sums, which it leaves as it is.
#include "planes.h"

#include <stddef.h>

#include "rays.h"

#define NB_EXPORT extern "C" __attribute__((visibility("default")))
#define NB_SIMD _Pragma("omp simd")

namespace {

// Pixels that go through all steps together; a tile's last ones are filled up with copies.
constexpr int STEP = 128;

// Amplitudes of a list, so that halves go down whatever the amplitudes are.
template <int LATTICE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = NEAREST, factors = ONCE, degree = DEGREE;
};

typedef double Lane[STEP] __attribute__((aligned(64)));

struct Batch {
  Lane slow, fast, dx, dy, dz, inverse, qx, qy, qz, factor, term, h, k, l, near_h, near_k, near_l;
  Lane moments[MOMENTS], gain;
  int counted[STEP] __attribute__((aligned(64)));
  int zero[STEP] __attribute__((aligned(64)));
  int place[STEP] __attribute__((aligned(64)));

  Indices indices(int i) const {
    return {{h[i], near_h[i], 0.0}, {k[i], near_k[i], 0.0}, {l[i], near_l[i], 0.0}};
  }
};

void place_pixels(const Params& p, const int* listed, int begin, Batch& b) {
  for (int i = 0; i < STEP; ++i) {
    const int number = begin + i < p.count ? begin + i : p.count - 1;
    const int flat = p.listed ? listed[number] : number;
    b.slow[i] = p.slow0 + flat / p.width;
    b.fast[i] = p.fast0 + flat % p.width;
    for (auto& moment : b.moments) moment[i] = 0.0;
    b.gain[i] = 1.0;
  }
}

template <bool CURVED>
void find_rays(const Params& shared, int layer, int sub, Batch& b) {
  const Params p = shared;
  NB_SIMD
  for (int i = 0; i < STEP; ++i) {
    const Ray ray = find_ray<CURVED>(p, b.slow[i], b.fast[i], layer, sub / p.oversample,
                                     sub % p.oversample);
    b.dx[i] = ray.d.x, b.dy[i] = ray.d.y, b.dz[i] = ray.d.z, b.inverse[i] = ray.inverse;
  }
}

// Scattering vectors of a source, which of them count, and the factors that go with its terms.
void begin_source(const Params& shared, const Source& light, int layer, Batch& b) {
  const Params p = shared;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < STEP; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x, b.qy[i] = q.y, b.qz[i] = q.z;
    b.factor[i] = 1.0;
    b.counted[i] = 1;
  }
  for (int i = 0; i < STEP && p.dmin > 0.0; ++i)
    b.counted[i] = within_dmin(p.dmin, {b.qx[i], b.qy[i], b.qz[i]});
  for (int i = 0; i < STEP && p.factors != ONCE; ++i)
    b.factor[i] = term_factors(p, source, layer, {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]});
}

// Squared lattice factors, and fractional and whole indices, of one orientation.
template <class V>
void find_terms(const Params& shared, const double* axes, Batch& b) {
  const V v;
  const Params p = shared;
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  NB_SIMD
  for (int i = 0; i < STEP; ++i) {
    const Indices at = find_spot(v, p, a, {b.qx[i], b.qy[i], b.qz[i]});
    b.term[i] = lattice_factor(v, p, at).squared;
    b.h[i] = at.h.h, b.k[i] = at.k.h, b.l[i] = at.l.h;
    b.near_h[i] = at.h.whole, b.near_k[i] = at.k.whole, b.near_l[i] = at.l.whole;
  }
  for (int i = 0; i < STEP && p.skip_zero; ++i)
    b.zero[i] = lattice_factor(v, p, find_spot(v, p, a, {b.qx[i], b.qy[i], b.qz[i]})).zero;
}

typedef void (*FindTerms)(const Params&, const double*, Batch&);

FindTerms choose_terms(const Params& p) {
  switch (p.lattice) {
    case FEW_ODD:
      return p.degree == 2 ? find_terms<Version<FEW_ODD, 2>> : find_terms<Version<FEW_ODD, 4>>;
    case FEW:
      return p.degree == 2 ? find_terms<Version<FEW, 2>> : find_terms<Version<FEW, 4>>;
    case GRATING:
      return find_terms<Version<GRATING, 0>>;
    case SPHERE:
      return find_terms<Version<SPHERE, 0>>;
    case GAUSS:
      return find_terms<Version<GAUSS, 0>>;
    case TOPHAT:
      return find_terms<Version<TOPHAT, 0>>;
    default:
      return find_terms<Version<NODES, 0>>;
  }
}

// The squared amplitudes of a list: places are looked up in a loop of their own.
void look_up(const Params& shared, const double* table, Batch& b) {
  const Params p = shared;
  NB_SIMD
  for (int i = 0; i < STEP; ++i) b.place[i] = place_of(p, b.indices(i));
  for (int i = 0; i < STEP; ++i) b.term[i] *= table[b.place[i]];
}

// C's running product: a moment M becomes (M + term * value) * factor.
// S-PLANE-01
void multiply_moments(const Params& p, double constant, double wavelength, Batch& b) {
  for (int i = 0; i < STEP; ++i) {
    if (!b.counted[i] || (p.skip_zero && b.zero[i])) continue;
    const double values[MOMENTS] = {1.0, wavelength, b.near_h[i], b.near_k[i], b.near_l[i]};
    for (int m = 0; m < MOMENTS; ++m)
      b.moments[m][i] = fma(constant * b.term[i], values[m], b.moments[m][i]) * b.factor[i];
    b.gain[i] *= b.factor[i];
  }
}

// Adds the terms of one orientation to the moments.
// S-PLANE-01
void add_moments(const Params& shared, const Source& source, const double* axes,
                 const double* table, Batch& b) {
  const Params p = shared;
  if (p.amplitude == NEAREST) look_up(p, table, b);
  if (p.amplitude == TRICUBIC)
    for (int i = 0; i < STEP; ++i) b.term[i] *= interpolated(p, table, b.indices(i));
  const double constant = source.weight * weight_of(axes, 0) * p.height;
  const double wavelength = 1e10 / source.per_wavelength;
  if (p.factors == PRODUCTS) return multiply_moments(p, constant, wavelength, b);
  NB_SIMD
  for (int i = 0; i < STEP; ++i) {
    const double added = constant * b.term[i] * b.factor[i];
    const double term = b.counted[i] ? added : 0.0;
    b.moments[0][i] += term;
    b.moments[1][i] = fma(term, wavelength, b.moments[1][i]);
    b.moments[2][i] = fma(term, b.near_h[i], b.moments[2][i]);
    b.moments[3][i] = fma(term, b.near_k[i], b.moments[3][i]);
    b.moments[4][i] = fma(term, b.near_l[i], b.moments[4][i]);
  }
}

// The moments of a batch over the range of steps, which may begin and end inside a sub-pixel and
// inside a source.
void sum_batch(const Params& p, const double* axes, const double* sources, const double* table,
               FindTerms find, Batch& b) {
  const int subs = p.oversample * p.oversample;
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const int layer = outer / subs;
    (p.curved ? find_rays<true> : find_rays<false>)(p, layer, outer % subs, b);
    const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
    const int source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
    for (int number = source0; number < source1; ++number) {
      const int first = begins && number == source0 ? p.turn0 : 0;
      const int last = ends && number == source1 - 1 ? p.turn1 : p.turns;
      const Source source = read_source(sources, number);
      begin_source(p, source, layer, b);
      for (int o = first; o < last; ++o) {
        const double* row = axes + static_cast<ptrdiff_t>(o) * AXES_ROW;
        find(p, row, b);
        add_moments(p, source, row, table + source.amplitudes, b);
      }
    }
  }
}

}  // namespace

// Sums the moments of a range of steps for p.count pixels.
//
// axes, sources, table, listed: as of nb_sum, in float64; moments: MOMENTS rows of p.count numbers,
// then a row of what multiplies earlier moments.
// S-PLANE-01
NB_EXPORT void nb_moments(const Params* p, const double* axes, const double* sources,
                          const double* table, const int* listed, double* moments) {
  Batch b;
  const FindTerms find = choose_terms(*p);
  for (int begin = 0; begin < p->count; begin += STEP) {
    place_pixels(*p, listed, begin, b);
    sum_batch(*p, axes, sources, table, find, b);
    for (int m = 0; m < MOMENTS; ++m)
      for (int i = 0; i < STEP && begin + i < p->count; ++i)
        moments[static_cast<ptrdiff_t>(m) * p->count + begin + i] = b.moments[m][i];
    for (int i = 0; i < STEP && begin + i < p->count; ++i)
      moments[static_cast<ptrdiff_t>(MOMENTS) * p->count + begin + i] = b.gain[i];
  }
}
