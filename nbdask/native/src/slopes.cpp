// The loops of derivatives, laid out as those of cpu.cpp: blocks of pixels inside, which become vector
// code; outside of them the orientations, sources, sub-pixels and layers of a range of steps.
//
// A term depends on a parameter through few numbers: the derivative G of its squared lattice factor by
// h, k, l.  Summed over the orientations of a source, V = A^T G moves with q, and the 9 products of G
// and q, as the unturned crystal sees it, with the axes.  Only then come the parameters, one by one.
#include <stddef.h>

#include "slopes.h"

#define NB_EXPORT extern "C" __attribute__((visibility("default")))
#define NB_SIMD _Pragma("omp simd")

namespace {

// Smaller than the blocks of cpu.cpp: there are more rows to keep in the first cache.
constexpr int BLOCK = 160, STEP = 32;

template <int LATTICE, int AMPLITUDE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, degree = DEGREE;
};

typedef double Row[BLOCK] __attribute__((aligned(64)));

struct Block {
  Row slow, fast, dx, dy, dz, inverse, qx, qy, qz;
  // One evaluation: S, G, the shape's, and the strength of its amplitude.
  Row squared, gx, gy, gz, now[MOST_SHAPE], strength;
  // Sums over the orientations of a source.
  Row terms, vx, vy, vz, turns[9], shape[MOST_SHAPE], spins[MOST_SPINS];
  // What terms of the source are multiplied by, and what each is pulled by.
  Row factor, pull, yx, yy, yz, along, sum;
  // Derivatives of a pixel's factors: by the place of the first sub-pixel, by the normal, by distance,
  // depth and Kahn's factor; by the place where the polarization is taken, and that place; by the place
  // in the last layer.
  Row bent[9], turned[3], turned_at[3], sunk[3];
  int place[BLOCK] __attribute__((aligned(64)));
  int counted[BLOCK] __attribute__((aligned(64)));
  int pixels, count;

  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

// Everything that a call is told.
struct Job {
  const Params& p;
  const Slopes& how;
  const Slope* slopes;
  const double *axes, *frames, *spins, *waves, *sources, *table;
  // Sums of derivatives by squared amplitudes (interpolated: by amplitudes), by weights and by
  // wavelengths of sources, times what pulls the pixels; null: not wanted.
  double *pulled, *pulled_sources;
  // Rows of a block: the sum itself, then one of each parameter.
  double* planes;

  double* plane(int number) const { return planes + static_cast<ptrdiff_t>(number) * BLOCK; }
};

void place_pixels(const Params& p, const int* listed, int begin, Block& b) {
  b.pixels = p.count - begin < BLOCK ? p.count - begin : BLOCK;
  b.count = (b.pixels + STEP - 1) / STEP * STEP;
  for (int i = 0; i < b.count; ++i) {
    const int at = begin + (i < b.pixels ? i : b.pixels - 1);
    const int pixel = p.listed ? listed[at] : at;
    b.slow[i] = p.slow0 + pixel / p.width;
    b.fast[i] = p.fast0 + pixel % p.width;
  }
}

void find_rays(const Params& shared, int layer, int sub, Block& b) {
  const Params p = shared;
  const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = find_ray<false>(p, b.slow[i], b.fast[i], layer, sub_slow, sub_fast);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

// How the place of a sub-pixel of a block's pixels changes with a parameter.
struct Mover {
  double wide, high, across, first_slow, first_fast, layer;

  Mover(const Params& p, int layer_, int sub)
      : wide(p.sub_fast), high(p.sub_slow), across(p.oversample),
        first_slow(sub / p.oversample), first_fast(sub % p.oversample), layer(layer_) {}

  __attribute__((always_inline)) inline double f(double fast) const {
    return fma(wide, fma(fast, across, first_fast), 0.5 * wide);
  }
  __attribute__((always_inline)) inline double s(double slow) const {
    return fma(high, fma(slow, across, first_slow), 0.5 * high);
  }
  __attribute__((always_inline)) inline Vector of(const Slope& slope, double slow,
                                                  double fast) const {
    return place_slope(slope, f(fast), s(slow), layer);
  }
};

void clear(Row* rows, int number, int count) {
  for (int row = 0; row < number; ++row)
    for (int i = 0; i < count; ++i) rows[row][i] = 0.0;
}

// False: no pixel counts.
bool begin_source(const Job& job, const Source& light, int layer, Block& b) {
  const Params p = job.p;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x;
    b.qy[i] = q.y;
    b.qz[i] = q.z;
    b.counted[i] = within_dmin(p.dmin, q);
  }
  int any = 0;
  for (int i = 0; i < b.count; ++i) any |= b.counted[i];
  if (!any) return false;
  const double constant = source.weight * p.height;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double weight = p.factors == EACH ? term_factors(p, source, layer, b.ray(i)) : 1.0;
    b.factor[i] = b.counted[i] ? constant * weight : 0.0;
  }
  clear(&b.terms, 1, b.count);
  clear(&b.vx, 3, b.count);
  if (job.how.turned) clear(b.turns, 9, b.count);
  clear(b.shape, job.how.shaped, b.count);
  clear(b.spins, job.how.spins, b.count);
  return true;
}

