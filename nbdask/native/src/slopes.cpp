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

// What multiplies a source's terms, and what pulls them; false: no pixel counts.
bool begin_source(const Job& job, const Source& light, int layer, Block& b) {
  const Params p = job.p;
  const Source source = light;
  const double constant = source.weight * p.height;
  int any = 0;
#pragma omp simd reduction(| : any)
  for (int i = 0; i < b.count; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    const bool counts = within_dmin(p.dmin, q);
    any |= counts;
    b.qx[i] = q.x;
    b.qy[i] = q.y;
    b.qz[i] = q.z;
    b.factor[i] = counts ? constant : 0.0;
    b.drag[i] = b.pull[i] * b.factor[i];
    b.terms[i] = b.vx[i] = b.vy[i] = b.vz[i] = 0.0;
  }
  if (p.factors == EACH)
    for (int i = 0; i < b.count; ++i) {
      b.factor[i] *= term_factors(p, source, layer, b.ray(i));
      b.drag[i] = b.pull[i] * b.factor[i];
    }
  return any;
}

// Y with V . dq = Y . dX; V . q.
NB_APART void find_moved(const Source& source, Block& b) {
  const double per_wavelength = source.per_wavelength;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Moved found = moved_by(b.ray(i), b.q(i), {b.vx[i], b.vy[i], b.vz[i]}, per_wavelength);
    b.yx[i] = found.y.x;
    b.yy[i] = found.y.y;
    b.yz[i] = found.y.z;
    b.moves[0][i] += found.y.x;
    b.moves[1][i] += found.y.y;
    b.moves[2][i] += found.y.z;
    b.along[i] = found.along;
  }
}

// Adds Y to the sums that move: times the sub-pixel along fast, and along slow, and the layer.
void add_moved(const Params& p, int layer, int sub, Block& b) {
  const double times[3] = {1.0 * (sub % p.oversample), 1.0 * (sub / p.oversample), 1.0 * layer};
  for (int part = 0; part < 3; ++part) {
    if (times[part] == 0.0) continue;
    add_row(times[part], b.yx, b.moves[3 + 3 * part], b.count);
    add_row(times[part], b.yy, b.moves[4 + 3 * part], b.count);
    add_row(times[part], b.yz, b.moves[5 + 3 * part], b.count);
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
  if (job.how.moved) {
    find_moved(source, b);
    add_moved(job.p, layer, sub, b);
  }
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

void sum_block(const Job& job, Block& b) {
  const Params& p = job.p;
  const Chosen chosen = choose_loops(p, job.how);
  if (job.how.turned) clear(b.turns, 9);
  if (job.how.moved) clear(b.moves, 12);
  clear(b.shape, job.how.shaped);
  clear(b.spins, job.how.spins);
  memset(job.plane(0), 0, sizeof(Row));
  for (int k = 0; k < job.how.parameters; ++k)
    if (job.grows(job.slopes[k])) memset(job.plane(k + 1), 0, sizeof(Row));
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
}

// What multiplies the terms of each pixel in the sums that are pulled.
void find_pull(const Job& job, const double* pull, Block& b) {
  for (int i = 0; i < b.count; ++i) job.plane(0)[i] = b.pull[i] = 0.0;
  if (!job.pulled && !job.pulled_sources) return;
  find_factors(job, b);
  for (int i = 0; i < b.pixels; ++i) b.pull[i] = pull[i] * b.lift[i];
}

}  // namespace

// Sums of a range of steps for p->count pixels, and their derivatives.
//
// axes, sources, table, listed: as for nb_sum; leads: as axes, what takes slopes to those by the
// scattering vector; frames: rows of 9 numbers, where each orientation takes the lab's axes; spins: how->spins tables of 3 numbers for each orientation; waves: for each parameter
// the relative change of every source's wavelength; rows: scratch memory, zeros;
// cull: null where nothing is skipped; finish: the steps are all of them, and there are photons and
// their derivatives.
//
// What becomes of them, each null where it is not wanted: planes, 1 + parameters rows of p->count
// numbers; the sums of each derivative times `pull`, a number for each pixel, by parameters (values),
// by amplitudes (pulled, as the table) and by sources (pulled_sources, two for each); normal equations,
// as nbdask/gradients/compiled.py says.
NB_EXPORT void nb_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                         const double* axes, const double* leads, const double* frames,
                         const double* spins,
                         const double* waves, const double* sources, const double* table,
                         const int* listed, double* rows, const Cull* cull, double* planes,
                         const double* pull, double* values, double* pulled,
                         double* pulled_sources, const Data* data, const double* seen,
                         double* equations, int finish) {
  Block b;
  const Job job = {*p, *how, slopes, axes, leads, frames, spins, waves, sources, table,
                   pulled, pulled_sources, rows, cull, bends_any(*how, slopes)};
  const Lacks lacks = p->oversample == 1 && p->layers == 1 ? FRONT : ALL;
  clear(&b.none, 1);
  // Whole groups.
  const int most = cull ? BLOCK / cull->group * cull->group : BLOCK;
  for (int begin = 0; begin < p->count; begin += most) {
    place_pixels(*p, listed, begin, most, b);
    pad_pixels(cull && cull->group > STEP ? cull->group : STEP, b);
    find_pull(job, pull ? pull + begin : nullptr, b);
    sum_block(job, b);
    // Straight to where they are wanted, unless that has no room for what fills the block up.
    const Rows own = {job.planes, BLOCK}, wanted = {planes + (planes ? begin : 0), p->count};
    const bool straight = finish && planes && b.pixels == b.count && !values;
    if (equations)
      add_equations(job, *data, seen + begin, lacks, b);
    else if (finish)
      finish_block(job, lacks, straight ? wanted : own, b);
    else
      end_planes<SUMS>(job, lacks, {}, own, b);
    for (int k = 0; planes && !straight && k <= how->parameters; ++k)
      memcpy(wanted.row(k), own.row(k), static_cast<size_t>(b.pixels) * sizeof(double));
    if (values) add_values(job, pull + begin, values, b);
  }
  if (equations) end_equations(job, equations);
}

// Turns sums over all steps, and their derivatives, into photons in place.
NB_EXPORT void nb_finish_slopes(const Params* p, const Slopes* how, const Slope* slopes,
                                const double* sources, const int* listed, double* rows,
                                double* planes) {
  Block b;
  const Job job = {*p, *how, slopes, nullptr, nullptr, nullptr, nullptr, nullptr, sources, nullptr,
                   nullptr, nullptr, rows, nullptr, bends_any(*how, slopes)};
  for (int begin = 0; begin < p->count; begin += BLOCK) {
    place_pixels(*p, listed, begin, BLOCK, b);
    pad_pixels(STEP, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.count; ++i)
        job.plane(k)[i] = planes[static_cast<ptrdiff_t>(k) * p->count + begin +
                                 (i < b.pixels ? i : b.pixels - 1)];
    finish_block(job, NOTHING, {job.planes, BLOCK}, b);
    for (int k = 0; k <= how->parameters; ++k)
      for (int i = 0; i < b.pixels; ++i)
        planes[static_cast<ptrdiff_t>(k) * p->count + begin + i] = job.plane(k)[i];
  }
}

// Numbers of scratch memory, and sizes of the structures, for whoever calls.
NB_EXPORT long long nb_slopes_room(int parameters) {
  return static_cast<long long>(1 + parameters) * BLOCK + lanes_of(parameters);
}
NB_EXPORT long long nb_slope_size() { return sizeof(Slope); }
NB_EXPORT long long nb_slopes_size() { return sizeof(Slopes); }
