// The loops of a run with a cutoff: terms whose bound is below a pixel's share are left out.
//
// Whether a term is left out depends on its sub-pixel, source and orientation alone, so that no bit
// of an image depends on tiles and masks.  Groups of sub-pixels only find out faster.
#include <stdlib.h>

#include "amplitude.h"
#include "blocks.h"
#include "cutoff.h"
#include "lattice.h"

namespace {

// Lanes of a block, each a sub-pixel of a pixel, and of a group; pairs of a lane and an orientation
// that are evaluated together.
constexpr int BLOCK = 480, GROUP = 16, PAIRS = 1024;

template <int LATTICE, int AMPLITUDE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, degree = DEGREE;
};

typedef double Row[BLOCK] __attribute__((aligned(64)));
typedef float NarrowRow[BLOCK] __attribute__((aligned(64)));

// Pixels of a block (slow, fast, where their results go, their sums and what D is times for each
// unit of a squared amplitude), and its lanes: sub-pixels of a square of a pixel, pixel by pixel.
struct Block {
  Row slow, fast, dx, dy, dz, inverse, per_amplitude, total;
  Row lane_slow, lane_fast, qx, qy, qz, weight, terms, spread;
  NarrowRow x, y, z, factor, need, sums[cutoff::LEVELS];
  int flat[BLOCK], place[BLOCK], counted[BLOCK];
  int pixels, count, lanes, edge, layer;
  long long done;

  // Sub-pixels of a pixel.
  int each() const { return edge * edge; }
  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

// Pairs that are kept: lanes, and the indices there.
struct Pairs {
  double h[PAIRS] __attribute__((aligned(64))), k[PAIRS], l[PAIRS], term[PAIRS];
  int lane[PAIRS + 32], place[PAIRS];
  int count;
};

// Boxes of the rays of groups; with a source, centres [1/m] from the block's middle, half of the
// edges along the frame's axes, and what the lane that needs most of a group needs.
struct Boxes {
  cull::Groups rays;
  float centre[3][cull::MOST_GROUPS] __attribute__((aligned(64)));
  float half[3][cull::MOST_GROUPS] __attribute__((aligned(64)));
  float need[cull::MOST_GROUPS] __attribute__((aligned(64)));
  double middle[3];
};

// Of orientations that share a budget: the groups that were looked at (number of the orientation
// times MOST_GROUPS, and group), where terms are above an even share and above each level; and of
// groups which lanes are at each of these.
struct Chosen {
  typedef unsigned short Above[cutoff::LEVELS + 1];
  int entries[cutoff::TOGETHER * cull::MOST_GROUPS + 32];
  int begin[cutoff::TOGETHER + 1];
  float rows[cutoff::TOGETHER][3][4];
  Above above[cutoff::TOGETHER * cull::MOST_GROUPS];
  Above at[cull::MOST_GROUPS];
};

struct Loops {
  const Params& p;
  const Cutoff& cutoff;
  const double *axes, *sources, *table;
};

struct Scratch {
  Block b;
  Boxes boxes;
  Chosen chosen;
  Pairs pairs;
};

// Sub-pixels along the edge of a square whose sub-pixels stay together: a group then is small.
int edge_of(int oversample) { return oversample > 5 || oversample == 4 ? 4 : oversample > 1 ? 2 : 1; }

// The pixels of a whole tile in bands of a few rows, column after column.
void place_bands(const Params& p, int rows, int begin, int most, Block& b) {
  b.pixels = p.count - begin < most ? p.count - begin : most;
  const int height = p.count / p.width;
  int band = begin / (rows * p.width) * rows;
  int high = height - band < rows ? height - band : rows;
  const int from = begin - band * p.width;
  int column = from / high, row = from % high;
  for (int i = 0; i < b.pixels; ++i) {
    b.slow[i] = p.slow0 + band + row;
    b.fast[i] = p.fast0 + column;
    b.flat[i] = (band + row) * p.width + column;
    if (++row < high) continue;
    row = 0;
    if (++column < p.width) continue;
    column = 0;
    band += rows;
    high = height - band < rows ? height - band : rows;
  }
}

void place_listed(const Params& p, const int* listed, int begin, int most, Block& b) {
  place_pixels(p, listed, begin, most, b);
  for (int i = 0; i < b.pixels; ++i) b.flat[i] = begin + i;
}

// What D is at least for a term to be left out, for each unit of a squared amplitude.
// S-CUT-03
template <bool CURVED>
void find_limits(const Loops& loops, const double* allowed, Block& b) {
  const Params p = loops.p;
  const Cutoff& c = loops.cutoff;
  // Half of the budget is for even shares.
  const double factor = 2.0 * p.scale * p.height * c.polar * c.shares * c.slack;
  for (int i = 0; i < b.count; ++i)
    b.total[i] = allowed ? allowed[b.flat[i < b.pixels ? i : b.pixels - 1]] : c.photons;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    b.inverse[i] = find_ray<CURVED>(p, b.slow[i], b.fast[i], 0, 0, 0).inverse;
    b.per_amplitude[i] = factor / b.total[i];
    b.total[i] = 0.0;
  }
  if (p.each_omega) return;
  NB_SIMD
  for (int i = 0; i < b.count; ++i)
    b.per_amplitude[i] *= solid_angle(p, {{0.0, 0.0, 0.0}, b.inverse[i]});
}

