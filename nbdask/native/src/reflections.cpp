// Whose photons are they: sums over evaluations, by the whole indices that each one belongs to.
//
// The loops are laid out as those of cpu.cpp.  Neighbouring pixels mostly belong to the same
// reflection, so sums of such a run are kept aside, and the table is looked up once for each run.
#include <stdlib.h>

#include "amplitude.h"
#include "blocks.h"

namespace {

constexpr int BLOCK = 288;

// Whole indices as one number, in the order of h, k, l: each below 2^16 in size.
constexpr double CODE_L = 1.0, CODE_K = 131072.0, CODE_H = 131072.0 * 131072.0;

// Numbers of a row of the table: code, photons, and photons times slow and fast index, spindle angle
// and 1 / wavelength.
constexpr int ROW = 6;

template <int LATTICE, int DEGREE>
struct Version {
  static constexpr int lattice = LATTICE, amplitude = NEAREST, degree = DEGREE;
};

typedef double Row[BLOCK] __attribute__((aligned(64)));

struct Block {
  Row slow, fast, dx, dy, dz, inverse, qx, qy, qz, weight, term, code;
  int place[BLOCK] __attribute__((aligned(64)));
  int pixels, count;

  Ray ray(int i) const { return {{dx[i], dy[i], dz[i]}, inverse[i]}; }
  Vector q(int i) const { return {qx[i], qy[i], qz[i]}; }
};

// Rows by their codes: open addressing, doubled when it is half full.
struct Table {
  double* rows;
  size_t places, used;
  bool lost;
};

// The place of a code: where it stands, or the free one where it belongs.
double* find_row(const Table& table, double code) {
  const size_t mask = table.places - 1;
  const unsigned long long mixed =
      static_cast<unsigned long long>(static_cast<long long>(code)) * 0x9e3779b97f4a7c15ull;
  for (size_t at = (mixed >> 24) & mask;; at = (at + 1) & mask) {
    double* row = table.rows + at * ROW;
    // A free row has no photons' code: not a number.
    if (row[0] == code || row[0] != row[0]) return row;
  }
}

double* free_rows(size_t places) {
  double* rows = static_cast<double*>(malloc(places * ROW * sizeof(double)));
  if (rows)
    for (size_t at = 0; at < places; ++at) rows[at * ROW] = double_of(0x7ff8000000000000ll);
  return rows;
}

void grow(Table& table) {
  const Table before = table;
  double* rows = free_rows(2 * before.places);
  if (!rows) {
    table.lost = true;
    return;
  }
  table.rows = rows;
  table.places = 2 * before.places;
  for (size_t at = 0; at < before.places; ++at) {
    const double* row = before.rows + at * ROW;
    if (row[0] == row[0]) memcpy(find_row(table, row[0]), row, ROW * sizeof(double));
  }
  free(before.rows);
}

// Sums of neighbouring pixels that belong to the same reflection.
struct Run {
  double code, photons, slow, fast;
};

void add_run(Table& table, const Run& run, double phi, double per_wavelength) {
  if (run.photons == 0.0 || table.lost) return;
  double* row = find_row(table, run.code);
  if (row[0] != row[0]) {
    row[0] = run.code;
    for (int i = 1; i < ROW; ++i) row[i] = 0.0;
    ++table.used;
  }
  row[1] += run.photons;
  row[2] += run.slow;
  row[3] += run.fast;
  row[4] = fma(run.photons, phi, row[4]);
  row[5] = fma(run.photons, per_wavelength, row[5]);
  if (2 * table.used > table.places) grow(table);
}

// Scattering vectors of a source, and what multiplies its terms.
void begin_source(const Params& shared, const Source& light, int layer, const double* factor,
                  Block& b) {
  const Params p = shared;
  const Source source = light;
  const double constant = source.weight * p.height;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Vector q = scatter(source, {b.dx[i], b.dy[i], b.dz[i]});
    b.qx[i] = q.x;
    b.qy[i] = q.y;
    b.qz[i] = q.z;
    const double each = p.factors == EACH ? term_factors(p, source, layer, b.ray(i)) : 1.0;
    b.weight[i] = within_dmin(p.dmin, q) ? constant * each : 0.0;
  }
  for (int i = 0; i < b.pixels; ++i) b.weight[i] *= factor[i];
}

