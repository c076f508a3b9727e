// Squared lattice factors of a vector of pixels in float32, for the loops of the mixed precision.
//
// Of each Miller index its distance from the nearest whole number is kept in units of 2^-32: exact
// to wherever a zero of the lattice factor lies, which a float32 fraction would not be.
#pragma once
#include "lanes.h"

#include "formulas32.h"
#include "lattice.h"

// Kinds of lattice factors.
enum {
  MIXED_FEW,
  MIXED_MORE,
  MIXED_GRATING,
  MIXED_GAUSS,
  MIXED_TOPHAT,
  MIXED_SPHERE,
  MIXED_MANY,
  MIXED_KINDS
};

// What the loops read of a model; made by nbdask/kernels/mixed.py.
struct Mixed {
  int lattice;  // one of the kinds
  int listed;   // whether there is a list of amplitudes
  int lit;      // whether there is an orientation for each source
  int cells[3];
  double scale;  // on the product of three grating functions
  double triangle[6], doubt;
  double radii[3], unit;
  const float* polynomials;
  const float* amplitudes;  // squares, relative to the largest
  int low[3], high[3];      // biased whole indices of the list with its border
  int strides[2];
  unsigned offset;
};

namespace mixed {

// A float64 index plus this holds, in its lower 32 bits, the index less its nearest whole number in
// units of 2^-32, and the whole number in its upper bits.  Halves go down.
constexpr double BIAS = 1572864.0 + 0.5 - 2.3283064365386963e-10;
// The lower 32 bits at a whole number.
constexpr unsigned CENTRE = 0x7fffffff;
// As BIAS, but the lower 32 bits are those of a signed number, which is quicker where the whole
// number is not needed.  The first is one unit less, so that a half keeps its sign.
constexpr double SIGNED_BIAS = BIAS - 0.5, EVEN_BIAS = 1572864.0;

// Miller indices along one axis: the words of the biased indices, and the float64 numbers of both
// halves, without the bias if they were asked for exactly.
struct Index {
  WORDS low, high;
  DOUBLES numbers[2];
};

// Few cells: each axis' grating function by polynomials, one for each of 32 ranges.
#if NB_VECTOR == 64
template <int DEGREE>
struct Few {
  // Whether the bias is added to the finished index: an error of the index is multiplied by the
  // number of cells.
  static constexpr bool EXACT = false;
  static constexpr double ADDED = BIAS;
  static constexpr bool DOUBTS = false;
  const float* table;
  float scale;

  explicit Few(const Mixed& m) : table(m.polynomials), scale(static_cast<float>(m.scale)) {}

  NB_INLINE FLOATS along(const float* rows, WORDS low) {
    // 1/2 - |x| from the biased distance x, to the nearest but one unit.
    const WORDS folded = (WORDS)((SIGNED_WORDS)low >> 31) ^ low;
    const WORDS place = folded >> 26;
    const FLOATS away = floats_of(folded - bits_of(chosen(rows, place)));
    FLOATS value = chosen(rows + 32 * (DEGREE + 1), place);
    NB_EACH
    for (int power = DEGREE - 1; power >= 0; --power)
      value = fma(value, away, chosen(rows + 32 * (power + 1), place));
    return value;
  }

  NB_METHOD FLOATS term(const Index (&at)[3]) const {
    // Far more numbers than registers: they are best read where they are used.
    const float* rows = table;
    asm volatile("" : "+r"(rows));
    FLOATS product = along(rows, at[0].low);
    if (DEGREE > 4) product *= scale;
    NB_EACH
    for (int i = 1; i < 3; ++i) product *= along(rows + 32 * (DEGREE + 2) * i, at[i].low);
    return product * product;
  }
};
#endif

// Any number of cells: the quotient of two sines for each axis.
//
// N times the rounded distance is wrong by N times what that is.  Near a spot this is what keeps
// the quotient right, elsewhere it spoils the zeros of many cells.  So with MANY the product is
// rounded itself where the distance is above a quarter of the first zero's.
// S-NUM-13
template <bool SIGNED, bool MANY>
struct AnyGrating {
  static constexpr bool EXACT = true, DOUBTS = false;
  static constexpr double ADDED = SIGNED ? EVEN_BIAS : BIAS;
  unsigned cells[3], quarter[3];
  double number[3];
  float tiny[3];
  // Added to a distance, so that 0 / 0 becomes N * TINY / TINY.
  static constexpr float TINY = 1e-12f;

  explicit AnyGrating(const Mixed& m) {
    NB_EACH
    for (int i = 0; i < 3; ++i) {
      cells[i] = m.cells[i];
      quarter[i] = (1u << 30) / cells[i];
      number[i] = m.cells[i];
      tiny[i] = m.cells[i] * TINY;
    }
  }