// Squared lattice factors of an orientation and their slopes.
template <class V, bool SHAPED>
__attribute__((noinline)) void evaluate(const Job& job, const double* axes, Block& b) {
  const V v;
  const Params p = job.p;
  const Slopes how = job.how;
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Indices at = find_indices(v, a, {b.qx[i], b.qy[i], b.qz[i]});
    const LatticeSlope found = lattice_slope(v, p, how, at);
    b.squared[i] = found.squared;
    b.gx[i] = found.by.x;
    b.gy[i] = found.by.y;
    b.gz[i] = found.by.z;
    if (SHAPED) {
      b.now[0][i] = found.shape[0];
      b.now[1][i] = found.shape[1];
      b.now[2][i] = found.shape[2];
    }
    if (SHAPED && v.lattice == GAUSS) {
      b.now[3][i] = found.shape[3];
      b.now[4][i] = found.shape[4];
      b.now[5][i] = found.shape[5];
    }
    if (v.amplitude == NEAREST) b.place[i] = place_of(p, at);
  }
}

typedef void (*Evaluate)(const Job&, const double*, Block&);

template <int LATTICE, int DEGREE = 0>
Evaluate choose_amplitude(const Params& p, bool shaped) {
  if (p.amplitude == CONSTANT)
    return shaped ? evaluate<Version<LATTICE, CONSTANT, DEGREE>, true>
                  : evaluate<Version<LATTICE, CONSTANT, DEGREE>, false>;
  // Interpolation finds its neighbours itself.
  return shaped ? evaluate<Version<LATTICE, NEAREST, DEGREE>, true>
                : evaluate<Version<LATTICE, NEAREST, DEGREE>, false>;
}

Evaluate choose(const Params& p, bool shaped) {
  if (p.lattice == FEW_ODD || p.lattice == FEW)
    return p.degree == 2 ? choose_amplitude<FEW, 2>(p, shaped) : choose_amplitude<FEW, 4>(p, shaped);
  if (p.lattice == GRATING) return choose_amplitude<GRATING>(p, shaped);
  if (p.lattice == SPHERE) return choose_amplitude<SPHERE>(p, shaped);
  return choose_amplitude<GAUSS>(p, shaped);
}

// Adds to the sums by the 64 amplitudes around indices.
void pull_neighbours(const Job& job, double* first, const Indices& at, double pulled) {
  const Weights h = cubic_weights(at.h.h), k = cubic_weights(at.k.h), l = cubic_weights(at.l.h);
  const double hs[] = {h.a, h.b, h.c, h.d}, ks[] = {k.a, k.b, k.c, k.d};
  const double ls[] = {l.a, l.b, l.c, l.d};
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      for (int m = 0; m < 4; ++m)
        first[static_cast<ptrdiff_t>(i) * job.p.stride_h + j * job.p.stride_k + m] +=
            pulled * (hs[i] * ks[j] * ls[m]);
}

