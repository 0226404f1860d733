// Every op, at the shapes of SmolLM2-135M, beside what this machine can do: its largest oneDNN
// product and its fastest read, measured when the program starts.
//   bazel run -c opt //kernels:ops_bench -- --benchmark_min_time=0.5
// of_peak is the share of that peak. Arithmetic is counted as multiplies and adds, causal attention
// as half of the square; of ops with little of it the bytes that they must read and write, which
// lie in the caches here: they can be above the peak.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"
#include "kernels/accumulate.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "kernels/embedding.h"
#include "kernels/linear.h"
#include "kernels/log_prob.h"
#include "kernels/lora.h"
#include "kernels/machine_peaks.h"
#include "kernels/matmul.h"
#include "kernels/outer_products.h"
#include "kernels/residual.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/row_pieces.h"
#include "kernels/sampling.h"
#include "kernels/short_product.h"
#include "kernels/stream.h"
#include "kernels/swiglu.h"
#include "kernels/tensor_view.h"
#include "kernels/worker_pool.h"

namespace alchemist {
namespace {

constexpr int64_t kRows = 512, kHidden = 576, kFfn = 1536, kVocab = 49152, kRank = 16;
constexpr AttentionShape kAttention = {9, 3, 64, 0.125f};

using Clock = std::chrono::steady_clock;

// A matrix of small values that are not all the same.
template <typename T>
class MatrixOf {
 public:
  MatrixOf(int64_t rows, int64_t width) : rows_(rows), width_(width), values_(rows * width) {
    for (size_t i = 0; i < values_.size(); ++i) {
      const float value = static_cast<float>(i * 2654435761u % 1000) * 1e-4f - 0.05f;
      if constexpr (DTypeOf<T>::kValue == DType::kF32) {
        values_[i] = value;
      } else {
        values_[i] = ToBf16(value);
      }
    }
  }
  TensorView view() { return {values_.data(), rows_, width_, DTypeOf<T>::kValue}; }
  absl::Span<T> values() { return absl::MakeSpan(values_); }

 private:
  int64_t rows_, width_;
  std::vector<T> values_;
};
using Matrix = MatrixOf<float>;

// The best of several measurements.
double BestOf(const std::function<double()>& measure) {
  double best = 0;
  for (int repetition = 0; repetition < 10; ++repetition) best = std::max(best, measure());
  return best;
}

// One line: `amount` flops or bytes for each call of `op`.
void Report(const std::string& name, const char* unit, double amount, double peak,
            std::function<void()> op) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Clock::time_point begin = Clock::now();
    for (auto _ : state) op();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const double rate = amount * state.iterations() / seconds;
    state.counters[unit] = rate * 1e-9;
    state.counters["of_peak"] = rate / peak;
  })->UseRealTime();
}

// What is stored as T, and the f32 results.
template <typename T>
struct Operands {
  MatrixOf<T> x{kRows, kHidden}, w{kFfn, kHidden}, head{kVocab, kHidden};
  MatrixOf<T> q{1024, 576}, k{1024, 192}, v{1024, 192}, out{1024, 576};
  Matrix dx{kRows, kHidden}, y{kRows, kFfn}, dw{kFfn, kHidden};
  Matrix a{kRank, kHidden}, b{kFfn, kRank}, u{kRows, kRank}, da{kRank, kHidden}, db{kFfn, kRank};
  Matrix logits{kShortRowsMax, kVocab}, unit{64, kHidden};
  MatrixOf<T> gate{kRows, kFfn}, up{kRows, kFfn}, product{kRows, kFfn}, gamma{1, kHidden};
  MatrixOf<T> rows{kRows, kHidden};
  Matrix sums{kRows, kHidden}, dgate{kRows, kFfn}, dup{kRows, kFfn}, table{kVocab, kHidden};
  Matrix moment{kRows, kFfn};
  Matrix dout{1024, 576}, dq{1024, 576}, lse{1024, 9}, dk{1024, 192}, dv{1024, 192};
  std::vector<int32_t> positions = std::vector<int32_t>(1024);
  std::vector<int32_t> targets = std::vector<int32_t>(64, 7);
  std::vector<float> log_probs = std::vector<float>(64);
  std::vector<KvRun> kv;
  std::vector<KvGradRun> kv_grad;
  std::vector<LoraSegment> lora;
};

