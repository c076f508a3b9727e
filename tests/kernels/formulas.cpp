// Each formula over an array, for the tests.
#include "amplitude.h"
#include "finish.h"
#include "lattice.h"
#include "rays.h"

#define NB_MAP(name, expression)                                                     \
  extern "C" void map_##name(long count, const double* from, double* to) {           \
    for (long i = 0; i < count; ++i) {                                               \
      const double x = from[i];                                                      \
      to[i] = expression;                                                            \
    }                                                                                \
  }

static double sine(double angle) {
  double s, c;
  sine_cosine(angle, s, c);
  return s;
}

static double cosine_of(double angle) {
  double s, c;
  sine_cosine(angle, s, c);
  return c;
}

NB_MAP(sine_ratio, sine_ratio(x))
NB_MAP(cosine, cosine(x))
NB_MAP(sphere_part, sphere_part(x))
NB_MAP(power_of_two, power_of_two(x))
NB_MAP(exponential, exponential(x))
NB_MAP(sine, sine(x))
NB_MAP(cosine_of, cosine_of(x))
NB_MAP(sine_squared, sine_squared(x))

extern "C" double of_polarization(double c, double on_e, double on_b, double kahn) {
  return polarization(c, on_e, on_b, kahn);
}

extern "C" double of_captured(int layer, double depth, double rho) {
  return captured(layer, depth, rho);
}

extern "C" void of_cubic_weights(double index, double* to) {
  const Weights w = cubic_weights(index);
  to[0] = w.a, to[1] = w.b, to[2] = w.c, to[3] = w.d;
}

// The whole index next to one, by the rule of each version.
struct Looked {
  static constexpr int amplitude = NEAREST, lattice = GRATING;
};
NB_MAP(nearest, split(Looked{}, x).whole)

extern "C" void of_grating(const double* cells, const double* away, double* to) {
  Params p{};
  Indices at{};
  for (int i = 0; i < 3; ++i) p.cells[i] = cells[i];
  at.h.away = away[0], at.k.away = away[1], at.l.away = away[2];
  const Lattice lattice = lattice_grating(p, at);
  to[0] = lattice.squared, to[1] = lattice.zero;
}

extern "C" void of_sphere(const double* cells, double fudge, const double* away, double* squared) {
  Params p{};
  Indices at{};
  for (int i = 0; i < 3; ++i) p.cells[i] = cells[i];
  p.fudge = fudge;
  at.h.away = away[0], at.k.away = away[1], at.l.away = away[2];
  *squared = lattice_sphere(p, at).squared;
}

extern "C" void of_rotation(const double* axis, double angle, const double* v, double* to) {
  const Vector r = rotate(axis, angle, {v[0], v[1], v[2]});
  to[0] = r.x, to[1] = r.y, to[2] = r.z;
}

// Where a field of the structure is, and the structure's size for a number below 0.
extern "C" long long of_layout(int field) {
#define NB_FIELD(name) static_cast<long long>(__builtin_offsetof(Params, name)),
  static const long long offsets[] = {
#include "fields.inc"
  };
  return field < 0 ? static_cast<long long>(sizeof(Params)) : offsets[field];
}