// The sub-pixels of lanes, and whether they are in a range; false: none is.
bool place_lanes(const Params& p, int outer0, int outer1, int square, Block& b) {
  const int n = p.oversample, squares = (n + b.edge - 1) / b.edge, each = b.each();
  const int slow = square / squares * b.edge, fast = square % squares * b.edge;
  double sub_slow[GROUP], sub_fast[GROUP];
  int inside[GROUP], any = 0;
  for (int j = 0; j < each; ++j) {
    const int s = slow + j / b.edge, f = fast + j % b.edge;
    const int outer = (b.layer * n + s) * n + f;
    inside[j] = s < n && f < n && outer >= outer0 && outer < outer1;
    sub_slow[j] = s < n ? s : n - 1, sub_fast[j] = f < n ? f : n - 1;
    any |= inside[j];
  }
  if (!any) return false;
  for (int j = 0; j < each; ++j) {
    const double own_slow = sub_slow[j], own_fast = sub_fast[j];
    const bool own = inside[j];
    for (int pixel = 0; pixel < b.count; ++pixel) {
      const int i = pixel * each + j;
      b.lane_slow[i] = b.slow[pixel] * n + own_slow;
      b.lane_fast[i] = b.fast[pixel] * n + own_fast;
      b.factor[i] = own ? static_cast<float>(b.per_amplitude[pixel]) : -1.0f;
    }
  }
  return true;
}

// A sub-pixel numbered along the detector's edge is that of a pixel of such size.
template <bool CURVED>
void find_rays(const Params& shared, Block& b) {
  Params p = shared;
  p.oversample = 1;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Ray ray = find_ray<CURVED>(p, b.lane_slow[i], b.lane_fast[i], b.layer, 0, 0);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

// The greatest squared amplitude that any orientation takes at a lane's scattering vector.
// S-CUT-03
void find_amplitudes(const Loops& loops, const Source& source, Block& b) {
  const Params p = loops.p;
  const Cutoff& c = loops.cutoff;
  if (!c.close) {
    for (int i = 0; i < b.lanes; ++i) b.need[i] = 1.0f;
    return;
  }
  const float *close = c.close + source.amplitudes, *far = c.far + source.amplitudes;
  const double *m = c.mean, *s = c.spread, limit = c.close_spread;
  const double most = s[0] > s[1] ? (s[0] > s[2] ? s[0] : s[2]) : (s[1] > s[2] ? s[1] : s[2]);
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Vector q = {b.qx[i], b.qy[i], b.qz[i]};
    const double spread = most * sqrt(square_length(q));
    const double h = dot(m, q), k = dot(m + 3, q), l = dot(m + 6, q);
    const bool near = spread < limit;
    // The first of two nodes, or the nearest one.
    const double back = near ? limit + 0.5 : 0.0;
    const Indices at = {{0.0, near ? ceil(h - back) : rint(h), 0.0},
                        {0.0, near ? ceil(k - back) : rint(k), 0.0},
                        {0.0, near ? ceil(l - back) : rint(l), 0.0}};
    b.place[i] = place_of(p, at);
    b.spread[i] = spread;
  }
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const float near = close[b.place[i]], wide = far[b.place[i]];
    b.need[i] = b.spread[i] < limit ? near : wide;
  }
}

