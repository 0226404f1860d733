#include "kernels/machine_peaks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/logging.h"
#include "kernels/onednn.h"

namespace alchemist {
namespace {

constexpr int64_t kWordsPerThread = 16 << 20;  // 128 MiB: beyond the caches.

template <typename Work>
double SecondsOf(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Positive values between 0.0078 and 0.0156: never zero, never subnormal.
std::vector<std::byte> Values(int64_t count, DType dtype) {
  const int64_t bytes = BytesPerElement(dtype);
  std::vector<std::byte> values(count * bytes, std::byte{0});
  for (int64_t i = 0; i < count; ++i) {
    values[(i + 1) * bytes - 1] = std::byte{0x3c};
    values[(i + 1) * bytes - 2] = static_cast<std::byte>(i * 37 % 128);
  }
  return values;
}

int64_t Widest(const std::vector<MatmulShape>& shapes, int64_t MatmulShape::*width) {
  int64_t widest = 0;
  for (const MatmulShape& shape : shapes) widest = std::max(widest, shape.*width);
  return widest;
}

// Reading ahead by hand is faster than leaving it to the machine.
uint64_t SumOf(const uint64_t* words, int64_t count) {
  constexpr int64_t kWordsAhead = 1024;
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i += 8) {
    __builtin_prefetch(words + i + kWordsAhead);
    for (int64_t j = i; j < i + 8; ++j) sum += words[j];
  }
  return sum;
}

}  // namespace

DType MatmulPeak::FastestType() { return OnednnPrefersBf16() ? DType::kBf16 : DType::kF32; }

MatmulPeak::MatmulPeak(std::vector<MatmulShape> shapes, int64_t rows, DType dtype, WorkerPool* pool)
    : shapes_(std::move(shapes)),
      rows_(rows),
      pool_(pool),
      dtype_(dtype),
      x_(Values(rows * Widest(shapes_, &MatmulShape::in), dtype_)),
      y_(rows * Widest(shapes_, &MatmulShape::out)) {
  CHECK_GE(rows, pool->threads());
  for (const MatmulShape& shape : shapes_) weights_.push_back(Values(shape.in * shape.out, dtype_));
}

void MatmulPeak::Multiply(int64_t shape, int64_t thread) {
  const auto [in, out] = shapes_[shape];
  const int64_t first = rows_ * thread / pool_->threads();
  const int64_t end = rows_ * (thread + 1) / pool_->threads();
  OnednnMatmul({.rows = end - first,
                .depth = in,
                .columns = out,
                .a_stride = in,
                .b_stride = in,
                .b_transposed = true,
                .dtype = dtype_},
               x_.data() + first * in * BytesPerElement(dtype_), weights_[shape].data(),
               y_.data() + first * out);
}

double MatmulPeak::FlopsPerSecond(int64_t repetitions) {
  double flops = 0;
  for (const auto& [in, out] : shapes_) {
    flops += 2.0 * static_cast<double>(rows_ * in * out * repetitions);
  }
  const double seconds = SecondsOf([&] {
    for (int64_t repetition = 0; repetition < repetitions; ++repetition) {
      for (size_t shape = 0; shape < shapes_.size(); ++shape) {
        pool_->ParallelFor(pool_->threads(),
                           [&](int64_t thread) { Multiply(static_cast<int64_t>(shape), thread); });
      }
    }
  });
  return flops / seconds;
}

ReadPeak::ReadPeak(WorkerPool* pool)
    : pool_(pool), words_(kWordsPerThread * pool->threads(), 1), sums_(pool->threads()) {}

double ReadPeak::BytesPerSecond(int64_t repetitions) {
  const double seconds = SecondsOf([&] {
    for (int64_t repetition = 0; repetition < repetitions; ++repetition) {
      pool_->ParallelFor(pool_->threads(), [&](int64_t thread) {
        sums_[thread] += SumOf(&words_[thread * kWordsPerThread], kWordsPerThread);
      });
    }
  });
  return static_cast<double>(bytes() * repetitions) / seconds;
}

WritePeak::WritePeak(WorkerPool* pool) : pool_(pool), words_(kWordsPerThread * pool->threads()) {}

double WritePeak::BytesPerSecond(int64_t repetitions) {
  const double seconds = SecondsOf([&] {
    for (int64_t repetition = 0; repetition < repetitions; ++repetition) {
      ++writes_;
      pool_->ParallelFor(pool_->threads(), [&](int64_t thread) {
        std::fill_n(&words_[thread * kWordsPerThread], kWordsPerThread, writes_);
      });
    }
  });
  return static_cast<double>(bytes() * repetitions) / seconds;
}

}  // namespace alchemist
