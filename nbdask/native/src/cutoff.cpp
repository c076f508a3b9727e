// The loops of a run with a cutoff: terms whose bound is below a pixel's share are left out.
//
// Whether a term is left out depends on its sub-pixel, source and orientation alone, so that no bit
// of an image depends on tiles and masks.  Groups of sub-pixels only find out faster.
#include <math.h>
#include <stdlib.h>

#include "cutoff_block.h"
#include "lattice.h"

namespace {

// Pairs of a lane and an orientation that are evaluated together, and how many make whole vectors.
constexpr int PAIRS = 1024, FILLED = 8;

template <int LATTICE, int AMPLITUDE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = AMPLITUDE, degree = DEGREE;
};

// Pairs that are kept: lanes, and the indices there; behind them room for what is written in vain.
struct Pairs {
  double h[PAIRS + FILLED], k[PAIRS + FILLED], l[PAIRS + FILLED], term[PAIRS];
  int lane[PAIRS + 2 * FILLED], place[PAIRS];
  int count;
};

// Boxes of the rays of groups; with a source, centres [1/m] from the block's middle, half of the
// edges along the frame's axes, and what the lane that needs most of a group needs.
struct Boxes {
  cull::Groups rays;
  float centre[3][cull::MOST_GROUPS], half[3][cull::MOST_GROUPS], need[cull::MOST_GROUPS];
  double middle[3];
};

// Of orientations that share a budget: the groups that they may keep terms of, and the lanes of each
// group of which they do.
struct Chosen {
  typedef unsigned short Lanes;
  static_assert(GROUP == 8 * sizeof(Lanes), "one bit for each lane of a group");
  cull::Bits looked_at;
  Lanes kept[cutoff::TOGETHER][cull::MOST_GROUPS] __attribute__((aligned(64)));
};

// Of a group the orientations that keep more than even shares allow to leave out: their numbers,
// which lanes, and the bounds there over even shares, else 0.
struct Weighed {
  float over[cutoff::TOGETHER][GROUP] __attribute__((aligned(64)));
  int number[cutoff::TOGETHER];
  cull::Mask lanes[cutoff::TOGETHER];
  int count;
};

struct Scratch {
  Block b;
  Boxes boxes;
  Chosen chosen;
  Weighed weighed;
  Pairs pairs;
};

// What bounds read of a cutoff.
struct Bound {
  FLOATS axes[3], rounding;

  NB_METHOD explicit Bound(const Cutoff& cutoff) {
    for (int i = 0; i < 3; ++i) axes[i] = floats(static_cast<float>(cutoff.axes[i]));
    rounding = floats(static_cast<float>(cutoff.rounding));
  }
};

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

// Of orientations side by side, to bits of a number and more, the groups of which a lane may keep a
// term.
// S-CUT-05
template <int LATTICE>
NB_INLINE void test_turns(const Cutoff& cutoff, const TurnLanes& lanes, int count,
                          const Boxes& boxes, int number, cull::Bits& bits) {
  const Bound bound(cutoff);
  const FLOATS rounding = 2.0f * bound.rounding;
  for (int from = 0; from < count; from += LANES) {
    const cull::Mask real = count - from < LANES ? (cull::Mask{1} << (count - from)) - 1 : ~0u;
    FLOATS start[3], row[9], along[9];
    cull::start_lanes(lanes, boxes.middle, from, start);
    NB_EACH
    for (int i = 0; i < 9; ++i) row[i] = load(lanes.narrow[i] + from);
    NB_EACH
    for (int i = 0; i < 3; ++i)
      NB_EACH
      for (int j = 0; j < 3; ++j)
        along[3 * i + j] = 1.00001f * cutoff::size_of(cull::along_axis(
                               boxes.rays.frame + 3 * j, row[3 * i], row[3 * i + 1], row[3 * i + 2]));
    for (int g = 0; g < boxes.rays.count; ++g) {
      FLOATS least[3];
      NB_EACH
      for (int i = 0; i < 3; ++i) {
        FLOATS at = start[i], reach = rounding;
        NB_EACH
        for (int j = 0; j < 3; ++j) {
          at = fma(row[3 * i + j], floats(boxes.centre[j][g]), at);
          reach = fma(along[3 * i + j], floats(boxes.half[j][g]), reach);
        }
        least[i] = cutoff::greater(cutoff::size_of(cutoff::rest_of(at)) - reach, FLOATS{});
      }
      const FLOATS found = cutoff::of_lattice<LATTICE>(bound.axes, least, rounding);
      bits.put(g, number + from, cutoff::not_reached(found, floats(boxes.need[g])) & real);
    }
  }
}