// What D has to be for a term to be left out; those outside the range are.
// S-CUT-03
void find_needs(const Loops& loops, Block& b) {
  const Params& p = loops.p;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i)
    b.need[i] = b.factor[i] < 0.0f ? -1.0f : b.need[i] * b.factor[i] * 1.000001f;
  for (int i = 0; p.each_omega && i < b.lanes; ++i)
    b.need[i] = static_cast<float>(b.need[i] * solid_angle(p, b.ray(i)));
  for (int i = 0; p.dmin > 0.0 && i < b.lanes; ++i)
    b.need[i] = b.counted[i] ? b.need[i] : -1.0f;
}

void begin_source(const Loops& loops, const Source& light, Block& b) {
  const Params& p = loops.p;
  const Source source = light;
  NB_SIMD
  for (int i = 0; i < b.lanes; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x, b.qy[i] = q.y, b.qz[i] = q.z;
    b.x[i] = static_cast<float>(q.x);
    b.y[i] = static_cast<float>(q.y);
    b.z[i] = static_cast<float>(q.z);
    b.terms[i] = 0.0;
  }
  for (int i = 0; p.dmin > 0.0 && i < b.lanes; ++i) b.counted[i] = within_dmin(p.dmin, b.q(i));
  for (int i = 0; p.factors != ONCE && i < b.lanes; ++i)
    b.weight[i] = term_factors(p, source, b.layer, b.ray(i));
  find_amplitudes(loops, source, b);
  find_needs(loops, b);
}

// Adds the lanes of each pixel, and empties them.
void end_source(const Params& p, const Source& source, double weight, Block& b) {
  const double constant = source.weight * weight * p.height;
  for (int i = 0; p.factors != ONCE && i < b.lanes; ++i) b.terms[i] *= b.weight[i];
  const int each = b.each();
  if (each == 1) {
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      b.total[i] = fma(b.terms[i], constant, b.total[i]);
      b.terms[i] = 0.0;
    }
    return;
  }
  for (int pixel = 0; pixel < b.count; ++pixel)
    for (int i = pixel * each; i < (pixel + 1) * each; ++i) {
      b.total[pixel] = fma(b.terms[i], constant, b.total[pixel]);
      b.terms[i] = 0.0;
    }
}

// S-CUT-05
void find_boxes(const Source& source, const Block& b, Boxes& boxes) {
  const double incident[] = {source.incident.x, source.incident.y, source.incident.z};
  const float narrow = static_cast<float>(source.per_wavelength);
  for (int g = 0; g < cull::MOST_GROUPS; ++g) {
    const bool real = g < boxes.rays.count;
    for (int j = 0; j < 3; ++j) {
      boxes.centre[j][g] = real ? boxes.rays.centre[j][g] * narrow : 0.0f;
      boxes.half[j][g] = real ? boxes.rays.half[j][g] * narrow : 0.0f;
    }
    FLOATS greatest = floats(-1.0f);
    for (int i = 0; real && i < GROUP; i += LANES)
      greatest = cutoff::greater(load(b.need + g * GROUP + i), greatest);
    float most = greatest[0];
    for (int i = 1; i < LANES; ++i) most = greatest[i] > most ? greatest[i] : most;
    // None has a D of 0 or less.
    boxes.need[g] = real && most > 0.0f ? most * 1.0001f : -1.0f;
  }
  for (int j = 0; j < 3; ++j)
    boxes.middle[j] = (boxes.rays.middle[j] - incident[j]) * source.per_wavelength;
}

