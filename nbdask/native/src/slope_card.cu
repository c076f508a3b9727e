// The entries of derivatives: sums of a tile over a range of steps, photons, and sums over pixels.
#include "slope_card.h"

// Pixel j of a thread; neighbouring threads have neighbouring pixels.
NB_INLINE unsigned pixel_number(int j) {
  return (blockIdx.x * NB_PIXELS + j) * blockDim.x + threadIdx.x;
}

// Sums of a range of steps for p.count pixels, and their derivatives: 1 + how.parameters rows.
//
// axes, sources, table, listed: as for nb_sum; slopes, leads, frames, spins, waves: as for nb_slopes; drags:
// what nb_slope_pull makes; pulled: how often a sum was out of range, then for each amplitude of the
// table the two whole numbers of its sum; light: for each block, sums by weight and by wavelength of
// each source.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_sums(const __grid_constant__ Params p, const __grid_constant__ Slopes how,
                  const __grid_constant__ Pulls pulls, const Slope* __restrict__ slopes,
                  const double* __restrict__ axes, const double* __restrict__ leads,
                  const double* __restrict__ frames,
                  const double* __restrict__ spins, const double* __restrict__ waves,
                  const double* __restrict__ sources, const double* __restrict__ table,
                  const int* __restrict__ listed, const double* __restrict__ drags,
                  double* __restrict__ planes, unsigned long long* pulled,
                  double* __restrict__ light) {
  __shared__ double room[NB_THREADS];
  const Version v = version_of(p);
  const Wanted want = wanted_of(how);
  const Tables tables = {slopes, axes, leads, frames, spins, waves, sources, table, pulled};
  const int subs = p.oversample * p.oversample;
  for (int j = 0; j < NB_PIXELS; ++j) {
    Spot spot = {};
    const unsigned number = pixel_number(j);
    const bool live = number < static_cast<unsigned>(p.count);
    place_spot(p, listed, number, spot);
    spot.place = -1;
    if (live && (pulls.amplitudes || pulls.sources)) spot.pull = drags[number];
    // Threads beyond the end have a pixel too, whose sums go nowhere.
    double spare = 0.0;
    const Column column = {live ? planes + number : &spare, live ? p.count : 0};
    for (int k = 0; k <= how.parameters; ++k) plane_of(column, k) = 0.0;
    for (int outer = p.outer0; outer < p.outer1; ++outer) {
      const int layer = outer / subs, sub = outer - layer * subs;
      spot.ray = spot_ray(p, spot, layer, sub);
      // The range may begin and end inside a sub-pixel, and inside a source.
      const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
      const int source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
      for (int lamp = source0; lamp < source1; ++lamp) {
        const int first = begins && lamp == source0 ? p.turn0 : 0;
        const int last = ends && lamp == source1 - 1 ? p.turn1 : p.turns;
        const Source source = read_source(sources, lamp);
        begin_light(v, p, source, layer, spot);
        double along = 0.0;
        if (within_dmin(p.dmin, spot.q)) {
          for (int o = first; o < last; ++o)
            add_turn(v, want, p, pulls, tables, source, o, spot);
          along = end_light(v, want, p, how, tables, source, lamp, layer, sub, column, spot);
        }
        if (!pulls.sources) continue;
        double* to = light + (static_cast<long long>(blockIdx.x) * p.sources + lamp) * 2;
        const double by_weight = block_sum(spot.pull * spot.terms, room);
        const double by_wave = block_sum(-spot.pull * (along * source.per_wavelength), room);
        if (threadIdx.x == 0) to[0] += by_weight, to[1] += by_wave;
      }
    }
    if (pulls.amplitudes && live) let_go(pulls, spot, pulled);
    end_sums(want, p, how, slopes, column, spot);
  }
}

// Turns sums over all steps, and their derivatives, into photons in place.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_finish(const __grid_constant__ Params p, const __grid_constant__ Slopes how,
                    const Slope* __restrict__ slopes, const double* __restrict__ sources,
                    const int* __restrict__ listed, double* __restrict__ planes) {
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    Spot spot;
    place_spot(p, listed, number, spot);
    finish_spot(p, how, slopes, sources, {planes + number, p.count}, spot);
  }
}

