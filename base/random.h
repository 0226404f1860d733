// Random: a seeded generator whose numbers are the same on every machine and standard library
// (std::*_distribution are not). SplitMix64 (Steele, Lea, Flood 2014). One thread at a time.
#ifndef ALCHEMIST_BASE_RANDOM_H_
#define ALCHEMIST_BASE_RANDOM_H_

#include <cmath>
#include <cstdint>
#include <utility>

namespace alchemist {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // Uniform in [0, count). REQUIRES: count > 0. The bias is below count / 2^64.
  int64_t Below(int64_t count) {
    return static_cast<int64_t>(
        (static_cast<unsigned __int128>(Next()) * static_cast<uint64_t>(count)) >> 64);
  }
  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Standard normal (Box-Muller, one value a call).
  double Normal() {
    const double u = 1.0 - Uniform();
    const double v = Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }
  // The whole state: a generator made with it goes on where this one stands.
  uint64_t state() const { return state_; }

 private:
  uint64_t state_;
};

// Puts `items` (a vector or span) into an order drawn uniformly (Fisher-Yates).
template <typename Items>
void Shuffle(Items& items, Random& random) {
  for (int64_t i = static_cast<int64_t>(items.size()) - 1; i > 0; --i) {
    std::swap(items[i], items[random.Below(i + 1)]);
  }
}

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_RANDOM_H_
