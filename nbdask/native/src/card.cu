// The entries: nb_sum, the sums of one tile over one range of steps, and nb_finish, their photons.
#include "card.h"

// Pixel j of a thread; neighbouring threads have neighbouring pixels.
NB_INLINE unsigned pixel_number(int j) {
  return (blockIdx.x * NB_PIXELS + j) * blockDim.x + threadIdx.x;
}

// Sums the terms of a range of steps for p.count pixels.
//
// axes, sources: rows of AXES_ROW and SOURCE_ROW numbers; table: (squared) amplitudes; listed: flat
// indices in the tile, read where p.listed; totals, gains: the effect on each pixel's running sum
// (gains only for products); outside: evaluations whose interpolation left the list.
extern "C" __global__ void __launch_bounds__(NB_THREADS, NB_BLOCKS)
    nb_sum(const __grid_constant__ Params p, const double* __restrict__ axes,
           const double* __restrict__ sources, const double* __restrict__ table,
           const int* __restrict__ listed, double* __restrict__ totals,
           double* __restrict__ gains, unsigned long long* outside) {
  const Version v = version_of(p);
  __shared__ Row rows[CHUNK];
  Pixel pixels[NB_PIXELS];
  NB_UNROLL
  for (int j = 0; j < NB_PIXELS; ++j) {
    place_pixel(p, listed, pixel_number(j), pixels[j]);
    pixels[j].total = 0.0;
    pixels[j].gain = 1.0;
    pixels[j].outside = 0;
  }
  int loaded = -1;
  for (int outer = p.outer0; outer < p.outer1; ++outer) {
    const int subs = p.oversample * p.oversample;
    const int layer = outer / subs, sub = outer - layer * subs;
    NB_UNROLL
    for (int j = 0; j < NB_PIXELS; ++j) pixels[j].ray = pixel_ray(p, pixels[j], layer, sub);
    // The range may begin and end inside a sub-pixel, and inside a source.
    const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
    const int source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
    for (int number = source0; number < source1; ++number) {
      const int first = begins && number == source0 ? p.turn0 : 0;
      const int last = ends && number == source1 - 1 ? p.turn1 : p.turns;
      const Source source = read_source(sources, number);
      bool any = false;
      NB_UNROLL
      for (int j = 0; j < NB_PIXELS; ++j) {
        begin_source(v, p, source, layer, pixels[j]);
        any = any || pixels[j].counted;
      }
      for (int chunk = first / CHUNK; chunk * CHUNK < last; ++chunk) {
        if (chunk != loaded) load_rows(axes, chunk, p.turns, rows);
        loaded = chunk;
        if (!any) continue;
        const int from = first > chunk * CHUNK ? first - chunk * CHUNK : 0;
        const int to = last < (chunk + 1) * CHUNK ? last - chunk * CHUNK : CHUNK;
        for (int o = from; o < to; ++o) {
          const Row row = rows[o];
          NB_UNROLL
          for (int j = 0; j < NB_PIXELS; ++j) evaluate(v, p, table, row, source, pixels[j]);
        }
      }
      NB_UNROLL
      for (int j = 0; j < NB_PIXELS; ++j) end_source(v, p, source, pixels[j]);
    }
  }
  NB_UNROLL
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    totals[number] = pixels[j].total;
    if (v.factors == PRODUCTS) gains[number] = pixels[j].gain;
    if (v.amplitude == TRICUBIC && pixels[j].outside)
      atomicAdd(outside, static_cast<unsigned long long>(pixels[j].outside));
  }
}

// Turns sums over all steps into photons, one after another, or where p.listed is 2 each at its place
// in the tile.
extern "C" __global__ void __launch_bounds__(NB_THREADS, NB_BLOCKS)
    nb_finish(const __grid_constant__ Params p, const double* __restrict__ sources,
              const int* __restrict__ listed, const double* __restrict__ totals,
              const double* __restrict__ gains, float* __restrict__ image) {
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    Pixel pixel;
    place_pixel(p, listed, number, pixel);
    const double gain = p.factors == PRODUCTS ? gains[number] : 1.0;
    const unsigned place = p.listed == 2 ? static_cast<unsigned>(__ldg(listed + number)) : number;
    image[place] = finish_pixel(p, sources, pixel, totals[number], gain);
  }
}
