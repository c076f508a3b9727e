// The loops of derivatives, laid out as those of cpu.cpp: blocks of pixels inside, which become vector
// code; outside of them the orientations, sources, sub-pixels and layers of a range of steps.
//
// A term depends on a parameter through few numbers: the derivative G of its squared lattice factor by
// h, k, l.  Summed over the orientations of a source, V = A^T G moves with q, and the 9 products of G
// and q, as the unturned crystal sees it, with the axes.  Parameters come last, once for each pixel.
#include "slope_block.h"
#include "slope_pixels.h"
#include "slope_sums.h"
#include "slope_terms.h"

namespace {

// What pulls a source's terms; false: no pixel counts.
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
    b.drag[i] = b.pull[i] * b.factor[i];
  }
  clear(&b.terms, 1);
  if (job.how.moved) clear(&b.vx, 3);
  return true;
}

// Y with V . dq = Y . dX, added to the sums that move; V . q.
NB_APART void find_moved(const Params& p, const Source& source, int layer, int sub, Block& b) {
  const double per_wavelength = source.per_wavelength;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Moved found = moved_by(b.ray(i), b.q(i), {b.vx[i], b.vy[i], b.vz[i]}, per_wavelength);
    b.yx[i] = found.y.x;
    b.yy[i] = found.y.y;
    b.yz[i] = found.y.z;
    b.along[i] = found.along;
  }
  const double times[4] = {1.0, 1.0 * (sub % p.oversample), 1.0 * (sub / p.oversample),
                           1.0 * layer};
  for (int part = 0; part < 4; ++part) {
    if (times[part] == 0.0) continue;
    add_row(times[part], b.yx, b.moves[3 * part], b.count);
    add_row(times[part], b.yy, b.moves[3 * part + 1], b.count);
    add_row(times[part], b.yz, b.moves[3 * part + 2], b.count);
  }
}

// What the factors that go with every term of a source change by.  They are exactly 0 in minima only.
void bend_terms(const Job& job, const Source& source, int layer, int sub, Block& b) {
  for (int i = 0; i < b.count; ++i) {
    const FactorSlope found = term_factors_slope(job.p, source, layer, b.ray(i));
    b.keep(bend_of(found, found.value != 0.0 ? b.terms[i] / found.value : 0.0), i);
  }
  const Mover mover = mover_of(job.p, layer, sub);
  for (int k = 0; k < job.how.parameters; ++k)
    if (bends(job.slopes[k])) add_bent(job.slopes[k], mover, job.plane(k + 1), b);
}

// The sums of a source become part of those of everything.
void end_source(const Job& job, const Source& source, int number, int layer, int sub, Block& b) {
  add_row(1.0, b.terms, job.plane(0), b.count);
  if (job.how.moved) find_moved(job.p, source, layer, sub, b);
  for (int k = 0; k < job.how.parameters; ++k)
    if (job.slopes[k].lit)
      add_row(-job.waves[static_cast<ptrdiff_t>(k) * job.p.sources + number], b.along,
              job.plane(k + 1), b.count);
  if (job.p.factors == EACH) bend_terms(job, source, layer, sub, b);
  if (!job.pulled_sources) return;
  double by_weight = 0.0, by_wavelength = 0.0;
  for (int i = 0; i < b.pixels; ++i) {
    by_weight = fma(b.pull[i], b.terms[i], by_weight);
    by_wavelength = fma(-b.pull[i], b.along[i] * source.per_wavelength, by_wavelength);
  }
  job.pulled_sources[2 * number] += by_weight;
  job.pulled_sources[2 * number + 1] += by_wavelength;
}

NB_APART void add_turned(const Slope& slope, double* __restrict plane, const Block& b) {
  double d[9];
  for (int i = 0; i < 9; ++i) d[i] = slope.axes[i];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    double sum = plane[i];
    for (int j = 0; j < 9; ++j) sum = fma(d[j], b.turns[j][i], sum);
    plane[i] = sum;
  }
}

NB_APART void add_placed(const Slope& steep, const Params& p, double* __restrict plane,
                         const Block& b) {
  const Slope slope = steep;
  const Mover front = mover_of(p, 0, 0);
  const double one[4] = {1.0, p.sub_fast, p.sub_slow, 1.0};
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector move = move_of(front, slope, b.slow[i], b.fast[i]);
    plane[i] = fma(b.moves[0][i], move.x,
                   fma(b.moves[1][i], move.y, fma(b.moves[2][i], move.z, plane[i])));
  }
  const double* moved[4] = {nullptr, slope.fast, slope.slow, slope.deep};
  for (int part = 1; part < 4; ++part) {
    if (part < 3 ? p.oversample == 1 : p.layers == 1) continue;
    for (int j = 0; j < 3; ++j)
      if (moved[part][j] != 0.0)
        add_row(one[part] * moved[part][j], b.moves[3 * part + j], plane, b.count);
  }
}

// The sums of everything become those of the parameters; finish: but for places, see finish_placed.
void add_parameters(const Job& job, bool finish, Block& b) {
  for (int k = 0; k < job.how.parameters; ++k) {
    const Slope& slope = job.slopes[k];
    double* __restrict plane = job.plane(k + 1);
    if (slope.log != 0.0) add_row(slope.log, job.plane(0), plane, b.count);
    if (slope.turned) add_turned(slope, plane, b);
    for (int j = 0; j < job.how.shaped && slope.shaped; ++j)
      if (slope.shape[j] != 0.0) add_row(slope.shape[j], b.shape[j], plane, b.count);
    if (slope.spin >= 0) add_row(1.0, b.spins[slope.spin], plane, b.count);
    if (slope.placed && !finish) add_placed(slope, job.p, plane, b);
  }
}

