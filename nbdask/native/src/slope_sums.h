// What remains of a block's planes where nobody wants the planes themselves: sums over pixels.
#pragma once
#include "lanes.h"
#include "slope_pixels.h"
#include "slope_residual.h"

namespace {

// Sums keep lanes apart, so that they are the same on every processor.
constexpr int APART = 8, REGISTERS = APART / HALF_LANES;

struct Sum {
  DOUBLES lanes[REGISTERS]{};

  NB_METHOD static Sum read(const double* from) {
    Sum sum;
    memcpy(sum.lanes, from, sizeof sum.lanes);
    return sum;
  }
  NB_METHOD void write(double* to) const { memcpy(to, lanes, sizeof lanes); }
  NB_METHOD void add(const double* a, const double* b) {
    NB_EACH
    for (int i = 0; i < REGISTERS; ++i)
      lanes[i] = fma_exact(load(a + i * HALF_LANES), load(b + i * HALF_LANES), lanes[i]);
  }
  NB_METHOD void add(const double* a) {
    NB_EACH
    for (int i = 0; i < REGISTERS; ++i) lanes[i] += load(a + i * HALF_LANES);
  }
  NB_METHOD double total() const {
    typedef double Half __attribute__((vector_size(APART * sizeof(double) / 2)));
    Half half[2];
    memcpy(half, lanes, sizeof half);
    const Half x = half[0] + half[1];
    return (x[0] + x[1]) + (x[2] + x[3]);
  }
};

double inner(const double* a, const double* b, int count) {
  Sum first, second;
  for (int i = 0; i < count; i += 2 * APART) {
    first.add(a + i, b + i);
    second.add(a + i + APART, b + i + APART);
  }
  return first.total() + second.total();
}

// Adds each plane times what pulls its pixels.
void add_values(const Job& job, const double* pull, double* values, Block& b) {
  for (int i = 0; i < b.count; ++i) b.sum[i] = i < b.pixels ? pull[i] : 0.0;
  for (int k = 0; k < job.how.parameters; ++k)
    values[k] += inner(b.sum, job.plane(k + 1), b.count);
}

// Rows whose products with as many others are added at a time: each is read less often, and sums do
// not wait for one another.  As many as there are registers for.
constexpr int EDGE = NB_VECTOR == 64 ? 4 : 3;

// Lanes of the sums of normal equations: loss, chi2, pixels; then the products of rows, EDGE with EDGE,
// of the lower half.
long long lanes_of(int parameters) {
  const long long edges = (1 + parameters + EDGE - 1) / EDGE;
  return APART * (3 + edges * (edges + 1) / 2 * EDGE * EDGE);
}

// Adds loss, chi2 and the number of pixels.
NB_APART void add_totals(const Block& b, double* lanes) {
  Sum loss = Sum::read(lanes), square = Sum::read(lanes + APART);
  Sum counts = Sum::read(lanes + 2 * APART);
  for (int i = 0; i < b.count; i += APART) {
    loss.add(b.yx + i);
    square.add(b.yy + i);
    counts.add(b.yz + i);
  }
  loss.write(lanes);
  square.write(lanes + APART);
  counts.write(lanes + 2 * APART);
}

// Adds the products of HIGH rows from number k on with EDGE rows from number m on; DIAGONAL: with
// themselves, the lower half.
template <int HIGH, bool DIAGONAL>
NB_APART void add_products_of(const Job& job, int k, int m, int count, double* lanes) {
  constexpr int WIDE = DIAGONAL ? HIGH : EDGE;
  const auto wanted = [](int i, int j) { return !DIAGONAL || j <= i; };
  // As many lanes as a register holds, then the others.
  for (int lane = 0; lane < APART; lane += HALF_LANES) {
    const double *rows = job.plane(k) + lane, *columns = job.plane(m) + lane;
    DOUBLES sums[HIGH][WIDE];
    NB_EACH
    for (int i = 0; i < HIGH; ++i) {
      NB_EACH
      for (int j = 0; j < WIDE; ++j)
        if (wanted(i, j)) sums[i][j] = load(lanes + APART * (EDGE * i + j) + lane);
    }
    for (int pixel = 0; pixel < count; pixel += APART) {
      DOUBLES across[WIDE];
      NB_EACH
      for (int j = 0; j < WIDE; ++j) across[j] = load(columns + j * BLOCK + pixel);
      NB_EACH
      for (int i = 0; i < HIGH; ++i) {
        const DOUBLES row = DIAGONAL ? across[i] : load(rows + i * BLOCK + pixel);
        NB_EACH
        for (int j = 0; j < WIDE; ++j)
          if (wanted(i, j)) sums[i][j] = fma_exact(row, across[j], sums[i][j]);
      }
    }
    NB_EACH
    for (int i = 0; i < HIGH; ++i) {
      NB_EACH
      for (int j = 0; j < WIDE; ++j)
        if (wanted(i, j)) memcpy(lanes + APART * (EDGE * i + j) + lane, &sums[i][j], sizeof(DOUBLES));
    }
  }
}

template <bool DIAGONAL>
void add_products_of(const Job& job, int k, int m, int count, double* lanes) {
  const int high = 1 + job.how.parameters - k;
  if (high == 1) return add_products_of<1, DIAGONAL>(job, k, m, count, lanes);
  if (high == 2) return add_products_of<2, DIAGONAL>(job, k, m, count, lanes);
  if (high == 3) return add_products_of<3, DIAGONAL>(job, k, m, count, lanes);
  add_products_of<EDGE, DIAGONAL>(job, k, m, count, lanes);
}

// Adds the products of all rows.
void add_products(const Job& job, double* lanes, int count) {
  for (int k = 0; k <= job.how.parameters; k += EDGE) {
    for (int m = 0; m < k; m += EDGE, lanes += APART * EDGE * EDGE)
      add_products_of<false>(job, k, m, count, lanes);
    add_products_of<true>(job, k, k, count, lanes);
    lanes += APART * EDGE * EDGE;
  }
}

// Photons and data become what they add to the loss, and residuals; what multiplies derivatives is
// divided by the root of the variance.
template <bool ROBUST>
NB_APART void find_residuals(const Data& given, double scale, const double* __restrict seen,
                             Block& b) {
  const Data data = given;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Residual found = residual_of<ROBUST>(data, scale * b.whole[i], seen[i]);
    b.yx[i] = found.loss;
    b.yy[i] = found.square;
    b.yz[i] = found.counts;
    b.drag[i] = found.pull;
    b.along[i] = found.root;
    b.whole[i] *= found.root;
    b.start[i] *= found.root;
    b.lift[i] *= found.root;
  }
}

