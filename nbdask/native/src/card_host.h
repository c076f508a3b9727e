// The words of CUDA that the kernels use, for a C++20 compiler of a host processor.
//
// A launch runs its blocks one after another.  Commonly a block has a single thread, so that
// barriers have nothing to wait for; with NB_HOST_THREADS every thread of a block is a real one,
// which shows whether the barriers are where they must be.
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __grid_constant__
#define __restrict__ __restrict
#define __launch_bounds__(...)
#ifdef NB_HOST_THREADS
#define __shared__ static
#else
#define __shared__ static thread_local
#endif

struct host_place {
  unsigned x = 0;
};
struct alignas(16) double2 {
  double x, y;
};
static thread_local host_place threadIdx, blockIdx, blockDim, gridDim;
static thread_local std::barrier<>* host_barrier = nullptr;

static inline void __syncthreads() {
  if (host_barrier) host_barrier->arrive_and_wait();
}

template <class T>
static inline T __ldg(const T* place) {
  return *place;
}

static inline unsigned long long atomicAdd(unsigned long long* place, unsigned long long value) {
  return std::atomic_ref<unsigned long long>(*place).fetch_add(value);
}

static inline int __double2loint(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<int>(bits);
}

// The card saturates; the processor's own conversion need not.
static inline int host_to_int(double x) {
  return x >= 2147483647.0 ? 2147483647 : x <= -2147483648.0 ? -2147483647 - 1 : static_cast<int>(x);
}

static inline int __double2int_ru(double x) { return host_to_int(std::ceil(x)); }

static inline int __float2int_rn(float x) { return host_to_int(std::rint(static_cast<double>(x))); }

static inline float __fmul_rn(float a, float b) {
  volatile float product = a * b;
  return product;
}

static inline float reciprocal32(float x) { return 1.0f / x; }

using std::ceil;
using std::exp;
using std::fabs;
using std::floor;
using std::fma;
using std::rint;
using std::sqrt;

template <class... A, std::size_t... I>
static void host_call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A>
static void host_launch(void (*kernel)(A...), unsigned grid, unsigned block, void** arguments) {
  const auto call = [=](unsigned place, unsigned thread) {
    gridDim = {grid};
    blockDim = {block};
    blockIdx = {place};
    threadIdx = {thread};
    host_call(kernel, arguments, std::index_sequence_for<A...>{});
  };
  for (unsigned place = 0; place < grid; ++place) {
#ifdef NB_HOST_THREADS
    std::barrier<> barrier(block);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < block; ++thread)
      threads.emplace_back([&, thread] {
        host_barrier = &barrier;
        call(place, thread);
        barrier.arrive_and_drop();
      });
    for (auto& thread : threads) thread.join();
#else
    for (unsigned thread = 0; thread < block; ++thread) call(place, thread);
#endif
  }
}

// Makes NAME__host(grid, block, arguments): arguments holds the address of each, as cuLaunchKernel
// takes them.
#define NB_HOST_EXPORT(name)                                                                \
  extern "C" void name##__host(unsigned grid, unsigned block, void** arguments) {           \
    host_launch(name, grid, block, arguments);                                              \
  }