// Interpolated amplitudes: they change with the indices as well.
void interpolate(const Job& job, const double* axes, Block& b) {
  const Params& p = job.p;
  const Version<GRATING, TRICUBIC, 0> v;
  for (int i = 0; i < b.pixels; ++i) {
    const Indices at = find_indices(v, axes, b.q(i));
    b.strength[i] = p.default_squared;
    if (!inside_list(p, at)) continue;
    const int place = first_neighbour(p, at);
    const Interpolated found = interpolated_slope(p, job.table + place, at);
    const double strength = found.value * found.value, twice = 2.0 * found.value * b.squared[i];
    b.strength[i] = strength;
    // What the strength will be multiplied by.
    const double over = strength != 0.0 ? twice / strength : 0.0;
    b.gx[i] = fma(over, found.by.x, b.gx[i]);
    b.gy[i] = fma(over, found.by.y, b.gy[i]);
    b.gz[i] = fma(over, found.by.z, b.gz[i]);
    if (job.pulled)
      pull_neighbours(job, job.pulled + place, at, b.pull[i] * b.factor[i] * twice);
  }
  for (int i = b.pixels; i < b.count; ++i) b.strength[i] = 0.0;
}

// Strengths of the amplitudes at the nearest whole indices.
void look_up(const Job& job, Block& b) {
  const double* __restrict table = job.table;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.strength[i] = table[b.place[i]];
  if (!job.pulled) return;
  for (int i = 0; i < b.pixels; ++i)
    job.pulled[b.place[i]] += b.pull[i] * b.factor[i] * b.squared[i];
}

template <bool STRONG, bool MOVED, bool TURNED>
__attribute__((noinline)) void accumulate(const double* axes, const double* frame, Block& b) {
  double a[9], f[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i], f[i] = frame[i];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double strength = STRONG ? b.strength[i] : 1.0;
    const double x = strength * b.gx[i], y = strength * b.gy[i], z = strength * b.gz[i];
    b.terms[i] = fma(strength, b.squared[i], b.terms[i]);
    if (MOVED) {
      b.vx[i] = fma(a[0], x, fma(a[3], y, fma(a[6], z, b.vx[i])));
      b.vy[i] = fma(a[1], x, fma(a[4], y, fma(a[7], z, b.vy[i])));
      b.vz[i] = fma(a[2], x, fma(a[5], y, fma(a[8], z, b.vz[i])));
    }
    if (TURNED) {
      const Vector q = {b.qx[i], b.qy[i], b.qz[i]};
      const double q0 = dot(f, q), q1 = dot(f + 3, q), q2 = dot(f + 6, q);
      b.turns[0][i] = fma(x, q0, b.turns[0][i]);
      b.turns[1][i] = fma(x, q1, b.turns[1][i]);
      b.turns[2][i] = fma(x, q2, b.turns[2][i]);
      b.turns[3][i] = fma(y, q0, b.turns[3][i]);
      b.turns[4][i] = fma(y, q1, b.turns[4][i]);
      b.turns[5][i] = fma(y, q2, b.turns[5][i]);
      b.turns[6][i] = fma(z, q0, b.turns[6][i]);
      b.turns[7][i] = fma(z, q1, b.turns[7][i]);
      b.turns[8][i] = fma(z, q2, b.turns[8][i]);
    }
  }
}

typedef void (*Accumulate)(const double*, const double*, Block&);

template <bool STRONG>
Accumulate choose_sums(const Slopes& how) {
  if (how.moved) return how.turned ? accumulate<STRONG, true, true> : accumulate<STRONG, true, false>;
  return how.turned ? accumulate<STRONG, false, true> : accumulate<STRONG, false, false>;
}

