// Which groups of neighbouring pixels the spots of an orientation may reach: elsewhere each of its
// terms is exactly 0, and a sum that leaves it out keeps its bits.
//
// A group's scattering vectors lie in a box along three axes: the ray through the middle of its
// block, which is normal to Ewald's sphere, and two across.  A spot reaches no further than a ball
// around its node; where that misses the box in the direction of any axis, nothing is reached.
#pragma once
#include <stddef.h>

#include "lanes.h"
#include "rays.h"

// Orientations that are tested side by side.
constexpr int TURN_LANES = 16;

// What makes indices of scattering vectors, and in float32 the same and its inverse; by rows.
struct TurnLanes {
  double forward[9][TURN_LANES];
  float narrow[9][TURN_LANES], back[9][TURN_LANES];
};

// What the test reads of a model; made by nbdask/kernels/cull.py.
struct Cull {
  int rows;      // of a band of pixels, whose columns follow one another
  int group;     // pixels of a group; 0: no spots are looked for
  double reach;  // of a spot [1/m]
  // What rounding in float32 adds to the reach, for each 1/m from a group to its block's middle.
  double rough;
  // Half the diagonal of a box [1/m] up to which the node next to its centre is the only one that
  // can reach it.
  double widest;
  int absent;  // whether nodes without an amplitude are looked for
  // The length of scattering vectors [1/m] from which on every amplitude is 0; 0: there is none.
  double beyond;
  // Of each orientation what makes indices of scattering vectors [m], and its inverse [1/m], in
  // rows of TURN_ROW numbers.
  const double* turns;
  // The same of TURN_LANES orientations side by side; after the last of all there are zeros.
  const TurnLanes* lanes;
};

