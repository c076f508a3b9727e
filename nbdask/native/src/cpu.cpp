// The loops of a processor: blocks of pixels inside, which become vector code; outside of them the
// orientations, sources, sub-pixels and layers of a range of steps.
#include "cpu_terms.h"
#include "finish.h"
#include "mixed.h"

namespace {

// What the sums are made with: the loops in float64, or where there is a struct for them, those of
// the mixed precision, which have a table of orientations of their own; the test of what spots
// reach, if any; and the length of scattering vectors from which on all amplitudes are 0.
struct Loops {
  AddTerms add;
  const Mixed* mixed;
  const double* mixed_axes;
  const Cull* cull;
  double beyond;
};

// What a block's test needs: boxes of its rays, and of the scattering vectors of a source.
struct Boxes {
  cull::Ball ball;
  cull::Groups rays, source;
  cull::Bits bits;
};

// Where all pixels are one group, which every orientation reaches.
constexpr cull::Bits EVERY = {{{~0ull, ~0ull, ~0ull, ~0ull}}};

// Of so many orientations more than this share of groups is reached: those that follow are not
// tested, which would cost more than it saves.
constexpr int TRIED = 16;
constexpr double MUCH = 0.75;

// Pixels of a block in whole groups.
int block_of(const Cull& cull) {
  return cull.group ? BLOCK / cull.group * cull.group : BLOCK;
}

// Whether the one node that may reach a group has an amplitude.
// S-CULL-10
bool with_amplitude(const Params& p, const double* table, const double* turn,
                    const cull::Groups& groups, int g) {
  if (groups.half[0][g] >= cull::WIDE) return true;
  const double x = groups.middle[0] + groups.centre[0][g],
               y = groups.middle[1] + groups.centre[1][g],
               z = groups.middle[2] + groups.centre[2][g];
  double whole[3];
  for (int i = 0; i < 3; ++i) whole[i] = rint(turn[i] * x + turn[4 + i] * y + turn[8 + i] * z);
  const Indices at = {{0.0, whole[0], 0.0}, {0.0, whole[1], 0.0}, {0.0, whole[2], 0.0}};
  return table[place_of(p, at)] != 0.0;
}

// The orientations of a range that reach groups, to the bits of a number and more; table: the
// source's amplitudes.
void find_reached(const Params& p, const Cull& cull, const double* table, int first, int last,
                  int number, Boxes& boxes) {
  const cull::Groups& groups = boxes.source;
  cull::find_bits(cull, groups, first, last, number, boxes.bits);
  if (!cull.absent) return;
  for (int g = 0; g < groups.count; ++g)
    cull::each_turn(boxes.bits, g, number, number + last - first, [&](int n) {
      const double* turn = cull.turns + static_cast<ptrdiff_t>(first + n - number) * cull::TURN_ROW;
      if (!with_amplitude(p, table, turn, groups, g))
        boxes.bits.words[g][n / cull::WORD] &= ~(1ull << n % cull::WORD);
    });
}

// The same of up to MOST_TURNS of a source.  False: all.
bool find_all_reached(const Params& p, const Cull& cull, const double* table, int first, int last,
                      Boxes& boxes) {
  const int groups = boxes.source.count, tried = last - first < TRIED ? last : first + TRIED;
  boxes.bits.clear(groups);
  find_reached(p, cull, table, first, tried, 0, boxes);
  int found = 0;
  for (int g = 0; g < groups; ++g) found += __builtin_popcountll(boxes.bits.words[g][0]);
  if (tried == first + TRIED && found > MUCH * TRIED * groups) return false;
  find_reached(p, cull, table, tried, last, TRIED, boxes);
  return true;
}

void add_mixed_terms(const Params& p, const Loops& loops, const Source& source, const double* axes,
                     const double* table, int first, int last, const Reached& reached, Block& b) {
  if (p.amplitude != TRICUBIC) {
    Mixed own = *loops.mixed;
    if (own.listed) own.amplitudes += source.amplitudes;
    if (reached.count > 1)
      add_mixed_reached(own, b.qx, b.qy, b.qz, axes, first, last, *reached.bits, reached.group,
                        b.terms, b.count);
    else
      add_mixed(own, b.qx, b.qy, b.qz, axes, first, last, b.terms, b.count);
    return;
  }
  for (int g = 0; g < reached.count; ++g) {
    const int begin = g * reached.group, end = begin + reached.group;
    reached.each(g, first, last, [&](int o) {
      for (int i = begin; i < end; ++i) b.term[i] = 0.0;
      add_mixed(*loops.mixed, b.qx + begin, b.qy + begin, b.qz + begin, axes, o, o + 1,
                b.term + begin, reached.group);
      interpolate(Version<GRATING, TRICUBIC, ONCE, 0>(), p, axes + o * AXES_ROW, table, begin, end,
                  b);
    });
  }
}

// All sources of one sub-pixel whose orientations stand in the table of each source.
void add_lit_terms(const Params& p, const Loops& loops, const double* sources,
                   const double* table, long low, long high, Boxes& boxes, Block& b) {
  for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
  long last = low;
  for (long first = low; first < high; first = last) {
    last = high - first < mixed::MANY_ORIENTATIONS ? high : first + mixed::MANY_ORIENTATIONS;
    if (!loops.cull) {
      add_mixed(*loops.mixed, b.dx, b.dy, b.dz, loops.mixed_axes, first, last, b.terms, b.count);
      continue;
    }
    boxes.bits.clear(boxes.rays.count);
    for (long pair = first, next; pair < last; pair = next) {
      const int number = static_cast<int>(pair / p.turns), turn = static_cast<int>(pair % p.turns);
      next = pair - turn + p.turns < last ? pair - turn + p.turns : last;
      groups_of(*loops.cull, read_source(sources, number), boxes.rays, boxes.source);
      find_reached(p, *loops.cull, table, turn, turn + static_cast<int>(next - pair),
                   static_cast<int>(pair - first), boxes);
    }
    add_mixed_reached(*loops.mixed, b.dx, b.dy, b.dz, loops.mixed_axes, first, last, boxes.bits,
                      loops.cull->group, b.terms, b.count);
  }
  const double height = p.height;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) b.total[i] = fma(b.terms[i], height, b.total[i]);
}