// What orientations share that turn in one way: omega . (V x q).
template <bool STRONG>
void add_spins(const Job& job, const double* axes, int orientation, Block& b) {
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  for (int number = 0; number < job.how.spins; ++number) {
    const double* w =
        job.spins + (static_cast<ptrdiff_t>(number) * job.p.turns + orientation) * 3;
    const double wx = w[0], wy = w[1], wz = w[2];
    if (wx == 0.0 && wy == 0.0 && wz == 0.0) continue;
    double* __restrict sum = b.spins[number];
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      const double x = b.gx[i], y = b.gy[i], z = b.gz[i];
      const double vx = fma(a[0], x, fma(a[3], y, a[6] * z));
      const double vy = fma(a[1], x, fma(a[4], y, a[7] * z));
      const double vz = fma(a[2], x, fma(a[5], y, a[8] * z));
      const double turn = fma(wx, fma(vy, b.qz[i], -vz * b.qy[i]),
                              fma(wy, fma(vz, b.qx[i], -vx * b.qz[i]),
                                  wz * fma(vx, b.qy[i], -vy * b.qx[i])));
      sum[i] = fma(STRONG ? b.strength[i] : 1.0, turn, sum[i]);
    }
  }
}

template <bool STRONG>
void add_shapes(const Job& job, Block& b) {
  for (int number = 0; number < job.how.shaped; ++number) {
    const double* __restrict now = b.now[number];
    double* __restrict sum = b.shape[number];
    NB_SIMD
    for (int i = 0; i < b.count; ++i)
      sum[i] = fma(STRONG ? b.strength[i] : 1.0, now[i], sum[i]);
  }
}

template <bool STRONG>
void add_orientations(const Job& job, Evaluate evaluate, int first, int last, Block& b) {
  const Accumulate add = choose_sums<STRONG>(job.how);
  for (int o = first; o < last; ++o) {
    const double* axes = job.axes + static_cast<ptrdiff_t>(o) * AXES_ROW;
    evaluate(job, axes, b);
    if (job.p.amplitude == NEAREST) look_up(job, b);
    if (job.p.amplitude == TRICUBIC) interpolate(job, axes, b);
    add(axes, job.frames + static_cast<ptrdiff_t>(o) * 9, b);
    add_shapes<STRONG>(job, b);
    add_spins<STRONG>(job, axes, o, b);
  }
}

// Y with V . dq = Y . dX, and V . q.
void find_moved(const Source& source, Block& b) {
  const double per_wavelength = source.per_wavelength;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double x = b.vx[i], y = b.vy[i], z = b.vz[i];
    const double along = fma(b.dz[i], z, fma(b.dy[i], y, b.dx[i] * x));
    const double per = b.inverse[i] * per_wavelength;
    b.yx[i] = fma(-along, b.dx[i], x) * per;
    b.yy[i] = fma(-along, b.dy[i], y) * per;
    b.yz[i] = fma(-along, b.dz[i], z) * per;
    b.along[i] = fma(b.qz[i], z, fma(b.qy[i], y, b.qx[i] * x));
  }
}

// Sums over the orientations, times what the terms of the source are multiplied by.
void weigh_row(double* __restrict row, const Block& b) {
  const double* __restrict factor = b.factor;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) row[i] *= factor[i];
}

void weigh_sums(const Slopes& how, Block& b) {
  weigh_row(b.terms, b);
  for (int j = 0; j < 9 && how.turned; ++j) weigh_row(b.turns[j], b);
  for (int j = 0; j < how.shaped; ++j) weigh_row(b.shape[j], b);
  for (int j = 0; j < how.spins; ++j) weigh_row(b.spins[j], b);
  if (!how.moved) return;
  weigh_row(b.yx, b);
  weigh_row(b.yy, b);
  weigh_row(b.yz, b);
  weigh_row(b.along, b);
}

__attribute__((noinline)) void add_turned(const Slope& slope, double* __restrict plane,
                                          const Block& b) {
  double d[9];
  for (int i = 0; i < 9; ++i) d[i] = slope.axes[i];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    double sum = plane[i];
    for (int j = 0; j < 9; ++j) sum = fma(d[j], b.turns[j][i], sum);
    plane[i] = sum;
  }
}

