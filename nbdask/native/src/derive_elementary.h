// Logarithm, exponential, normal quantile and Poisson probability from + - * / and sqrt alone.
//
// The same operations in the same order as nbdask/elementary.py, so the same bits: a product
// and a sum are rounded one after the other, here without fma.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "derive_export.h"

namespace elementary {

constexpr double kLn2High = 0.6931471803691238, kLn2Low = 1.9082149292705877e-10;
constexpr double kLog2E = 1.4426950408889634;
constexpr double kSqrt2 = 2.0 * 0.7071067811865476;
constexpr double kHalfLn2Pi = 0.9189385332046727;

// Series of 2 artanh(s) / s - 2 in s^2.
constexpr double kLogSeries[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                                 2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
// 1/13!, 1/12! ... 1/0!.
constexpr double kExpSeries[] = {
    1.6059043836821613e-10, 2.08767569878681e-09,  2.505210838544172e-08, 2.755731922398589e-07,
    2.7557319223985893e-06, 2.48015873015873e-05,  0.0001984126984126984, 0.001388888888888889,
    0.008333333333333333,   0.041666666666666664,  0.16666666666666666,   0.5,
    1.0,                    1.0};
// Series of the deviance.
constexpr double kDevianceSeries[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                      1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
// Stirling's series in 1/n^2.
constexpr double kStirlingSeries[] = {1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0,
                                      1.0 / 12.0};
// ln n! less Stirling's formula without its series, n = 0 (not used) to 15.
constexpr double kStirlingTable[] = {
    0.0,
    0.08106146679532726,
    0.0413406959554093,
    0.02767792568499834,
    0.020790672103765093,
    0.016644691189821193,
    0.013876128823070748,
    0.01189670994589177,
    0.010411265261972096,
    0.009255462182712733,
    0.00833056343336287,
    0.007573675487951841,
    0.00694284010720953,
    0.006408994188004207,
    0.0059513701127588475,
    0.005554733551962801,
};

// Wichura, Applied Statistics 37 (1988) 477, AS 241, PPND16.
constexpr double kCentreUpper[] = {
    2509.0809287301226727,  33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
    13731.693765509461125,  1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080};
constexpr double kCentreLower[] = {
    5226.4952788528545610,  28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
    5394.1960214247511077,  687.18700749205790830, 42.313330701600911252, 1.0};
constexpr double kTailUpper[] = {
    7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
    1.27045825245236838258,    3.64784832476320460504,    5.76949722146069140550,
    4.63033784615654529590,    1.42343711074968357734};
constexpr double kTailLower[] = {
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
    1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
    2.05319162663775882187,    1.0};
constexpr double kFarUpper[] = {
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
    2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
    5.46378491116411436990,    6.65790464350110377720};
constexpr double kFarLower[] = {
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
    7.86869131145613259100e-4,  1.48753612908506148525e-2, 1.36929880922735805310e-1,
    5.99832206555887937690e-1,  1.0};
constexpr double kCentreHalfWidth = 0.425, kCentreShift = 0.180625, kTailShift = 1.6, kFar = 5.0;

// A polynomial, its highest coefficient first.
template <int N>
NB_INLINE double horner(const double (&coefficients)[N], double x) {
  double value = coefficients[0] * x + coefficients[1];
  for (int n = 2; n < N; ++n) value = value * x + coefficients[n];
  return value;
}

NB_INLINE uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

NB_INLINE double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The natural logarithm of a normal number above 0.
NB_INLINE double log(double x) {
  const uint64_t bits = bits_of(x);
  const double whole = double_of((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  // The exponent, as a double whose last bit is worth 1.
  const double exponent = double_of(bits >> 52 | 0x4330000000000000u) - (0x1p52 + 1023.0);
  const bool high = whole >= kSqrt2;
  const double mantissa = high ? whole * 0.5 : whole;
  const double count = high ? exponent + 1.0 : exponent;
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  const double z = s * s;
  const double series = z * horner(kLogSeries, z);
  return count * kLn2High + (s * (2.0 + series) + count * kLn2Low);
}

// exp(-x) for x from 0 to 700.
NB_INLINE double exp_minus(double x) {
  // Positive, so that to cut off is to round down.
  const int whole = (int)(x * kLog2E + 0.5);
  const double count = (double)whole;
  const double value = horner(kExpSeries, count * kLn2Low - (x - count * kLn2High));
  return value * double_of((uint64_t)(1023 - whole) << 52);
}

NB_INLINE bool is_central(double u) { return fabs(u - 0.5) <= kCentreHalfWidth; }

// The standard normal deviate below which lies the share u of them, where that is central.
NB_INLINE double normal_centre(double u) {
  const double q = u - 0.5;
  const double r = kCentreShift - q * q;
  return q * (horner(kCentreUpper, r) / horner(kCentreLower, r));
}

// The same elsewhere.
NB_INLINE double normal_tail(double u) {
  const double rest = 1.0 - u;
  const double r = sqrt(-log(u < rest ? u : rest));
  const double near = horner(kTailUpper, r - kTailShift) / horner(kTailLower, r - kTailShift);
  const double far = horner(kFarUpper, r - kFar) / horner(kFarLower, r - kFar);
  const double tail = r <= kFar ? near : far;
  return u < 0.5 ? -tail : tail;
}

// k ln(k/mean) + mean - k where k is near the mean.
NB_INLINE double near_deviance(double k, double mean) {
  const double v = (k - mean) / (k + mean);
  const double z = v * v;
  return (k - mean) * v + 2.0 * k * v * (z * horner(kDevianceSeries, z));
}

// What stands for Stirling's series where k is below 16.
NB_INLINE double stirling_table(double k) { return kStirlingTable[(int)(k < 15.0 ? k : 15.0)]; }

// The logarithm of the Poisson probability of a whole number k of at least 0; the table's entry is
// given, since compilers do not make a vector of those.
NB_INLINE double log_probability(double k, double mean, double entry) {
  const double some = k < 1.0 ? 1.0 : k;
  const bool near = fabs(some - mean) < 0.1 * (some + mean);
  const double far_deviance = some * log(some / mean) + (mean - some);
  const double deviance = near ? near_deviance(some, mean) : far_deviance;
  const double series = horner(kStirlingSeries, 1.0 / (some * some)) / some;
  const double stirling = some < 16.0 ? entry : series;
  const double result = -deviance - stirling - 0.5 * log(some) - kHalfLn2Pi;
  return k < 1.0 ? -mean : result;
}

}  // namespace elementary
