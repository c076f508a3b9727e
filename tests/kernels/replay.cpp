// Evaluates dumped tiles with the loops that it is linked with: reads cases from standard input,
// writes sums, gains and photons to standard output.  For processors that Python does not run on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cull.h"

struct Mixed;
extern "C" long long nb_sum(const Params*, const double* axes, const double* sources,
                            const double* table, const int* listed, const Mixed*,
                            const double* mixed_axes, const Cull*, double* totals,
                            double* gains);
extern "C" void nb_finish(const Params*, const double* sources, const int* listed,
                          const double* totals, const double* gains, float* image);
extern "C" long long nb_params_size();

template <class T>
static std::vector<T> read(int64_t count) {
  std::vector<T> values(count);
  if (count && std::fread(values.data(), sizeof(T), count, stdin) != std::size_t(count)) std::exit(1);
  return values;
}

template <class T>
static void write(const std::vector<T>& values) {
  if (!values.empty()) std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

int main() {
  for (int64_t cases = read<int64_t>(1)[0]; cases > 0; --cases) {
    // Bytes of the structure, numbers in each table.
    const auto sizes = read<int64_t>(8);
    if (sizes[0] != nb_params_size()) return 2;
    Params p;
    if (std::fread(&p, sizeof p, 1, stdin) != 1) return 1;
    const auto axes = read<double>(sizes[1]), sources = read<double>(sizes[2]);
    const auto table = read<double>(sizes[3]);
    const auto listed = read<int>(sizes[4]);
    // Of what is skipped, if anything is.
    auto cull = read<Cull>(sizes[5]);
    const auto turns = read<double>(sizes[6]);
    const auto lanes = read<TurnLanes>(sizes[7]);
    if (!cull.empty()) cull[0].turns = turns.data(), cull[0].lanes = lanes.data();
    std::vector<double> totals(p.count), gains(p.factors == PRODUCTS ? p.count : 0);
    std::vector<float> image(p.count);
    const int64_t outside = nb_sum(&p, axes.data(), sources.data(), table.data(), listed.data(),
                                   nullptr, nullptr, cull.empty() ? nullptr : cull.data(),
                                   totals.data(), gains.data());
    nb_finish(&p, sources.data(), listed.data(), totals.data(), gains.data(), image.data());
    write(std::vector<int64_t>{outside});
    write(totals);
    write(gains);
    write(image);
  }
}