void add_row(double times, const double* __restrict row, double* __restrict plane, int count) {
  NB_SIMD
  for (int i = 0; i < count; ++i) plane[i] = fma(times, row[i], plane[i]);
}

__attribute__((noinline)) void add_placed(const Slope& shared, const Mover& how,
                                          double* __restrict plane, const Block& b) {
  const Slope slope = shared;
  const Mover mover = how;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector move = mover.of(slope, b.slow[i], b.fast[i]);
    plane[i] = fma(b.yx[i], move.x, fma(b.yy[i], move.y, fma(b.yz[i], move.z, plane[i])));
  }
}

void keep(const FactorSlope& found, double times, int i, Block& b) {
  b.bent[0][i] = times * found.place.x;
  b.bent[1][i] = times * found.place.y;
  b.bent[2][i] = times * found.place.z;
  b.bent[3][i] = times * found.normal.x;
  b.bent[4][i] = times * found.normal.y;
  b.bent[5][i] = times * found.normal.z;
  b.bent[6][i] = times * found.close_distance;
  b.bent[7][i] = times * found.depth;
  b.bent[8][i] = times * found.kahn;
}

// What the factors that go with every term of a source change by.
void bend_terms(const Params& p, const Source& source, int layer, Block& b) {
  const double constant = source.weight * p.height;
  for (int i = 0; i < b.count; ++i) {
    const double term = b.counted[i] ? constant * b.terms[i] : 0.0;
    keep(term_factors_slope(p, source, layer, b.ray(i)), term, i, b);
  }
}

// Adds the change of a pixel's factors with a parameter.
__attribute__((noinline)) void add_bent(const Slope& steep, const Mover& how,
                                        double* __restrict sum, Block& b) {
  const Slope slope = steep;
  const Mover mover = how;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector move = mover.of(slope, b.slow[i], b.fast[i]);
    double change = fma(b.bent[0][i], move.x, fma(b.bent[1][i], move.y, b.bent[2][i] * move.z));
    change = fma(b.bent[3][i], slope.normal[0], change);
    change = fma(b.bent[4][i], slope.normal[1], change);
    change = fma(b.bent[5][i], slope.normal[2], change);
    change = fma(b.bent[6][i], slope.close_distance, change);
    change = fma(b.bent[7][i], slope.depth, change);
    sum[i] += fma(b.bent[8][i], slope.kahn, change);
  }
}

// Whether a parameter changes the factors of a pixel.
bool bends(const Slope& slope) { return slope.placed || slope.kahn != 0.0; }

// The sums of a source become those of the parameters.
void end_source(const Job& job, const Source& source, int number, int layer, int sub, Block& b) {
  const Mover mover(job.p, layer, sub);
  if (job.how.moved) find_moved(source, b);
  if (job.p.factors == EACH) bend_terms(job.p, source, layer, b);
  weigh_sums(job.how, b);
  add_row(1.0, b.terms, job.plane(0), b.count);
  for (int k = 0; k < job.how.parameters; ++k) {
    const Slope& slope = job.slopes[k];
    double* __restrict plane = job.plane(k + 1);
    if (slope.log != 0.0) add_row(slope.log, b.terms, plane, b.count);
    if (slope.turned) add_turned(slope, plane, b);
    for (int j = 0; j < job.how.shaped && slope.shaped; ++j)
      if (slope.shape[j] != 0.0) add_row(slope.shape[j], b.shape[j], plane, b.count);
    if (slope.spin >= 0) add_row(1.0, b.spins[slope.spin], plane, b.count);
    if (slope.placed) add_placed(slope, mover, plane, b);
    if (slope.lit)
      add_row(-job.waves[static_cast<ptrdiff_t>(k) * job.p.sources + number], b.along, plane,
              b.count);
    if (job.p.factors == EACH && bends(slope)) add_bent(slope, mover, plane, b);
  }
  if (!job.pulled_sources) return;
  double by_weight = 0.0, by_wavelength = 0.0;
  for (int i = 0; i < b.pixels; ++i) {
    by_weight = fma(b.pull[i], b.terms[i], by_weight);
    by_wavelength = fma(-b.pull[i], b.along[i] * source.per_wavelength, by_wavelength);
  }
  job.pulled_sources[2 * number] += by_weight;
  job.pulled_sources[2 * number + 1] += by_wavelength;
}

