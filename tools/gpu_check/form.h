// Form: how large and how long alchemist-gpu-check's experiments are. Plain value.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

struct Form {
  std::string name;
  int64_t seconds_max;        // Of the whole run.
  int64_t arena_chunk_bytes;  // Of the arenas that are shared and outlived.
  int arena_chunks;           //
  int64_t unmap_chunk_bytes;  // Of the arena that is unmapped while its owner computes.
  int unmap_chunks;           //
  int64_t copy_bytes;         // Of one copy, scrub or registered memory.
  int64_t spin_ms;            // Of the kernel that is at work when its process is killed.
  int64_t window_ms;          // Of one measurement of steps.
  int64_t product_rows;       // Of one unit of training-like work: some 100 us, so that 0.2 ms of
  int64_t product_width;      // it can be queued.
  int64_t step_us;            // What a decode-like step is made to take.
  int repeats;                // Of short measurements; their median counts.
  int64_t bytes_max;          // Device memory that all processes of a check may take together.
};

// "tiny" (for testing the program itself on the stand-in driver), "short" (3 minutes) or "long" (15
// minutes); nullopt for anything else. Nothing exceeds `bytes_free`'s half: arenas then have fewer
// chunks.
std::optional<Form> FormNamed(absl::string_view name, int64_t bytes_free);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_
