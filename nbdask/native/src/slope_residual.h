// What a pixel of data adds to a loss, for processors and cards.
#pragma once
#include "numbers.h"
#include "slope_params.h"

// The natural logarithm of a normal number above 0: of its power of two, and 2 artanh(s) of the rest,
// s = (m - 1)/(m + 1), as a series in s^2.
// S-GRAD-18
NB_INLINE double logarithm(double x) {
  constexpr double LN2_HIGH = 0.6931471803691238, LN2_LOW = 1.9082149292705877e-10;
  constexpr double ROOT2 = 1.4142135623730951, TO_WHOLE = 4503599627370496.0;
  const long long bits = bits_of(x);
  const double part = double_of((bits & 0x000fffffffffffffll) | 0x3ff0000000000000ll);
  // The exponent, as a double whose last bit is worth 1.
  const double power = double_of((bits >> 52) | 0x4330000000000000ll) - (TO_WHOLE + 1023.0);
  const bool high = part >= ROOT2;
  const double m = high ? 0.5 * part : part, count = high ? power + 1.0 : power;
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = fma(z, 2.0 / 23.0, 2.0 / 21.0);
  p = fma(z, p, 2.0 / 19.0);
  p = fma(z, p, 2.0 / 17.0);
  p = fma(z, p, 2.0 / 15.0);
  p = fma(z, p, 2.0 / 13.0);
  p = fma(z, p, 2.0 / 11.0);
  p = fma(z, p, 2.0 / 9.0);
  p = fma(z, p, 2.0 / 7.0);
  p = fma(z, p, 2.0 / 5.0);
  p = fma(z, p, 2.0 / 3.0);
  return fma(count, LN2_HIGH, fma(s, fma(z, p, 2.0), count * LN2_LOW));
}

// Whether a pixel counts, its part of the loss, of chi2, and the roots of its weight and of its part of
// the gradient.
struct Residual {
  double counts, loss, square, root, pull;
};

// Pixels that do not count are not numbers.  Without branches.
// S-GRAD-18
template <bool ROBUST>
NB_INLINE Residual residual_of(const Data& data, double model, double given) {
  const bool counts = given - given == 0.0;
  const double whole = model + data.background, raw = whole + data.noise;
  const double seen = counts ? given : whole;
  const double variance = raw > data.least ? raw : data.least, away = seen - whole;
  const double weight = 1.0 / variance, square = away * away * weight;
  const double one = counts ? 1.0 : 0.0;
  if (ROBUST) {
    const double pull = sqrt(square);
    const bool far = pull > data.robust;
    const double loss = far ? data.robust * (2.0 * pull - data.robust) : square;
    const double root = sqrt(far ? weight * (data.robust / pull) : weight);
    return {one, one * loss, one * square, one * root, one * (away * root)};
  }
  const double shifted = seen + data.noise > 0.0 ? seen + data.noise : 0.0;
  const double ratio = shifted * weight, root = sqrt(weight);
  // x ln x is 0 at 0, and at what is too small to be normal.
  const double logs = ratio > 1e-300 ? shifted * logarithm(ratio) : 0.0;
  return {one, one * (2.0 * (variance - shifted + logs)), one * square, one * root,
          one * (away * root)};
}