void sum_block(const Job& job, bool finish, Block& b) {
  const Params& p = job.p;
  const Chosen chosen = {choose(p, job.how.shaped, job.how.narrow), choose_sums(job.how)};
  if (job.how.turned) clear(b.turns, 9);
  if (job.how.moved) clear(b.moves, 12);
  clear(b.shape, job.how.shaped);
  clear(b.spins, job.how.spins);
  memset(job.planes, 0, (1 + job.how.parameters) * sizeof(Row));
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const Range range(p, outer);
    find_rays(p, range.layer, range.sub, b);
    if (job.cull) cull::find_groups(*job.cull, b.dx, b.dy, b.dz, b.count, b.boxes);
    for (int number = range.source0; number < range.source1; ++number) {
      const Source source = read_source(job.sources, number);
      if (!begin_source(job, source, range.layer, b)) continue;
      add_orientations(job, source, chosen, range.first(number), range.last(number), b);
      end_source(job, source, number, range.layer, range.sub, b);
    }
  }
  add_parameters(job, finish, b);
}

// What multiplies the terms of each pixel in the sums that are pulled.
void find_pull(const Job& job, const double* pull, Block& b) {
  for (int i = 0; i < b.count; ++i) job.plane(0)[i] = b.pull[i] = 0.0;
  if (!job.pulled && !job.pulled_sources) return;
  find_factors(job, b);
  for (int i = 0; i < b.pixels; ++i) b.pull[i] = pull[i] * job.p.scale * b.terms_factor[i];
}

}  // namespace

// Sums of a range of steps for p->count pixels, and their derivatives.
//
// axes, sources, table, listed: as for nb_sum; frames: rows of 9 numbers, where each orientation takes
// the lab's axes; spins: how->spins tables of 3 numbers for each orientation; waves: for each parameter
// the relative change of every source's wavelength; rows: scratch memory of 1 + parameters blocks;
// cull: null where nothing is skipped; finish: the steps are all of them, and there are photons and
// their derivatives.
//
// What becomes of them, each null where it is not wanted: planes, 1 + parameters rows of p->count
// numbers; the sums of each derivative times `pull`, a number for each pixel, by parameters (values),
// by amplitudes (pulled, as the table) and by sources (pulled_sources, two for each); normal equations,
// as nbdask/gradients/compiled.py says.
NB_EXPORT void nb_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                         const double* axes, const double* frames, const double* spins,
                         const double* waves, const double* sources, const double* table,
                         const int* listed, double* rows, const Cull* cull, double* planes,
                         const double* pull, double* values, double* pulled,
                         double* pulled_sources, const Data* data, const double* seen,
                         double* equations, int finish) {
  Block b;
  const Job job = {*p, *how, slopes, axes, frames, spins, waves, sources, table,
                   pulled, pulled_sources, rows, cull};
  const Moves moves = p->oversample == 1 && p->layers == 1 ? FRONT : ALL;
  // Whole groups.
  const int most = cull ? BLOCK / cull->group * cull->group : BLOCK;
  for (int begin = 0; begin < p->count; begin += most) {
    place_pixels(*p, listed, begin, most, b);
    pad_pixels(cull && cull->group > STEP ? cull->group : STEP, b);
    find_pull(job, pull ? pull + begin : nullptr, b);
    sum_block(job, finish, b);
    // Straight to where they are wanted, unless that has no room for what fills the block up.
    const Rows own = {job.planes, BLOCK}, wanted = {planes + (planes ? begin : 0), p->count};
    const bool straight = finish && planes && b.pixels == b.count && !values && !equations;
    if (finish) finish_block(job, moves, straight ? wanted : own, b);
    for (int k = 0; planes && !straight && k <= how->parameters; ++k)
      memcpy(wanted.row(k), own.row(k), static_cast<size_t>(b.pixels) * sizeof(double));
    if (values) add_values(job, pull + begin, values, b);
    if (equations) add_equations(job, *data, seen + begin, equations, b);
  }
}

// Turns sums over all steps, and their derivatives, into photons in place.
NB_EXPORT void nb_finish_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                                const double* sources, const int* listed, double* rows,
                                double* planes) {
  Block b;
  const Job job = {*p, *how, slopes, nullptr, nullptr, nullptr, nullptr, sources, nullptr,
                   nullptr, nullptr, rows, nullptr};
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, BLOCK, b);
    pad_pixels(STEP, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.count; ++i)
        job.plane(k)[i] = planes[static_cast<ptrdiff_t>(k) * p->count + begin +
                                 (i < b.pixels ? i : b.pixels - 1)];
    finish_block(job, NO_MOVES, {job.planes, BLOCK}, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.pixels; ++i)
        planes[static_cast<ptrdiff_t>(k) * p->count + begin + i] = job.plane(k)[i];
  }
}

// Pixels of a block, and sizes of the structures, for whoever calls.
NB_EXPORT int nb_slopes_block() { return BLOCK; }
NB_EXPORT long long nb_slope_size() { return sizeof(Slope); }
NB_EXPORT long long nb_slopes_size() { return sizeof(Slopes); }
