// Upper bounds of squared lattice factors, from how far indices are from whole ones: which terms a
// cutoff leaves out.
//
// Each bound is 1 / D, where D grows with every distance.  A pixel leaves a term out where D is at
// least what its share of the cutoff needs; a group of pixels where D of the least distances is.
#pragma once
#include "cull.h"
#include "lanes.h"

// What the loops read of a cutoff; made by nbdask/kernels/cutoff.py.
struct Cutoff {
  double photons;  // that a pixel may lack, where they are not given pixel by pixel
  // Weight of all sources times the greatest weight of an orientation times their number, times
  // sub-pixels and layers.
  double shares;
  double slack;  // what rounding may do to D, a factor
  double polar;  // the greatest polarization factor
  // Square: least square of a distance along each axis; round and Gaussian: what multiplies it.
  double axes[3];
  double rounding;   // of an index
  double spread[3];  // |row of an orientation - of their mean| [m]
  // Spread of indices below which two neighbouring nodes of each axis are all that count.
  double close_spread;
  double mean[9];  // of all orientations: a, b, c [m]
  // Of each orientation x, y, z of a, b, c [m] (of spherical spots in the basis of nodes), with a
  // zero after each three; and TURN_LANES of them side by side, with zeros after the last of all.
  const float* rows;
  const TurnLanes* lanes;
  // The greatest squared amplitude of each node and its next ones, and within the reach of all
  // orientations; null: there is no list.
  const float* close;
  const float* far;
};

namespace cutoff {

using cull::Mask;

// A row of the table of orientations; orientations that share a budget, from a multiple of that on.
constexpr int ROW = 12, TOGETHER = 128;
static_assert(TOGETHER % TURN_LANES == 0 && TOGETHER <= cull::MOST_TURNS, "whole vectors, one Bits");
// Bounds over a pixel's even share up to which terms may be left out if their sum allows it.
constexpr int LEVELS = 3;
constexpr float LEVEL[] = {4.0f, 16.0f, 64.0f};

// S-CUT-04
NB_INLINE FLOATS rest_of(FLOATS x) {
#if NB_VECTOR == 64
  return _mm512_reduce_ps(x, 8);
#else
  return cull::from_nearest(x);
#endif
}

NB_INLINE FLOATS greater(FLOATS a, FLOATS b) {
#if NB_VECTOR == 64
  return _mm512_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

NB_INLINE FLOATS size_of(FLOATS x) { return float_of(bits_of(x) & 0x7fffffffu); }

// Writes the numbers of the bits of a mask, and first to each; up to 15 places more than the mask's
// count are written.  Several at a time, since a processor cannot foresee how many there are.
NB_INLINE int write_bits(unsigned long long mask, int first, int* to) {
  if (!mask) return 0;
  const int count = __builtin_popcountll(mask);
#if NB_VECTOR == 64
  const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  NB_EACH
  for (int i = 0; i < 64; i += LANES) {
    const auto part = static_cast<__mmask16>(mask >> i);
    const __m512i at = _mm512_add_epi32(numbers, _mm512_set1_epi32(first + i));
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(part, at));
    to += __builtin_popcount(part);
  }
#else
  constexpr unsigned long long highest = 1ull << 63;
  do {
    NB_EACH
    for (int i = 0; i < 8; ++i, mask &= mask - 1) *to++ = first + __builtin_ctzll(mask | highest);
  } while (mask);
#endif
  return count;
}

// At least 1 / x, and at most 1.13 times that; x normal.
NB_INLINE FLOATS inverse_above(FLOATS x) { return float_of(0x7f000000u - bits_of(x)); }

// Where a is not at least b.
NB_INLINE Mask not_reached(FLOATS a, FLOATS b) {
#if NB_VECTOR == 64
  return _mm512_cmp_ps_mask(a, b, _CMP_NGE_UQ);
#else
  const SIGNED_WORDS less = ~(a >= b);
#if NB_VECTOR == 32
  return static_cast<Mask>(_mm256_movemask_ps((__m256)less));
#else
  Mask mask = 0;
  for (int i = 0; i < LANES; ++i) mask |= static_cast<Mask>(less[i] & 1) << i;
  return mask;
#endif
#endif
}

// sin(pi d) >= 3 d - 4 d^3 for d up to 1/2, and sin(N x) / sin(x) is at most N.
// S-CUT-02
NB_INLINE FLOATS of_square(const FLOATS (&axes)[3], const FLOATS (&d)[3]) {
  FLOATS u[3], v[3];
  NB_EACH
  for (int i = 0; i < 3; ++i) {
    u[i] = greater(d[i] * d[i], axes[i]);
    v[i] = fma_exact(u[i], floats(-4.0f), floats(3.0f));
  }
  const FLOATS sines = v[0] * v[1] * v[2];
  return u[0] * u[1] * u[2] * (sines * sines);
}

// A weighted square of the distances.
NB_INLINE FLOATS square_of(const FLOATS (&axes)[3], const FLOATS (&d)[3]) {
  const FLOATS first = axes[0] * (d[0] * d[0]);
  return fma_exact(axes[2], d[2] * d[2], fma_exact(axes[1], d[1] * d[1], first));
}

// (sin X - X cos X)^2 / x^6 is at most (1 + X)^2 / x^6, which for x^2 = s from 7 on is less than
// 13 / s^2; and at most (pi^3 / 3)^2.
// S-CUT-02
NB_INLINE FLOATS of_round(const FLOATS (&axes)[3], const FLOATS (&d)[3]) {
  const FLOATS s = square_of(axes, d);
  return s >= 7.0f ? s * s * (1.0f / 13.0f) : floats(0.00936f);
}

// 2^s, from below: 2^n (1 + f) is at most 1.0862 times 2^(n + f).
// S-CUT-02
NB_INLINE FLOATS of_gauss(const FLOATS (&axes)[3], const FLOATS (&d)[3]) {
  const FLOATS s = square_of(axes, d), bounded = s < 120.0f ? s : floats(120.0f);
  const SIGNED_WORDS bits =
      __builtin_convertvector((bounded + 127.0f) * 8388608.0f, SIGNED_WORDS);
  return float_of((WORDS)bits) * 0.92f;
}

// D for distances, which but for square crystals may be as much too large.
template <int LATTICE>
NB_INLINE FLOATS of_lattice(const FLOATS (&axes)[3], const FLOATS (&away)[3], FLOATS rounding) {
  constexpr bool square = LATTICE == FEW_ODD || LATTICE == FEW || LATTICE == GRATING;
  FLOATS d[3];
  NB_EACH
  for (int i = 0; i < 3; ++i)
    d[i] = square ? away[i] : greater(size_of(away[i]) - rounding, FLOATS{});
  if (LATTICE == SPHERE) return of_round(axes, d);
  if (LATTICE == GAUSS || LATTICE == NODES) return of_gauss(axes, d);
  return of_square(axes, d);
}

}  // namespace cutoff