  NB_INLINE FLOATS sine(WORDS distance, float least) {
    const FLOATS x = fma(floats_of(distance), floats(UNIT32), floats(least));
    return x * sine_ratio32(x * x);
  }

  // N times a distance, less whole numbers, in units of 2^-32.
  NB_METHOD WORDS product(const Index& at, WORDS distance, int i) const {
    // This wraps around at whole numbers.
    const WORDS near = distance * cells[i];
    if constexpr (!MANY) return near;
    const DOUBLES n = doubles(number[i]), bias = doubles(EVEN_BIAS);
    const WORDS far = lower_words(fma(at.numbers[0], n, bias), fma(at.numbers[1], n, bias));
    return distance + quarter[i] < words(2 * quarter[i]) ? near : far;
  }

  NB_METHOD FLOATS term(const Index (&at)[3]) const {
    FLOATS above, below;
    NB_EACH
    for (int i = 0; i < 3; ++i) {
      const WORDS distance = SIGNED ? at[i].low : at[i].low - CENTRE;
      const FLOATS many = sine(product(at[i], distance, i), tiny[i]), one = sine(distance, TINY);
      above = i ? above * many : many;
      below = i ? below * one : one;
    }
    const FLOATS factor = above / below;
    return factor * factor;
  }
};

template <bool SIGNED>
using Grating = AnyGrating<SIGNED, false>;
template <bool SIGNED>
using ManyCells = AnyGrating<SIGNED, true>;

// |R (dh, dk, dl)|^2 plus a number.
template <bool SIGNED>
struct Triangle {
  float rows[6];

  explicit Triangle(const Mixed& m) {
    NB_EACH
    for (int i = 0; i < 6; ++i) rows[i] = static_cast<float>(m.triangle[i]) * UNIT32;
  }

  // The distance from the nearest whole number in units of 2^-32, less one unit, so that a half
  // keeps its sign.
  NB_INLINE FLOATS distance(WORDS low) {
    return floats_of(SIGNED ? low : low ^ 0x80000000u);
  }

  NB_METHOD FLOATS squared(const Index (&at)[3], float start) const {
    const FLOATS h = distance(at[0].low), k = distance(at[1].low), l = distance(at[2].low);
    const FLOATS x = fma(l, floats(rows[2]), fma(k, floats(rows[1]), h * rows[0]));
    const FLOATS y = fma(l, floats(rows[4]), k * rows[3]);
    const FLOATS z = l * rows[5];
    const FLOATS first = start == 0.0f ? x * x : fma(x, x, floats(start));
    return fma(z, z, fma(y, y, first));
  }
};

// A Gaussian spot: 2^-|R (dh, dk, dl)|^2.
template <bool SIGNED>
struct Gauss {
  static constexpr bool EXACT = true, DOUBTS = false;
  static constexpr double ADDED = SIGNED ? SIGNED_BIAS : BIAS;
  Triangle<SIGNED> triangle;

  explicit Gauss(const Mixed& m) : triangle(m) {}

  NB_METHOD FLOATS term(const Index (&at)[3]) const {
    return power_of_two32(-triangle.squared(at, 0.0f));
  }
};

// A spot with an edge: 1 where |R (dh, dk, dl)|^2 is below 1, else 0.  Sums of orientations in
// which a pixel is too near an edge for float32 are formed again from sure().
template <bool SIGNED>
struct Tophat {
  static constexpr bool EXACT = false, DOUBTS = true;
  static constexpr double ADDED = SIGNED ? SIGNED_BIAS : BIAS;
  Triangle<SIGNED> triangle;
  const double* rows;
  float doubt;
  FLOATS nearest;

  explicit Tophat(const Mixed& m)
      : triangle(m), rows(m.triangle), doubt(static_cast<float>(m.doubt)) {}

  NB_METHOD void start() { nearest = floats(1.0f); }

  NB_METHOD bool doubtful() const {
    return any_below(nearest, doubt);
  }

  NB_METHOD FLOATS term(const Index (&at)[3]) {
    const FLOATS beyond = triangle.squared(at, -1.0f);
    nearest = nearer(beyond, nearest);
    return beyond < 0.0f ? floats(1.0f) : FLOATS{};
  }