void times_row(const double* __restrict row, Row* rows, int number, int count) {
  for (int j = 0; j < number; ++j) {
    NB_SIMD
    for (int i = 0; i < count; ++i) rows[j][i] *= row[i];
  }
}

// Adds loss, chi2, the number of pixels, gradient and Hessian; see nbdask/gradients/normal.py.  The
// planes become those of J and r over the root of the variance.
// S-GRAD-18
void add_equations(const Job& job, const Data& data, const double* seen, Lacks most, Block& b) {
  const Taken taken = find_factors(job, b);
  memcpy(b.vy, seen, static_cast<size_t>(b.pixels) * sizeof(double));
  for (int i = b.pixels; i < b.count; ++i) b.vy[i] = NAN;
  (data.robust > 0.0 ? find_residuals<true> : find_residuals<false>)(data, job.p.scale, b.vy, b);
  if (job.bent) {
    times_row(b.along, b.bent, 9, b.count);
    times_row(b.along, b.turned, 3, b.count);
    times_row(b.along, b.sunk, 3, b.count);
  }
  end_planes<WEIGHTED>(job, most, taken, {job.planes, BLOCK}, b);
  memcpy(job.plane(0), b.drag, sizeof(Row));
  double* lanes = job.room();
  add_totals(b, lanes);
  add_products(job, lanes + 3 * APART, b.count);
}

// The lanes become loss, chi2, the number of pixels, the gradient and the Hessian.
void end_equations(const Job& job, double* found) {
  const ptrdiff_t last = job.how.parameters;
  const double* lanes = job.room();
  for (int i = 0; i < 3; ++i, lanes += APART) found[i] = Sum::read(lanes).total();
  double *gradient = found + 3, *hessian = gradient + last;
  for (ptrdiff_t k = 0; k <= last; k += EDGE)
    for (ptrdiff_t m = 0; m <= k; m += EDGE)
      for (ptrdiff_t i = k; i < k + EDGE; ++i)
        for (ptrdiff_t j = m; j < m + EDGE; ++j, lanes += APART) {
          const double sum = Sum::read(lanes).total();
          // Row 0 is that of residuals.
          if (i == 0 || i > last || j > i) continue;
          if (j == 0)
            gradient[i - 1] = sum;
          else
            hessian[(i - 1) * last + j - 1] = hessian[(j - 1) * last + i - 1] = sum;
        }
}

}  // namespace