// An orientation as the test of groups reads it: indices of the block's middle less whole numbers,
// rows, and what they are along the axes of the frame, without signs.
struct Turn {
  typedef float Narrow[4];
  Narrow start, row[3], along[3];

  Turn(const double* turn, const Boxes& boxes) {
    using cull::Four;
    constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
    Four columns[3], at;
    memcpy(columns, turn, sizeof columns);
    cull::combine(boxes.middle, columns, at);
    put(cull::narrowed(at - ((at + round) - round)), start);
    for (int j = 0; j < 3; ++j) {
      put(cull::narrowed(columns[j]), row[j]);
      cull::combine(boxes.rays.frame + 3 * j, columns, at);
      put(cull::narrowed(at > 0.0 ? at : -at) * 1.00001f, along[j]);
    }
  }

  static void put(const cull::NarrowFour& from, Narrow& to) { memcpy(to, &from, sizeof to); }
};

// The groups of which a pixel may keep a term of an orientation.
// S-CUT-05
template <int LATTICE>
NB_INLINE cull::Mask kept_groups(const Cutoff& cutoff, const Turn& turn, const Boxes& boxes) {
  FLOATS axes[3];
  for (int i = 0; i < 3; ++i) axes[i] = floats(static_cast<float>(cutoff.axes[i]));
  const FLOATS rounding = floats(static_cast<float>(2.0 * cutoff.rounding));
  cull::Mask mask = 0;
  for (int g = 0; g < boxes.rays.count; g += LANES) {
    FLOATS least[3];
    NB_EACH
    for (int i = 0; i < 3; ++i) {
      FLOATS at = floats(turn.start[i]), reach = rounding;
      NB_EACH
      for (int j = 0; j < 3; ++j) {
        at = fma(floats(turn.row[j][i]), load(boxes.centre[j] + g), at);
        reach = fma(floats(turn.along[j][i]), load(boxes.half[j] + g), reach);
      }
      least[i] = cutoff::greater(cutoff::size_of(cutoff::rest_of(at)) - reach, FLOATS{});
    }
    const FLOATS found = cutoff::of_lattice<LATTICE>(axes, least, rounding);
    mask |= cutoff::not_reached(found, load(boxes.need + g)) << g;
  }
  return mask;
}

// Finds where the terms of an orientation are above an even share and each level, in a group, and
// adds their bounds to the sums.  Without branches, which could not be foretold.
// S-CUT-04
template <int LATTICE>
NB_INLINE void weigh_group(const FLOATS (&axes)[3], FLOATS rounding, const float (&row)[3][4],
                           int begin, Chosen::Above& above, Block& b) {
  cull::Mask masks[cutoff::LEVELS + 1] = {};
  NB_EACH
  for (int i = 0; i < GROUP; i += LANES) {
    const int from = begin + i;
    const FLOATS x = load(b.x + from), y = load(b.y + from), z = load(b.z + from);
    FLOATS away[3];
    NB_EACH
    for (int j = 0; j < 3; ++j) {
      const FLOATS first = row[0][j] * x;
      away[j] = cutoff::rest_of(
          fma_exact(floats(row[2][j]), z, fma_exact(floats(row[1][j]), y, first)));
    }
    const FLOATS found = cutoff::of_lattice<LATTICE>(axes, away, rounding);
    const FLOATS need = load(b.need + from), over = need * cutoff::inverse_above(found);
    const cull::Mask first = cutoff::not_reached(found, need);
    masks[0] |= first << i;
    NB_EACH
    for (int k = 0; k < cutoff::LEVELS; ++k) {
      const cull::Mask beyond = cutoff::not_reached(floats(cutoff::LEVEL[k]), over) & first;
      masks[k + 1] |= beyond << i;
      cutoff::add_where(b.sums[k] + from, over, first & ~beyond);
    }
  }
  NB_EACH
  for (int k = 0; k <= cutoff::LEVELS; ++k) above[k] = static_cast<unsigned short>(masks[k]);
}

