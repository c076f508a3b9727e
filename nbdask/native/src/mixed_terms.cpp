// The loops of the mixed precision alone, for tests.
#include "mixed.h"

extern "C" __attribute__((visibility("default"))) void nb_mixed_terms(
    const Mixed* m, const double* q0, const double* q1, const double* q2, const double* axes,
    long first, long last, double* sum, long count) {
  add_mixed(*m, q0, q1, q2, axes, first, last, sum, count);
}