template <typename T>
std::string Name(const std::string& op) {
  return DTypeOf<T>::kValue == DType::kF32 ? op : op + "_" + DTypeName(DTypeOf<T>::kValue);
}

template <typename T>
void RegisterMatmuls(Operands<T>& o, Stream& stream, double flops, double bytes) {
  const WeightView w = {o.w.view(), {}}, head = {o.head.view(), {}};
  const double product = 2.0 * kRows * kHidden * kFfn;
  Report(Name<T>("matmul_forward_512"), "GFLOP/s", product, flops, [=, &o, &stream] {
    MatmulForward(o.x.view(), w, o.y.view(), RowPhase::kPrefill, stream);
  });
  Report(Name<T>("matmul_input_gradient_512"), "GFLOP/s", product, flops, [=, &o, &stream] {
    MatmulInputGradient(o.y.view(), w, o.dx.view(), Accumulate::kNo, stream);
  });
  Report(Name<T>("matmul_weight_gradient_512"), "GFLOP/s", product, flops,
         [&] { MatmulWeightGradient(o.y.view(), o.x.view(), o.dw.view(), stream); });
  for (const int64_t rows : {int64_t{16}, kShortRowsMax}) {
    Report(Name<T>("matmul_forward_" + std::to_string(rows)), "GFLOP/s",
           2.0 * static_cast<double>(rows) * kHidden * kFfn, flops, [=, &o, &stream] {
             MatmulForward(o.x.view().Rows(0, rows), w, o.y.view().Rows(0, rows),
                           RowPhase::kPrefill, stream);
           });
    Report(Name<T>("matmul_forward_of_head_" + std::to_string(rows)), "GFLOP/s",
           2.0 * static_cast<double>(rows) * kVocab * kHidden, flops, [=, &o, &stream] {
             MatmulForward(o.x.view().Rows(0, rows), head, o.logits.view().Rows(0, rows),
                           RowPhase::kPrefill, stream);
           });
  }
  for (int64_t rows : {1, 8}) {
    Report(Name<T>("matmul_decode_" + std::to_string(rows)), "GB/s",
           static_cast<double>(sizeof(T)) * kVocab * kHidden, bytes, [=, &o, &stream] {
             MatmulForward(o.x.view().Rows(0, rows), head, o.logits.view().Rows(0, rows),
                           RowPhase::kDecode, stream);
           });
  }
}

template <typename T>
void RegisterLoraAndHead(Operands<T>& o, Stream& stream, double flops) {
  o.lora = {{0, kRows, {o.a.view(), o.b.view(), 2}}};
  const double pair = 2.0 * kRows * kRank * (kHidden + kFfn);
  Report(Name<T>("outer_products_512"), "GFLOP/s", pair, flops, [&] {
    AccumulateOuterProducts(o.u.view(), o.x.view(), o.da.view(), stream);
    AccumulateOuterProducts(o.y.view(), o.u.view(), o.db.view(), stream);
  });
  Report(Name<T>("linear_forward_512"), "GFLOP/s", pair + 2.0 * kRows * kHidden * kFfn, flops, [&] {
    LinearForward(o.x.view(), {{.w = {o.w.view(), {}}, .adapters = o.lora, .y = o.gate.view()}},
                  RowPhase::kPrefill, stream);
  });
  const double backward = pair * 2 + 2.0 * kRows * kRank * kHidden;
  Report(Name<T>("lora_backward_512"), "GFLOP/s", backward, flops, [&] {
    LoraBackward(o.x.view(), o.y.view(), o.lora, o.dx.view(), o.da.view(), o.db.view(), stream);
  });
  Report(Name<T>("log_prob_gradient_64"), "GFLOP/s", 4.0 * 64 * kHidden * kVocab, flops, [&] {
    LogProb(o.x.view().Rows(0, 64), {o.head.view(), {}}, o.targets, absl::MakeSpan(o.log_probs),
            {o.unit.view(), {}, {}}, stream);
  });
}

