// Photon noise as nanoBragg C makes it, in raster order: nbdask/derive/noise_c.py describes it.
//
// Single precision where C has it.  Logarithm, exponential and tangent are the system's, as in C.

#include <math.h>
#include <stdint.h>

#include "derive_export.h"

// The state of the sequence; Sequence in nbdask/derive/compiled.py has the same fields.
struct NbSequence {
  uint64_t table[32];
  uint64_t seed, last, has_spare;
  float spare, mean, root, log, g;
};

namespace {

constexpr uint64_t kModulus = 2147483647, kDivisor = 1 + (kModulus - 1) / 32;
constexpr double kUnit = 1.0 / kModulus, kPi = 3.141592653589793;
// What C puts in place of all numbers above 1 - 1.2e-7, which are itself and the two above it.
constexpr float kMost = 1.0f - 0x1p-23f;
// Above this mean a normal deviate stands for the Poisson deviate; below, numbers are multiplied.
constexpr double kNormalFrom = 1e6, kProductBelow = 12.0;

// The next deviate above 0 and below 1.
NB_INLINE float uniform(NbSequence &s) {
  // The remainder of a division by 2^31 - 1.
  const uint64_t product = s.seed * 16807, sum = (product & kModulus) + (product >> 31);
  s.seed = sum >= kModulus ? sum - kModulus : sum;
  const uint64_t place = s.last / kDivisor;
  s.last = s.table[place];
  s.table[place] = s.seed;
  const float value = (float)(kUnit * (int64_t)s.last);
  return value < kMost ? value : kMost;
}

// A normal deviate; every second one was kept from the call before.
float normal(NbSequence &s) {
  if (s.has_spare) {
    s.has_spare = 0;
    return s.spare;
  }
  float a, b, square;
  do {
    a = (float)(2.0 * uniform(s) - 1.0);
    b = (float)(2.0 * uniform(s) - 1.0);
    square = a * a + b * b;
  } while (!(square < 1.0f && square != 0.0f));
  const double wide = square;
  const float factor = (float)sqrt(-2.0 * log(wide) / wide);
  s.spare = a * factor;
  s.has_spare = 1;
  return b * factor;
}

// The logarithm of the gamma function: the approximation of Lanczos (1964) with six terms.
float log_gamma(float argument) {
  const double x = argument;
  double y = x, head = x + 5.5, series = 1.000000000190015;
  head -= (x + 0.5) * log(head);
  const double terms[] = {76.18009172947146,  -86.50532032941677,    24.01409824083091,
                          -1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5};
  for (const double term : terms) {
    y += 1.0;
    series += term / y;
  }
  return (float)(-head + log(2.5066282746310005 * series / x));
}

// How many deviates can be multiplied before they fall below exp(-mean).
float product(float mean, NbSequence &s) {
  if (mean != s.mean) {
    s.mean = mean;
    s.g = (float)exp(-(double)mean);
  }
  const float g = s.g;
  float count = 0.0f, left = uniform(s);
  while (left > g) {
    count += 1.0f;
    left *= uniform(s);
  }
  return count;
}

// A Poisson deviate by rejection from a Lorentzian.
float rejection(float mean, NbSequence &s) {
  if (mean != s.mean) {
    const double wide = mean;
    s.mean = mean;
    s.root = (float)sqrt(2.0 * wide);
    s.log = (float)log(wide);
    s.g = mean * s.log - log_gamma((float)(wide + 1.0));
  }
  for (;;) {
    float y, value;
    do {
      y = (float)tan(kPi * uniform(s));
      value = s.root * y + mean;
    } while (value < 0.0f);
    value = floorf(value);
    const float gamma = log_gamma((float)((double)value + 1.0));
    const float power = value * s.log - gamma - s.g;
    const double height = 0.9 * (1.0 + (double)(y * y)) * exp((double)power);
    if (!(uniform(s) > (float)height)) return value;
  }
}

}  // namespace

// One deviate for each mean, in order.
NB_EXPORT void nb_sequence(const float *means, int64_t size, NbSequence *sequence, float *photons) {
  for (int64_t i = 0; i < size; ++i) {
    const float mean = means[i];
    if (mean > kNormalFrom) {
      const double wide = mean;
      photons[i] = (float)(wide + sqrt(wide) * normal(*sequence));
    } else if (mean < kProductBelow) {
      photons[i] = product(mean, *sequence);
    } else {
      photons[i] = rejection(mean, *sequence);
    }
  }
}