void sum_block(const Job& job, Block& b) {
  const Params& p = job.p;
  const int subs = p.oversample * p.oversample;
  const Evaluate evaluate = choose(p, job.how.shaped);
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const int layer = outer / subs, sub = outer % subs;
    find_rays(p, layer, sub, b);
    const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
    const int source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
    const int turn0 = begins ? p.turn0 : 0, turn1 = ends ? p.turn1 : p.turns;
    for (int number = source0; number < source1; ++number) {
      const int first = number == source0 ? turn0 : 0;
      const int last = number == source1 - 1 ? turn1 : p.turns;
      const Source source = read_source(job.sources, number);
      if (!begin_source(job, source, layer, b)) continue;
      if (p.amplitude == CONSTANT)
        add_orientations<false>(job, evaluate, first, last, b);
      else
        add_orientations<true>(job, evaluate, first, last, b);
      end_source(job, source, number, layer, sub, b);
    }
  }
}

// Where the row of terms is 0, the polarization factor of a source, and its derivatives.
__attribute__((noinline)) void polarize(const Params& shared, const Source& light,
                                        const Mover& how, Block& b) {
  const Params p = shared;
  const Source source = light;
  const Mover mover = how;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]};
    const FactorSlope found = polarization_slope(p, source, ray);
    b.squared[i] = within_dmin(p.dmin, scatter(source, ray.d)) ? found.value : 0.0;
    b.gx[i] = found.place.x;
    b.gy[i] = found.place.y;
    b.gz[i] = found.place.z;
    b.sum[i] = found.kahn;
  }
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const bool fresh = b.terms[i] == 0.0;
    b.terms[i] = fresh ? b.squared[i] : b.terms[i];
    b.turned[0][i] = fresh ? b.gx[i] : b.turned[0][i];
    b.turned[1][i] = fresh ? b.gy[i] : b.turned[1][i];
    b.turned[2][i] = fresh ? b.gz[i] : b.turned[2][i];
    b.bent[8][i] = fresh ? b.sum[i] : b.bent[8][i];
    b.turned_at[0][i] = fresh ? mover.f(b.fast[i]) : b.turned_at[0][i];
    b.turned_at[1][i] = fresh ? mover.s(b.slow[i]) : b.turned_at[1][i];
    b.turned_at[2][i] = fresh ? mover.layer : b.turned_at[2][i];
  }
}

// The row of terms becomes each pixel's polarization factor; see once_factors.  Returns whether it is
// that of the first sub-pixel everywhere.
bool find_polarization(const Job& job, Block& b) {
  const Params& p = job.p;
  const int subs = p.oversample * p.oversample;
  clear(&b.terms, 1, b.count);
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    find_rays(p, outer / subs, outer % subs, b);
    const Mover mover(p, outer / subs, outer % subs);
    for (int number = 0; number < p.sources; ++number) {
      polarize(p, read_source(job.sources, number), mover, b);
      int open = 0;
      for (int i = 0; i < b.count; ++i) open |= b.terms[i] == 0.0;
      if (!open) return outer == 0;
    }
  }
  return false;
}

// Captured shares in the row of strengths, and their derivatives.
void capture(const Params& p, int layer, Block& b) {
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope found = captured_slope(p, layer, b.ray(i));
    b.strength[i] = found.value;
    b.sunk[0][i] = found.place.x;
    b.sunk[1][i] = found.place.y;
    b.sunk[2][i] = found.place.z;
    b.bent[3][i] = found.normal.x;
    b.bent[4][i] = found.normal.y;
    b.bent[5][i] = found.normal.z;
    b.bent[7][i] = found.depth;
  }
}