template <typename T>
void RegisterAttention(Operands<T>& o, Stream& stream, double flops, double bytes) {
  std::iota(o.positions.begin(), o.positions.end(), 0);
  o.kv = {{o.k.view(), o.v.view(), 0}};
  o.kv_grad = {{o.dk.view(), o.dv.view(), 0}};
  const double forward = 4.0 * 1024 * 1024 / 2 * 576;
  Report(Name<T>("attention_forward_1024"), "GFLOP/s", forward, flops, [&] {
    AttentionForward(kAttention, {{0, o.positions, o.kv}}, o.q.view(), o.out.view(), o.lse.view(),
                     RowPhase::kPrefill, stream);
  });
  Report(Name<T>("attention_backward_1024"), "GFLOP/s", 2.5 * forward, flops, [&] {
    AttentionBackward(kAttention, {{0, o.positions, o.kv, o.kv_grad}}, o.q.view(), o.out.view(),
                      o.lse.view(), o.dout.view(), o.dq.view(), stream);
  });
  Report(Name<T>("attention_decode_at_1024"), "GB/s",
         static_cast<double>(sizeof(T)) * 1024 * 2 * 192, bytes, [&] {
           const absl::Span<const int32_t> last = absl::MakeConstSpan(o.positions).last(1);
           AttentionForward(kAttention, {{0, last, o.kv}}, o.q.view().Rows(0, 1),
                            o.out.view().Rows(0, 1), o.lse.view().Rows(0, 1), RowPhase::kDecode,
                            stream);
         });
}

// A chunk of 16 rows at the end of a long prompt whose K/V lie in pages, as cold as those of a
// model with thirty layers.
constexpr int64_t kPagedLayers = 30, kPagedKeys = 4096, kPagedRows = 16, kPage = 32;

template <typename T>
struct Paged {
  MatrixOf<T> pages{kPagedLayers * kPagedKeys * 2, 192}, q{kPagedRows, 576}, out{kPagedRows, 576};
  Matrix lse{kPagedRows, 9};
  std::vector<std::vector<KvRun>> kv;
  std::vector<int32_t> positions;
  size_t layer = 0;
};

template <typename T>
void RegisterPagedAttention(Stream& stream, double flops) {
  const auto p = std::make_shared<Paged<T>>();
  p->positions.resize(kPagedRows);
  std::iota(p->positions.begin(), p->positions.end(), kPagedKeys - kPagedRows);
  p->kv.resize(kPagedLayers);
  for (int64_t layer = 0; layer < kPagedLayers; ++layer) {
    for (int64_t key = 0; key < kPagedKeys; key += kPage) {
      const int64_t row = 2 * (key * kPagedLayers + layer * kPage);
      const TensorView pages = p->pages.view();
      p->kv[layer].push_back({pages.Rows(row, kPage), pages.Rows(row + kPage, kPage), key});
    }
  }
  Report(Name<T>("attention_forward_16_at_4096"), "GFLOP/s", 4.0 * kPagedRows * kPagedKeys * 576,
         flops, [p, &stream] {
           p->layer = (p->layer + 1) % p->kv.size();
           AttentionForward(kAttention, {{0, p->positions, p->kv[p->layer]}}, p->q.view(),
                            p->out.view(), p->lse.view(), RowPhase::kPrefill, stream);
         });
}

template <typename T>
void RegisterNormAndRope(Operands<T>& o, const RopeTable& rope, Stream& stream, double bytes) {
  const double row = kRows * kHidden;
  Report(Name<T>("rms_norm_forward_512"), "GB/s", row * 2 * sizeof(T), bytes,
         [&] { RmsNormForward(o.x.view(), o.gamma.view(), 1e-5f, o.rows.view(), stream); });
  Report(Name<T>("rms_norm_backward_512"), "GB/s", row * (sizeof(T) + 8), bytes, [&] {
    RmsNormBackward(o.x.view(), o.gamma.view(), 1e-5f, o.sums.view(), o.dx.view(), Accumulate::kNo,
                    {}, stream);
  });
  if constexpr (DTypeOf<T>::kValue != DType::kF32) return;  // The others know f32 alone.
  Report("rope_forward_512", "GB/s", row * 8, bytes, [&] {
    RopeForward(rope, absl::MakeConstSpan(o.positions).first(kRows), o.sums.view(), stream);
  });
  Report("rope_backward_512", "GB/s", row * 8, bytes, [&] {
    RopeBackward(rope, absl::MakeConstSpan(o.positions).first(kRows), o.sums.view(), stream);
  });
}

