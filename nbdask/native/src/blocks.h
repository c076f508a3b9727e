// Blocks of pixels, over which inner loops become vector code: what all of them share.
#pragma once
#include <stddef.h>

#include "rays.h"

#define NB_EXPORT extern "C" __attribute__((visibility("default")))
#define NB_SIMD _Pragma("omp simd")
#define NB_APART __attribute__((noinline))

// Blocks are a multiple of STEP pixels long, but not such a power of two that all rows begin at the
// same place of the cache.  The last block of a tile is filled up with copies of its last pixel to a
// multiple of STEP, so that loops have no remainder.
constexpr int STEP = 32;

// A block has rows slow, fast, dx, dy, dz, inverse.  Fills up the last block.
template <class Block>
static void pad_pixels(int multiple, Block& b) {
  b.count = (b.pixels + multiple - 1) / multiple * multiple;
  for (int i = b.pixels; i < b.count; ++i) {
    b.slow[i] = b.slow[b.pixels - 1];
    b.fast[i] = b.fast[b.pixels - 1];
  }
}

template <class Block>
static void place_pixels(const Params& p, const int* listed, int begin, int most, Block& b) {
  b.pixels = p.count - begin < most ? p.count - begin : most;
  if (p.listed) {
    for (int i = 0; i < b.pixels; ++i) {
      b.slow[i] = p.slow0 + listed[begin + i] / p.width;
      b.fast[i] = p.fast0 + listed[begin + i] % p.width;
    }
    return;
  }
  int row = begin / p.width, column = begin % p.width;
  for (int i = 0, end; i < b.pixels; i = end, ++row, column = 0) {
    const int left = p.width - column, first = column - i;
    end = b.pixels - i < left ? b.pixels : i + left;
    const double slow = p.slow0 + row, fast = p.fast0;
    NB_SIMD
    for (int j = i; j < end; ++j) {
      b.slow[j] = slow;
      b.fast[j] = fast + (first + j);
    }
  }
}

// Pixels in the order of the results.
template <class Block>
static void place_in_order(const Params& p, const int* listed, int begin, int most, Block& b) {
  place_pixels(p, listed, begin, most, b);
  for (int i = 0; i < b.pixels; ++i) b.flat[i] = begin + i;
}

// Pixels of one band, from one of them on; high: its rows.
template <class Block>
static void place_band(const Params& p, int band, int high, int from, int begin, int end, Block& b) {
  const double slow = p.slow0 + band, fast = p.fast0;
  const int width = p.width, first = band * width;
  const bool whole = (high & (high - 1)) == 0;
  const int places = whole ? __builtin_ctz(high) : 0;
  if (whole) {
    // All bands but the last: a division by a power of two.
    NB_SIMD
    for (int i = begin; i < end; ++i) {
      const int number = from + i - begin, column = number >> places, row = number & (high - 1);
      b.slow[i] = slow + row;
      b.fast[i] = fast + column;
      b.flat[i] = first + row * width + column;
    }
    return;
  }
  for (int i = begin; i < end; ++i) {
    const int column = (from + i - begin) / high, row = (from + i - begin) % high;
    b.slow[i] = slow + row;
    b.fast[i] = fast + column;
    b.flat[i] = first + row * width + column;
  }
}

// The pixels of a whole tile in bands of a few rows, column after column: neighbours stay together.
template <class Block>
static void place_bands(const Params& p, int rows, int begin, int most, Block& b) {
  b.pixels = p.count - begin < most ? p.count - begin : most;
  const int height = p.count / p.width;
  for (int i = 0, end; i < b.pixels; i = end) {
    const int band = (begin + i) / (rows * p.width) * rows;
    const int high = height - band < rows ? height - band : rows;
    const int from = begin + i - band * p.width, left = high * p.width - from;
    end = b.pixels - i < left ? b.pixels : i + left;
    place_band(p, band, high, from, i, end, b);
  }
}

template <bool CURVED, class Block>
static void find_block_rays_of(const Params& shared, int layer, int sub, Block& b) {
  const Params p = shared;
  const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
  NB_SIMD
  for (int i = 0; i < b.count; ++i) {
    const Ray ray = find_ray<CURVED>(p, b.slow[i], b.fast[i], layer, sub_slow, sub_fast);
    b.dx[i] = ray.d.x;
    b.dy[i] = ray.d.y;
    b.dz[i] = ray.d.z;
    b.inverse[i] = ray.inverse;
  }
}

template <class Block>
static void find_block_rays(const Params& p, int layer, int sub, Block& b) {
  (p.curved ? find_block_rays_of<true, Block> : find_block_rays_of<false, Block>)(p, layer, sub, b);
}

// What a range of steps covers of one sub-pixel: sources, and the orientations of each.
struct Range {
  int layer, sub, source0, source1, turn0, turn1, turns;

  Range(const Params& p, int outer) : turns(p.turns) {
    // The range may begin and end inside a sub-pixel, and inside a source.
    const int subs = p.oversample * p.oversample;
    const bool begins = outer == p.outer0, ends = outer == p.outer1 - 1;
    layer = outer / subs, sub = outer % subs;
    source0 = begins ? p.source0 : 0, source1 = ends ? p.source1 : p.sources;
    turn0 = begins ? p.turn0 : 0, turn1 = ends ? p.turn1 : p.turns;
  }

  int first(int source) const { return source == source0 ? turn0 : 0; }
  int last(int source) const { return source == source1 - 1 ? turn1 : turns; }
};
