// Formulas of one number.  Each is written so that a loop over it becomes full-width vector code: no
// branches, no calls.  The polynomials are minimax fits made for this package; the error that stands
// with each is the largest in exact arithmetic over its interval.
#pragma once
#include "numbers.h"

constexpr double PI = 3.141592653589793;

// (sin(pi x) / x - pi) / u for u = x * x, x from -1/2 to 1/2.
// S-NUM-04
NB_INLINE double sine_rest(double u) {
  double p = fma(u, -2.1122954884553354e-05, 0.0004659776189185479);
  p = fma(u, p, -0.007370361072429829);
  p = fma(u, p, 0.08214587825670092);
  p = fma(u, p, -0.5992645287757253);
  p = fma(u, p, 2.550164039859777);
  return fma(u, p, -5.167712780049753);
}

// sin(pi x) / x for u = x * x, x from -1/2 to 1/2; relative error 1.5e-16.
// S-NUM-04
NB_INLINE double sine_ratio(double u) { return fma(u, sine_rest(u), 3.1415926535897927); }

// cos(pi x) for u = x * x, x from -1/2 to 1/2; absolute error 4e-18.
// S-NUM-05
NB_INLINE double cosine(double u) {
  double p = fma(u, 4.149591867063527e-06, -0.00010456658087273931);
  p = fma(u, p, 0.0019295562836343031);
  p = fma(u, p, -0.025806888739358047);
  p = fma(u, p, 0.23533063012980845);
  p = fma(u, p, -1.3352627688434646);
  p = fma(u, p, 4.058712126416498);
  p = fma(u, p, -4.934802200544676);
  return fma(u, p, 1.0);
}

// (sin(pi x) - pi x cos(pi x)) / x^3 for u = x * x, x from -1/2 to 1/2; error 2e-17.
// S-NUM-06
NB_INLINE double sphere_part(double u) {
  double p = fma(u, -1.2313428179141393e-05, 0.0003066478074224008);
  p = fma(u, p, -0.005595598030880713);
  p = fma(u, p, 0.07370430523505728);
  p = fma(u, p, -0.657167092616591);
  p = fma(u, p, 3.595587175916089);
  p = fma(u, p, -10.200656159509276);
  return fma(u, p, 10.33542556009994);
}

// 2^x for x up to 1000; 0 below the least x, -1020, less than any float32 pixel can tell from 0; relative
// error 4e-16.
// S-NUM-07
NB_INLINE double power_of_two(double x, double least = -1020.0) {
  // Adding this rounds to a whole number, which then stands in the lowest bits.
  constexpr double round = 1.5 * 4503599627370496.0;
  const double bounded = x > least ? x : least;
  const double shifted = bounded + round;
  const double f = bounded - (shifted - round);
  double p = fma(f, 4.435285856334136e-10, 7.074105809748144e-09);
  p = fma(f, p, 1.0178197999749671e-07);
  p = fma(f, p, 1.3215433088590364e-06);
  p = fma(f, p, 1.5252733490053182e-05);
  p = fma(f, p, 0.0001540353046251647);
  p = fma(f, p, 0.001333355814678982);
  p = fma(f, p, 0.009618129107588334);
  p = fma(f, p, 0.055504108664819925);
  p = fma(f, p, 0.24022650695910155);
  p = fma(f, p, 0.6931471805599453);
  const unsigned long long exponent = static_cast<unsigned long long>(bits_of(shifted)) << 52;
  const unsigned long long mantissa = static_cast<unsigned long long>(bits_of(fma(f, p, 1.0)));
  const double power = double_of(static_cast<long long>(mantissa + exponent));
  return x > least ? power : 0.0;
}

// exp(x); infinite from 690, 0 below -707; relative error (4 + |x|) * 1e-16.
// S-NUM-08
NB_INLINE double exponential(double x) {
  const double power = power_of_two(x * 1.4426950408889634);
  // Not a number stays one.
  return x < 690.0 ? power : x * double_of(0x7ff0000000000000ll);
}

// Sine and cosine of an angle of a few turns; absolute error 3e-16 (1 + |angle|).
// S-NUM-09
NB_INLINE void sine_cosine(double angle, double& s, double& c) {
  const double turns = angle * (1.0 / PI);
  const double whole = rint(turns);
  const double x = turns - whole;
  const bool odd = 2.0 * rint(0.5 * whole) != whole;
  const double sine = x * sine_ratio(x * x), even = cosine(x * x);
  s = odd ? -sine : sine;
  c = odd ? -even : even;
}

// Kahn's polarization factor: c the cosine of the scattering angle, on_e and on_b the ray's
// components along the electric and the magnetic field.
// S-INT-18
NB_INLINE double polarization(double c, double on_e, double on_b, double kahn) {
  // cos(2 psi) of psi = -atan2(b, e), without the angle; psi is 0 where both components are.
  const double e2 = on_e * on_e, b2 = on_b * on_b, length = e2 + b2;
  const double cos_2psi = length > 0.0 ? (e2 - b2) / length : 1.0;
  const double squared = c * c;
  return 0.5 * fma(-kahn * cos_2psi, 1.0 - squared, 1.0 + squared);
}

// The share of photons that stop in one sensor layer of the given depth (thickness times
// absorption); rho is the cosine between ray and detector normal.
// S-INT-19
NB_INLINE double captured(int layer, double depth, double rho) {
  const double one = depth / rho;
  // Not 0 * infinity.
  const double before = layer == 0 ? 1.0 : exponential(-layer * one);
  return before - exponential(-(layer + 1.0) * one);
}