// Adds orientations of equal weight to the row of terms.
void add_orientations(const Params& p, const Loops& loops, const Source& source,
                      const double* axes, const double* table, int first, int last, Boxes& boxes,
                      Block& b) {
  const bool tested =
      loops.cull && find_all_reached(p, *loops.cull, table, first, last, boxes);
  const Reached reached = tested
                              ? Reached{&boxes.bits, loops.cull->group, boxes.source.count, first}
                              : Reached{&EVERY, b.count, 1, first};
  if (loops.mixed)
    add_mixed_terms(p, loops, source, axes, table, first, last, reached, b);
  else if (!p.laue)
    loops.add(p, axes, table, first, last, reached, b);
  // One by one, in the order of a card's sum.
  for (int o = first; p.laue && o < last; ++o) {
    loops.add(p, axes, table, o, o + 1, reached, b);
    add_diffuse(p, source, axes, table, o, b);
  }
}

// The terms of one source: orientations of equal weight are added before they are weighted.
void add_source(const Params& p, const Loops& loops, const Source& source, const double* axes,
                const double* table, int first, int last, Boxes& boxes, Block& b) {
  if (loops.cull) groups_of(*loops.cull, source, boxes.rays, boxes.source);
  for (int begin = first, end = last; begin < last; begin = end) {
    const double weight = weight_of(axes, begin);
    end = last;
    if (p.weighted)
      for (end = begin + 1; end < last && weight_of(axes, end) == weight;) ++end;
    if (begin != first)
      for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
    for (int from = begin, to; from < end; from = to) {
      to = end - from < mixed::MANY_ORIENTATIONS ? end : from + int{mixed::MANY_ORIENTATIONS};
      add_orientations(p, loops, source, axes, table, from, to, boxes, b);
    }
    end_source(p, source, weight, b);
  }
}

// The sums of a block over the range of steps.
void sum_block(const Params& p, const double* axes, const double* sources, const double* table,
               const Loops& loops, Boxes& boxes, Block& b) {
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const Range range(p, outer);
    find_block_rays(p, range.layer, range.sub, b);
    if (loops.cull) find_groups(*loops.cull, b.dx, b.dy, b.dz, b.count, boxes.rays);
    if (loops.beyond > 0.0) boxes.ball = cull::find_ball(b.dx, b.dy, b.dz, b.count);
    if (loops.mixed && loops.mixed->lit) {
      bool all = loops.beyond > 0.0;
      for (int number = range.source0; all && number < range.source1; ++number)
        all = cull::is_beyond(loops.beyond, boxes.ball, read_source(sources, number));
      if (all) continue;
      const long low = static_cast<long>(range.source0) * p.turns + range.turn0;
      const long high = static_cast<long>(range.source1 - 1) * p.turns + range.turn1;
      add_lit_terms(p, loops, sources, table, low, high, boxes, b);
      continue;
    }
    for (int number = range.source0; number < range.source1; ++number) {
      const int first = range.first(number), last = range.last(number);
      const Source source = read_source(sources, number);
      const double* own = table + source.amplitudes;
      if (cull::is_beyond(loops.beyond, boxes.ball, source)) continue;
      if (!begin_source(p, source, range.layer, b)) continue;
      if (p.factors == PRODUCTS) {
        multiply_terms(p, source, axes, own, first, last, b);
        continue;
      }
      add_source(p, loops, source, axes, own, first, last, boxes, b);
    }
  }
}

