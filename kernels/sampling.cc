#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/logging.h"
#include "kernels/vector_math.h"

namespace alchemist {
namespace {

// Sorts before others: more probable, and among equals the smaller id.
struct Candidate {
  float weight = 0;
  int32_t token = 0;
};
bool MoreProbable(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

// The first of the largest logits; NaN is never larger.
int32_t Greedy(absl::Span<const float> logits) {
  int32_t best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > largest) {
      largest = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  return best;
}

// exp((logit - largest) / temperature). The largest have weight 1 also where they are infinite: if
// all logits are -inf (or NaN), all tokens are equally probable.
std::vector<float> Weights(absl::Span<const float> logits, double temperature) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float largest = -kInfinity;
  for (float logit : logits) largest = logit > largest ? logit : largest;
  std::vector<float> weights(logits.size());
  constexpr double kExponentMin = -1000;  // Far below it a float overflows; e to it is 0 already.
  for (size_t i = 0; i < logits.size(); ++i) {
    const double logit = std::isnan(logits[i]) ? -kInfinity : logits[i];
    const double exponent = logit == largest ? 0 : (logit - largest) / temperature;
    weights[i] = static_cast<float>(std::max(exponent, kExponentMin));
  }
  ExpInPlace(weights.data(), static_cast<int64_t>(weights.size()));
  return weights;
}

// The tokens of at least min_p of the largest weight, which is 1, the top_k of those (0: all), then
// the fewest of these that hold top_p of their weight; most probable first.
std::vector<Candidate> Truncate(absl::Span<const float> weights, const SamplingParams& params) {
  std::vector<Candidate> all;
  all.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] >= params.min_p) all.push_back({weights[i], static_cast<int32_t>(i)});
  }
  if (params.top_k > 0 && params.top_k < static_cast<int64_t>(all.size())) {
    std::nth_element(all.begin(), all.begin() + params.top_k, all.end(), MoreProbable);
    all.resize(params.top_k);
  }
  const double total = std::accumulate(
      all.begin(), all.end(), 0.0, [](double sum, const Candidate& c) { return sum + c.weight; });
  // A heap yields candidates in order at the cost of those taken, which are few of the vocabulary.
  const auto less_probable = [](const Candidate& a, const Candidate& b) {
    return MoreProbable(b, a);
  };
  std::make_heap(all.begin(), all.end(), less_probable);
  std::vector<Candidate> kept;
  double sum = 0;
  while (!all.empty() && (kept.empty() || sum < params.top_p * total)) {
    std::pop_heap(all.begin(), all.end(), less_probable);
    kept.push_back(all.back());
    all.pop_back();
    sum += kept.back().weight;
  }
  return kept;
}

// The index i with sum of weight(0 .. i-1) <= uniform * total < sum of weight(0 .. i).
template <typename Weight>
int64_t Draw(int64_t count, double uniform, const Weight& weight) {
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += weight(i);
  double sum = 0;
  int64_t last = 0;  // The last with any weight, should rounding leave the sum below the target.
  for (int64_t i = 0; i < count; ++i) {
    if (weight(i) == 0) continue;
    last = i;
    sum += weight(i);
    if (uniform * total < sum) break;
  }
  return last;
}

}  // namespace

int32_t SampleToken(absl::Span<const float> logits, const SamplingParams& params, double uniform) {
  CHECK(!logits.empty());
  CHECK(uniform >= 0 && uniform < 1) << uniform;
  CHECK(params.temperature >= 0 && params.top_k >= 0 && params.min_p >= 0 && params.min_p <= 1)
      << "temperature " << params.temperature << ", top_k " << params.top_k << ", min_p "
      << params.min_p;
  if (params.temperature == 0) return Greedy(logits);
  const std::vector<float> weights = Weights(logits, params.temperature);
  const auto count = static_cast<int64_t>(weights.size());
  if (params.min_p == 0 && params.top_p >= 1 && (params.top_k == 0 || params.top_k >= count)) {
    return static_cast<int32_t>(Draw(count, uniform, [&](int64_t i) { return weights[i]; }));
  }
  const std::vector<Candidate> kept = Truncate(weights, params);
  const int64_t drawn =
      Draw(static_cast<int64_t>(kept.size()), uniform, [&](int64_t i) { return kept[i].weight; });
  return kept[drawn].token;
}

}  // namespace alchemist