// The level up to which each lane leaves terms out: the last one whose sum is within a budget of as
// many even shares as there are orientations.
// S-CUT-04
void choose_levels(const Block& b, int orientations, Chosen& chosen) {
  const FLOATS budget = floats(0.999f * static_cast<float>(orientations));
  for (int g = 0; g < b.lanes / GROUP; ++g) {
    cull::Mask left = 0xffff;
    for (int k = cutoff::LEVELS; k > 0; --k) {
      cull::Mask beyond = 0;
      for (int i = 0; i < GROUP; i += LANES)
        beyond |= cutoff::not_reached(budget, load(b.sums[k - 1] + g * GROUP + i)) << i;
      chosen.at[g][k] = static_cast<unsigned short>(left & ~beyond);
      left &= beyond;
    }
    chosen.at[g][0] = static_cast<unsigned short>(left);
  }
}

// Finds of orientations that share a budget which terms are kept.
// S-CUT-04
template <int LATTICE>
NB_APART void choose_terms(const Cutoff& shared, int first, int last, const Boxes& boxes,
                           Chosen& chosen, Block& b) {
  const Cutoff cutoff = shared;
  for (auto& sums : b.sums)
    for (int i = 0; i < b.lanes; ++i) sums[i] = 0.0f;
  int count = 0;
  for (int o = first; o < last; ++o) {
    const Turn turn(cutoff.turns + static_cast<ptrdiff_t>(o) * cutoff::TURN_ROW, boxes);
    const int number = o - first;
    memcpy(chosen.rows[number], turn.row, sizeof turn.row);
    chosen.begin[number] = count;
    const cull::Mask groups = kept_groups<LATTICE>(cutoff, turn, boxes);
    count += cutoff::write_bits(groups, number * cull::MOST_GROUPS, chosen.entries + count);
  }
  chosen.begin[last - first] = count;
  FLOATS axes[3];
  for (int i = 0; i < 3; ++i) axes[i] = floats(static_cast<float>(cutoff.axes[i]));
  const FLOATS rounding = floats(static_cast<float>(cutoff.rounding));
  for (int e = 0; e < count; ++e) {
    const unsigned entry = static_cast<unsigned>(chosen.entries[e]);
    const unsigned number = entry / cull::MOST_GROUPS, group = entry % cull::MOST_GROUPS;
    weigh_group<LATTICE>(axes, rounding, chosen.rows[number], static_cast<int>(group * GROUP),
                         chosen.above[e], b);
  }
  choose_levels(b, last - first, chosen);
}

// Adds the terms of pairs to the rows of terms, in order.
template <class V>
NB_APART void add_pairs(const V& v, const Params& shared, const double* table, Pairs& pairs,
                        Block& b) {
  const Params p = shared;
  const int count = pairs.count;
  double* __restrict term = pairs.term;
  int* __restrict place = pairs.place;
  NB_SIMD
  for (int i = 0; i < count; ++i) {
    Indices at = {split(v, pairs.h[i]), split(v, pairs.k[i]), split(v, pairs.l[i])};
    if (v.lattice == NODES) at = nearest_node(p, at);
    term[i] = lattice_factor(v, p, at).squared;
    if (v.amplitude == NEAREST) place[i] = place_of(p, at);
  }
  for (int i = 0; i < count; ++i) {
    double& sum = b.terms[pairs.lane[i]];
    sum = v.amplitude == CONSTANT ? sum + term[i] : fma(term[i], table[place[i]], sum);
  }
  b.done += count;
  pairs.count = 0;
}

