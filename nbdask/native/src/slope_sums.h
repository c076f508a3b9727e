// What remains of a block's planes where nobody wants the planes themselves: sums over pixels.
#pragma once
#include "lanes.h"
#include "slope_block.h"
#include "slope_residual.h"

namespace {

// Sums keep lanes apart, so that they are the same on every processor.
constexpr int APART = 8, REGISTERS = APART / HALF_LANES;

struct Sum {
  DOUBLES lanes[REGISTERS]{};

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

double total(const double* row, int count) {
  Sum sum;
  for (int i = 0; i < count; i += APART) sum.add(row + i);
  return sum.total();
}

// Adds each plane times what pulls its pixels.
void add_values(const Job& job, const double* pull, double* values, Block& b) {
  for (int i = 0; i < b.count; ++i) b.sum[i] = i < b.pixels ? pull[i] : 0.0;
  for (int k = 0; k < job.how.parameters; ++k)
    values[k] += inner(b.sum, job.plane(k + 1), b.count);
}

// Gradient and the lower half of the Hessian.
struct Equations {
  double *gradient, *hessian;
  int parameters;

  // Row 0 is that of residuals.  Adds a product of rows k and m, where it is wanted.
  void add(int k, int m, double product) {
    if (k > parameters || m > k || k == 0) return;
    if (m == 0)
      gradient[k - 1] += product;
    else
      hessian[(k - 1) * parameters + m - 1] += product;
  }
};

// Adds the products of all rows: of two with two others at a time, for which each is read half as often.
void add_hessian(const Job& job, Equations to, const Block& b) {
  const int last = job.how.parameters;
  for (int k = 0; k <= last; k += 2)
    for (int m = 0; m <= k; m += 2) {
      const double *x = job.plane(k), *y = job.plane(k < last ? k + 1 : k);
      const double *u = job.plane(m), *v = job.plane(m < last ? m + 1 : m);
      Sum xu, xv, yu, yv;
      for (int i = 0; i < b.count; i += APART) {
        xu.add(x + i, u + i);
        xv.add(x + i, v + i);
        yu.add(y + i, u + i);
        yv.add(y + i, v + i);
      }
      to.add(k, m, xu.total());
      to.add(k, m + 1, xv.total());
      to.add(k + 1, m, yu.total());
      to.add(k + 1, m + 1, yv.total());
    }
}

template <bool ROBUST>
NB_APART void find_residuals(const Data& given, double* __restrict model, Block& b) {
  const Data data = given;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Residual found = residual_of<ROBUST>(data, model[i], b.sum[i]);
    b.yx[i] = found.loss;
    b.yy[i] = found.square;
    b.yz[i] = found.counts;
    b.along[i] = found.root;
    model[i] = found.pull;
  }
}

// What is smaller counts as 0: products of such numbers are no normal ones, which takes processors long.
constexpr double TINY = 1e-150;

// Adds loss, chi2, the number of pixels, gradient and Hessian; see nbdask/gradients/normal.py.  The
// planes become those of J and r over the root of the variance.
// S-GRAD-18
void add_equations(const Job& job, const Data& data, const double* seen, double* found, Block& b) {
  const int parameters = job.how.parameters;
  for (int i = 0; i < b.count; ++i) b.sum[i] = i < b.pixels ? seen[i] : NAN;
  (data.robust > 0.0 ? find_residuals<true> : find_residuals<false>)(data, job.plane(0), b);
  found[0] += total(b.yx, b.count);
  found[1] += total(b.yy, b.count);
  found[2] += total(b.yz, b.count);
  for (int k = 1; k <= parameters; ++k) {
    double* __restrict plane = job.plane(k);
    NB_SIMD
    for (int i = 0; i < b.count; ++i) {
      const double weighted = plane[i] * b.along[i];
      plane[i] = fabs(weighted) > TINY ? weighted : 0.0;
    }
  }
  add_hessian(job, {found + 3, found + 3 + parameters, parameters}, b);
}

}  // namespace