// Solid angles, and everything else times what its change counts: photons over the scale.  The rows yx
// and yy become the factors of background and terms.
__attribute__((noinline)) void weigh_bends(const Params& given, const double* __restrict total,
                                           bool polar_at_front, Block& b) {
  const Params p = given;
  const double omega_once = !p.each_omega, polar_once = p.polarized && !p.each_polar;
  const double share_once = p.depth >= 0.0 && !p.each_thick, front = polar_at_front;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope open =
        solid_angle_slope(p, {{b.dx[i], b.dy[i], b.dz[i]}, b.inverse[i]});
    const double o = open.value, l = b.terms[i], c = b.strength[i];
    const double o1 = fma(omega_once, o, 1.0 - omega_once);
    const double l1 = fma(polar_once, l, 1.0 - polar_once);
    const double c1 = fma(share_once, c, 1.0 - share_once);
    b.yx[i] = o * l * c;
    b.yy[i] = o1 * l1 * c1;
    const double by_omega = fma(p.background, l * c, total[i] * (omega_once * l1 * c1));
    const double by_polar = fma(p.background, o * c, total[i] * (polar_once * o1 * c1));
    const double by_share = fma(p.background, o * l, total[i] * (share_once * o1 * l1));
    const double here = front * by_polar;
    b.bent[0][i] = fma(by_omega, open.place.x, here * b.turned[0][i]);
    b.bent[1][i] = fma(by_omega, open.place.y, here * b.turned[1][i]);
    b.bent[2][i] = fma(by_omega, open.place.z, here * b.turned[2][i]);
    b.bent[3][i] *= by_share;
    b.bent[4][i] *= by_share;
    b.bent[5][i] *= by_share;
    b.bent[6][i] = by_omega * open.close_distance;
    b.bent[7][i] *= by_share;
    b.bent[8][i] *= by_polar;
    b.turned[0][i] *= by_polar;
    b.turned[1][i] *= by_polar;
    b.turned[2][i] *= by_polar;
    b.sunk[0][i] *= by_share;
    b.sunk[1][i] *= by_share;
    b.sunk[2][i] *= by_share;
  }
}

// Adds what changes where the polarization, and the captured share, are taken.
void add_elsewhere(const Slope& slope, const Mover& back, bool polar_at_front, bool captured,
                   Block& b) {
  for (int i = 0; i < b.count; ++i) {
    double change = 0.0;
    if (!polar_at_front) {
      const Vector move =
          place_slope(slope, b.turned_at[0][i], b.turned_at[1][i], b.turned_at[2][i]);
      change = fma(b.turned[0][i], move.x, fma(b.turned[1][i], move.y, b.turned[2][i] * move.z));
    }
    if (captured) {
      const Vector move = back.of(slope, b.slow[i], b.fast[i]);
      change = fma(b.sunk[0][i], move.x, fma(b.sunk[1][i], move.y, fma(b.sunk[2][i], move.z, change)));
    }
    b.sum[i] += change;
  }
}

__attribute__((noinline)) void finish_plane(const Params& p, const Slope& slope,
                                            const double* __restrict total,
                                            double* __restrict plane, Block& b) {
  const double background = p.background, scale = p.scale;
  const double more = slope.background, up = slope.scale;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const double start = b.yx[i], terms = b.yy[i];
    const double whole = fma(background, start, total[i] * terms);
    const double change = fma(more, start, fma(plane[i], terms, b.sum[i]));
    plane[i] = fma(up, whole, scale * change);
  }
}

// Where the factors of a pixel are taken.
struct Taken {
  bool polar_at_front, thick;
};

