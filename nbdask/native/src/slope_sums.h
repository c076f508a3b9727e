// What remains of a block's planes where nobody wants the planes themselves: sums over pixels.
#pragma once
#include "slope_block.h"
#include "slope_residual.h"

namespace {

// Sums keep lanes apart, so that they are the same on every processor.
typedef double Lanes __attribute__((vector_size(32), aligned(8), may_alias));
constexpr int LANES = 4;

const Lanes& lanes_at(const double* from) { return *reinterpret_cast<const Lanes*>(from); }

double sum_of(const Lanes& x) { return (x[0] + x[1]) + (x[2] + x[3]); }

double inner(const double* a, const double* b, int count) {
  Lanes first{}, second{}, third{}, fourth{};
  for (int i = 0; i < count; i += 4 * LANES) {
    first += lanes_at(a + i) * lanes_at(b + i);
    second += lanes_at(a + i + LANES) * lanes_at(b + i + LANES);
    third += lanes_at(a + i + 2 * LANES) * lanes_at(b + i + 2 * LANES);
    fourth += lanes_at(a + i + 3 * LANES) * lanes_at(b + i + 3 * LANES);
  }
  return sum_of((first + second) + (third + fourth));
}

double total(const double* row, int count) {
  Lanes first{}, second{};
  for (int i = 0; i < count; i += 2 * LANES) {
    first += lanes_at(row + i);
    second += lanes_at(row + i + LANES);
  }
  return sum_of(first + second);
}

// Adds each plane times what pulls its pixels.
void add_values(const Job& job, const double* pull, double* values, Block& b) {
  for (int i = 0; i < b.count; ++i) b.sum[i] = i < b.pixels ? pull[i] : 0.0;
  for (int k = 0; k < job.how.parameters; ++k)
    values[k] += inner(b.sum, job.plane(k + 1), b.count);
}

// Products of two rows with two others, for which each is read half as often.
struct Four {
  double xu, xv, yu, yv;
};

Four products(const double* x, const double* y, const double* u, const double* v, int count) {
  Lanes xu{}, xv{}, yu{}, yv{}, more_xu{}, more_xv{}, more_yu{}, more_yv{};
  for (int i = 0; i < count; i += 2 * LANES) {
    const Lanes x0 = lanes_at(x + i), y0 = lanes_at(y + i), u0 = lanes_at(u + i);
    const Lanes v0 = lanes_at(v + i), x1 = lanes_at(x + i + LANES), y1 = lanes_at(y + i + LANES);
    const Lanes u1 = lanes_at(u + i + LANES), v1 = lanes_at(v + i + LANES);
    xu += x0 * u0;
    xv += x0 * v0;
    yu += y0 * u0;
    yv += y0 * v0;
    more_xu += x1 * u1;
    more_xv += x1 * v1;
    more_yu += y1 * u1;
    more_yv += y1 * v1;
  }
  return {sum_of(xu + more_xu), sum_of(xv + more_xv), sum_of(yu + more_yu), sum_of(yv + more_yv)};
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

// Adds the products of all rows, four at a time.
void add_hessian(const Job& job, Equations to, const Block& b) {
  const int last = job.how.parameters;
  for (int k = 0; k <= last; k += 2)
    for (int m = 0; m <= k; m += 2) {
      const double *x = job.plane(k), *y = job.plane(k < last ? k + 1 : k);
      const double *u = job.plane(m), *v = job.plane(m < last ? m + 1 : m);
      const Four found = products(x, y, u, v, b.count);
      to.add(k, m, found.xu);
      to.add(k, m + 1, found.xv);
      to.add(k + 1, m, found.yu);
      to.add(k + 1, m + 1, found.yv);
    }
}

NB_APART void find_residuals(const Data& given, double* __restrict model, Block& b) {
  const Data data = given;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Residual found = residual_of(data, model[i], b.sum[i]);
    b.yx[i] = found.loss;
    b.yy[i] = found.square;
    b.yz[i] = found.counts;
    b.along[i] = found.root;
    model[i] = found.pull;
  }
}

// Adds loss, chi2, the number of pixels, gradient and Hessian; see nbdask/gradients/normal.py.  The
// planes become those of J and r over the root of the variance.
// S-GRAD-18
void add_equations(const Job& job, const Data& data, const double* seen, double* found, Block& b) {
  const int parameters = job.how.parameters;
  for (int i = 0; i < b.count; ++i) b.sum[i] = i < b.pixels ? seen[i] : NAN;
  find_residuals(data, job.plane(0), b);
  found[0] += total(b.yx, b.count);
  found[1] += total(b.yy, b.count);
  found[2] += total(b.yz, b.count);
  for (int k = 1; k <= parameters; ++k) {
    double* __restrict plane = job.plane(k);
    NB_SIMD
    for (int i = 0; i < b.count; ++i) plane[i] *= b.along[i];
  }
  add_hessian(job, {found + 3, found + 3 + parameters, parameters}, b);
}

}  // namespace
