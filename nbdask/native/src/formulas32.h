// Formulas in float32.  F is float, or a vector of them (lanes.h).  The polynomials are minimax
// fits made for this package.
#pragma once
#include "numbers.h"

template <class F>
NB_INLINE F same(float x) {
  // Unlike a sum with 0 this is x for every x, and folded by compilers.
  return x - F{};
}

// The polynomial of x with these coefficients, the constant first.
template <class F>
NB_INLINE F polynomial32(F, float last) {
  return same<F>(last);
}

template <class F, class... More>
NB_INLINE F polynomial32(F x, float first, More... more) {
  return fma(polynomial32(x, more...), x, same<F>(first));
}

// sin(pi x) / x for u = x * x, x from -1/2 to 1/2; relative error 2e-7.
template <class F>
NB_INLINE F sine_ratio32(F u) {
  return polynomial32(u, 3.1415926368961182f, -5.167709684842006f, 2.55006972693506f,
                      -0.5982421293056371f, 0.07756039138971979f);
}

// 2^x for x from -126 to 126; 0 below; relative error 2e-7 and half of x's.
template <class F>
NB_INLINE F power_of_two32(F x) {
  // Of negative numbers the bits of the larger are the smaller whole number.
  const auto least = bits_of(same<F>(-126.0f));
  const auto bits = bits_of(x);
  const F bounded = float_of(bits < least ? bits : least);
  const F shifted = bounded + ROUND32;
  const F part = bounded - (shifted - ROUND32);
  const F power = polynomial32(part, 1.000000000554256f, 0.6931472057362058f,
                               0.24022646889789742f, 0.0555032877838501f, 0.009618489047563157f,
                               0.0013399930860573837f, 0.00015345789023112974f);
  const F scaled = float_of(bits_of(power) + (bits_of(shifted) << 23));
  return x > -126.0f ? scaled : F{};
}
