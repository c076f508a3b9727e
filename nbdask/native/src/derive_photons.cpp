// Poisson and normal deviates: the loops of nbdask/derive/photons.py and elementary.normal.
//
// Pixels are taken in blocks and, where their ways part, in lists of those that go the same way, so
// that vectors do nearly all of the work.

#include "derive_counter.h"

namespace {

using counter::Stream;

constexpr int kBlock = 256;
// Means from here on are drawn by rejection.
constexpr double kRejectionFrom = 10.0;
// The search for an inverse ends where probabilities are below this; counts are below 64 then.
constexpr double kNegligible = 1e-18;

struct Reciprocals {
  double of[64];
  constexpr Reciprocals() : of() {
    of[0] = 1.0;
    for (int n = 1; n < 64; ++n) of[n] = 1.0 / n;
  }
};
constexpr Reciprocals kReciprocals;

// Up to kBlock pixels of a row, whose values are replaced.
struct Block {
  double *values;
  int size;
  uint64_t slow, fast;
};

// Pixels of a block by their places in it.
//
// Lists are filled without branches, which would often be mispredicted: each pixel is put at the
// end, and the end moves on where it belongs there.
struct List {
  int size = 0, place[kBlock];
};

// Two deviates for each pixel of a list.
struct Deviates {
  double u[kBlock], v[kBlock];
  Deviates(const Block &block, const Stream &stream, const List &list) {
    uint64_t fast[kBlock];
    for (int n = 0; n < list.size; ++n) fast[n] = block.fast + list.place[n];
    for (int n = list.size; n < counter::padded(list.size); ++n) fast[n] = 0;
    counter::uniforms(stream, block.slow, fast, list.size, u, v);
  }
};

// The count whose cumulative probability passes the deviate; that of 0 is given.
NB_INLINE double by_search(double mean, double u, double probability) {
  int count = 0;
  double total = probability;
  while (u > total) {
    ++count;
    probability *= mean * kReciprocals.of[count];
    if (probability < kNegligible) break;
    total += probability;
  }
  return (double)count;
}

// Means below kRejectionFrom.
void by_inversion(const Block &block, const Stream &stream, const List &list) {
  const Deviates deviates(block, stream, list);
  double mean[kBlock], none[kBlock];
  for (int n = 0; n < list.size; ++n) mean[n] = block.values[list.place[n]];
#pragma omp simd
  for (int n = 0; n < list.size; ++n) none[n] = elementary::exp_minus(mean[n]);
  for (int n = 0; n < list.size; ++n) {
    block.values[list.place[n]] = by_search(mean[n], deviates.u[n], none[n]);
  }
}

// What one draw gives.
struct Trial {
  // The count; and -1: take it, 0: do not, above 0: ask the probability about this number.
  double count, test;
};

NB_INLINE Trial try_hat(double mean, double u, double v) {
  const double b = 0.931 + 2.53 * sqrt(mean);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double v_squeeze = 0.9277 - 3.6224 / (b - 2.0);
  u -= 0.5;
  const double us = 0.5 - fabs(u);
  const double k = floor((2.0 * a / us + b) * u + mean + 0.43);
  const double number = v * inverse_alpha / (a / (us * us) + b);
  const bool refused = (k < 0.0) | ((us < 0.013) & (v > us));
  const double unsure = refused ? 0.0 : number;
  const bool sure = (us >= 0.07) & (v <= v_squeeze);
  return {k, sure ? -1.0 : unsure};
}

// Means of the pixels of a list, and the counts that were drawn for them.
struct Trials {
  double mean[kBlock], count[kBlock], test[kBlock];

  Trials(const Block &block, const Stream &stream, const List &list) {
    const Deviates deviates(block, stream, list);
    for (int n = 0; n < list.size; ++n) mean[n] = block.values[list.place[n]];
#pragma omp simd
    for (int n = 0; n < list.size; ++n) {
      const Trial trial = try_hat(mean[n], deviates.u[n], deviates.v[n]);
      count[n] = trial.count;
      test[n] = trial.test;
    }
  }

  // Put accepted counts in place of their means; leave those that are refused in the list, and
  // return the others, to which the first numbers here then belong.
  List sort(const Block &block, List &list) {
    List unsure;
    int refused = 0, open = 0;
    for (int n = 0; n < list.size; ++n) {
      const int x = list.place[n];
      const double number = test[n];
      block.values[x] = number < 0.0 ? count[n] : mean[n];
      unsure.place[open] = x;
      mean[open] = mean[n];
      count[open] = count[n];
      test[open] = number;
      open += number > 0.0;
      list.place[refused] = x;
      refused += number == 0.0;
    }
    list.size = refused;
    unsure.size = open;
    return unsure;
  }