  // The same from exact indices, in float64.
  __attribute__((noinline)) FLOATS sure(const Index (&at)[3]) const {
    FLOATS result{};
    for (int lane = 0; lane < LANES; ++lane) {
      const int pixel = pixel_of(lane), half = pixel / HALF_LANES;
      double away[3];
      for (int i = 0; i < 3; ++i) {
        const double index = at[i].numbers[half][pixel % HALF_LANES];
        away[i] = index - ceil(index - 0.5);
      }
      const double length = spot_length(rows, {away[0], away[1], away[2]});
      result[lane] = length < 1.0 ? 1.0f : 0.0f;
    }
    return result;
  }
};

// An ellipsoid: (sin X - X cos X) / (8 x^3), X = pi x, x the distance from the spot.
//
// The zeros lie near whole numbers and a half, so x is needed to many more digits than float32 has.
// Its square is a fixed-point number in the words of a float64; the root of that is the sum of two
// float32, of which the larger drops its whole number.  With x = n + 1/2 + z the numerator is
// cos(pi z) + X sin(pi z), up to its sign.
struct Sphere {
  static constexpr bool EXACT = true, DOUBTS = false;
  static constexpr double ADDED = BIAS;
  // Added to a whole number below 2^20 it stands in the upper word of a float64, which is the
  // float32 11 + 2^-20 times that number.
  static constexpr double FIXED = 1048576.0;
  double radii[3];
  float high_unit, origin, low_unit;

  explicit Sphere(const Mixed& m) {
    NB_EACH
    for (int i = 0; i < 3; ++i) radii[i] = m.radii[i];
    high_unit = static_cast<float>(m.unit * FIXED);
    origin = static_cast<float>(m.unit * (-11.0 * FIXED));
    low_unit = static_cast<float>(m.unit * UNIT32);
  }

  // The squared distance from the spot, as a multiple of the unit and, in float32, the rest.
  NB_METHOD void squared_radius(const Index (&at)[3], FLOATS& upper,
                                                            FLOATS& lower) const {
    DOUBLES halves[2];
    NB_EACH
    for (int half = 0; half < 2; ++half) {
      // One unit more, so that there is no 0 / 0.
      DOUBLES total = doubles(FIXED + UNIT32);
      NB_EACH
      for (int i = 0; i < 3; ++i) {
        const DOUBLES along = from_nearest(at[i].numbers[half]) * radii[i];
        total = fma(along, along, total);
      }
      halves[half] = total;
    }
    const WORDS low = lower_words(halves[0], halves[1]), high = upper_words(halves[0], halves[1]);
    upper = fma(float_of(high), floats(high_unit), floats(origin));
    lower = floats_of_unsigned(low) * low_unit;
  }

  NB_METHOD FLOATS term(const Index (&at)[3]) const {
    FLOATS upper, lower;
    squared_radius(at, upper, lower);
    const FLOATS square = upper + lower;
    const FLOATS inverse = inverse_root(square);
    // A step of Newton's for both the root and half its inverse, then the rest of the root.
    FLOATS root = square * inverse, half = inverse * 0.5f;
    const FLOATS wrong = fma(-root, half, floats(0.5f));
    root = fma(root, wrong, root);
    half = fma(half, wrong, half);
    const FLOATS rest = (fma_exact(-root, root, upper) + lower) * half;
    const FLOATS turn = from_half(root);
    const FLOATS z = turn + rest;
    const FLOATS lost = rest - (z - turn);
    const FLOATS u = z * z;
    // Where the numerator is 0, root * z * pi^2 is nearly -1: the digits that float32 loses of it
    // are added last.
    const FLOATS product = root * z;
    const FLOATS digits = fma(root, lost, fma(rest, z, fma_exact(root, z, -product)));
    // pi (sin(pi z) / z - pi) / u and (cos(pi z) - 1) / u.
    const FLOATS sine = polynomial32(u, -16.23484782103168f, 8.011488936128504f,
                                     -1.8808867846128123f, 0.24673979166618665f);
    const FLOATS cosine = polynomial32(u, -4.934802196986983f, 4.0587114146832315f,
                                       -1.33523996069719f, 0.23507436829900416f,
                                       -0.024627111547897533f);
    // pi^2 as the sum of two float32.
    const FLOATS first = floats(9.869604110717773f), second = floats(2.9037158455480494e-07f);
    FLOATS small = fma(product, second, u * fma(product, sine, cosine));
    small = fma(digits, first, small);
    const FLOATS above = fma_exact(product, first, floats(1.0f)) + small;
    const FLOATS factor = above * half * (half * half);
    // Near the centre, in powers of the square.
    const FLOATS centre = polynomial32(square, 1.2919281777704175f, -1.2750776046515275f,
                                       0.44927150118823533f, -0.07987243954266887f);
    const FLOATS value = square < 0.125f ? centre : factor;
    return value * value;
  }
};

}  // namespace mixed