// Puts the lanes that keep the term of an orientation to the pairs.
// S-CUT-04
NB_INLINE void keep_pairs(const Chosen& chosen, int number, const double* axes, const Block& b,
                          Pairs& pairs) {
  const int begin = pairs.count;
  for (int e = chosen.begin[number]; e < chosen.begin[number + 1]; ++e) {
    const int g = static_cast<int>(static_cast<unsigned>(chosen.entries[e]) % cull::MOST_GROUPS);
    unsigned kept = 0;
    NB_EACH
    for (int k = 0; k <= cutoff::LEVELS; ++k) kept |= chosen.above[e][k] & chosen.at[g][k];
    pairs.count += cutoff::write_bits(kept, g * GROUP, pairs.lane + pairs.count);
  }
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  const double *__restrict qx = b.qx, *__restrict qy = b.qy, *__restrict qz = b.qz;
  const int* __restrict lane = pairs.lane;
  double *__restrict h = pairs.h, *__restrict k = pairs.k, *__restrict l = pairs.l;
  const int end = pairs.count;
  NB_SIMD
  for (int i = begin; i < end; ++i) {
    const Vector q = {qx[lane[i]], qy[lane[i]], qz[lane[i]]};
    h[i] = dot(a, q), k[i] = dot(a + 3, q), l[i] = dot(a + 6, q);
  }
}

// Adds the kept terms of orientations; whatever the range, all that share a budget are looked at.
template <class V>
NB_APART void add_turns(const Loops& loops, const double* table, int first, int last, Scratch& s) {
  const V v;
  const Params& p = loops.p;
  for (int o = first; o < last; ++o) {
    const int start = o / cutoff::TOGETHER * cutoff::TOGETHER;
    if (o == first || o == start) {
      const int end = p.turns - start < cutoff::TOGETHER ? p.turns : start + cutoff::TOGETHER;
      choose_terms<V::lattice>(loops.cutoff, start, end, s.boxes, s.chosen, s.b);
    }
    keep_pairs(s.chosen, o - start, loops.axes + static_cast<ptrdiff_t>(o) * AXES_ROW, s.b,
               s.pairs);
    if (s.pairs.count > PAIRS - BLOCK) add_pairs(v, p, table, s.pairs, s.b);
  }
  add_pairs(v, p, table, s.pairs, s.b);
}

typedef void (*AddTurns)(const Loops&, const double*, int, int, Scratch&);

template <int LATTICE, int DEGREE = 0>
AddTurns choose_amplitude(int amplitude) {
  if (amplitude == CONSTANT) return add_turns<Version<LATTICE, CONSTANT, DEGREE>>;
  return add_turns<Version<LATTICE, NEAREST, DEGREE>>;
}

template <int LATTICE>
AddTurns choose_degree(const Params& p) {
  return p.degree == 2 ? choose_amplitude<LATTICE, 2>(p.amplitude)
                       : choose_amplitude<LATTICE, 4>(p.amplitude);
}

AddTurns choose(const Params& p) {
  if (p.lattice == FEW_ODD) return choose_degree<FEW_ODD>(p);
  if (p.lattice == FEW) return choose_degree<FEW>(p);
  if (p.lattice == GRATING) return choose_amplitude<GRATING>(p.amplitude);
  if (p.lattice == SPHERE) return choose_amplitude<SPHERE>(p.amplitude);
  if (p.lattice == GAUSS) return choose_amplitude<GAUSS>(p.amplitude);
  return choose_amplitude<NODES>(p.amplitude);
}

// The terms of one source: orientations of equal weight are added before they are weighted.
void add_source(const Loops& loops, AddTurns add, const Source& source, int first, int last,
                Scratch& s) {
  const Params& p = loops.p;
  begin_source(loops, source, s.b);
  find_boxes(source, s.b, s.boxes);
  for (int begin = first, end = last; begin < last; begin = end) {
    const double weight = weight_of(loops.axes, begin);
    end = last;
    if (p.weighted)
      for (end = begin + 1; end < last && weight_of(loops.axes, end) == weight;) ++end;
    add(loops, loops.table + source.amplitudes, begin, end, s);
    end_source(p, source, weight, s.b);
  }
}