  // Ask the probability about those; add to the list what it refuses.
  void decide(const Block &block, const List &unsure, List &list) {
    double entry[kBlock];
    for (int n = 0; n < unsure.size; ++n) entry[n] = elementary::stirling_table(count[n]);
#pragma omp simd
    for (int n = 0; n < unsure.size; ++n) {
      const double most = elementary::log_probability(count[n], mean[n], entry[n]);
      test[n] = elementary::log(test[n]) <= most ? -1.0 : 0.0;
    }
    int refused = list.size;
    for (int n = 0; n < unsure.size; ++n) {
      const int x = unsure.place[n];
      block.values[x] = test[n] < 0.0 ? count[n] : mean[n];
      list.place[refused] = x;
      refused += test[n] == 0.0;
    }
    list.size = refused;
  }
};

// Means from kRejectionFrom on: draw until each deviate is accepted.
void by_rejection(const Block &block, Stream stream, List list) {
  for (; list.size > 0; ++stream.last) {
    Trials trials(block, stream, list);
    const List unsure = trials.sort(block, list);
    trials.decide(block, unsure, list);
  }
}

void poisson(const Block &block, const Stream &stream) {
  List small, large;
  int few = 0, many = 0;
  for (int x = 0; x < block.size; ++x) {
    const double mean = block.values[x];
    small.place[few] = x;
    few += (mean > 0.0) & (mean < kRejectionFrom);
    large.place[many] = x;
    many += (mean >= kRejectionFrom) & (mean < INFINITY);
    block.values[x] = mean <= 0.0 ? 0.0 : mean;
  }
  small.size = few;
  large.size = many;
  if (small.size > 0) by_inversion(block, stream, small);
  by_rejection(block, stream, large);
}

void normal(const Block &block, const Stream &stream) {
  List all, tail;
  for (int x = 0; x < block.size; ++x) all.place[x] = x;
  all.size = block.size;
  const Deviates deviates(block, stream, all);
  double outside[kBlock];
#pragma omp simd
  for (int x = 0; x < block.size; ++x) block.values[x] = elementary::normal_centre(deviates.u[x]);
  int few = 0;
  for (int x = 0; x < block.size; ++x) {
    tail.place[few] = x;
    outside[few] = deviates.u[x];
    few += !elementary::is_central(deviates.u[x]);
  }
  tail.size = few;
#pragma omp simd
  for (int n = 0; n < tail.size; ++n) outside[n] = elementary::normal_tail(outside[n]);
  for (int n = 0; n < tail.size; ++n) block.values[tail.place[n]] = outside[n];
}

// Call a function for each block of a rectangle.
template <class Function>
NB_INLINE void in_blocks(double *values, int64_t n_slow, int64_t n_fast, uint64_t slow,
                         uint64_t fast, Function function) {
  for (int64_t y = 0; y < n_slow; ++y) {
    for (int64_t x = 0; x < n_fast; x += kBlock) {
      const int size = (int)(n_fast - x < kBlock ? n_fast - x : kBlock);
      function(Block{values + y * n_fast + x, size, slow + y, fast + x});
    }
  }
}

}  // namespace

// A Poisson deviate in place of each mean of an (n_slow, n_fast) rectangle whose first pixel has
// the indices slow and fast.  Zero and less become 0; NaN and infinity stay.
NB_EXPORT void nb_poisson(double *values, int64_t n_slow, int64_t n_fast, uint64_t slow,
                          uint64_t fast, uint64_t frame, uint64_t stream, uint64_t key0,
                          uint64_t key1) {
  const Stream numbers = {frame, stream << 24, key0, key1};
  in_blocks(values, n_slow, n_fast, slow, fast,
            [&](const Block &block) { poisson(block, numbers); });
}

// A standard normal deviate for each pixel of such a rectangle.
NB_EXPORT void nb_normal(double *values, int64_t n_slow, int64_t n_fast, uint64_t slow,
                         uint64_t fast, uint64_t frame, uint64_t stream, uint64_t key0,
                         uint64_t key1) {
  const Stream numbers = {frame, stream << 24, key0, key1};
  in_blocks(values, n_slow, n_fast, slow, fast,
            [&](const Block &block) { normal(block, numbers); });
}
