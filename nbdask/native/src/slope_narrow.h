// Slopes of gratings of many cells in float32, of indices in float64: half the numbers in a vector of
// twice as many.
#pragma once
#include "slopes.h"

// (sin(pi x) - pi x) / x^3 and (cos(pi x) - 1) / x^2 for u = x * x, x from -1/2 to 1/2.
// S-GRAD-28
NB_INLINE float narrow_sine_rest(float u) {
  float p = fmaf(u, 0.07854147255420685f, -0.598705530166626f);
  p = fmaf(u, p, 2.550136089324951f);
  return fmaf(u, p, -5.167712688446045f);
}

// S-GRAD-28
NB_INLINE float narrow_cosine_rest(float u) {
  float p = fmaf(u, -0.024627506732940674f, 0.23507456481456757f);
  p = fmaf(u, p, -1.3352400064468384f);
  p = fmaf(u, p, 4.058711528778076f);
  return fmaf(u, p, -4.934802055358887f);
}

// As Waves.
struct NarrowWaves {
  float x, below, above, slow, fast, lag, fall;
};

// As find_waves; what stands for 0 is the cube root of what float32 can hold.
// S-GRAD-28
NB_INLINE NarrowWaves narrow_waves(double away, double cells) {
  constexpr float TINY = 1e-12f, NARROW_PI = 3.14159274f;
  const double whole = rint(cells * away);
  const float x = static_cast<float>(away), y = static_cast<float>(fma(cells, away, -whole));
  const float turns = static_cast<float>(whole), u = x * x, w = y * y;
  const float below = u * narrow_sine_rest(u), above = w * narrow_sine_rest(w);
  const float low = u * narrow_cosine_rest(u), high = w * narrow_cosine_rest(w);
  const float ratio = NARROW_PI + below;
  return {x + TINY / NARROW_PI, fmaf(x, ratio, TINY),
          fmaf(y, NARROW_PI + above, static_cast<float>(cells) * TINY), 1.0f + low, 1.0f + high,
          fmaf(turns, ratio, y * (below - above)), high - low};
}

// As steepness.
// S-GRAD-28
NB_INLINE float narrow_steepness(const NarrowWaves& of, float cells, float over) {
  return fmaf(of.slow * of.lag, over, cells * of.fall) * over;
}

// As square_slope.
// S-GRAD-28
NB_INLINE LatticeSlope narrow_slopes(const Params& p, const Indices& at) {
  const NarrowWaves h = narrow_waves(at.h.away, p.cells[0]);
  const NarrowWaves k = narrow_waves(at.k.away, p.cells[1]);
  const NarrowWaves l = narrow_waves(at.l.away, p.cells[2]);
  const float n0 = static_cast<float>(p.cells[0]), n1 = static_cast<float>(p.cells[1]);
  const float n2 = static_cast<float>(p.cells[2]);
  const float kl = k.below * l.below, hl = h.below * l.below, hk = h.below * k.below;
  const float over = 1.0f / (h.below * kl);
  const float over_h = over * kl, over_k = over * hl, over_l = over * hk;
  const float a = h.above * over_h, b = k.above * over_k, c = l.above * over_l;
  const float bc = b * c, factor = a * bc, twice = 6.28318548f * factor;
  const float by_h = twice * bc, by_k = twice * (a * c), by_l = twice * (a * b);
  return {factor * factor,
          {by_h * narrow_steepness(h, n0, over_h), by_k * narrow_steepness(k, n1, over_k),
           by_l * narrow_steepness(l, n2, over_l)},
          {by_h * (h.fast * (h.x * over_h)), by_k * (k.fast * (k.x * over_k)),
           by_l * (l.fast * (l.x * over_l)), 0.0, 0.0, 0.0}};
}
