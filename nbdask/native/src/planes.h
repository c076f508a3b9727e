// Means over the evaluations of a pixel, weighted by what each adds to its sum: their moments.
#pragma once
#include "amplitude.h"

// The sum of the weights; the same times the wavelength [Angstrom] and whole h, k, l.
constexpr int MOMENTS = 5;

// The squared amplitude at fractional indices, also outside the list.
// S-INT-15, S-SEM-04
NB_INLINE double interpolated(const Params& p, const double* table, const Indices& at) {
  return inside_list(p, at) ? interpolated_squared(p, table, at) : p.default_squared;
}