// Finds where in a group the terms of orientations are above even shares.
// S-CUT-04
template <int LATTICE>
NB_INLINE void weigh_group(const Cutoff& cutoff, const float* rows, int turns,
                           const cull::Bits& bits, int g, const Block& b, Weighed& weighed) {
  const Bound bound(cutoff);
  constexpr int VECTORS = GROUP / LANES;
  FLOATS x[VECTORS], y[VECTORS], z[VECTORS], need[VECTORS];
  NB_EACH
  for (int v = 0; v < VECTORS; ++v) {
    const int from = g * GROUP + v * LANES;
    x[v] = load(b.x + from), y[v] = load(b.y + from), z[v] = load(b.z + from);
    need[v] = load(b.need + from);
  }
  int count = 0;
  cull::each_turn(bits, g, 0, turns, [&](int number) {
    const float* row = rows + number * cutoff::ROW;
    cull::Mask lanes = 0;
    NB_EACH
    for (int v = 0; v < VECTORS; ++v) {
      FLOATS away[3];
      NB_EACH
      for (int j = 0; j < 3; ++j) {
        const FLOATS first = row[j] * x[v];
        away[j] = cutoff::rest_of(
            fma_exact(floats(row[8 + j]), z[v], fma_exact(floats(row[4 + j]), y[v], first)));
      }
      const FLOATS found = cutoff::of_lattice<LATTICE>(bound.axes, away, bound.rounding);
      const FLOATS over = need[v] * cutoff::inverse_above(found);
      lanes |= cutoff::not_reached(found, need[v]) << v * LANES;
      const FLOATS kept = found >= need[v] ? FLOATS{} : over;
      memcpy(weighed.over[count] + v * LANES, &kept, sizeof kept);
    }
    weighed.number[count] = number, weighed.lanes[count] = lanes;
    // Without branches, which could not be foretold.
    count += lanes != 0;
  });
  weighed.count = count;
}

// Up to which bounds over even shares each lane of a group leaves terms out: the last level whose sum
// is within a budget of as many even shares as there are orientations.
// S-CUT-04
NB_INLINE FLOATS choose_level(const Weighed& weighed, int first, FLOATS budget) {
  FLOATS sums[cutoff::LEVELS] = {}, level = floats(-INFINITY);
  for (int e = 0; e < weighed.count; ++e) {
    const FLOATS over = load(weighed.over[e] + first);
    NB_EACH
    for (int k = 0; k < cutoff::LEVELS; ++k)
      sums[k] += over <= cutoff::LEVEL[k] ? over : FLOATS{};
  }
  NB_EACH
  for (int k = 0; k < cutoff::LEVELS; ++k)
    level = sums[k] <= budget ? floats(cutoff::LEVEL[k]) : level;
  return level;
}

// Finds of orientations that share a budget which terms are kept.
// S-CUT-04
template <int LATTICE>
NB_APART void choose_terms(const Cutoff& shared, int first, int last, Scratch& s) {
  const Cutoff cutoff = shared;
  const int turns = last - first, groups = s.boxes.rays.count;
  const FLOATS budget = floats(0.999f * static_cast<float>(turns));
  Chosen& chosen = s.chosen;
  chosen.looked_at.clear(groups);
  for (int o = 0; o < turns; o += TURN_LANES)
    test_turns<LATTICE>(cutoff, cutoff.lanes[(first + o) / TURN_LANES],
                        turns - o < TURN_LANES ? turns - o : TURN_LANES, s.boxes, o,
                        chosen.looked_at);
  memset(chosen.kept, 0, sizeof chosen.kept[0] * static_cast<size_t>(turns));
  for (int g = 0; g < groups; ++g) {
    Weighed& weighed = s.weighed;
    weigh_group<LATTICE>(cutoff, cutoff.rows + static_cast<ptrdiff_t>(first) * cutoff::ROW, turns,
                         chosen.looked_at, g, s.b, weighed);
    for (int from = 0; from < GROUP; from += LANES) {
      const FLOATS level = choose_level(weighed, from, budget);
      for (int e = 0; e < weighed.count; ++e)
        chosen.kept[weighed.number[e]][g] |= static_cast<Chosen::Lanes>(
            weighed.lanes[e] & cutoff::not_reached(level, load(weighed.over[e] + from)) << from);
    }
  }
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
  constexpr int each = cull::WORD / GROUP;
  for (int g = 0; g < cull::MOST_GROUPS; g += each) {
    unsigned long long kept = 0;
    for (int i = 0; i < each; ++i)
      kept |= static_cast<unsigned long long>(chosen.kept[number][g + i]) << i * GROUP;
    pairs.count += cutoff::write_bits(kept, g * GROUP, pairs.lane + pairs.count);
  }
  // To whole vectors: a remainder would take as long as some of them.
  for (int i = 0; i < FILLED; ++i) pairs.lane[pairs.count + i] = 0;
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  const double *__restrict qx = b.qx, *__restrict qy = b.qy, *__restrict qz = b.qz;
  for (int from = begin; from < pairs.count; from += FILLED) {
    const int* __restrict lane = pairs.lane + from;
    double *__restrict h = pairs.h + from, *__restrict k = pairs.k + from,
           *__restrict l = pairs.l + from;
    NB_SIMD
    for (int i = 0; i < FILLED; ++i) {
      const Vector q = {qx[lane[i]], qy[lane[i]], qz[lane[i]]};
      h[i] = dot(a, q), k[i] = dot(a + 3, q), l[i] = dot(a + 6, q);
    }
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
      choose_terms<V::lattice>(loops.cutoff, start, end, s);
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
      place_in_order(*p, listed, begin, most, b);
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