namespace cull {

// A row of the table: the columns of the matrix, and the rows of its inverse, each with a zero.
constexpr int TURN_ROW = 24, BACK = 12, MOST_GROUPS = 32;
// Up to so many orientations are tested one by one, with groups side by side.
constexpr int FEW_TURNS = 4;
// Orientations whose results are kept together.
constexpr int MOST_TURNS = 256, WORD = 64, TURN_WORDS = MOST_TURNS / WORD;
// Of a direction, beyond its rounding.
constexpr double ROUNDING = 1e-13;
// Relative error of a float32, and more.
constexpr double NARROWED = 1e-6;
// Half an edge of a group that is too wide.
constexpr float WIDE = 1e30f;
// One bit for each group.
typedef unsigned Mask;
typedef double Four __attribute__((vector_size(32)));
typedef float NarrowFour __attribute__((vector_size(16)));

// Boxes of a block's rays (unit vectors), or with a source of scattering vectors [1/m]: half of the
// lengths along the frame's axes, which for scattering vectors include the reach, and centres, from
// the block's middle.
struct Groups {
  float centre[3][MOST_GROUPS] __attribute__((aligned(64)));
  float half[3][MOST_GROUPS] __attribute__((aligned(64)));
  double frame[9], middle[3];
  double furthest;  // of a centre from the middle
  int count;
};

NB_INLINE Vector across(const Vector& a, const Vector& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

NB_INLINE void put(const Vector& v, double* to) { to[0] = v.x, to[1] = v.y, to[2] = v.z; }

// Any three axes at right angles will do; best are these: along a ray, and along a row of pixels.
// S-CULL-04
static void find_frame(const Vector& ray, Vector along, double* frame) {
  Vector side = across(ray, along);
  if (square_length(side) == 0.0) {
    along = {ray.y * ray.y < 0.5 ? 0.0 : 1.0, ray.y * ray.y < 0.5 ? 1.0 : 0.0, 0.0};
    side = across(ray, along);
  }
  const double per_length = 1.0 / sqrt(square_length(side));
  side = {side.x * per_length, side.y * per_length, side.z * per_length};
  put(ray, frame);
  put(side, frame + 3);
  put(across(side, ray), frame + 6);
}

NB_INLINE DOUBLES lesser(DOUBLES x, DOUBLES y) {
#if NB_VECTOR == 64
  return _mm512_min_pd(x, y);
#elif NB_VECTOR == 32
  return _mm256_min_pd(x, y);
#else
  return x < y ? x : y;
#endif
}

NB_INLINE double least_of(DOUBLES x) {
#if NB_VECTOR == 64
  return _mm512_reduce_min_pd(x);
#else
  double least = x[0];
  for (int i = 1; i < HALF_LANES; ++i) least = x[i] < least ? x[i] : least;
  return least;
#endif
}

// The least and the greatest components of the rays of one of the groups along the axes of a frame.
// S-CULL-04
NB_INLINE void find_range(const double* dx, const double* dy, const double* dz, int g, int size,
                          const double* frame, double (&low)[3][MOST_GROUPS],
                          double (&high)[3][MOST_GROUPS]) {
  DOUBLES least[3], most[3];
  NB_EACH
  for (int j = 0; j < 3; ++j) least[j] = most[j] = doubles(2.0);
  for (int i = g * size; i < (g + 1) * size; i += HALF_LANES) {
    const DOUBLES x = load(dx + i), y = load(dy + i), z = load(dz + i);
    NB_EACH
    for (int j = 0; j < 3; ++j) {
      const double* axis = frame + 3 * j;
      const DOUBLES along = axis[0] * x + axis[1] * y + axis[2] * z;
      least[j] = lesser(along, least[j]);
      most[j] = lesser(-along, most[j]);
    }
  }
  NB_EACH
  for (int j = 0; j < 3; ++j) low[j][g] = least_of(least[j]), high[j][g] = -least_of(most[j]);
}

// The boxes of a block's rays; count: a multiple of cull.group.
// S-CULL-04
static void find_groups(const Cull& cull, const double* dx, const double* dy, const double* dz,
                        int count, Groups& groups) {
  // Columns of a band follow one another: the first pixels of two of them are in one row.
  const int middle = count / 2, last = (count - 1) / cull.rows * cull.rows;
  const double ray[] = {dx[middle], dy[middle], dz[middle]};
  find_frame({ray[0], ray[1], ray[2]},
             {dx[last] - dx[0], dy[last] - dy[0], dz[last] - dz[0]}, groups.frame);
  memcpy(groups.middle, ray, sizeof ray);
  groups.count = count / cull.group;
  double low[3][MOST_GROUPS], high[3][MOST_GROUPS], at[3][MOST_GROUPS];
  double squared[MOST_GROUPS] = {};
  for (int g = 0; g < groups.count; ++g)
    find_range(dx, dy, dz, g, cull.group, groups.frame, low, high);
  // In loops of their own, which become vector code.
  for (int j = 0; j < 3; ++j)
    for (int g = 0; g < groups.count; ++g) {
      at[j][g] = 0.5 * (high[j][g] + low[j][g]);
      groups.half[j][g] =
          static_cast<float>((0.5 * (high[j][g] - low[j][g]) + ROUNDING) * (1.0 + NARROWED));
    }
  const double* f = groups.frame;
  for (int j = 0; j < 3; ++j)
    for (int g = 0; g < groups.count; ++g) {
      const double away = at[0][g] * f[j] + at[1][g] * f[3 + j] + at[2][g] * f[6 + j] - ray[j];
      groups.centre[j][g] = static_cast<float>(away);
      squared[g] += away * away;
    }
  double furthest = 0.0;
  for (int g = 0; g < groups.count; ++g) furthest = squared[g] > furthest ? squared[g] : furthest;
  groups.furthest = sqrt(furthest);
}

// The boxes of scattering vectors of a source.  A group that is too wide is always reached,
// one beyond the last never.
// S-CULL-05, S-CULL-06
static void groups_of(const Cull& cull, const Source& source, const Groups& rays, Groups& groups) {
  const double incident[] = {source.incident.x, source.incident.y, source.incident.z};
  const double per_wavelength = source.per_wavelength;
  groups.count = rays.count;
  groups.furthest = rays.furthest * per_wavelength;
  memcpy(groups.frame, rays.frame, sizeof groups.frame);
  for (int j = 0; j < 3; ++j)
    groups.middle[j] = (rays.middle[j] - incident[j]) * per_wavelength;
  const double reach = (cull.reach + cull.rough * groups.furthest) * (1.0 + NARROWED);
  const float narrow = static_cast<float>(per_wavelength), beyond = static_cast<float>(reach);
  // Rounding moves centres too, and must not change the nearest node.
  const double left = cull.widest - cull.rough * groups.furthest;
  const float wide = left > 0.0 ? static_cast<float>(left * left * (1.0 - NARROWED)) : -1.0f;
  for (int g = 0; g < MOST_GROUPS; ++g) {
    const float x = rays.half[0][g] * narrow, y = rays.half[1][g] * narrow,
                z = rays.half[2][g] * narrow;
    const float extra = x * x + y * y + z * z > wide ? WIDE : beyond;
    const bool real = g < groups.count;
    for (int j = 0; j < 3; ++j) groups.centre[j][g] = real ? rays.centre[j][g] * narrow : 0.0f;
    groups.half[0][g] = real ? x + extra : -1.0f;
    groups.half[1][g] = real ? y + extra : -1.0f;
    groups.half[2][g] = real ? z + extra : -1.0f;
  }
}

// Where no |x| is above its limit.
NB_INLINE Mask within(const FLOATS (&x)[3], const FLOATS (&limit)[3]) {
#if NB_VECTOR == 64
  Mask mask = 0xffff;
  NB_EACH
  for (int j = 0; j < 3; ++j)
    mask = _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(mask), _mm512_abs_ps(x[j]), limit[j],
                                   _CMP_LE_OQ);
  return mask;
#else
  SIGNED_WORDS inside = SIGNED_WORDS{} - 1;
  NB_EACH
  for (int j = 0; j < 3; ++j) inside &= float_of(bits_of(x[j]) & 0x7fffffffu) <= limit[j];
#if NB_VECTOR == 32
  return static_cast<Mask>(_mm256_movemask_ps((__m256)inside));
#else
  Mask mask = 0;
  for (int i = 0; i < LANES; ++i) mask |= static_cast<Mask>(inside[i] & 1) << i;
  return mask;
#endif
#endif
}

// x less its nearest whole number; x below 2^22.
NB_INLINE FLOATS from_nearest(FLOATS x) {
#if NB_VECTOR == 64
  return _mm512_reduce_ps(x, 8);
#else
  return x - ((x + ROUND32) - ROUND32);
#endif
}

NB_INLINE NarrowFour narrowed(const Four& x) { return __builtin_convertvector(x, NarrowFour); }

NB_INLINE FLOATS narrowed(DOUBLES first, DOUBLES second) {
  const HALF_FLOATS part[2] = {__builtin_convertvector(first, HALF_FLOATS),
                               __builtin_convertvector(second, HALF_FLOATS)};
#if NB_VECTOR == 64
  return _mm512_insertf32x8(_mm512_castps256_ps512(part[0]), part[1], 1);
#elif NB_VECTOR == 32
  return _mm256_insertf128_ps(_mm256_castps128_ps256(part[0]), part[1], 1);
#else
  FLOATS whole;
  memcpy(&whole, part, sizeof whole);
  return whole;
#endif
}

// A ball [of unit vectors] around the rays of a block.
struct Ball {
  Vector middle;
  double radius;
};

// S-CULL-08
static Ball find_ball(const double* dx, const double* dy, const double* dz, int count) {
  const int i = count / 2;
  const DOUBLES x = doubles(dx[i]), y = doubles(dy[i]), z = doubles(dz[i]);
  DOUBLES most = DOUBLES{};
  for (int j = 0; j < count; j += HALF_LANES) {
    const DOUBLES a = load(dx + j) - x, b = load(dy + j) - y, c = load(dz + j) - z;
    const DOUBLES squared = a * a + b * b + c * c;
    most = squared > most ? squared : most;
  }
  double squared = 0.0;
  for (int j = 0; j < HALF_LANES; ++j) squared = most[j] > squared ? most[j] : squared;
  return {{dx[i], dy[i], dz[i]}, sqrt(squared) + ROUNDING};
}

// Whether all scattering vectors of a ball and a source are longer than that.
// S-CULL-08
static bool is_beyond(double length, const Ball& ball, const Source& source) {
  if (length <= 0.0) return false;
  const double shortest =
      sqrt(square_length(scatter(source, ball.middle))) - ball.radius * source.per_wavelength;
  return shortest > length;
}

// Three numbers times columns or rows of Four, added up.
NB_INLINE void combine(const double* numbers, const Four (&of)[3], Four& sum) {
  sum = numbers[0] * of[0] + numbers[1] * of[1] + numbers[2] * of[2];
}

// What the test makes of orientations in a frame: from scattering vectors to indices, the indices
// of the block's middle less whole numbers, and from indices to components along the axes.
struct Turned {
  FLOATS forward[9], start[3], along[9];
};

// Lanes in which a spot may reach a group with this centre and half edges.
// S-CULL-05, S-CULL-06
NB_INLINE Mask reaching_lanes(const Turned& t, const FLOATS (&centre)[3],
                              const FLOATS (&half)[3]) {
  FLOATS away[3], part[3];
  NB_EACH
  for (int i = 0; i < 3; ++i)
    away[i] = from_nearest(
        fma(t.forward[3 * i + 2], centre[2],
            fma(t.forward[3 * i + 1], centre[1], fma(t.forward[3 * i], centre[0], t.start[i]))));
  NB_EACH
  for (int j = 0; j < 3; ++j)
    part[j] = fma(t.along[3 * j + 2], away[2],
                  fma(t.along[3 * j + 1], away[1], t.along[3 * j] * away[0]));
  return within(part, half);
}

// The groups that spots of an orientation may reach, groups side by side; turn: its row.
// S-CULL-05, S-CULL-06
NB_INLINE Mask reached_groups(const double* turn, const Groups& groups) {
  Four columns[3], back[3];
  memcpy(columns, turn, sizeof columns);
  memcpy(back, turn + BACK, sizeof back);
  // The indices of the middle less whole numbers; what follows from there is small.
  constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  Four middle, row;
  combine(groups.middle, columns, middle);
  const NarrowFour start = narrowed(middle - ((middle + round) - round));
  Turned turned;
  NB_EACH
  for (int j = 0; j < 3; ++j) {
    const NarrowFour forward = narrowed(columns[j]);
    combine(groups.frame + 3 * j, back, row);
    const NarrowFour along = narrowed(row);
    turned.start[j] = floats(start[j]);
    NB_EACH
    for (int i = 0; i < 3; ++i) {
      turned.forward[3 * i + j] = floats(forward[i]);
      turned.along[3 * j + i] = floats(along[i]);
    }
  }
  Mask mask = 0;
  for (int g = 0; g < groups.count; g += LANES) {
    FLOATS centre[3], half[3];
    NB_EACH
    for (int j = 0; j < 3; ++j)
      centre[j] = load(groups.centre[j] + g), half[j] = load(groups.half[j] + g);
    mask |= reaching_lanes(turned, centre, half) << g;
  }
  return mask;
}

// Of each group the orientations that reach it, a bit for each of up to MOST_TURNS.
struct Bits {
  unsigned long long words[MOST_GROUPS][TURN_WORDS];

