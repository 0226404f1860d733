#include "tools/gpu_check/form.h"

#include <algorithm>

namespace alchemist {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

constexpr int64_t kStepUs = 8'000;  // A step of eight sequences with an 8B model in bf16.

Form Tiny() {
  return {.name = "tiny",
          .seconds_max = 120,
          .arena_chunk_bytes = 2 * kMiB,
          .arena_chunks = 3,
          .unmap_chunk_bytes = 2 * kMiB,
          .unmap_chunks = 8,
          .copy_bytes = kMiB,
          .spin_ms = 300,
          .window_ms = 50,
          .product_rows = 64,
          .product_width = 64,
          .step_us = 2'000,
          .repeats = 3,
          .bytes_max = 128 * kMiB};
}

// 64 chunks of 64 MiB are unmapped, as the experiment was written; arenas proper have 1 GiB.
Form Short() {
  return {.name = "short",
          .seconds_max = 180,
          .arena_chunk_bytes = kGiB,
          .arena_chunks = 4,
          .unmap_chunk_bytes = 64 * kMiB,
          .unmap_chunks = 64,
          .copy_bytes = kGiB,
          .spin_ms = 2'000,
          .window_ms = 2'000,
          .product_rows = 512,
          .product_width = 4096,
          .step_us = kStepUs,
          .repeats = 9,
          .bytes_max = 32 * kGiB};
}

Form Long() {
  Form form = Short();
  form.name = "long";
  form.seconds_max = 900;
  form.arena_chunks = 16;
  form.unmap_chunk_bytes = kGiB;
  form.window_ms = 20'000;
  form.repeats = 31;
  form.bytes_max = 80 * kGiB;
  return form;
}

// As many of `chunks` as `bytes` hold; at least one.
int ChunksWithin(int chunks, int64_t chunk_bytes, int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>(bytes / chunk_bytes, 1, chunks));
}

}  // namespace

std::optional<Form> FormNamed(absl::string_view name, int64_t bytes_free) {
  Form form;
  if (name == "tiny") {
    form = Tiny();
  } else if (name == "short") {
    form = Short();
  } else if (name == "long") {
    form = Long();
  } else {
    return std::nullopt;
  }
  form.bytes_max = std::min(form.bytes_max, bytes_free / 2);
  form.arena_chunks = ChunksWithin(form.arena_chunks, form.arena_chunk_bytes, form.bytes_max / 2);
  form.unmap_chunks = ChunksWithin(form.unmap_chunks, form.unmap_chunk_bytes, form.bytes_max);
  return form;
}

}  // namespace alchemist
