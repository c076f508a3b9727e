// How functions that Python calls, and those to be put in line, are declared.
#pragma once

#define NB_EXPORT extern "C" __attribute__((visibility("default")))
#ifndef NB_INLINE
#define NB_INLINE static inline __attribute__((always_inline))
#endif