// What multiplies the terms of each pixel in the sums that are pulled.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_pull(const __grid_constant__ Params p, const double* __restrict__ sources,
                  const int* __restrict__ listed, const double* __restrict__ pull,
                  double* __restrict__ drags) {
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    Spot spot;
    place_spot(p, listed, number, spot);
    const int last = p.layers - 1;
    const double polar = polarize_spot(p, sources, spot).factor.value;
    const double share =
        p.depth >= 0.0 ? captured_slope(p, last, spot_ray(p, spot, last, 0)).value : 1.0;
    const double omega = solid_angle_slope(p, spot_ray(p, spot, 0, 0)).value;
    drags[number] = pull[number] * weigh_factors(p, omega, polar, share, 0.0).lift;
  }
}

// Sums of each derivative times what pulls the pixels: for each block a number of each parameter.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_values(const __grid_constant__ Params p, const __grid_constant__ Slopes how,
                    const double* __restrict__ planes, const double* __restrict__ pull,
                    double* __restrict__ values) {
  __shared__ double room[NB_THREADS];
  for (int k = 0; k < how.parameters; ++k) {
    double sum = 0.0;
    for (int j = 0; j < NB_PIXELS; ++j) {
      const unsigned number = pixel_number(j);
      if (number >= static_cast<unsigned>(p.count)) continue;
      sum = fma(planes[(k + 1ll) * p.count + number], pull[number], sum);
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) values[static_cast<long long>(blockIdx.x) * how.parameters + k] = sum;
  }
}

// Turns derivatives into those over the root of the variance, and photons into residuals over it;
// sums of each block: loss, chi2, the number of pixels.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_weigh(const __grid_constant__ Params p, const __grid_constant__ Slopes how,
                   const __grid_constant__ Data data, const double* __restrict__ seen,
                   double* __restrict__ planes, double* __restrict__ sums) {
  __shared__ double room[NB_THREADS];
  double loss = 0.0, square = 0.0, pixels = 0.0;
  for (int j = 0; j < NB_PIXELS; ++j) {
    const unsigned number = pixel_number(j);
    if (number >= static_cast<unsigned>(p.count)) continue;
    const Column column = {planes + number, p.count};
    const double model = plane_of(column, 0), given = seen[number];
    const Residual found = data.robust > 0.0 ? residual_of<true>(data, model, given)
                                             : residual_of<false>(data, model, given);
    loss += found.loss;
    square += found.square;
    pixels += found.counts;
    plane_of(column, 0) = found.pull;
    for (int k = 1; k <= how.parameters; ++k) plane_of(column, k) *= found.root;
  }
  loss = block_sum(loss, room);
  square = block_sum(square, room);
  pixels = block_sum(pixels, room);
  double* to = sums + 3ll * blockIdx.x;
  if (threadIdx.x == 0) to[0] = loss, to[1] = square, to[2] = pixels;
}

// Products of rows k and m <= k, summed over pieces of how.piece pixels; a thread has one of each.
extern "C" __global__ void __launch_bounds__(NB_THREADS)
    nb_slope_products(const __grid_constant__ Params p, const __grid_constant__ Slopes how,
                      const double* __restrict__ planes, double* __restrict__ products) {
  const int rows = how.parameters + 1, pairs = rows * (rows + 1) / 2;
  const long long pieces = (p.count + how.piece - 1ll) / how.piece;
  for (int j = 0; j < NB_PIXELS; ++j) {
    const long long number = pixel_number(j);
    if (number >= pieces * pairs) continue;
    int k = 0, m = static_cast<int>(number % pairs);
    while (m > k) m -= ++k;
    const long long begin = number / pairs * how.piece;
    const long long end = begin + how.piece < p.count ? begin + how.piece : p.count;
    const double *one = planes + static_cast<long long>(k) * p.count;
    const double *other = planes + static_cast<long long>(m) * p.count;
    double sum = 0.0;
    for (long long i = begin; i < end; ++i) sum = fma(one[i], other[i], sum);
    products[number] = sum;
  }
}
