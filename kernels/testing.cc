#include "kernels/testing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/logging.h"
#include "gtest/gtest.h"
#include "kernels/bf16.h"

namespace alchemist {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kSentinels =
    64;  // Bytes on either side: a cache line, which keeps the alignment.
constexpr std::byte kSentinel{0xa5};

template <typename Got>
double RelativeErrorOf(absl::Span<const Got> got, absl::Span<const double> reference) {
  CHECK_EQ(got.size(), reference.size());
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - reference[i]) * (got[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  if (difference == 0) return 0;  // Also when both are zero.
  return std::sqrt(difference / norm);
}

}  // namespace

TestMatrix::TestMatrix(int64_t rows, int64_t width, float value, DType dtype)
    : rows_(rows),
      width_(width),
      dtype_(dtype),
      memory_(rows * width * BytesPerElement(dtype) + 2 * kSentinels + kAlignment, kSentinel) {
  for (int64_t i = 0; i < rows_ * width_; ++i) Set(i, value);
}

TestMatrix TestMatrix::Normal(int64_t rows, int64_t width, Random* random, double deviation,
                              DType dtype) {
  TestMatrix matrix(rows, width, 0, dtype);
  for (int64_t i = 0; i < rows * width; ++i) {
    matrix.Set(i, static_cast<float>(deviation * random->Normal()));
  }
  return matrix;
}

TestMatrix::TestMatrix(TestMatrix&& other) noexcept
    : rows_(std::exchange(other.rows_, 0)),
      width_(std::exchange(other.width_, 0)),
      dtype_(other.dtype_),
      memory_(std::move(other.memory_)) {
  other.memory_.clear();
}

TestMatrix& TestMatrix::operator=(TestMatrix&& other) noexcept {
  TestMatrix moved(std::move(other));  // Takes what was here along, and checks it.
  std::swap(rows_, moved.rows_);
  std::swap(width_, moved.width_);
  std::swap(dtype_, moved.dtype_);
  std::swap(memory_, moved.memory_);
  return *this;
}

TestMatrix::~TestMatrix() {
  if (!memory_.empty()) CheckSentinels();
}

TestMatrix TestMatrix::Copy() const {
  TestMatrix copy(rows_, width_, 0, dtype_);
  std::copy_n(begin(), view().bytes(), copy.begin());
  return copy;
}

// The first aligned byte of the memory that has room for the sentinels before it.
std::byte* TestMatrix::begin() const {
  const auto address = reinterpret_cast<uintptr_t>(memory_.data());
  const int64_t skip = (kAlignment - address % kAlignment) % kAlignment;
  return const_cast<std::byte*>(memory_.data()) + skip + kSentinels;
}

void TestMatrix::Set(int64_t i, float value) {
  if (dtype_ == DType::kF32) {
    reinterpret_cast<float*>(begin())[i] = value;
  } else {
    reinterpret_cast<Bf16*>(begin())[i] = ToBf16(value);
  }
}

absl::Span<const float> TestMatrix::values() const {
  const int64_t count = rows_ * width_;
  if (dtype_ == DType::kF32) {
    return absl::MakeConstSpan(reinterpret_cast<const float*>(begin()), count);
  }
  widened_.resize(count);
  Widen(reinterpret_cast<const Bf16*>(begin()), count, widened_.data());
  return widened_;
}

absl::Span<float> TestMatrix::mutable_values() {
  CHECK(dtype_ == DType::kF32) << "values of " << DTypeName(dtype_) << " are copies";
  return absl::MakeSpan(reinterpret_cast<float*>(begin()), rows_ * width_);
}

std::vector<double> TestMatrix::AsDouble() const {
  const absl::Span<const float> floats = values();
  return std::vector<double>(floats.begin(), floats.end());
}

void TestMatrix::CheckSentinels() const {
  const std::byte* const end = begin() + view().bytes();
  for (const std::byte& byte : memory_) {
    const bool inside = &byte >= begin() && &byte < end;
    if (inside || byte == kSentinel) continue;
    const int64_t size = BytesPerElement(dtype_);
    const int64_t offset = &byte - begin();
    ADD_FAILURE() << "a [" << rows_ << ", " << width_ << "] " << DTypeName(dtype_)
                  << " matrix was overrun: element "
                  << (offset - (offset < 0 ? size - 1 : 0)) / size;
    return;
  }
}

std::vector<float> Stored(DType dtype, absl::Span<const float> values) {
  std::vector<float> stored(values.begin(), values.end());
  if (dtype == DType::kBf16) {
    for (float& value : stored) value = ToF32(ToBf16(value));
  }
  return stored;
}

double RelativeError(absl::Span<const float> got, absl::Span<const double> reference) {
  return RelativeErrorOf(got, reference);
}

double RelativeError(absl::Span<const double> got, absl::Span<const double> reference) {
  return RelativeErrorOf(got, reference);
}

void ExpectWithinTwiceNaive(const char* what, absl::Span<const float> production,
                            absl::Span<const float> naive, absl::Span<const double> reference) {
  const double error = RelativeError(production, reference);
  const double naive_error = RelativeError(naive, reference);
  EXPECT_LE(error, 2 * naive_error) << what << ": the naive loop's error is " << naive_error;
}

void ExpectSameBits(const char* what, absl::Span<const float> got, absl::Span<const float> wanted) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  if (std::equal(got.begin(), got.end(), wanted.begin(), [](float a, float b) {
        return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
      })) {
    return;  // An assertion for each of millions of elements would take most of a test's time.
  }
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(wanted[i]))
        << what << "[" << i << "]: " << got[i] << " and " << wanted[i];
  }
}

void ExpectSameGradient(const char* what, absl::Span<const double> got,
                        absl::Span<const double> complex_step, int64_t operations) {
  const double bound = operations * std::numeric_limits<double>::epsilon();
  EXPECT_LE(RelativeError(got, complex_step), bound) << what;
}

void ForEachCut(int64_t rows,
                absl::FunctionRef<void(const std::vector<RowCut>& cut, Stream& stream)> check) {
  for (int threads : {1, 2}) {
    WorkerPool pool({.threads = threads});
    Stream stream(&pool);
    for (int64_t step : {int64_t{1}, int64_t{13}, rows}) {
      std::vector<RowCut> cut;
      int64_t first = 0;
      while (first < rows) {
        // 13, 26, 39, ... rows, so that pieces begin everywhere in a tile.
        const int64_t grown = step == 13 ? step * (static_cast<int64_t>(cut.size()) + 1) : step;
        cut.push_back({first, std::min(grown, rows - first)});
        first += cut.back().count;
      }
      SCOPED_TRACE(testing::Message() << threads << " threads, " << cut.size() << " pieces");
      check(cut, stream);
    }
  }
}

}  // namespace alchemist