// Squared lattice factors of an orientation, the reflections that they belong to, and where the
// amplitudes of these stand.
template <class V>
__attribute__((noinline)) void find_terms(const Params& shared, const double* axes, Block& b) {
  const V v;
  const Params p = shared;
  double a[9];
  for (int i = 0; i < 9; ++i) a[i] = axes[i];
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Indices at = find_spot(v, p, a, {b.qx[i], b.qy[i], b.qz[i]});
    b.term[i] = lattice_factor(v, p, at).squared;
    b.code[i] = fma(at.h.whole, CODE_H, fma(at.k.whole, CODE_K, at.l.whole * CODE_L));
    b.place[i] = place_of(p, at);
  }
}

typedef void (*FindTerms)(const Params&, const double*, Block&);

template <int LATTICE = 0>
FindTerms choose_terms(const Params& p) {
  if constexpr (LATTICE == CARD_GRATING) {
    return nullptr;
  } else {
    if (p.lattice != LATTICE) return choose_terms<LATTICE + 1>(p);
    if constexpr (LATTICE == FEW_ODD || LATTICE == FEW)
      return p.degree == 2 ? find_terms<Version<LATTICE, 2>> : find_terms<Version<LATTICE, 4>>;
    return find_terms<Version<LATTICE, 0>>;
  }
}

// Terms times squared amplitudes.
void add_amplitudes(const Params& p, const double* a, const double* table, Block& b) {
  if (p.amplitude == NEAREST)
    for (int i = 0; i < b.pixels; ++i) b.term[i] *= table[b.place[i]];
  if (p.amplitude != TRICUBIC) return;
  for (int i = 0; i < b.pixels; ++i) {
    if (b.term[i] == 0.0) continue;
    const Indices at = find_indices(Version<GRATING, 0>(), a, b.q(i));
    b.term[i] *= inside_list(p, at) ? interpolated_squared(p, table, at) : p.default_squared;
  }
}

void add_runs(const Source& source, double weight, double phi, const Block& b, Table& table) {
  Run run = {b.code[0], 0.0, 0.0, 0.0};
  for (int i = 0; i < b.pixels; ++i) {
    if (b.code[i] != run.code) {
      add_run(table, run, phi, source.per_wavelength);
      run = {b.code[i], 0.0, 0.0, 0.0};
    }
    const double photons = b.term[i] * (b.weight[i] * weight);
    run.photons += photons;
    run.slow = fma(photons, b.slow[i], run.slow);
    run.fast = fma(photons, b.fast[i], run.fast);
  }
  add_run(table, run, phi, source.per_wavelength);
}

}  // namespace

// Sums the photons of all evaluations of p->count pixels by reflection.
//
// axes, sources, table, listed: as for nb_sum; phi: the spindle angle of each orientation; factor:
// photons per unit of each pixel's sum; rows: gets the table.  Returns the number of reflections, -1
// where memory does not suffice.
NB_EXPORT long long nb_reflections(const Params* shared, const double* axes, const double* sources,
                                   const double* amplitudes, const int* listed, const double* phi,
                                   const double* factor, double** rows) {
  const Params p = *shared;
  const FindTerms find = choose_terms(p);
  Table table = {free_rows(4096), 4096, 0, false};
  *rows = nullptr;
  if (!table.rows) return -1;
  const int subs = p.oversample * p.oversample;
  Block b;
  for (int begin = 0; begin < p.count && !table.lost; begin += BLOCK) {
    place_pixels(p, listed, begin, BLOCK, b);
    pad_pixels(STEP, b);
    for (int outer = 0; outer < p.layers * subs; ++outer) {
      find_block_rays(p, outer / subs, outer % subs, b);
      for (int number = 0; number < p.sources; ++number) {
        const Source source = read_source(sources, number);
        begin_source(p, source, outer / subs, factor + begin, b);
        for (int turn = 0; turn < p.turns; ++turn) {
          const double* own = axes + static_cast<ptrdiff_t>(turn) * AXES_ROW;
          find(p, own, b);
          add_amplitudes(p, own, amplitudes + source.amplitudes, b);
          add_runs(source, weight_of(axes, turn), phi[turn], b, table);
        }
      }
    }
  }
  if (table.lost) {
    free(table.rows);
    return -1;
  }
  size_t used = 0;
  for (size_t at = 0; at < table.places; ++at) {
    const double* row = table.rows + at * ROW;
    if (row[0] == row[0]) memmove(table.rows + used++ * ROW, row, ROW * sizeof(double));
  }
  *rows = table.rows;
  return static_cast<long long>(used);
}

NB_EXPORT void nb_free_reflections(double* rows) { free(rows); }