// Factors of background and terms in the rows yx and yy, and their derivatives.
Taken find_factors(const Job& job, Block& b) {
  const Params& p = job.p;
  const int last = p.layers - 1;
  clear(b.bent, 9, b.count);
  clear(b.turned, 3, b.count);
  clear(b.turned_at, 3, b.count);
  clear(b.sunk, 3, b.count);
  for (int i = 0; i < b.count; ++i) b.terms[i] = b.strength[i] = 1.0;
  const bool polar_at_front = !p.polarized || find_polarization(job, b), thick = p.depth >= 0.0;
  if (thick) {
    find_rays(p, last, 0, b);
    capture(p, last, b);
  }
  find_rays(p, 0, 0, b);
  weigh_bends(p, job.plane(0), polar_at_front, b);
  return {polar_at_front, thick};
}

// The rows of planes become photons and their derivatives.
void finish_block(const Job& job, Block& b) {
  const Params& p = job.p;
  const Taken taken = find_factors(job, b);
  const Mover front(p, 0, 0), back(p, p.layers - 1, 0);
  double* __restrict total = job.plane(0);
  for (int k = 0; k < job.how.parameters; ++k) {
    const Slope& slope = job.slopes[k];
    clear(&b.sum, 1, b.count);
    if (bends(slope)) {
      add_bent(slope, front, b.sum, b);
      if (!taken.polar_at_front || taken.thick)
        add_elsewhere(slope, back, taken.polar_at_front, taken.thick, b);
    }
    finish_plane(p, slope, total, job.plane(k + 1), b);
  }
  for (int i = 0; i < b.count; ++i)
    total[i] = p.scale * fma(p.background, b.yx[i], total[i] * b.yy[i]);
}

}  // namespace

// Sums of a range of steps for p->count pixels, and their derivatives.
//
// axes, sources, table, listed: as for nb_sum; frames: rows of 9 numbers, where each orientation takes
// the lab's axes; spins: how->spins tables of 3 numbers for each orientation; waves: for each parameter
// the relative change of every source's wavelength; rows: scratch memory of 1 + parameters blocks;
// planes: 1 + parameters rows of p->count numbers.  pull, where not null: what multiplies the photons of
// each pixel in the sums `pulled` (as the table) and `pulled_sources` (two for each source).  finish:
// the steps are all of them, and planes get photons and their derivatives.
NB_EXPORT void nb_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                         const double* axes, const double* frames, const double* spins,
                         const double* waves, const double* sources, const double* table,
                         const int* listed, double* rows, double* planes, const double* pull,
                         double* pulled, double* pulled_sources, int finish) {
  Block b;
  const Job job = {*p, *how, slopes, axes, frames, spins, waves, sources, table,
                   pulled, pulled_sources, rows};
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.count; ++i) job.plane(k)[i] = 0.0;
    if (pull) {
      find_factors(job, b);
      for (int i = 0; i < b.count; ++i)
        b.pull[i] = i < b.pixels ? pull[begin + i] * p->scale * b.yy[i] : 0.0;
    }
    sum_block(job, b);
    if (finish) finish_block(job, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.pixels; ++i)
        planes[static_cast<ptrdiff_t>(k) * p->count + begin + i] = job.plane(k)[i];
  }
}

// Turns sums over all steps, and their derivatives, into photons in place.
NB_EXPORT void nb_finish_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                                const double* sources, const int* listed, double* rows,
                                double* planes) {
  Block b;
  const Job job = {*p, *how, slopes, nullptr, nullptr, nullptr, nullptr, sources, nullptr,
                   nullptr, nullptr, rows};
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.count; ++i)
        job.plane(k)[i] = planes[static_cast<ptrdiff_t>(k) * p->count + begin +
                                 (i < b.pixels ? i : b.pixels - 1)];
    finish_block(job, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.pixels; ++i)
        planes[static_cast<ptrdiff_t>(k) * p->count + begin + i] = job.plane(k)[i];
  }
}

// Pixels of a block, and sizes of the structures, for whoever calls.
NB_EXPORT int nb_slopes_block() { return BLOCK; }
NB_EXPORT long long nb_slope_size() { return sizeof(Slope); }
NB_EXPORT long long nb_slopes_size() { return sizeof(Slopes); }
