// Philox4x32-10, a generator without a state: nbdask/counter.py has its description.
#pragma once

#include "derive_elementary.h"
#include "derive_vectors.h"

namespace counter {

// What tells the numbers of one draw of one step of one frame from all others.
struct Stream {
  uint64_t frame, last, key0, key1;
};

// N vectors of counters become random words, in the lower halves; the upper halves are not empty.
template <int N>
NB_INLINE void philox(Words (&c0)[N], Words (&c1)[N], Words (&c2)[N], Words (&c3)[N], uint64_t k0,
                      uint64_t k1) {
  for (int round = 0; round < 10; ++round) {
    for (int n = 0; n < N; ++n) {
      const Words p0 = product_of_halves(c0[n], 0xd2511f53u);
      const Words p1 = product_of_halves(c2[n], 0xcd9e8d57u);
      c0[n] = (p1 >> 32) ^ c1[n] ^ k0;
      c1[n] = p1;
      c2[n] = (p0 >> 32) ^ c3[n] ^ k1;
      c3[n] = p0;
    }
    k0 = (k0 + 0x9e3779b9u) & 0xffffffffu;
    k1 = (k1 + 0xbb67ae85u) & 0xffffffffu;
  }
}

// Deviates above 0 and below 1 from the lower halves of two words.
NB_INLINE Doubles uniform(Words high, Words low) {
  const Words number = (high & 0xffffffc0u) << 20 | (low & 0xffffffffu) >> 6;
  // Doubles whose last bit is worth 1: few processors convert vectors of 64-bit whole numbers.
  const Doubles whole = (Doubles)(number | 0x4330000000000000u) - 0x1p52;
  return (whole + 0.5) * 0x1p-52;
}

// Pixels that are drawn for together: two vectors, since one alone would wait for its products.
constexpr int kTogether = 2 * kLanes;

// The next multiple of that number.
NB_INLINE int padded(int size) { return (size + kTogether - 1) / kTogether * kTogether; }

// Two deviates for each of some pixels of a row; there is room for a multiple of kTogether.
NB_INLINE void uniforms(const Stream &stream, uint64_t slow, const uint64_t *fast, int size,
                        double *u, double *v) {
  for (int x = 0; x < size; x += kTogether) {
    Words c0[2], c1[2], c2[2], c3[2];
    for (int n = 0; n < 2; ++n) {
      c0[n] = load<Words>(fast + x + n * kLanes);
      c1[n] = Words{} + slow;
      c2[n] = Words{} + stream.frame;
      c3[n] = Words{} + stream.last;
    }
    philox(c0, c1, c2, c3, stream.key0, stream.key1);
    for (int n = 0; n < 2; ++n) {
      store(u + x + n * kLanes, uniform(c0[n], c1[n]));
      store(v + x + n * kLanes, uniform(c2[n], c3[n]));
    }
  }
}

}  // namespace counter