template <typename T>
void RegisterElementwise(Operands<T>& o, Stream& stream, double bytes) {
  const double row = kRows * kHidden, ffn = kRows * kFfn;
  Report(Name<T>("swiglu_forward_512"), "GB/s", ffn * 3 * sizeof(T), bytes,
         [&] { SwigluForward(o.gate.view(), o.up.view(), o.product.view(), stream); });
  Report(Name<T>("swiglu_backward_512"), "GB/s", ffn * (2 * sizeof(T) + 12), bytes, [&] {
    SwigluBackward(o.gate.view(), o.up.view(), o.y.view(), o.dgate.view(), o.dup.view(), stream);
  });
  const absl::Span<const int32_t> tokens = absl::MakeConstSpan(o.positions).first(kRows);
  Report(Name<T>("embedding_forward_512"), "GB/s", row * 2 * sizeof(T), bytes,
         [=, &o, &stream] { EmbeddingForward(tokens, o.head.view(), o.rows.view(), stream); });
  // `positions` name rows 0, 1, 2, ...: copies as the last layer's, of all of them.
  Report(Name<T>("gather_rows_512"), "GB/s", row * 2 * sizeof(T), bytes,
         [=, &o, &stream] { GatherRows(o.x.view(), tokens, o.rows.view(), stream); });
  if constexpr (DTypeOf<T>::kValue != DType::kF32) return;  // The others know f32 alone.
  Report("scatter_add_rows_512", "GB/s", row * 12, bytes,
         [=, &o, &stream] { ScatterAddRows(o.dx.view(), tokens, o.sums.view(), stream); });
  Report("embedding_backward_512", "GB/s", row * 12, bytes,
         [=, &o, &stream] { EmbeddingBackward(tokens, o.dx.view(), o.table.view(), stream); });
  std::fill(o.moment.values().begin(), o.moment.values().end(), 0.0f);  // Squares: none negative.
  Report("adamw", "GB/s", ffn * 28, bytes, [&] {
    AdamWStep({}, 1, 1, o.y.view(), o.dgate.view(), o.dup.view(), o.moment.view(), stream);
  });
  Report("sampling_49152", "GB/s", kVocab * 4.0, bytes, [&] {
    SampleToken(absl::MakeConstSpan(o.logits.values()).first(kVocab), {0.8, 0.9, 40}, 0.5);
  });
}

template <typename T>
void RegisterAll(Operands<T>& operands, const RopeTable& rope, Stream& stream, double flops,
                 double bytes) {
  RegisterMatmuls(operands, stream, flops, bytes);
  RegisterLoraAndHead(operands, stream, flops);
  RegisterAttention(operands, stream, flops, bytes);
  RegisterPagedAttention<T>(stream, flops);
  RegisterNormAndRope(operands, rope, stream, bytes);
  RegisterElementwise(operands, stream, bytes);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  WorkerPool pool({.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))});
  Stream stream(&pool);
  // Where OnednnPrefersBf16, forward products in bf16 can be above this f32 peak.
  const absl::Status status = MatmulSelfTest({{kHidden, kFfn}, {kHidden, kVocab}}, DType::kBf16);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  MatmulPeak matmul_peak({{1024, 1024}}, 1024 * pool.threads(), DType::kF32, &pool);
  const double flops = BestOf([&] { return matmul_peak.FlopsPerSecond(1); });
  ReadPeak read_peak(&pool);
  const double bytes = BestOf([&] { return read_peak.BytesPerSecond(1); });
  std::printf("%d threads, %s; peak %.1f GFLOP/s, %.1f GB/s read\n", pool.threads(),
              MatmulDescription().c_str(), flops * 1e-9, bytes * 1e-9);
  Operands<float> f32;
  Operands<Bf16> bf16;
  const RopeTable rope(RopeConfig(), 64, 1024);
  RegisterAll(f32, rope, stream, flops, bytes);
  RegisterAll(bf16, rope, stream, flops, bytes);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