  void clear(int groups) { memset(words, 0, sizeof words[0] * static_cast<size_t>(groups)); }

  // From the bit of this number on.
  NB_METHOD void put(int group, int number, unsigned long long mask) {
    const int word = number / WORD, place = number % WORD;
    words[group][word] |= mask << place;
    if (place + TURN_LANES > WORD && word + 1 < TURN_WORDS)
      words[group][word + 1] |= mask >> (WORD - place);
  }
};

// Calls with each orientation of a range that reaches a group; both ends are numbers of bits.
template <class Called>
NB_INLINE void each_turn(const Bits& bits, int group, int first, int last, const Called& called) {
  for (int start = first; start < last; start = (start / WORD + 1) * WORD) {
    unsigned long long left = bits.words[group][start / WORD] & (~0ull << start % WORD);
    for (; left; left &= left - 1) {
      const int number = start / WORD * WORD + __builtin_ctzll(left);
      if (number >= last) return;
      called(number);
    }
  }
}

// Of a vector of orientations the indices of a block's middle [1/m] less whole numbers.
// S-CULL-06
NB_INLINE void start_lanes(const TurnLanes& lanes, const double (&middle)[3], int from,
                           FLOATS (&start)[3]) {
  constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  NB_EACH
  for (int i = 0; i < 3; ++i) {
    DOUBLES rest[2];
    NB_EACH
    for (int half = 0; half < 2; ++half) {
      const int at = from + half * HALF_LANES;
      const DOUBLES index = middle[0] * load(lanes.forward[3 * i] + at) +
                            middle[1] * load(lanes.forward[3 * i + 1] + at) +
                            middle[2] * load(lanes.forward[3 * i + 2] + at);
      rest[half] = index - ((index + round) - round);
    }
    start[i] = narrowed(rest[0], rest[1]);
  }
}

// Vectors, one in each lane, along an axis of a frame.
NB_INLINE FLOATS along_axis(const double* axis, FLOATS x, FLOATS y, FLOATS z) {
  const float u = static_cast<float>(axis[0]), v = static_cast<float>(axis[1]),
              w = static_cast<float>(axis[2]);
  return fma(floats(w), z, fma(floats(v), y, u * x));
}

// What the test makes of a vector of orientations.
// S-CULL-06
NB_INLINE void turn_lanes(const TurnLanes& lanes, const Groups& groups, int from, Turned& t) {
  start_lanes(lanes, groups.middle, from, t.start);
  NB_EACH
  for (int i = 0; i < 9; ++i) t.forward[i] = load(lanes.narrow[i] + from);
  NB_EACH
  for (int i = 0; i < 3; ++i) {
    const FLOATS x = load(lanes.back[i] + from), y = load(lanes.back[3 + i] + from),
                 z = load(lanes.back[6 + i] + from);
    NB_EACH
    for (int j = 0; j < 3; ++j) t.along[3 * j + i] = along_axis(groups.frame + 3 * j, x, y, z);
  }
}

// Orientations side by side: from the first lane that counts to before the last, to bits of a
// number and more.
// S-CULL-05, S-CULL-06
static void test_lanes(const TurnLanes& lanes, const Groups& groups, int first, int last,
                       int number, Bits& bits) {
  for (int from = first / LANES * LANES; from < last; from += LANES) {
    const int skipped = first > from ? first - from : 0, end = last - from;
    const Mask real = end < LANES ? (Mask{1} << end) - 1 : ~Mask{0};
    const int place = number + from + skipped - first;
    Turned turned;
    turn_lanes(lanes, groups, from, turned);
    for (int g = 0; g < groups.count; ++g) {
      FLOATS centre[3], half[3];
      NB_EACH
      for (int j = 0; j < 3; ++j)
        centre[j] = floats(groups.centre[j][g]), half[j] = floats(groups.half[j][g]);
      bits.put(g, place, (reaching_lanes(turned, centre, half) & real) >> skipped);
    }
  }
}

// The orientations of a range that reach each group, to the bits of a number and more.
// S-CULL-05, S-CULL-06
static void find_bits(const Cull& cull, const Groups& groups, int first, int last, int number,
                      Bits& bits) {
  for (int o = first, end; o < last; o = end) {
    const int start = o / TURN_LANES * TURN_LANES;
    end = last - start < TURN_LANES ? last : start + TURN_LANES;
    if (end - o > FEW_TURNS) {
      test_lanes(cull.lanes[o / TURN_LANES], groups, o - start, end - start, number + o - first,
                 bits);
      continue;
    }
    for (int one = o; one < end; ++one) {
      const double* turn = cull.turns + static_cast<ptrdiff_t>(one) * TURN_ROW;
      for (Mask left = reached_groups(turn, groups); left; left &= left - 1)
        bits.put(__builtin_ctz(left), number + one - first, 1);
    }
  }
}

}  // namespace cull