// The sums of a block over a range of sub-pixels, of each of which the same sources and orientations.
void sum_range(const Loops& loops, AddTurns add, int outer0, int outer1, const Range& range,
               Scratch& s) {
  const Params& p = loops.p;
  Block& b = s.b;
  Cull grouped = {};
  grouped.group = GROUP;
  // Lanes of a column of a band: those before and after are in the next ones.
  grouped.rows = 4 * b.edge;
  const int subs = p.oversample * p.oversample, along = (p.oversample + b.edge - 1) / b.edge;
  for (b.layer = outer0 / subs; b.layer <= (outer1 - 1) / subs; ++b.layer)
    for (int square = 0; square < along * along; ++square) {
      if (!place_lanes(p, outer0, outer1, square, b)) continue;
      p.curved ? find_rays<true>(p, b) : find_rays<false>(p, b);
      cull::find_groups(grouped, b.dx, b.dy, b.dz, b.lanes, s.boxes.rays);
      for (int number = range.source0; number < range.source1; ++number)
        add_source(loops, add, read_source(loops.sources, number), range.first(number),
                   range.last(number), s);
    }
}

// The first and the last sub-pixel may have some of the sources and orientations only.
void sum_block(const Loops& loops, AddTurns add, Scratch& s) {
  const Params& p = loops.p;
  const bool begins = p.source0 > 0 || p.turn0 > 0;
  const bool ends = p.source1 < p.sources || p.turn1 < p.turns;
  int first = p.outer0, last = p.outer1;
  if (begins || last - first == 1) {
    sum_range(loops, add, first, first + 1, Range(p, first), s);
    ++first;
  }
  if (ends && last > first) --last;
  // Beside the first and the last one all are alike.
  if (last > first) {
    Range whole(p, first);
    whole.source0 = 0, whole.source1 = p.sources, whole.turn0 = 0, whole.turn1 = p.turns;
    sum_range(loops, add, first, last, whole, s);
  }
  if (p.outer1 > last && last >= first) sum_range(loops, add, last, last + 1, Range(p, last), s);
}

}  // namespace

// Sums the terms of a range of steps for p.count pixels, but for those that a cutoff leaves out.
//
// axes, sources, table, listed, totals: as nb_sum has them; allowed: photons that each pixel of a
// tile, or each listed one, may lack, or null for cutoff.photons.  Returns the evaluations that were
// done; below 0 where there is no memory.
NB_EXPORT long long nb_sum_cut(const Params* p, const double* axes, const double* sources,
                               const double* table, const int* listed, const Cutoff* cutoff,
                               const double* allowed, double* totals) {
  // More than what the stack of a thread may hold.
  constexpr size_t line = 64, size = (sizeof(Scratch) + line - 1) / line * line;
  Scratch* const scratch = static_cast<Scratch*>(aligned_alloc(line, size));
  if (!scratch) return -1;
  Scratch& s = *scratch;
  Block& b = s.b;
  b.done = s.pairs.count = 0;
  b.edge = edge_of(p->oversample);
  const Loops loops = {*p, *cutoff, axes, sources, table};
  const AddTurns add = choose(*p);
  const int most = BLOCK / b.each();
  for (int begin = 0; begin < p->count; begin += most) {
    if (p->listed)
      place_listed(*p, listed, begin, most, b);
    else
      place_bands(*p, 4 / b.edge, begin, most, b);
    pad_pixels(STEP / b.each(), b);
    b.lanes = b.count * b.each();
    p->curved ? find_limits<true>(loops, allowed, b) : find_limits<false>(loops, allowed, b);
    sum_block(loops, add, s);
    for (int i = 0; i < b.pixels; ++i) totals[b.flat[i]] = b.total[i];
  }
  const long long done = b.done;
  free(scratch);
  return done;
}