// The row of terms becomes each pixel's polarization factor; see once_factors.
void find_polarization(const Params& shared, const double* sources, Block& b) {
  const Params p = shared;
  const int subs = p.oversample * p.oversample;
  for (int i = 0; i < b.count; ++i) b.terms[i] = 0.0;
  for (int outer = 0; outer < p.layers * subs; ++outer) {
    find_block_rays(p, outer / subs, outer % subs, b);
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
  find_block_rays(p, 0, 0, b);
  for (int i = 0; i < b.count; ++i) b.weight[i] = solid_angle(p, b.ray(i));
  if (p.polarized) find_polarization(p, sources, b);
  if (p.depth >= 0.0) {
    find_block_rays(p, p.layers - 1, 0, b);
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
// indices in the tile, read where p.listed; mixed, mixed_axes: null for float64; cull: null where
// nothing is skipped; totals, gains: the effect on each pixel's running sum (gains only for
// products).  Returns the evaluations whose interpolation left the list.
NB_EXPORT long long nb_sum(const Params* p, const double* axes, const double* sources,
                           const double* table, const int* listed, const Mixed* mixed,
                           const double* mixed_axes, const Cull* cull, double* totals,
                           double* gains) {
  Block b;
  Boxes boxes;
  b.outside = 0;
  const Loops loops = {choose_terms(*p), mixed, mixed_axes, cull && cull->group ? cull : nullptr,
                       cull ? cull->beyond : 0.0};
  const int most = cull ? block_of(*cull) : BLOCK;
  for (int begin = 0; begin < p->count; begin += most) {
    if (cull && !p->listed)
      place_bands(*p, cull->rows, begin, most, b);
    else
      place_in_order(*p, listed, begin, most, b);
    pad_pixels(cull && cull->group > STEP ? cull->group : STEP, b);
    for (int i = 0; i < b.count; ++i) b.total[i] = 0.0;
    for (int i = 0; p->factors == PRODUCTS && i < b.count; ++i) b.gain[i] = 1.0;
    sum_block(*p, axes, sources, table, loops, boxes, b);
    for (int i = 0; i < b.pixels; ++i) {
      totals[b.flat[i]] = b.total[i];
      // One by one: vectors of numbers that go everywhere are slower.
      asm volatile("");
    }
    if (p->factors == PRODUCTS)
      for (int i = 0; i < b.pixels; ++i) gains[begin + i] = b.gain[i];
  }
  return b.outside;
}

// How many of a tile's pixels are in groups that orientations reach, summed over every
// source_step-th source and every turn_step-th orientation of the first sub-pixel: for estimates.
NB_EXPORT long long nb_reached(const Params* p, const double* sources, const Cull* cull,
                               int source_step, int turn_step) {
  Block b;
  Boxes boxes;
  long long reached = 0;
  const int most = block_of(*cull);
  for (int begin = 0; begin < p->count; begin += most) {
    place_bands(*p, cull->rows, begin, most, b);
    pad_pixels(cull->group > STEP ? cull->group : STEP, b);
    find_block_rays(*p, 0, 0, b);
    boxes.ball = cull::find_ball(b.dx, b.dy, b.dz, b.count);
    if (cull->group) find_groups(*cull, b.dx, b.dy, b.dz, b.count, boxes.rays);
    for (int number = 0; number < p->sources; number += source_step) {
      const Source source = read_source(sources, number);
      if (cull::is_beyond(cull->beyond, boxes.ball, source)) continue;
      if (!cull->group) {
        reached += static_cast<long long>(b.pixels) * ((p->turns - 1) / turn_step + 1);
        continue;
      }
      groups_of(*cull, source, boxes.rays, boxes.source);
      for (int o = 0; o < p->turns; o += turn_step) {
        const double* turn = cull->turns + static_cast<ptrdiff_t>(o) * cull::TURN_ROW;
        reached += __builtin_popcount(cull::reached_groups(turn, boxes.source)) * cull->group;
      }
    }
  }
  return reached;
}

// Turns sums over all steps into photons.
NB_EXPORT void nb_finish(const Params* p, const double* sources, const int* listed,
                         const double* totals, const double* gains, float* image) {
  Block b;
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, BLOCK, b);
    pad_pixels(STEP, b);
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
