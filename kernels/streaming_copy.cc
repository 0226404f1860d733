#include "kernels/streaming_copy.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace alchemist {

#if defined(__SSE2__)
namespace {

// Whole lines only: memory takes a line that was written in part as several writes.
constexpr int64_t kLine = 64;

void StreamLine(const std::byte* from, std::byte* to) {
  for (int64_t i = 0; i < kLine; i += sizeof(__m128i)) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), bits);
  }
}

}  // namespace

void StreamingCopy(const void* from, int64_t bytes, void* to) {
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  const auto past_line = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % kLine);
  const int64_t head = std::min(bytes, past_line == 0 ? 0 : kLine - past_line);
  std::memcpy(target, source, head);
  int64_t i = head;
  for (; i + kLine <= bytes; i += kLine) StreamLine(source + i, target + i);
  std::memcpy(target + i, source + i, bytes - i);
}

void FinishStreamingCopies() { _mm_sfence(); }
#else
void StreamingCopy(const void* from, int64_t bytes, void* to) { std::memcpy(to, from, bytes); }

void FinishStreamingCopies() {}
#endif

}  // namespace alchemist
