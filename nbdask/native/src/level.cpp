// What this processor can run, and what this library was built from.
//
// Every library exports these, but only the one of the lowest level may be asked for the level:
// the others may hold instructions that the processor lacks.

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define NB_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

#if defined(__x86_64__)

bool has(unsigned value, unsigned bits) { return (value & bits) == bits; }

// Which registers the operating system saves when it changes from one program to another.
unsigned saved_registers() {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// The levels are those of the x86-64 psABI. v3 includes all of v2.
const char *best_level() {
    unsigned a, b, c, d, b7 = 0, c1x = 0, unused;
    const unsigned v2 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_CMPXCHG16B | bit_POPCNT;
    const unsigned v3 = bit_AVX | bit_FMA | bit_MOVBE | bit_F16C | bit_OSXSAVE;
    const unsigned v3_b7 = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned v4_b7 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    const unsigned lahf = 1u, lzcnt = 1u << 5;
    const unsigned sse_avx = 0x06, avx512 = 0xe6;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, v2 | v3)) return "x86-64";
    if (!__get_cpuid_count(7, 0, &a, &b7, &unused, &d)) return "x86-64";
    if (!__get_cpuid(0x80000001u, &a, &b, &c1x, &d)) return "x86-64";
    const unsigned saved = saved_registers();
    if (!has(b7, v3_b7) || !has(c1x, lahf | lzcnt) || !has(saved, sse_avx)) return "x86-64";
    if (!has(b7, v4_b7) || !has(saved, avx512)) return "x86-64-v3";
    return "x86-64-v4";
}

#elif defined(__aarch64__)

const char *best_level() { return "aarch64"; }

#endif

}  // namespace

// Name of the highest level that this processor and its operating system can run.
NB_EXPORT const char *nb_level() { return best_level(); }

// Digest of the sources: a library that is older than its sources is refused.
NB_EXPORT const char *nb_sources() { return NB_SOURCES; }

// The compiler and its flags.
NB_EXPORT const char *nb_recipe() { return NB_RECIPE; }
