// The entries: nb_sum, the sums of one tile over one range of steps, and nb_finish, their photons.
#include "finish.h"

// Pixel j of a thread; neighbouring threads have neighbouring pixels.
__device__ __forceinline__ unsigned pixel_number(int j) {
  return (blockIdx.x * NB_PIXELS + j) * blockDim.x + threadIdx.x;
}

// Sums the terms of steps p.start to p.stop for p.count pixels.
//
// axes, sources: rows of AXES_ROW and SOURCE_ROW numbers; table: (squared) amplitudes; listed: flat
// indices in the tile, read where p.listed; totals, gains: the effect on each pixel's running sum
// (gains only for products); outside: evaluations whose interpolation left the list.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_sum(const __grid_constant__ Params p, const double* __restrict__ axes,
           const double* __restrict__ sources, const double* __restrict__ table,
           const int* __restrict__ listed, double* __restrict__ totals,
           double* __restrict__ gains, unsigned long long* outside) {
  __shared__ Row rows[CHUNK];
  Pixel pixels[NB_PIXELS];
#pragma unroll
  for (int j = 0; j < NB_PIXELS; ++j) {
    place_pixel(p, listed, pixel_number(j), pixels[j]);
    pixels[j].total = 0.0;
    pixels[j].gain = 1.0;
    pixels[j].outside = 0;
  }
  const long long inner = static_cast<long long>(p.sources) * p.turns;
  const int subs = p.oversample * p.oversample;
  int loaded = -1;
  for (long long outer = p.start / inner; outer * inner < p.stop; ++outer) {
    const long long low = p.start > outer * inner ? p.start - outer * inner : 0;
    const long long high = p.stop < (outer + 1) * inner ? p.stop - outer * inner : inner;
    const int layer = static_cast<int>(outer / subs), sub = static_cast<int>(outer % subs);
#pragma unroll
    for (int j = 0; j < NB_PIXELS; ++j)
      pixels[j].ray = find_ray(p, pixels[j].slow, pixels[j].fast, layer, sub / p.oversample,
                               sub % p.oversample);
    const int last_source = static_cast<int>((high + p.turns - 1) / p.turns);
    for (int number = static_cast<int>(low / p.turns); number < last_source; ++number) {
      const long long before = static_cast<long long>(number) * p.turns;
      const int first = static_cast<int>(low > before ? low - before : 0);
      const int last = static_cast<int>(high < before + p.turns ? high - before : p.turns);
      const Source source = read_source(sources, number);
      bool any = false;
#pragma unroll
      for (int j = 0; j < NB_PIXELS; ++j) {
        begin_source(p, source, layer, pixels[j]);
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
#pragma unroll
          for (int j = 0; j < NB_PIXELS; ++j) evaluate(p, table, row, source, pixels[j]);
        }
      }
#pragma unroll
      for (int j = 0; j < NB_PIXELS; ++j) end_source(p, source, pixels[j]);
    }
  }
#pragma unroll
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    totals[number] = pixels[j].total;
    if (FACTORS == PRODUCTS) gains[number] = pixels[j].gain;
    if (AMPLITUDE == TRICUBIC && pixels[j].outside)
      atomicAdd(outside, static_cast<unsigned long long>(pixels[j].outside));
  }
}

// Turns sums over all steps into photons.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_finish(const __grid_constant__ Params p, const double* __restrict__ sources,
              const int* __restrict__ listed, const double* __restrict__ totals,
              const double* __restrict__ gains, float* __restrict__ image) {
#pragma unroll 1
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    Pixel pixel;
    place_pixel(p, listed, number, pixel);
    const double gain = FACTORS == PRODUCTS ? gains[number] : 1.0;
    image[number] = photons(p, sources, pixel, totals[number], gain);
  }
}
