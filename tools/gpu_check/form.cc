#include "tools/gpu_check/form.h"

#include <algorithm>

namespace alchemist {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

Form Tiny() {
  return {.name = "tiny",
          .seconds_max = 120,
          .arena_chunk_bytes = 2 * kMiB,
          .arena_chunks = 3,
          .unmap_chunk_bytes = 2 * kMiB,
          .unmap_chunks = 8,
          .copy_bytes = kMiB,
          .spin_ms = 300,
          .kills = 2,
          .window_ms = 50,
          .step_us = 2'000,
          .product_rows = 64,
          .product_width = 64,
          .repeats = 3,
          .bytes_max = 128 * kMiB,
          .bytes_free_min = 64 * kMiB};
}

// 64 chunks of 64 MiB are unmapped, as the experiment was written; arenas proper have 1 GiB. A step
// is one of eight sequences with an 8B model in bf16.
Form Short() {
  return {.name = "short",
          .seconds_max = 180,
          .arena_chunk_bytes = kGiB,
          .arena_chunks = 4,
          .unmap_chunk_bytes = 64 * kMiB,
          .unmap_chunks = 64,
          .copy_bytes = kGiB,
          .spin_ms = 2'000,
          .kills = 3,
          .window_ms = 2'000,
          .step_us = 8'000,
          .product_rows = 512,
          .product_width = 4096,
          .repeats = 9,
          .bytes_max = 32 * kGiB,
          .bytes_free_min = 8 * kGiB};
}

Form Long() {
  Form form = Short();
  form.name = "long";
  form.seconds_max = 900;
  form.arena_chunks = 16;
  form.unmap_chunk_bytes = kGiB;
  form.kills = 10;
  form.window_ms = 20'000;
  form.repeats = 31;
  form.bytes_max = 80 * kGiB;
  return form;
}

// As many of `chunks` as `bytes` hold; at least one.
int ChunksWithin(int chunks, int64_t chunk_bytes, int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>(bytes / chunk_bytes, 1, chunks));
}

// Beside the arenas lie what steps read, what is copied, and contexts.
Form Within(Form form, int64_t bytes_free) {
  form.bytes_max = std::min(form.bytes_max, bytes_free / 2);
  form.copy_bytes = std::min(form.copy_bytes, form.bytes_max / 8 / kMiB * kMiB);
  const int64_t arena_bytes = form.bytes_max - 4 * form.copy_bytes;
  form.arena_chunks = ChunksWithin(form.arena_chunks, form.arena_chunk_bytes, arena_bytes);
  form.unmap_chunks = ChunksWithin(form.unmap_chunks, form.unmap_chunk_bytes, arena_bytes);
  return form;
}

}  // namespace

std::optional<Form> FormNamed(absl::string_view name, int64_t bytes_free) {
  if (name == "tiny") return Within(Tiny(), bytes_free);
  if (name == "short") return Within(Short(), bytes_free);
  if (name == "long") return Within(Long(), bytes_free);
  return std::nullopt;
}

}  // namespace alchemist
